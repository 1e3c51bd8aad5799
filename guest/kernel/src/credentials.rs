//! Who a process says it is (credentials(7)): plain data, copied by fork(2) and kept by execve(2).
//!
//! ```text
//!             real  effective  saved  file system
//!   users    [    │          │      │            ]    with CAP_SETUID anybody, with CAP_SETGID any group;
//!   groups   [    │          │      │            ]    without, back and forth among them
//!   further groups …
//! ```
//!
//! Nothing in the guest is closed to anybody: the wall is the virtual machine. The numbers are kept, told, and written
//! on new files.

use alloc::vec::Vec;

use linux_raw_sys::general as linux;

use crate::capabilities::Capabilities;
use crate::errno::{Errno, Result};

/// Most further groups (NGROUPS_MAX).
pub const GROUPS_MAX: usize = 65_536;
/// Root.
pub const ROOT: u32 = 0;

/// Four numbers of users, or of groups.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ids {
    /// Who it is.
    pub real: u32,
    /// As whom it acts.
    pub effective: u32,
    /// Whom it may become again.
    pub saved: u32,
    /// As whom it makes files: as whom it acts, until setfsuid(2) says another.
    pub file_system: u32,
}

impl Ids {
    /// Whether one of them is root's.
    pub fn has_root(&self) -> bool {
        [self.real, self.effective, self.saved].contains(&ROOT)
    }

    /// All become `id`; without privilege, the effective one, where it is one of the others. EPERM.
    fn set(&mut self, id: u32, privileged: bool) -> Result<()> {
        match (privileged, id == self.real || id == self.saved) {
            (true, _) => *self = Ids { real: id, effective: id, saved: id, file_system: id },
            (false, true) => (self.effective, self.file_system) = (id, id),
            (false, false) => return Err(Errno::PERM),
        }
        Ok(())
    }

    /// setreuid(2): `None` leaves what is. EPERM.
    fn set_two(
        &mut self,
        real: Option<u32>,
        effective: Option<u32>,
        privileged: bool,
    ) -> Result<()> {
        let before = *self;
        let may_be_real = |id| privileged || id == before.real || id == before.effective;
        let may_be_effective = |id| may_be_real(id) || id == before.saved;
        if !real.is_none_or(may_be_real) || !effective.is_none_or(may_be_effective) {
            return Err(Errno::PERM);
        }
        self.real = real.unwrap_or(before.real);
        self.effective = effective.unwrap_or(before.effective);
        self.file_system = self.effective;
        if real.is_some() || effective.is_some_and(|id| id != before.real) {
            self.saved = self.effective;
        }
        Ok(())
    }

    /// setresuid(2): `None` leaves what is. EPERM.
    fn set_three(&mut self, ids: [Option<u32>; 3], privileged: bool) -> Result<()> {
        let before = [self.real, self.effective, self.saved];
        if !privileged && ids.iter().flatten().any(|id| !before.contains(id)) {
            return Err(Errno::PERM);
        }
        let [real, effective, saved] = ids;
        let effective = effective.unwrap_or(self.effective);
        *self = Ids {
            real: real.unwrap_or(self.real),
            effective,
            saved: saved.unwrap_or(self.saved),
            file_system: effective,
        };
        Ok(())
    }

    /// setfsuid(2): as whom it made files so far. What it may not be leaves that as it is, and is no error.
    fn set_file_system(&mut self, id: Option<u32>, privileged: bool) -> u32 {
        let before = self.file_system;
        let may_be = [self.real, self.effective, self.saved, self.file_system];
        if let Some(id) = id.filter(|id| privileged || may_be.contains(id)) {
            self.file_system = id;
        }
        before
    }
}

/// How many of the three numbers a call changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// setuid(2), setgid(2).
    One(u32),
    /// setreuid(2), setregid(2): real, effective.
    Two([Option<u32>; 2]),
    /// setresuid(2), setresgid(2): real, effective, saved.
    Three([Option<u32>; 3]),
}

/// A process's credentials: root's at first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Credentials {
    /// Its users.
    pub user: Ids,
    /// Its groups.
    pub group: Ids,
    /// Its further groups.
    pub groups: Vec<u32>,
    /// Its part of root's rights.
    pub capabilities: Capabilities,
    /// Whether it keeps them when no user of its is root any more (PR_SET_KEEPCAPS).
    pub keeps_capabilities: bool,
}

impl Credentials {
    /// Its users and its groups.
    pub fn ids(&self) -> [Ids; 2] {
        [self.user, self.group]
    }

    /// Changes the users. EPERM.
    pub fn set_user(&mut self, change: Change) -> Result<()> {
        let (before, privileged) = (self.user, self.capabilities.has(linux::CAP_SETUID));
        apply(&mut self.user, change, privileged)?;
        self.capabilities.note_users(before, self.user, self.keeps_capabilities);
        Ok(())
    }

    /// Changes the groups. EPERM.
    pub fn set_group(&mut self, change: Change) -> Result<()> {
        let privileged = self.capabilities.has(linux::CAP_SETGID);
        apply(&mut self.group, change, privileged)
    }

    /// setfsuid(2): the user who made files so far.
    pub fn set_file_system_user(&mut self, id: Option<u32>) -> u32 {
        self.user.set_file_system(id, self.capabilities.has(linux::CAP_SETUID))
    }

    /// setfsgid(2): the group that made files so far.
    pub fn set_file_system_group(&mut self, id: Option<u32>) -> u32 {
        self.group.set_file_system(id, self.capabilities.has(linux::CAP_SETGID))
    }

    /// setgroups(2). EINVAL beyond [`GROUPS_MAX`]; EPERM.
    pub fn set_groups(&mut self, groups: Vec<u32>) -> Result<()> {
        if !self.capabilities.has(linux::CAP_SETGID) {
            return Err(Errno::PERM);
        }
        if groups.len() > GROUPS_MAX {
            return Err(Errno::INVAL);
        }
        self.groups = groups;
        self.groups.sort_unstable();
        Ok(())
    }

    /// What execve(2) does: who it acts as is whom it may become again.
    pub fn note_exec(&mut self) {
        for ids in [&mut self.user, &mut self.group] {
            (ids.saved, ids.file_system) = (ids.effective, ids.effective);
        }
        self.capabilities.note_exec(self.user);
        self.keeps_capabilities = false;
    }
}

fn apply(ids: &mut Ids, change: Change, privileged: bool) -> Result<()> {
    match change {
        Change::One(id) => ids.set(id, privileged),
        Change::Two([real, effective]) => ids.set_two(real, effective, privileged),
        Change::Three(three) => ids.set_three(three, privileged),
    }
}

#[cfg(test)]
mod tests {
    use std::vec;

    use super::*;

    fn ids(real: u32, effective: u32, saved: u32) -> Ids {
        Ids { real, effective, saved, file_system: effective }
    }

    #[test]
    fn root_becomes_anybody_and_nobody_becomes_root() {
        let mut who = Credentials::default();
        who.set_groups(vec![5, 3]).unwrap();
        who.set_group(Change::One(7)).unwrap();
        who.set_user(Change::One(1000)).unwrap();
        assert_eq!((who.user, who.group), (ids(1000, 1000, 1000), ids(7, 7, 7)));
        assert_eq!(who.groups, [3, 5]);
        assert_eq!(who.set_user(Change::One(0)), Err(Errno::PERM));
        assert_eq!(who.set_group(Change::One(0)), Err(Errno::PERM));
        assert_eq!(who.set_groups(Vec::new()), Err(Errno::PERM));
        assert_eq!(who.set_user(Change::Three([None, Some(0), None])), Err(Errno::PERM));
        assert_eq!(who.set_user(Change::One(1000)), Ok(()));
    }

    #[test]
    fn a_saved_number_is_a_way_back() {
        let mut who = Credentials::default();
        who.set_user(Change::Three([None, Some(1000), None])).unwrap();
        assert_eq!(who.user, ids(0, 1000, 0));
        who.set_user(Change::One(0)).unwrap();
        assert_eq!(who.user, ids(0, 0, 0));
        who.set_user(Change::Two([Some(1000), Some(1001)])).unwrap();
        assert_eq!(who.user, ids(1000, 1001, 1001));
        assert_eq!(who.set_user(Change::Two([Some(1001), Some(1000)])), Ok(()));
        assert_eq!(who.user, ids(1001, 1000, 1000));
        assert_eq!(who.set_user(Change::Two([Some(0), None])), Err(Errno::PERM));
        let mut who = Credentials { user: ids(1000, 1001, 1002), ..Credentials::default() };
        who.note_exec();
        who.user.saved = 1002;
        assert_eq!(who.set_user(Change::Two([Some(1002), None])), Err(Errno::PERM));
        assert_eq!(who.set_user(Change::Two([None, Some(1002)])), Ok(()));
        assert_eq!(who.user, ids(1000, 1002, 1002));
        who.set_user(Change::Two([None, Some(1000)])).unwrap();
        assert_eq!(who.user, ids(1000, 1000, 1002), "becoming the real one keeps the way back");
        who.note_exec();
        assert_eq!(who.user.saved, 1000);
    }

    #[test]
    fn files_may_be_made_as_another() {
        let mut who = Credentials::default();
        assert_eq!(
            (who.set_file_system_user(Some(1000)), who.set_file_system_user(None)),
            (0, 1000)
        );
        assert_eq!(who.set_file_system_group(Some(100)), 0);
        assert_eq!(who.user, Ids { file_system: 1000, ..Ids::default() });
        assert_eq!(who.group, Ids { file_system: 100, ..Ids::default() });
        who.set_user(Change::Two([None, Some(1001)])).unwrap();
        assert_eq!(who.user.file_system, 1001, "as whom it acts");
        assert_eq!(who.set_file_system_user(Some(1002)), 1001);
        assert_eq!(who.user.file_system, 1001, "nobody that it is");
        assert_eq!((who.set_file_system_user(Some(0)), who.user.file_system), (1001, 0));
        who.note_exec();
        assert_eq!((who.user.file_system, who.group.file_system), (1001, 0));
    }

    #[test]
    fn groups_have_a_bound() {
        let mut who = Credentials::default();
        assert_eq!(who.set_groups(vec![1; GROUPS_MAX + 1]), Err(Errno::INVAL));
        assert_eq!(who.set_groups(vec![1; GROUPS_MAX]), Ok(()));
    }
}
