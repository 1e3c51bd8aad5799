//! All threads: those that do not run are here, the one that runs is the scheduler's.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};

use mayfly_hal::fpu::Fpu;

use crate::agenda::{Agenda, Tid};
use crate::errno::{Errno, Result};
use crate::futex::{Futexes, Key};
use crate::process::{PID, Process};
use crate::signal::Info;
use crate::syscall::identity;
use crate::thread::Thread;

/// Most threads at a time: what AWS Lambda allows a function.
pub const THREADS_MAX: usize = 1024;
/// Numbers wrap here (Linux's pid_max on 64-bit machines).
const TID_END: Tid = 4 << 20;

/// The threads.
pub struct Threads {
    parked: RefCell<BTreeMap<Tid, Box<Thread>>>,
    agenda: RefCell<Agenda>,
    futexes: RefCell<Futexes>,
    last_tid: Cell<Tid>,
    /// Whose registers the processor holds, but for those in its context.
    in_processor: Cell<Tid>,
}

impl Default for Threads {
    fn default() -> Threads {
        Threads {
            parked: RefCell::default(),
            agenda: RefCell::default(),
            futexes: RefCell::default(),
            last_tid: Cell::new(PID),
            in_processor: Cell::new(0),
        }
    }
}

impl Threads {
    /// A number that no thread has, nor the caller. EAGAIN where there are [`THREADS_MAX`].
    pub fn new_tid(&self, caller: Tid) -> Result<Tid> {
        let parked = self.parked.borrow();
        if parked.len() + 1 >= THREADS_MAX {
            return Err(Errno::AGAIN);
        }
        loop {
            let next = self.last_tid.get() + 1;
            let tid = if next < TID_END { next } else { PID + 1 };
            self.last_tid.set(tid);
            if tid != caller && !parked.contains_key(&tid) {
                return Ok(tid);
            }
        }
    }

    /// Parks a thread that wants to run.
    pub fn ready(&self, thread: Box<Thread>) {
        self.agenda.borrow_mut().ready(thread.tid);
        self.parked.borrow_mut().insert(thread.tid, thread);
    }

    /// Parks a thread whose call waits: for files too where it `watches`.
    pub fn wait(&self, thread: Box<Thread>, watches: bool) {
        self.agenda.borrow_mut().wait(thread.tid, watches, thread.pending.deadline_ns);
        self.parked.borrow_mut().insert(thread.tid, thread);
    }

    /// Takes the thread that is to run next.
    pub fn next(&self) -> Option<Box<Thread>> {
        let tid = self.agenda.borrow_mut().take_next()?;
        self.parked.borrow_mut().remove(&tid)
    }

    /// Gives `work` who runs next and who waits for what.
    pub fn with_agenda<R>(&self, work: impl FnOnce(&mut Agenda) -> R) -> R {
        work(&mut self.agenda.borrow_mut())
    }

    /// Gives `work` a thread that does not run; `None` where there is none of that number.
    pub fn with<R>(&self, tid: Tid, work: impl FnOnce(&mut Thread) -> R) -> Option<R> {
        self.parked.borrow_mut().get_mut(&tid).map(|thread| work(thread))
    }

    /// Gives `work` each of a process's threads that do not run.
    pub fn for_each(&self, process: &Rc<Process>, mut work: impl FnMut(&mut Thread)) {
        let mut parked = self.parked.borrow_mut();
        parked
            .values_mut()
            .filter(|thread| Rc::ptr_eq(&thread.process, process))
            .for_each(|thread| work(thread));
    }

    /// Ends all of a process's threads but the one that runs.
    pub fn end_others(&self, process: &Rc<Process>) {
        let mut tids = Vec::new();
        self.for_each(process, |thread| tids.push(thread.tid));
        for tid in tids {
            self.forget(tid);
            self.parked.borrow_mut().remove(&tid);
        }
    }

    /// Forgets what is noted of a thread that ends.
    pub fn forget(&self, tid: Tid) {
        self.agenda.borrow_mut().remove(tid);
        self.futexes.borrow_mut().cancel(tid);
        if self.in_processor.get() == tid {
            self.in_processor.set(0);
        }
    }

    /// Makes the processor hold the registers of the thread that is about to run.
    pub fn load(&self, thread: &Thread, fpu: &Fpu) {
        let before = self.in_processor.replace(thread.tid);
        if before != thread.tid {
            self.with(before, |before| before.registers.save(fpu));
            thread.registers.load(fpu);
            identity::lay_out(thread);
        }
    }

    // ---- Signals.

    /// Sends a signal to a thread that does not run. ESRCH; EAGAIN where its queue is full.
    pub fn raise_at(&self, process: &Rc<Process>, tid: Tid, info: Info) -> Result<()> {
        let sent = self.with(tid, |thread| {
            if !Rc::ptr_eq(&thread.process, process) {
                return Err(Errno::SRCH);
            }
            let takes = thread.takes(info.signal);
            if takes && process.signals.borrow().actions.is_ignored(info.signal) {
                return Ok(false);
            }
            if thread.signals.push(info) { Ok(takes) } else { Err(Errno::AGAIN) }
        });
        if sent.ok_or(Errno::SRCH)?? {
            self.agenda.borrow_mut().wake(tid);
        }
        Ok(())
    }

    /// Makes a thread of the process look at a signal that is in the process's queue, if one waits that takes it.
    pub fn wake_for(&self, process: &Rc<Process>, signal: u8) {
        let waiting = self.agenda.borrow().waiting();
        let parked = self.parked.borrow();
        let takes = |tid: &Tid| {
            parked
                .get(tid)
                .is_some_and(|thread| Rc::ptr_eq(&thread.process, process) && thread.takes(signal))
        };
        if let Some(tid) = waiting.into_iter().find(takes) {
            self.agenda.borrow_mut().wake(tid);
        }
    }

    // ---- Futexes.

    /// Puts the thread that runs into a futex's queue.
    pub fn wait_at(&self, key: Key, tid: Tid, bits: u32) {
        self.futexes.borrow_mut().wait(key, tid, bits);
    }

    /// Whether a thread is in a futex's queue still.
    pub fn is_at_futex(&self, tid: Tid) -> bool {
        self.futexes.borrow().is_waiting(tid)
    }

    /// Takes a thread out of the futex's queue that it may be in.
    pub fn leave_futex(&self, tid: Tid) {
        self.futexes.borrow_mut().cancel(tid);
    }

    /// Wakes up to `most` threads that wait for one of `bits` at a futex; how many it were.
    pub fn wake_at(&self, key: Key, most: u32, bits: u32) -> u32 {
        let mut agenda = self.agenda.borrow_mut();
        self.futexes.borrow_mut().wake(key, most, bits, |tid| agenda.wake(tid))
    }

    /// Wakes up to `wake` threads at `from` and sends up to `send` others to `to`; how many it were together.
    pub fn requeue(&self, from: Key, to: Key, wake: u32, send: u32) -> u32 {
        let mut agenda = self.agenda.borrow_mut();
        self.futexes.borrow_mut().requeue(from, to, wake, send, |tid| agenda.wake(tid))
    }
}
