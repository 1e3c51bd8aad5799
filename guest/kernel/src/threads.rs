//! All threads: those that do not run are here, the one that runs is the scheduler's.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::rc::Rc;
use core::cell::{Cell, RefCell};

use mayfly_hal::fpu::Fpu;

use crate::agenda::{Agenda, Tid};
use crate::errno::{Errno, Result};
use crate::family::{PID_END, Pid};
use crate::futex::{Futexes, Key};
use crate::process::{FIRST, Memory, Process};
use crate::signal::{Info, bit};
use crate::thread::Thread;

/// Most threads of all processes at a time, with the processes that nobody has waited for: what AWS Lambda allows a
/// function.
pub const THREADS_MAX: usize = 1024;

/// The threads.
pub struct Threads {
    parked: RefCell<BTreeMap<Tid, Box<Thread>>>,
    agenda: RefCell<Agenda>,
    futexes: RefCell<Futexes>,
    last_tid: Cell<Tid>,
    /// Whose registers the processor holds, but for those in its context.
    in_processor: Cell<Tid>,
    /// The memory that the processor sees. It is held here, since its process may have ended.
    active: RefCell<Option<Memory>>,
}

impl Default for Threads {
    fn default() -> Threads {
        Threads {
            parked: RefCell::default(),
            agenda: RefCell::default(),
            futexes: RefCell::default(),
            last_tid: Cell::new(FIRST),
            in_processor: Cell::new(0),
            active: RefCell::new(None),
        }
    }
}

impl Threads {
    /// How many there are, the one that runs included.
    pub fn count(&self) -> usize {
        self.parked.borrow().len() + 1
    }

    /// A number that no thread has, nor the caller, and that `is_taken` does not know.
    pub fn new_tid(&self, caller: Tid, is_taken: impl Fn(Tid) -> bool) -> Tid {
        let parked = self.parked.borrow();
        loop {
            let next = self.last_tid.get() + 1;
            let tid = if next < PID_END { next } else { FIRST + 1 };
            self.last_tid.set(tid);
            if tid != caller && !parked.contains_key(&tid) && !is_taken(tid) {
                return tid;
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

    /// Parks a thread whose process is stopped: nothing but its name wakes it.
    pub fn stop(&self, thread: Box<Thread>) {
        self.agenda.borrow_mut().wait(thread.tid, false, None);
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

    /// Whether there is a thread of this number, besides the one that runs.
    pub fn is_parked(&self, tid: Tid) -> bool {
        self.parked.borrow().contains_key(&tid)
    }

    /// Gives `work` each of a process's threads that do not run.
    pub fn for_each(&self, process: &Rc<Process>, mut work: impl FnMut(&mut Thread)) {
        let mut parked = self.parked.borrow_mut();
        parked
            .values_mut()
            .filter(|thread| Rc::ptr_eq(&thread.process, process))
            .for_each(|thread| work(thread));
    }

    /// Takes out one of a process's threads that do not run: it ends.
    pub fn take_other(&self, process: &Rc<Process>) -> Option<Box<Thread>> {
        let mut tid = None;
        self.for_each(process, |thread| tid = Some(thread.tid));
        let tid = tid?;
        self.forget(tid);
        self.parked.borrow_mut().remove(&tid)
    }

    /// Forgets what is noted of a thread that ends.
    pub fn forget(&self, tid: Tid) {
        self.agenda.borrow_mut().remove(tid);
        self.futexes.borrow_mut().cancel(tid);
        if self.in_processor.get() == tid {
            self.in_processor.set(0);
        }
    }

    /// Makes the processor see a process's memory. To load other page tables takes an exception, so that it is done only
    /// where it must be.
    pub fn load_memory(&self, process: &Process) {
        let memory = process.space();
        let mut active = self.active.borrow_mut();
        if !active.as_ref().is_some_and(|active| Rc::ptr_eq(active, &memory)) {
            memory.borrow().activate();
            let before = active.replace(memory);
            drop(active);
            drop(before);
        }
    }

    /// Makes the processor hold the registers of the thread that is about to run. Whether it did not.
    pub fn load(&self, thread: &Thread, fpu: &Fpu) -> bool {
        let before = self.in_processor.replace(thread.tid);
        if before != thread.tid {
            self.with(before, |before| before.registers.save(fpu));
            thread.registers.load(fpu);
        }
        before != thread.tid
    }

    // ---- Signals.

    /// Sends a signal to a thread of process `pid` that does not run. ESRCH; EAGAIN where its queue is full.
    pub fn raise_at(&self, pid: Pid, tid: Tid, info: Info) -> Result<()> {
        let sent = self.with(tid, |thread| {
            let process = &thread.process;
            if process.pid != pid {
                return Err(Errno::SRCH);
            }
            let takes = thread.takes(info.signal);
            if takes && process.signals.borrow().actions.is_ignored(info.signal) {
                return Ok(false);
            }
            if thread.signals.borrow_mut().push(info) { Ok(takes) } else { Err(Errno::AGAIN) }
        });
        let (takes, mut agenda) = (sent.ok_or(Errno::SRCH)??, self.agenda.borrow_mut());
        // It may be what a descriptor of signals waits for.
        agenda.stir();
        if takes {
            agenda.wake(tid);
        }
        Ok(())
    }

    /// Whether a thread of the process that does not run blocks a signal.
    pub fn blocks(&self, process: &Rc<Process>, signal: u8) -> bool {
        let mut blocks = false;
        self.for_each(process, |thread| blocks |= thread.blocked & bit(signal) != 0);
        blocks
    }

    /// Wakes those of a process's threads that wait and that `which` picks.
    pub fn wake_where(&self, process: &Rc<Process>, which: impl Fn(&Thread) -> bool) {
        let mut agenda = self.agenda.borrow_mut();
        self.for_each(process, |thread| {
            if which(thread) {
                agenda.wake(thread.tid);
            }
        });
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

    /// The process for whose lock one of a process's threads waits. One that is ready looks at it anew anyway.
    pub fn awaited_lock(&self, process: &Rc<Process>) -> Option<Pid> {
        let waiting = self.agenda.borrow().waiting();
        let parked = self.parked.borrow();
        let threads = waiting.iter().filter_map(|tid| parked.get(tid));
        let mut own =
            threads.filter(|thread| thread.in_call && Rc::ptr_eq(&thread.process, process));
        own.find_map(|thread| thread.pending.awaits_lock_of)
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

    /// Puts the thread that runs among those that wait to inherit a futex of `owner`'s.
    pub fn inherit_at(&self, key: Key, tid: Tid, owner: Tid) {
        self.futexes.borrow_mut().inherit(key, tid, owner);
    }

    /// Notes whose a futex is; whether others wait to inherit it.
    pub fn own_futex(&self, key: Key, owner: Tid) -> bool {
        self.futexes.borrow_mut().own(key, owner)
    }

    /// Wakes the thread that inherits a futex: which it is, and whether others wait for that.
    pub fn hand_over(&self, key: Key) -> Option<(Tid, bool)> {
        let heir = self.futexes.borrow_mut().hand_over(key)?;
        self.agenda.borrow_mut().wake(heir.0);
        Some(heir)
    }

    /// Wakes those that inherit the futexes of a thread that ends.
    pub fn bequeath(&self, owner: Tid) {
        let mut agenda = self.agenda.borrow_mut();
        self.futexes.borrow_mut().bequeath(owner, |heir| agenda.wake(heir));
    }

    /// Wakes up to `wake` threads at `from` and sends up to `send` others to `to`; how many it were together.
    pub fn requeue(&self, from: Key, to: Key, wake: u32, send: u32) -> u32 {
        let mut agenda = self.agenda.borrow_mut();
        self.futexes.borrow_mut().requeue(from, to, wake, send, |tid| agenda.wake(tid))
    }
}
