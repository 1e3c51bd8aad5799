//! Mounts: which file system covers which place, and with what rules.
//!
//! The root is an image that nobody may write; writable places (/tmp) and generated ones (/dev, /proc)
//! are mounted over it. Nothing is ever unmounted: a virtual machine lives as long as its one program.

use alloc::rc::Rc;
use alloc::vec::Vec;

use bitflags::bitflags;
use linux_raw_sys::general as linux;

use super::dentry::Dentry;
use super::inode::{DirSink, FileSystem, Inode};
use super::inotify::Watches;
use super::stat::{FileType, PERMISSIONS, Stat};
use crate::errno::{Errno, Result};

/// Most mounts: a runtime has the root, /tmp, /dev, /dev/shm, /proc, the code and a handful of layers.
pub const MOUNTS_MAX: usize = 64;

bitflags! {
    /// Flags of mount(2).
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct MountFlags: u32 {
        /// Nothing in it changes (EROFS).
        const RDONLY = linux::MS_RDONLY;
    }
}

/// A file system in its place.
pub struct Mount {
    fs: Rc<dyn FileSystem>,
    source: Vec<u8>,
    flags: MountFlags,
    covers: Option<Rc<Dentry>>,
    watches: Rc<Watches>,
}

impl Mount {
    /// `fs`, which /proc/mounts says comes from `source`, covering a directory; `None` for the root. `watches`: who watches
    /// what is in it.
    pub fn new(
        fs: Rc<dyn FileSystem>,
        source: &[u8],
        flags: MountFlags,
        covers: Option<Rc<Dentry>>,
        watches: Rc<Watches>,
    ) -> Rc<Mount> {
        Rc::new(Mount { fs, source: source.to_vec(), flags, covers, watches })
    }

    /// Who watches what is in it.
    pub fn watches(&self) -> &Rc<Watches> {
        &self.watches
    }

    /// What is mounted.
    pub fn fs(&self) -> &Rc<dyn FileSystem> {
        &self.fs
    }

    /// The rules.
    pub fn flags(&self) -> MountFlags {
        self.flags
    }

    /// The directory under it; `None` for the root.
    pub fn covers(&self) -> Option<&Rc<Dentry>> {
        self.covers.as_ref()
    }

    /// EROFS where nothing may change.
    pub fn check_writable(&self) -> Result<()> {
        if self.flags.contains(MountFlags::RDONLY) { Err(Errno::ROFS) } else { Ok(()) }
    }

    /// The mount's line in /proc/self/mountinfo (proc(5)): the `id`th mount, on the `parent`th, with this
    /// `st_dev`.
    pub fn info_line(&self, id: usize, parent: usize, dev: u64, mounted_on: &[u8]) -> Vec<u8> {
        let mode = if self.flags.contains(MountFlags::RDONLY) { "ro" } else { "rw" };
        let (id, parent) = (FIRST_ID + id, FIRST_ID + parent);
        let head = alloc::format!("{id} {parent} {}:{} / ", dev >> 8, dev & 0xff);
        let mut line = head.into_bytes();
        escape(mounted_on, &mut line);
        let kind = self.fs.type_name();
        line.extend_from_slice(alloc::format!(" {mode},noatime - {kind} ").as_bytes());
        escape(&self.source, &mut line);
        line.extend_from_slice(alloc::format!(" {mode}\n").as_bytes());
        line
    }

    /// The mount's line in /proc/mounts (fstab(5)).
    pub fn line(&self, mounted_on: &[u8]) -> Vec<u8> {
        let mut line = Vec::new();
        escape(&self.source, &mut line);
        line.push(b' ');
        escape(mounted_on, &mut line);
        line.push(b' ');
        line.extend_from_slice(self.fs.type_name().as_bytes());
        let read_only = self.flags.contains(MountFlags::RDONLY);
        line.extend_from_slice(if read_only { b" ro" } else { b" rw" });
        line.extend_from_slice(b",noatime 0 0\n");
        line
    }
}

/// The number that /proc/self/mountinfo gives the first mount: Linux's are never below it.
pub(super) const FIRST_ID: usize = 20;

/// Writes white space and backslashes as octal numbers, as getmntent(3) reads them.
fn escape(text: &[u8], to: &mut Vec<u8>) {
    for &byte in text {
        match byte {
            b' ' | b'\t' | b'\n' | b'\\' => {
                to.push(b'\\');
                to.extend([6, 3, 0].map(|shift| b'0' + (byte >> shift & 7)));
            }
            _ => to.push(byte),
        }
    }
}

/// An empty directory in a place that the file system lacks, so that something can be mounted there.
pub(super) struct Stub {
    stat: Stat,
}

impl Stub {
    /// A stub called `name` in the directory that `parent` describes.
    pub(super) fn new(parent: Stat, name: &[u8]) -> Stub {
        let mode = parent.mode & !PERMISSIONS | 0o755;
        // No inode of an image is that far up.
        let ino = 1 << 63 | parent.ino.rotate_left(17) ^ super::tree::hash(name);
        Stub { stat: Stat { ino, mode, nlink: 2, size: 0, blocks: 0, ..parent } }
    }
}

impl Inode for Stub {
    fn stat(&self) -> Stat {
        self.stat
    }

    fn file_type(&self) -> FileType {
        FileType::Directory
    }

    fn lookup(&self, _name: &[u8]) -> Result<Rc<dyn Inode>> {
        Err(Errno::NOENT)
    }

    fn read_dir(&self, _cookie: u64, _sink: &mut DirSink<'_>) -> Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::string::String;

    use super::*;
    use crate::fs::inode::NewNode;
    use crate::fs::open::OpenFlags;
    use crate::fs::ramfs::{Limits, RamFs};
    use crate::fs::testing::machine;

    fn ramfs(machine: &crate::fs::testing::Machine) -> Rc<dyn FileSystem> {
        let limits = Limits { bytes: 1 << 20, entries: 100, spared: 0 };
        Rc::new(RamFs::new(machine.system.clone(), 99, limits, 0o755))
    }

    #[test]
    fn a_mount_point_that_the_root_lacks_is_listed_and_leads_inside() {
        let machine = machine();
        assert_eq!(machine.lookup("/opt/extra").err(), Some(Errno::NOENT));
        machine.vfs.mount(b"/opt/extra", ramfs(&machine), b"layer", MountFlags::empty()).unwrap();
        assert!(machine.list("/").contains(&String::from("opt")));
        assert_eq!(machine.list("/opt"), [".", "..", "extra"]);
        let file = machine.open("/opt/extra/f", OpenFlags::CREAT | OpenFlags::WRONLY).unwrap();
        assert_eq!(file.dentry().path().unwrap(), b"/opt/extra/f");
        let above = machine.lookup("/opt/extra/../../tmp").unwrap();
        assert!(Rc::ptr_eq(&above, &machine.lookup("/tmp").unwrap()));
        assert_eq!(machine.rmdir("/opt/extra"), Err(Errno::BUSY));
        assert_eq!(machine.mkdir("/opt/more"), Err(Errno::ROFS));
    }

    #[test]
    fn a_read_only_mount_refuses_every_change() {
        let machine = machine();
        let fs = ramfs(&machine);
        let root = fs.root();
        root.create(b"f", NewNode::File, 0o644).unwrap();
        machine.vfs.mount(b"/code", fs, b"code", MountFlags::RDONLY).unwrap();
        assert_eq!(machine.open("/code/f", OpenFlags::WRONLY).err(), Some(Errno::ROFS));
        assert_eq!(machine.open("/code/g", OpenFlags::CREAT).err(), Some(Errno::ROFS));
        assert_eq!(machine.unlink("/code/f"), Err(Errno::ROFS));
        assert_eq!(machine.rename("/code/f", "/code/g"), Err(Errno::ROFS));
        assert_eq!(machine.mkdir("/code/f"), Err(Errno::EXIST));
        let f = machine.lookup("/code/f").unwrap();
        assert_eq!(machine.vfs.chmod(&f, 0o600), Err(Errno::ROFS));
        assert_eq!(machine.vfs.truncate(&f, 0), Err(Errno::ROFS));
        machine.open("/code/f", OpenFlags::RDONLY).unwrap();
    }

    #[test]
    fn a_mount_covers_what_was_there_and_mounts_can_be_stacked() {
        let machine = machine();
        machine.mkdir("/tmp/d").unwrap();
        machine.mkdir("/tmp/d/below").unwrap();
        for _ in 0..2 {
            machine.vfs.mount(b"/tmp/d", ramfs(&machine), b"x", MountFlags::empty()).unwrap();
            assert_eq!(machine.list("/tmp/d"), [".", ".."]);
            assert_eq!(machine.lookup("/tmp/d").unwrap().path().unwrap(), b"/tmp/d");
            machine.mkdir("/tmp/d/mine").unwrap();
        }
        assert_eq!(machine.rename("/tmp/d", "/tmp/e"), Err(Errno::BUSY));
        let refused = machine.vfs.mount(b"/dev/null", ramfs(&machine), b"x", MountFlags::empty());
        assert_eq!(refused, Err(Errno::NOTDIR));
    }

    #[test]
    fn lines_are_those_of_fstab() {
        let machine = machine();
        let mount = Mount::new(ramfs(&machine), b"a\\b", MountFlags::RDONLY, None, Rc::default());
        assert_eq!(mount.line(b"/my dir"), b"a\\134b /my\\040dir tmpfs ro,noatime 0 0\n");
        let text = String::from_utf8(machine.vfs.mounts_text()).unwrap();
        assert!(text.contains("\nproc /proc proc rw,noatime 0 0\n"), "{text}");
    }

    #[test]
    fn the_table_of_mounts_is_bounded() {
        let machine = machine();
        let mut results = (0..=MOUNTS_MAX)
            .map(|_| machine.vfs.mount(b"/m", ramfs(&machine), b"x", MountFlags::empty()));
        assert!(results.any(|result| result == Err(Errno::NOMEM)));
    }
}
