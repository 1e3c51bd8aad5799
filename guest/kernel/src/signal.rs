//! Signals (signal(7)): what a program wants done about them, and what is waiting to be done.
//!
//! ```text
//!   raise ──▶ pending ──▶ on the way back to the program: ignored · default (mostly: the end) · handler
//!   fault ──▶ forced: a handler, or the end
//! ```

use alloc::vec::Vec;

use linux_raw_sys::general as linux;

/// SIGKILL and SIGSTOP can be neither caught, blocked nor ignored.
const UNSTOPPABLE: u64 = bit(9) | bit(19);
/// Handler: what happens without one.
const SIG_DFL: u64 = 0;
/// Handler: nothing happens.
const SIG_IGN: u64 = 1;
/// Largest signal number.
pub const SIGNAL_MAX: u8 = 64;

/// What a program wants done (struct sigaction of the kernel).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Action {
    /// SIG_DFL (0), SIG_IGN (1) or the handler's address.
    pub handler: u64,
    /// SA_… flags.
    pub flags: u64,
    /// Where the handler returns to.
    pub restorer: u64,
    /// Signals blocked while it runs.
    pub mask: u64,
}

/// Why a signal came: the parts of siginfo_t that are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Info {
    /// si_signo.
    pub signal: u8,
    /// si_code.
    pub code: i32,
    /// si_addr for a fault; si_pid in the low half for kill.
    pub address: u64,
}

/// What is to happen about a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// The program ends.
    End(Info),
    /// A handler runs.
    Handle(Info, Action),
}

/// A process's signals.
#[derive(Clone)]
pub struct Signals {
    actions: [Action; SIGNAL_MAX as usize],
    /// In order of arrival, one of each number at most.
    pending: Vec<Info>,
}

impl Default for Signals {
    fn default() -> Signals {
        Signals { actions: [Action::default(); SIGNAL_MAX as usize], pending: Vec::new() }
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

impl Signals {
    /// The action for a signal.
    pub fn action(&self, signal: u8) -> Action {
        self.actions[usize::from(signal) - 1]
    }

    /// Sets the action for a signal; false for SIGKILL and SIGSTOP.
    pub fn set_action(&mut self, signal: u8, action: Action) -> bool {
        if bit(signal) & UNSTOPPABLE != 0 {
            return false;
        }
        self.actions[usize::from(signal) - 1] = Action { mask: blockable(action.mask), ..action };
        if self.is_ignored(signal) {
            self.pending.retain(|info| info.signal != signal);
        }
        true
    }

    /// Adds a signal to those waiting, unless it is ignored or waiting already.
    pub fn raise(&mut self, info: Info) {
        let waiting = self.pending.iter().any(|other| other.signal == info.signal);
        if !waiting && !self.is_ignored(info.signal) {
            self.pending.push(info);
        }
    }

    /// The signals that wait, as a mask.
    pub fn pending(&self) -> u64 {
        self.pending.iter().fold(0, |mask, info| mask | bit(info.signal))
    }

    /// Takes the next signal that is not blocked.
    pub fn take(&mut self, blocked: u64) -> Option<Delivery> {
        let index = self.pending.iter().position(|info| bit(info.signal) & blocked == 0)?;
        let info = self.pending.remove(index);
        Some(self.delivery(info))
    }

    /// What a fault of the program comes to: it cannot be ignored, nor wait.
    pub fn force(&mut self, info: Info, blocked: u64) -> Delivery {
        let action = self.action(info.signal);
        if action.handler <= SIG_IGN || bit(info.signal) & blocked != 0 {
            return Delivery::End(info);
        }
        self.delivery(info)
    }

    /// Forgets handlers, as execve(2) does; what is ignored stays ignored.
    pub fn reset_for_exec(&mut self) {
        for action in &mut self.actions {
            let ignored = action.handler == SIG_IGN;
            *action = Action { handler: u64::from(ignored), ..Action::default() };
        }
    }

    fn delivery(&mut self, info: Info) -> Delivery {
        let action = self.action(info.signal);
        if action.handler == SIG_DFL {
            return Delivery::End(info);
        }
        if action.flags & u64::from(linux::SA_RESETHAND) != 0 {
            self.actions[usize::from(info.signal) - 1] = Action::default();
        }
        Delivery::Handle(info, action)
    }

    fn is_ignored(&self, signal: u8) -> bool {
        match self.action(signal).handler {
            SIG_DFL => default_ignores(signal),
            handler => handler == SIG_IGN,
        }
    }
}

/// Whether a signal without an action is ignored: SIGCHLD, SIGCONT, SIGURG and SIGWINCH; and, since
/// nobody could continue a stopped guest, the signals that stop.
fn default_ignores(signal: u8) -> bool {
    matches!(signal, 17..=23 | 28)
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

    const SIGSEGV: u8 = 11;
    const SIGTERM: u8 = 15;

    fn info(signal: u8) -> Info {
        Info { signal, ..Info::default() }
    }

    #[test]
    fn blocked_signals_wait_and_come_once() {
        let mut signals = Signals::default();
        signals.raise(info(SIGTERM));
        signals.raise(info(SIGTERM));
        assert_eq!(signals.take(bit(SIGTERM)), None);
        assert_eq!(signals.take(0), Some(Delivery::End(info(SIGTERM))));
        assert_eq!(signals.take(0), None);
    }

    #[test]
    fn ignoring_drops_what_waits() {
        let mut signals = Signals::default();
        signals.raise(info(SIGTERM));
        assert!(signals.set_action(SIGTERM, Action { handler: 1, ..Action::default() }));
        assert_eq!(signals.pending(), 0);
        signals.raise(info(SIGTERM));
        assert_eq!(signals.pending(), 0);
        assert!(!signals.set_action(9, Action { handler: 1, ..Action::default() }));
    }

    #[test]
    fn a_fault_is_handled_once_with_resethand_and_never_ignored() {
        let mut signals = Signals::default();
        let handler =
            Action { handler: 0x1000, flags: u64::from(linux::SA_RESETHAND), ..Action::default() };
        signals.set_action(SIGSEGV, handler);
        assert_eq!(signals.force(info(SIGSEGV), 0), Delivery::Handle(info(SIGSEGV), handler));
        assert_eq!(signals.force(info(SIGSEGV), 0), Delivery::End(info(SIGSEGV)));
        signals.set_action(SIGSEGV, Action { handler: 1, ..Action::default() });
        assert_eq!(signals.force(info(SIGSEGV), 0), Delivery::End(info(SIGSEGV)));
    }
}
