//! Why this user may not open /dev/kvm, and what the host's owner can do about it.

use std::fmt::{self, Display};
use std::fs;
use std::os::unix::fs::MetadataExt;

/// Where the device is.
const DEVICE: &str = "/dev/kvm";
/// What a group needs to open it: reading and writing (chmod(2)).
const GROUP_READ_WRITE: u32 = 0o060;
/// root's group, which nobody should be added to for this.
const ROOT: u32 = 0;

/// What stands between a user and the device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The user is not of the group of this name, which may open it.
    NotOfGroup(String),
    /// Nobody's group may open it: its mode, and owner and group by number.
    OwnerOnly {
        /// The permission bits.
        mode: u32,
        /// Its owner.
        uid: u32,
        /// Its group.
        gid: u32,
    },
    /// Its mode allows it, and something else does not: a container's list of devices, for instance.
    NotByMode,
}

impl Refusal {
    /// The reason for `errno`, which opening the device came to.
    pub(super) fn of(errno: i32) -> Refusal {
        let Ok(node) = fs::metadata(DEVICE) else { return Refusal::NotByMode };
        let groups = fs::read_to_string("/etc/group").unwrap_or_default();
        Refusal::by(errno, node.mode(), node.uid(), node.gid(), &groups)
    }

    /// The same, from what the device's node and the list of groups (group(5)) say.
    fn by(errno: i32, mode: u32, uid: u32, gid: u32, groups: &str) -> Refusal {
        // Where a mode stands against it, open(2) fails with EACCES.
        if errno != libc::EACCES {
            return Refusal::NotByMode;
        }
        if mode & GROUP_READ_WRITE != GROUP_READ_WRITE || gid == ROOT {
            return Refusal::OwnerOnly { mode: mode & 0o7777, uid, gid };
        }
        let name = groups.lines().find_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?;
            (fields.nth(1)?.parse() == Ok(gid)).then(|| name.to_owned())
        });
        Refusal::NotOfGroup(name.unwrap_or_else(|| gid.to_string()))
    }
}

impl Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::NotOfGroup(group) => write!(
                f,
                "add it to the device's group (`sudo usermod -aG {group} $USER`, then log in again), or grant \
                 it access (`sudo setfacl -m u:$USER:rw {DEVICE}`)"
            ),
            Refusal::OwnerOnly { mode, uid, gid } => write!(
                f,
                "its mode is {mode:04o}, its owner {uid}:{gid}, and no group gives access. Grant it to this user \
                 (`sudo setfacl -m u:$USER:rw {DEVICE}`), or to a group (`sudo chgrp kvm {DEVICE} && sudo chmod 660 \
                 {DEVICE}`, then `sudo usermod -aG kvm $USER` and log in again)"
            ),
            Refusal::NotByMode => write!(
                f,
                "something besides the file's mode stands against it. In a container, start that with `--device \
                 {DEVICE}`"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUPS: &str = "root:x:0:\nbroken\nkvm:x:104:ada\n";

    fn by(mode: u32, gid: u32) -> Refusal {
        Refusal::by(libc::EACCES, mode, 0, gid, GROUPS)
    }

    #[test]
    fn a_group_is_advised_that_gives_access() {
        assert_eq!(by(0o20660, 104), Refusal::NotOfGroup("kvm".into()));
        assert_eq!(by(0o20660, 36), Refusal::NotOfGroup("36".into()));
        assert!(by(0o20660, 104).to_string().contains("usermod -aG kvm "));
    }

    #[test]
    fn no_group_is_advised_that_gives_none() {
        for (mode, gid) in [(0o20600, 0), (0o20640, 104), (0o20660, 0)] {
            let text = by(mode, gid).to_string();
            assert!(text.contains(&format!("{:04o}", mode & 0o7777)), "{text}");
            assert!(text.contains("setfacl -m u:$USER:rw /dev/kvm"), "{text}");
        }
        let refused = Refusal::by(libc::EPERM, 0o20666, 0, 104, GROUPS);
        assert!(refused.to_string().contains("--device /dev/kvm"));
    }
}
