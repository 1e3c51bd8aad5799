//! What a program wants done about each signal (sigaction(2)).

use linux_raw_sys::general as linux;

use super::{Delivery, Info, SIGNAL_MAX, STOPS, UNSTOPPABLE, bit, blockable};

/// Handler: what happens without one.
const SIG_DFL: u64 = 0;
/// Handler: nothing happens.
const SIG_IGN: u64 = 1;

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

/// The actions for all signals.
#[derive(Clone)]
pub struct Actions {
    by_signal: [Action; SIGNAL_MAX as usize],
    /// Whether signals stop the process: not the first, which nobody could continue.
    stops: bool,
}

impl Default for Actions {
    fn default() -> Actions {
        Actions { by_signal: [Action::default(); SIGNAL_MAX as usize], stops: true }
    }
}

impl Actions {
    /// Those of the first process.
    pub fn of_first() -> Actions {
        Actions { stops: false, ..Actions::default() }
    }

    /// Those of a child.
    pub fn of_child(&self) -> Actions {
        Actions { stops: true, ..self.clone() }
    }

    /// The action for a signal.
    pub fn get(&self, signal: u8) -> Action {
        self.by_signal[usize::from(signal) - 1]
    }

    /// Sets the action for a signal; false for SIGKILL and SIGSTOP.
    pub fn set(&mut self, signal: u8, action: Action) -> bool {
        if bit(signal) & UNSTOPPABLE != 0 {
            return false;
        }
        self.by_signal[usize::from(signal) - 1] = Action { mask: blockable(action.mask), ..action };
        true
    }

    /// Whether nothing happens about a signal.
    pub fn is_ignored(&self, signal: u8) -> bool {
        match self.get(signal).handler {
            SIG_DFL => default_ignores(signal) || bit(signal) & STOPS != 0 && !self.stops,
            handler => handler == SIG_IGN,
        }
    }

    /// The signals that are ignored, as a mask.
    pub fn ignored(&self) -> u64 {
        (1..=SIGNAL_MAX)
            .filter(|signal| self.is_ignored(*signal))
            .fold(0, |mask, signal| mask | bit(signal))
    }

    /// What a signal that is not ignored comes to. With SA_RESETHAND its handler was for this once.
    pub fn deliver(&mut self, info: Info) -> Delivery {
        let action = self.get(info.signal);
        if action.handler <= SIG_IGN && bit(info.signal) & STOPS != 0 {
            return Delivery::Stop(info.signal);
        }
        if action.handler <= SIG_IGN {
            return Delivery::End(info);
        }
        if action.flags & u64::from(linux::SA_RESETHAND) != 0 {
            self.by_signal[usize::from(info.signal) - 1].handler = SIG_DFL;
        }
        Delivery::Handle(info, action)
    }

    /// What a fault of the program comes to: it cannot be ignored, nor wait.
    pub fn force(&mut self, info: Info, blocked: u64) -> Delivery {
        if bit(info.signal) & blocked != 0 {
            return Delivery::End(info);
        }
        self.deliver(info)
    }

    /// Whether the ends of children leave nothing to wait for: SIGCHLD is ignored, or has SA_NOCLDWAIT.
    pub fn reap_children(&self) -> bool {
        let action = self.get(linux::SIGCHLD as u8);
        action.handler == SIG_IGN || action.flags & u64::from(linux::SA_NOCLDWAIT) != 0
    }

    /// Forgets handlers, as execve(2) does; what is ignored stays ignored.
    pub fn reset_for_exec(&mut self) {
        for action in &mut self.by_signal {
            let ignored = action.handler == SIG_IGN;
            *action = Action { handler: u64::from(ignored), ..Action::default() };
        }
    }
}

/// Whether a signal without an action is ignored: SIGCHLD, SIGCONT, SIGURG and SIGWINCH.
fn default_ignores(signal: u8) -> bool {
    matches!(signal, 17 | 18 | 23 | 28)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIGKILL: u8 = 9;
    const SIGSEGV: u8 = 11;
    const SIGCHLD: u8 = 17;

    fn info(signal: u8) -> Info {
        Info { signal, ..Info::default() }
    }

    #[test]
    fn some_signals_are_ignored_unless_asked_for() {
        let mut actions = Actions::default();
        assert!(actions.is_ignored(SIGCHLD) && !actions.is_ignored(SIGSEGV));
        assert!(actions.set(SIGCHLD, Action { handler: 0x1000, ..Action::default() }));
        assert_eq!(actions.ignored() & bit(SIGCHLD), 0);
        assert!(!actions.set(SIGKILL, Action { handler: 1, ..Action::default() }));
    }

    #[test]
    fn the_first_process_is_never_stopped_and_its_children_are() {
        let first = Actions::of_first();
        assert!((19..=22).all(|signal| first.is_ignored(signal)));
        let mut child = first.of_child();
        assert_eq!(child.deliver(info(19)), Delivery::Stop(19));
        child.set(20, Action { handler: 0x1000, ..Action::default() });
        assert!(matches!(child.deliver(info(20)), Delivery::Handle(..)));
    }

    #[test]
    fn children_leave_nothing_where_nobody_will_ask() {
        let mut actions = Actions::default();
        assert!(!actions.reap_children());
        let flags = u64::from(linux::SA_NOCLDWAIT);
        actions.set(SIGCHLD, Action { handler: 0x1000, flags, ..Action::default() });
        assert!(actions.reap_children());
        actions.set(SIGCHLD, Action { handler: 1, ..Action::default() });
        assert!(actions.reap_children());
    }

    #[test]
    fn a_fault_is_handled_once_with_resethand_and_never_ignored() {
        let mut actions = Actions::default();
        let handler =
            Action { handler: 0x1000, flags: u64::from(linux::SA_RESETHAND), ..Action::default() };
        actions.set(SIGSEGV, handler);
        assert_eq!(actions.force(info(SIGSEGV), bit(SIGSEGV)), Delivery::End(info(SIGSEGV)));
        assert_eq!(actions.force(info(SIGSEGV), 0), Delivery::Handle(info(SIGSEGV), handler));
        assert_eq!(actions.force(info(SIGSEGV), 0), Delivery::End(info(SIGSEGV)));
        assert_eq!(actions.get(SIGSEGV), Action { handler: SIG_DFL, ..handler });
        actions.set(SIGSEGV, Action { handler: 1, ..Action::default() });
        assert_eq!(actions.force(info(SIGSEGV), 0), Delivery::End(info(SIGSEGV)));
    }
}
