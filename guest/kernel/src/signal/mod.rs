//! Signals (signal(7)): what a program wants done about them, and what is waiting to be done.
//!
//! ```text
//!   to a thread  ──▶ its queue ──────┐   on its way back to the program, or while it waits, it takes
//!   to a process ──▶ their queue ────┴─▶ what it does not block: ignored · default (mostly: the end) · handler
//!   a fault ──▶ forced: a handler, or the end
//! ```

mod actions;
mod queue;

use alloc::rc::Rc;
use core::cell::RefCell;

use linux_raw_sys::general as linux;

use crate::family::Status;

pub use actions::{Action, Actions};
pub use queue::{QUEUED_MAX, Queue};

/// SIGKILL and SIGSTOP can be neither caught, blocked nor ignored.
const UNSTOPPABLE: u64 = bit(9) | bit(19);
/// SIGSTOP, SIGTSTP, SIGTTIN and SIGTTOU stop a process.
pub const STOPS: u64 = bit(19) | bit(20) | bit(21) | bit(22);
/// The signals of faults: where several wait, these come first, so that their handlers see where it happened.
const SYNCHRONOUS: u64 = bit(4) | bit(5) | bit(7) | bit(8) | bit(11) | bit(31);
/// Largest signal number.
pub const SIGNAL_MAX: u8 = 64;
/// The first real-time signal: these queue up, each with its value.
const SIGRTMIN: u8 = 32;
/// si_code where the kernel has nothing more to say.
pub const SI_KERNEL: i32 = 0x80;

/// Why a signal came: the parts of siginfo_t that are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Info {
    /// si_signo.
    pub signal: u8,
    /// si_code.
    pub code: i32,
    /// What follows, by its cause: si_addr; si_pid and si_uid, si_value; si_pid and
    /// si_uid, si_status, si_utime; si_timerid and si_overrun, si_value.
    pub fields: [u64; 3],
}

impl Info {
    /// A fault at `address`.
    pub fn fault(signal: u8, code: i32, address: u64) -> Info {
        Info { signal, code, fields: [address, 0, 0] }
    }

    /// From process `pid`, which is user `uid`'s.
    pub fn from_process(signal: u8, code: i32, pid: u32, uid: u32) -> Info {
        Info { signal, code, fields: [u64::from(uid) << 32 | u64::from(pid), 0, 0] }
    }

    /// From a child, or about it (si_uid is 0): what has become of it, and how long it has run. A clock tick is 10 ms (times(2)).
    pub fn from_child(signal: u8, pid: u32, status: Status, ran_ns: u64) -> Info {
        const NS_PER_TICK: u64 = 10_000_000;
        let (code, status) = status.code();
        Info { signal, code, fields: [pid.into(), status.into(), ran_ns / NS_PER_TICK] }
    }

    /// From the kernel itself.
    pub fn from_kernel(signal: u8) -> Info {
        Info { signal, code: SI_KERNEL, fields: [0; 3] }
    }

    /// Whether it tells of a fault: SIGILL, SIGTRAP, SIGBUS, SIGFPE, SIGSEGV or SIGSYS, from the processor.
    pub fn is_fault(&self) -> bool {
        bit(self.signal) & SYNCHRONOUS != 0 && self.code > 0 && self.code != SI_KERNEL
    }

    /// Whether it tells of a child (CLD_…).
    pub fn is_of_child(&self) -> bool {
        u32::from(self.signal) == linux::SIGCHLD && self.code > 0 && self.code != SI_KERNEL
    }

    /// Whether both are from the same timer, whose number is in the low half of the first field.
    fn is_from_timer_of(&self, other: &Info) -> bool {
        let name = |info: &Info| (info.signal, info.code, info.fields[0] as u32);
        name(self) == name(other)
    }

    /// siginfo_t: number, 0, code, padding, fields.
    pub fn to_words(&self) -> [u64; 16] {
        let mut words = [0; 16];
        words[0] = self.signal.into();
        words[1] = u64::from(self.code as u32);
        words[2..5].copy_from_slice(&self.fields);
        words
    }
}

/// What is to happen about a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// The program ends.
    End(Info),
    /// The process stops.
    Stop(u8),
    /// A handler runs.
    Handle(Info, Action),
}

/// What waits for the thread that runs: its own signals, and its process's.
pub trait Waiting {
    /// Which, as a mask.
    fn mask(&self) -> u64;

    /// How many have ever come.
    fn arrived(&self) -> u64;

    /// Takes the next in `wanted`.
    fn take(&self, wanted: u64) -> Option<Info>;
}

/// A thread's own queue. Its descriptors of signals look into it too.
pub type OwnQueue = Rc<RefCell<Queue>>;

/// What a process's threads share.
#[derive(Clone, Default)]
pub struct Signals {
    /// What is done about each signal.
    pub actions: Actions,
    /// Signals for whichever thread takes them.
    pub queue: Queue,
}

impl Signals {
    /// Those of the first process.
    pub fn of_first() -> Signals {
        Signals { actions: Actions::of_first(), queue: Queue::default() }
    }

    /// Those of a child: nothing waits for it.
    pub fn of_child(&self) -> Signals {
        Signals { actions: self.actions.of_child(), queue: Queue::default() }
    }

    /// Takes the next signal for a thread that blocks `blocked`: first from its `own` queue. What is ignored by now is
    /// dropped on the way.
    pub fn take(&mut self, own: &mut Queue, blocked: u64) -> Option<Delivery> {
        loop {
            let info = own.take(!blocked).or_else(|| self.queue.take(!blocked))?;
            if !self.actions.is_ignored(info.signal) {
                return Some(self.actions.deliver(info));
            }
        }
    }

    /// Whether [`Signals::take`] would find something.
    pub fn has(&self, own: &Queue, blocked: u64) -> bool {
        let waiting = (own.mask() | self.queue.mask()) & !blocked;
        waiting & !self.actions.ignored() != 0
    }
}

/// The bit of a signal in a mask.
pub const fn bit(signal: u8) -> u64 {
    1 << (signal - 1)
}

/// Whether a number is a signal's.
pub const fn is_signal(number: u64) -> bool {
    number >= 1 && number <= SIGNAL_MAX as u64
}

/// `mask` without the signals that cannot be blocked.
pub const fn blockable(mask: u64) -> u64 {
    mask & !UNSTOPPABLE
}

/// A signal's name.
pub fn name(signal: u8) -> &'static str {
    const NAMES: [&str; 31] = [
        "SIGHUP",
        "SIGINT",
        "SIGQUIT",
        "SIGILL",
        "SIGTRAP",
        "SIGABRT",
        "SIGBUS",
        "SIGFPE",
        "SIGKILL",
        "SIGUSR1",
        "SIGSEGV",
        "SIGUSR2",
        "SIGPIPE",
        "SIGALRM",
        "SIGTERM",
        "SIGSTKFLT",
        "SIGCHLD",
        "SIGCONT",
        "SIGSTOP",
        "SIGTSTP",
        "SIGTTIN",
        "SIGTTOU",
        "SIGURG",
        "SIGXCPU",
        "SIGXFSZ",
        "SIGVTALRM",
        "SIGPROF",
        "SIGWINCH",
        "SIGIO",
        "SIGPWR",
        "SIGSYS",
    ];
    NAMES.get(usize::from(signal).wrapping_sub(1)).copied().unwrap_or("a real-time signal")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIGINT: u8 = 2;
    const SIGTERM: u8 = 15;

    fn info(signal: u8) -> Info {
        Info { signal, ..Info::default() }
    }

    #[test]
    fn a_threads_own_signals_come_first_and_the_ignored_never() {
        let (mut signals, mut own) = (Signals::default(), Queue::default());
        signals.queue.push(info(SIGINT));
        own.push(info(SIGTERM));
        assert_eq!(signals.take(&mut own, 0), Some(Delivery::End(info(SIGTERM))));
        let ignore = Action { handler: 1, ..Action::default() };
        assert!(signals.has(&own, 0));
        signals.actions.set(SIGINT, ignore);
        assert!(!signals.has(&own, 0));
        assert_eq!(signals.take(&mut own, 0), None);
        assert_eq!(signals.queue.mask(), 0, "it was dropped on the way");
    }

    #[test]
    fn what_is_blocked_waits() {
        let (mut signals, mut own) = (Signals::default(), Queue::default());
        signals.queue.push(info(SIGTERM));
        assert!(!signals.has(&own, bit(SIGTERM)));
        assert_eq!(signals.take(&mut own, bit(SIGTERM)), None);
        assert_eq!(signals.take(&mut own, 0), Some(Delivery::End(info(SIGTERM))));
    }
}
