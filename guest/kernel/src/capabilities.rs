//! Which of root's rights a process holds (capabilities(7)): plain data, part of its credentials.
//!
//! ```text
//!   inheritable     permitted ⊇ effective
//!                      │            │
//!   no user is root: nothing        │
//!   the effective user leaves root: nothing; comes back: as permitted
//!   a program is started by root: everything
//! ```
//!
//! They are kept and told, and decide who may change users and groups. The bounding set bounds what a program of root's has.

use linux_raw_sys::general as linux;

use crate::credentials::{Ids, ROOT};
use crate::errno::{Errno, Result};

/// All there are.
const ALL: u64 = (1 << (linux::CAP_LAST_CAP + 1)) - 1;

/// A process's sets of capabilities, a bit for each: root's at first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// What it acts with.
    pub effective: u64,
    /// What it may act with.
    pub permitted: u64,
    /// What programs that ask for it may be given by it.
    pub inheritable: u64,
    /// What no program can be given but this (PR_CAPBSET_DROP).
    pub bounding: u64,
}

impl Default for Capabilities {
    fn default() -> Capabilities {
        Capabilities { effective: ALL, permitted: ALL, inheritable: 0, bounding: ALL }
    }
}

impl Capabilities {
    /// Whether it acts with a capability (CAP_…).
    pub fn has(&self, capability: u32) -> bool {
        self.effective & (1 << capability) != 0
    }

    /// capset(2); unknown bits are dropped. EPERM where something would be gained.
    pub fn set(&mut self, new: Capabilities) -> Result<()> {
        let new = Capabilities {
            effective: new.effective & ALL,
            permitted: new.permitted & ALL,
            inheritable: new.inheritable & ALL,
            bounding: self.bounding,
        };
        let may_inherit =
            if self.has(linux::CAP_SETPCAP) { ALL } else { self.inheritable | self.permitted };
        let gains = new.permitted & !self.permitted
            | new.effective & !new.permitted
            | new.inheritable & !may_inherit;
        if gains != 0 {
            return Err(Errno::PERM);
        }
        *self = new;
        Ok(())
    }

    /// The process's users have changed; `keeps`: it may go on acting with what it had (PR_SET_KEEPCAPS).
    pub fn note_users(&mut self, before: Ids, after: Ids, keeps: bool) {
        if before.has_root() && !after.has_root() && !keeps {
            (self.permitted, self.effective) = (0, 0);
        }
        match (before.effective == ROOT, after.effective == ROOT) {
            (true, false) => self.effective = 0,
            (false, true) => self.effective = self.permitted,
            _ => {}
        }
    }

    /// Takes a capability out of the bounding set for good. EPERM without CAP_SETPCAP.
    pub fn drop_bounding(&mut self, capability: u32) -> Result<()> {
        if !self.has(linux::CAP_SETPCAP) {
            return Err(Errno::PERM);
        }
        self.bounding &= !(1 << capability);
        Ok(())
    }

    /// The process has another program: root's gets what is inheritable or bounding (capabilities(7), "Capabilities and
    /// execution of programs by root").
    pub fn note_exec(&mut self, user: Ids) {
        let all = self.inheritable | self.bounding;
        self.permitted = if user.real == ROOT || user.effective == ROOT { all } else { 0 };
        self.effective = if user.effective == ROOT { all } else { 0 };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn users(real: u32, effective: u32, saved: u32) -> Ids {
        Ids { real, effective, saved, file_system: effective }
    }

    #[test]
    fn what_was_given_up_is_gone_until_exec() {
        let mut of = Capabilities::default();
        of.set(Capabilities { effective: 1, permitted: 3, inheritable: 4, bounding: 0 }).unwrap();
        assert!(of.has(0) && !of.has(1));
        let more = [
            Capabilities { permitted: 7, ..of },
            Capabilities { effective: 5, ..of },
            Capabilities { inheritable: 8, ..of },
        ];
        for gained in more {
            assert_eq!(of.set(gained), Err(Errno::PERM));
        }
        of.set(Capabilities { effective: 3, permitted: 3, inheritable: 7, bounding: 0 }).unwrap();
        of.note_exec(users(0, 0, 0));
        assert_eq!(of, Capabilities { inheritable: 7, ..Capabilities::default() });
    }

    #[test]
    fn what_leaves_the_bounding_set_is_gone_with_the_next_program() {
        let mut of = Capabilities::default();
        of.drop_bounding(linux::CAP_KILL).unwrap();
        assert!(of.has(linux::CAP_KILL), "what it has it keeps");
        of.note_exec(users(0, 0, 0));
        assert!(!of.has(linux::CAP_KILL) && of.has(linux::CAP_SETUID));
        of.note_users(users(0, 0, 0), users(1, 1, 1), false);
        assert_eq!(of.drop_bounding(linux::CAP_SETUID), Err(Errno::PERM));
    }

    #[test]
    fn unknown_capabilities_are_dropped() {
        let mut of = Capabilities::default();
        let all =
            |set| Capabilities { effective: set, permitted: set, inheritable: set, bounding: set };
        of.set(all(!0)).unwrap();
        assert_eq!(of, all(ALL));
    }

    #[test]
    fn they_leave_and_come_back_with_root() {
        let mut of = Capabilities::default();
        of.note_users(users(0, 0, 0), users(0, 1000, 0), false);
        assert_eq!(of, Capabilities { effective: 0, ..Capabilities::default() });
        of.note_users(users(0, 1000, 0), users(0, 0, 0), false);
        assert_eq!(of, Capabilities::default());
        of.note_users(users(0, 0, 0), users(1000, 1000, 1000), false);
        assert_eq!((of.effective, of.permitted), (0, 0));
        of.note_exec(users(1000, 1000, 1000));
        assert_eq!((of.effective, of.permitted), (0, 0));
        of.note_exec(users(0, 1000, 1000));
        assert_eq!((of.effective, of.permitted), (0, ALL));
        of.note_users(users(0, 0, 0), users(1000, 1000, 1000), true);
        assert_eq!((of.effective, of.permitted), (0, ALL));
    }
}
