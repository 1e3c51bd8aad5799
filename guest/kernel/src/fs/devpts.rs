//! /dev/pts: a name for the slave of each pseudo-terminal, as long as its master is open.

use alloc::format;
use alloc::rc::{Rc, Weak};
use core::str;

use linux_raw_sys::general::DEVPTS_SUPER_MAGIC;

use super::devices::MAJOR_SLAVE;
use super::file::File;
use super::inode::{DirEntry, DirSink, FileSystem, Inode, SetAttributes};
use super::open::OpenFlags;
use super::stat::{FileType, PERMISSIONS, Stat, StatFs, Times, device_number};
use super::system::System;
use super::tree::parse_number;
use crate::errno::{Errno, Result};
use crate::tty::{Terminal, Terminals};

/// The directory's inode number; slave N has N + 3, as in Linux.
const ROOT_INO: u64 = 1;
const FIRST_INO: u64 = 3;

/// The file system.
pub struct DevPts {
    root: Rc<Root>,
}

struct Root {
    terminals: Rc<Terminals>,
    dev: u64,
    mounted: Times,
}

impl DevPts {
    /// The slaves of these terminals; `dev` is its `st_dev`.
    pub fn new(system: &dyn System, terminals: Rc<Terminals>, dev: u64) -> DevPts {
        let mounted = Times::all(system.realtime_ns());
        DevPts { root: Rc::new(Root { terminals, dev, mounted }) }
    }
}

impl FileSystem for DevPts {
    fn type_name(&self) -> &'static str {
        "devpts"
    }

    fn root(&self) -> Rc<dyn Inode> {
        self.root.clone()
    }

    fn statfs(&self) -> StatFs {
        StatFs {
            magic: DEVPTS_SUPER_MAGIC,
            block_size: 4096,
            blocks: 0,
            blocks_free: 0,
            files: 0,
            files_free: 0,
        }
    }
}

impl Root {
    fn slave(&self, number: u32) -> Option<Slave> {
        let terminal = self.terminals.get(number)?;
        let times = Times::all(terminal.created());
        Some(Slave { dev: self.dev, number, times, terminal: Rc::downgrade(&terminal) })
    }
}

impl Inode for Root {
    fn stat(&self) -> Stat {
        Stat {
            dev: self.dev,
            ino: ROOT_INO,
            mode: FileType::Directory.mode_bits() | 0o755,
            nlink: 2,
            uid: 0,
            gid: 0,
            rdev: 0,
            size: 0,
            blocks: 0,
            block_size: 1024,
            times: self.mounted,
        }
    }

    fn lookup(&self, name: &[u8]) -> Result<Rc<dyn Inode>> {
        let number = str::from_utf8(name).ok().and_then(parse_number);
        let slave = number.and_then(|number| self.slave(number));
        slave.map(|slave| Rc::new(slave) as Rc<dyn Inode>).ok_or(Errno::NOENT)
    }

    /// A cookie is one more than the last number that was shown.
    fn read_dir(&self, cookie: u64, sink: &mut DirSink<'_>) -> Result<()> {
        for number in self.terminals.numbers() {
            let next = u64::from(number) + 1;
            if next <= cookie {
                continue;
            }
            let (name, ino) = (format!("{number}"), u64::from(number) + FIRST_INO);
            let file_type = FileType::CharDevice;
            if sink(DirEntry { name: name.as_bytes(), ino, file_type, next }).is_break() {
                break;
            }
        }
        Ok(())
    }
}

/// The name of one slave. It does not keep the pair alive.
struct Slave {
    dev: u64,
    number: u32,
    times: Times,
    terminal: Weak<Terminal>,
}

impl Inode for Slave {
    fn stat(&self) -> Stat {
        let access = self.terminal.upgrade().map(|terminal| terminal.access.get());
        let (permissions, uid, gid) =
            access.map_or((0, 0, 0), |of| (of.permissions, of.uid, of.gid));
        Stat {
            dev: self.dev,
            ino: u64::from(self.number) + FIRST_INO,
            mode: FileType::CharDevice.mode_bits() | permissions,
            nlink: 1,
            uid,
            gid,
            rdev: device_number(MAJOR_SLAVE, self.number),
            size: 0,
            blocks: 0,
            block_size: 1024,
            times: self.times,
        }
    }

    fn file_type(&self) -> FileType {
        FileType::CharDevice
    }

    fn is_gone(&self) -> bool {
        self.terminal.upgrade().is_none_or(|terminal| terminal.is_over())
    }

    fn set_attributes(&self, set: &SetAttributes) -> Result<()> {
        let terminal = self.terminal.upgrade().ok_or(Errno::IO)?;
        let mut access = terminal.access.get();
        access.permissions = set.permissions.unwrap_or(access.permissions) & PERMISSIONS;
        (access.uid, access.gid) = (set.uid.unwrap_or(access.uid), set.gid.unwrap_or(access.gid));
        terminal.access.set(access);
        Ok(())
    }

    fn open(&self, _flags: OpenFlags) -> Result<Option<Rc<dyn File>>> {
        self.terminal.upgrade().ok_or(Errno::IO)?.open_slave().map(Some)
    }
}

#[cfg(test)]
mod tests {
    use crate::errno::Errno;
    use crate::fs::OpenFlags;
    use crate::fs::testing::machine;

    #[test]
    fn slaves_have_names_while_their_masters_are_open() {
        let machine = machine();
        assert_eq!(machine.list("/dev/pts"), [".", ".."]);
        let master = machine.open("/dev/ptmx", OpenFlags::RDWR).unwrap();
        let other = machine.open("/dev/ptmx", OpenFlags::RDWR).unwrap();
        assert_eq!(machine.list("/dev/pts"), [".", "..", "0", "1"]);
        let slave = machine.lookup("/dev/pts/1").unwrap();
        assert_eq!(slave.inode().stat().rdev, 0x8801);
        machine.vfs.chmod(&slave, 0o600).unwrap();
        assert_eq!(slave.inode().stat().mode & 0o777, 0o600);
        assert_eq!(machine.open("/dev/pts/0", OpenFlags::RDWR).err(), Some(Errno::IO), "locked");
        drop(master);
        assert_eq!(machine.list("/dev/pts"), [".", "..", "1"]);
        assert_eq!(machine.lookup("/dev/pts/0").err(), Some(Errno::NOENT));
        drop(other);
        assert_eq!(machine.lookup("/dev/pts/1").err(), Some(Errno::NOENT));
        assert_eq!(machine.lookup("/dev/pts/01").err(), Some(Errno::NOENT));
    }
}
