//! The end of a process: what its threads leave behind, who is told, and who takes over its children.
//!
//! ```text
//!   exit_group, the last exit, a signal ─▶ threads leave · files close · memory goes ─▶ Ended: waits to be waited for
//!        │ the first process: the guest ends                                              │
//!        └ its vfork parent goes on · its children have another parent · SIGCHLD ─────────┴─▶ gone
//! ```

use alloc::boxed::Box;
use alloc::rc::Rc;

use crate::agenda::Agenda;
use crate::end;
use crate::family::{INIT, Pid, Status};
use crate::kernel::Kernel;
use crate::process::Process;
use crate::signal::Info;
use crate::syscall::clone;
use crate::thread::Thread;

impl Kernel {
    /// Ends the process of the thread that runs.
    pub fn end_process(&self, mut thread: Box<Thread>, status: Status) {
        let process = Rc::clone(&thread.process);
        if process.is_first() {
            match status {
                Status::Killed(signal) => {
                    end::signaled(signal, format_args!("out of memory"), self.counters())
                }
                Status::Exited(code) => end::exited(code, self.counters()),
                Status::Stopped(_) | Status::Continued => {}
            }
        }
        self.end_other_threads(&process);
        clone::leave(self, &mut thread);
        self.threads.forget(thread.tid);
        drop(thread);
        process.files.close_range(0..=u32::MAX);
        // The processor sees it until another process runs.
        let memory = process.memory.take();
        drop(memory);
        self.leave_terminal(process.pid);
        self.send_of_terminals(None);
        process.has_ended.set(true);
        self.timers.forget(process.pid);
        self.give_memory_back(&process);
        self.processes.bury(process.pid);
        self.end_family(process.pid, status, process.ran_ns.get());
        self.threads.with_agenda(Agenda::stir);
    }

    /// Ends all threads of a process but the one that runs.
    pub fn end_other_threads(&self, process: &Rc<Process>) {
        while let Some(mut thread) = self.threads.take_other(process) {
            clone::leave(self, &mut thread);
        }
        process.threads.borrow_mut().clear();
    }

    /// The process does not use its vfork parent's memory any more: that goes on.
    pub fn give_memory_back(&self, process: &Process) {
        if let Some(parent) = process.borrowed_from.take() {
            self.threads.with_agenda(|agenda| agenda.wake(parent));
        }
    }

    /// Tells the parent, and finds other parents for the children.
    fn end_family(&self, pid: Pid, status: Status, ran_ns: u64) {
        let orphans = self.processes.with(|families| families.end(pid, status, ran_ns));
        for orphan in orphans {
            if let Some(process) =
                self.processes.get(orphan.pid).filter(|_| orphan.death_signal > 0)
            {
                let info = Info::from_process(orphan.death_signal, 0, pid, 0);
                // A full queue loses it: nobody is left to be told.
                let _ = self.send(&process, info, None);
            }
            if orphan.has_ended {
                self.tell_of_end(orphan.pid);
            }
        }
        self.tell_of_end(pid);
    }

    /// Tells a process's parent that it has ended. Where that will not wait for it, it is gone.
    fn tell_of_end(&self, pid: Pid) {
        let Ok(member) = self.processes.with(|families| families.get(pid).cloned()) else { return };
        let crate::family::State::Ended(status) = member.state else { return };
        let parent = self.processes.get(member.parent).filter(|_| member.parent != INIT);
        let Some(parent) = parent else {
            self.processes.with(|families| families.remove(pid));
            return;
        };
        let is_child = member.exit_signal == linux_raw_sys::general::SIGCHLD as u8;
        if is_child && parent.signals.borrow().actions.reap_children() {
            self.processes.with(|families| families.remove(pid));
        }
        if member.exit_signal > 0 {
            let info = Info::from_child(member.exit_signal, pid, status, member.ran_ns);
            let _ = self.send(&parent, info, None);
        }
        self.wake_who_awaits_children(&parent);
    }

    /// Wakes those of a process's threads that wait for news of a child.
    pub fn wake_who_awaits_children(&self, parent: &Rc<Process>) {
        self.threads.wake_where(parent, |thread| thread.pending.awaits_child);
    }
}
