//! Signals on their way to processes: sent, and what stopping and continuing does at once (signal(7)).

use alloc::rc::Rc;

use linux_raw_sys::general as linux;

use crate::agenda::Agenda;
use crate::errno::{Errno, Result};
use crate::family::{State, Status};
use crate::kernel::Kernel;
use crate::process::Process;
use crate::signal::{Info, STOPS, bit};
use crate::thread::Thread;

const SIGKILL: u8 = linux::SIGKILL as u8;
const SIGCHLD: u8 = linux::SIGCHLD as u8;
const SIGCONT: u8 = linux::SIGCONT as u8;

impl Kernel {
    /// Sends a signal to a process: the next of its threads that takes it will. `current` is the thread that runs, where
    /// its own mask is to count. EAGAIN where the queue is full.
    pub fn send(&self, process: &Rc<Process>, info: Info, current: Option<&Thread>) -> Result<()> {
        self.settle(process, info.signal);
        let mut signals = process.signals.borrow_mut();
        // A blocked signal is kept: what is done about it may be another thing once it is taken.
        if signals.actions.is_ignored(info.signal)
            && !self.is_blocked(process, info.signal, current)
        {
            return Ok(());
        }
        if !signals.queue.push(info) {
            return Err(Errno::AGAIN);
        }
        drop(signals);
        // It may be what a descriptor of signals waits for.
        self.threads.with_agenda(Agenda::stir);
        let takes =
            |thread: &Thread| Rc::ptr_eq(&thread.process, process) && thread.takes(info.signal);
        if !current.is_some_and(takes) {
            self.threads.wake_for(process, info.signal);
        }
        Ok(())
    }

    /// Whether a signal is blocked by a thread of the process. `current` is the thread that runs.
    pub fn is_blocked(&self, process: &Rc<Process>, signal: u8, current: Option<&Thread>) -> bool {
        let is_own = |thread: &&Thread| Rc::ptr_eq(&thread.process, process);
        let own = current.filter(is_own).is_some_and(|thread| thread.blocked & bit(signal) != 0);
        own || self.threads.blocks(process, signal)
    }

    /// What a signal does before anybody takes it: SIGCONT and signals that stop undo each other, SIGCONT and SIGKILL make
    /// a stopped process go on.
    pub fn settle(&self, process: &Rc<Process>, signal: u8) {
        let forgotten = match signal {
            SIGCONT => STOPS,
            signal if bit(signal) & STOPS != 0 => bit(SIGCONT),
            _ => 0,
        };
        if forgotten != 0 {
            process.signals.borrow_mut().queue.remove(forgotten);
            let forget = |thread: &mut Thread| thread.signals.borrow_mut().remove(forgotten);
            self.threads.for_each(process, forget);
        }
        if matches!(signal, SIGCONT | SIGKILL) && process.is_stopped.replace(false) {
            let told = (signal == SIGCONT).then_some(Status::Continued);
            self.change(process, State::Running, told);
            self.threads.wake_where(process, |_| true);
        }
    }

    /// A signal has stopped a process: none of its threads runs.
    pub fn stop(&self, process: &Rc<Process>, signal: u8) {
        process.is_stopped.set(true);
        self.change(process, State::Stopped, Some(Status::Stopped(signal)));
    }

    /// Notes that a process is stopped or goes on, and tells its parent.
    fn change(&self, process: &Rc<Process>, state: State, news: Option<Status>) {
        let pid = process.pid;
        let parent = self.processes.with(|families| {
            let member = families.get_mut(pid).ok()?;
            (member.state, member.news) = (state, news);
            Some(member.parent)
        });
        let parent = parent.and_then(|parent| self.processes.get(parent));
        let Some((parent, news)) = parent.zip(news) else { return };
        let action = parent.signals.borrow().actions.get(SIGCHLD);
        if action.flags & u64::from(linux::SA_NOCLDSTOP) == 0 {
            // A full queue loses it, as on Linux.
            let _ = self.send(
                &parent,
                Info::from_child(SIGCHLD, pid, news, process.ran_ns.get()),
                None,
            );
        }
        self.wake_who_awaits_children(&parent);
    }
}
