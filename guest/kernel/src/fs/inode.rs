//! What a file system shows of its objects.
//!
//! Each method's default is the errno that Linux gives for an inode that cannot do the thing: a
//! directory lists and creates, a regular file reads and writes, a link is read, and the rest refuses.
//! Names are components that `path` has checked: 1 to 255 bytes, no '/', no NUL, not "." or "..".

use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::Cell;
use core::ops::ControlFlow;

use bitflags::bitflags;
use linux_raw_sys::general as linux;
use mayfly_hal::phys::Frame;

use super::dentry::Dentry;
use super::file::File;
use super::open::OpenFlags;
use super::seals::Seals;
use super::stat::{FileType, Stat, StatFs, TimeNs};
use super::xattr::XattrFlags;
use crate::errno::{Errno, Result};

/// One entry of a directory, as getdents64(2) shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DirEntry<'a> {
    /// The name.
    pub name: &'a [u8],
    /// The inode it names.
    pub ino: u64,
    /// What that inode is.
    pub file_type: FileType,
    /// The cookie to go on after this entry with (`d_off`).
    pub next: u64,
}

/// Takes entries. `Break` means that this one was not taken and no more are wanted.
pub type DirSink<'a> = dyn FnMut(DirEntry<'_>) -> ControlFlow<()> + 'a;

/// What to make of a new name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NewNode<'a> {
    /// An empty regular file.
    File,
    /// An empty directory.
    Directory,
    /// A symbolic link with this text.
    Symlink(&'a [u8]),
    /// A named pipe.
    Fifo,
    /// A socket's name in the file system.
    Socket,
    /// A character device with this `st_rdev`.
    CharDevice(u64),
    /// A block device with this `st_rdev`.
    BlockDevice(u64),
}

/// Where a symbolic link leads.
pub enum Link {
    /// To where this path leads, seen from the link's directory.
    Text(Vec<u8>),
    /// Straight to this place, whatever its path: what the links of /proc/self do.
    Jump(Rc<Dentry>),
}

/// Attributes to change; `None` leaves one as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SetAttributes {
    /// Permission bits (chmod(2)).
    pub permissions: Option<u32>,
    /// Owner (chown(2)).
    pub uid: Option<u32>,
    /// Group (chown(2)).
    pub gid: Option<u32>,
    /// Time of last access (utimensat(2)).
    pub accessed: Option<TimeNs>,
    /// Time of last modification (utimensat(2)).
    pub modified: Option<TimeNs>,
}

bitflags! {
    /// Flags of renameat2(2).
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct RenameFlags: u32 {
        /// Fail where the new name exists.
        const NOREPLACE = linux::RENAME_NOREPLACE;
        /// Swap the two names.
        const EXCHANGE = linux::RENAME_EXCHANGE;
    }

    /// Modes of fallocate(2).
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct FallocateMode: u32 {
        /// Leave the size as it is.
        const KEEP_SIZE = linux::FALLOC_FL_KEEP_SIZE;
        /// Give storage back; its bytes read as zero.
        const PUNCH_HOLE = linux::FALLOC_FL_PUNCH_HOLE;
    }
}

/// An object of a file system.
pub trait Inode {
    /// Everything stat(2) tells.
    fn stat(&self) -> Stat;

    /// What it is. Path resolution asks for this alone at each step.
    fn file_type(&self) -> FileType {
        self.stat().file_type()
    }

    /// Whether it has ceased to be without anybody removing it: the directory of a process that has ended. Its name is
    /// looked up anew.
    fn is_gone(&self) -> bool {
        false
    }

    /// The inode that `name` means in this directory. ENOENT where there is none.
    fn lookup(&self, _name: &[u8]) -> Result<Rc<dyn Inode>> {
        Err(Errno::NOTDIR)
    }

    /// Shows the entries from `cookie` on (0: the first), "." and ".." left out. An entry that is neither
    /// added nor removed meanwhile is shown exactly once.
    fn read_dir(&self, _cookie: u64, _sink: &mut DirSink<'_>) -> Result<()> {
        Err(Errno::NOTDIR)
    }

    /// A symbolic link's text.
    fn read_link(&self) -> Result<Vec<u8>> {
        Err(Errno::INVAL)
    }

    /// Where a symbolic link leads.
    fn follow(&self) -> Result<Link> {
        self.read_link().map(Link::Text)
    }

    /// Makes `name` in this directory, with these permission bits (the umask is applied already).
    /// EEXIST where the name is taken.
    fn create(&self, _name: &[u8], what: NewNode<'_>, _mode: u32) -> Result<Rc<dyn Inode>> {
        Err(if what == NewNode::File { Errno::ACCES } else { Errno::PERM })
    }

    /// Gives inode `ino` of this file system, no directory, another name here.
    fn link(&self, _name: &[u8], _ino: u64) -> Result<()> {
        Err(Errno::PERM)
    }

    /// Removes a name that is no directory's (EISDIR).
    fn unlink(&self, _name: &[u8]) -> Result<()> {
        Err(Errno::PERM)
    }

    /// Removes an empty directory.
    fn rmdir(&self, _name: &[u8]) -> Result<()> {
        Err(Errno::PERM)
    }

    /// Moves `name` to `new_name` in the directory `to` (an inode number) of this file system.
    fn rename(&self, _name: &[u8], _to: u64, _new_name: &[u8], _how: RenameFlags) -> Result<()> {
        Err(Errno::PERM)
    }

    /// Changes attributes.
    fn set_attributes(&self, _set: &SetAttributes) -> Result<()> {
        Err(Errno::PERM)
    }

    /// The value of an extended attribute, whose name `xattr` has checked. ENODATA where there is none.
    fn xattr(&self, _name: &[u8]) -> Result<Vec<u8>> {
        Err(Errno::OPNOTSUPP)
    }

    /// The names of its extended attributes, each with a NUL behind it.
    fn xattr_names(&self) -> Result<Vec<u8>> {
        Ok(Vec::new())
    }

    /// Sets an extended attribute, or removes it without a value. EEXIST, ENODATA, ENOSPC.
    fn set_xattr(&self, _name: &[u8], _value: Option<&[u8]>, _how: XattrFlags) -> Result<()> {
        Err(Errno::OPNOTSUPP)
    }

    /// What may not be done to this file in memory any more; `None` for what cannot be sealed.
    fn seals(&self) -> Option<&Cell<Seals>> {
        None
    }

    /// A new regular file of this directory's file system, without a name. `may_be_named`: `link` may give it one.
    fn unnamed(&self, _mode: u32, _may_be_named: bool) -> Result<Rc<dyn Inode>> {
        Err(Errno::OPNOTSUPP)
    }

    /// Makes a regular file `size` bytes long.
    fn truncate(&self, _size: u64) -> Result<()> {
        Err(if self.file_type() == FileType::Directory { Errno::ISDIR } else { Errno::INVAL })
    }

    /// Bytes of a regular file from `offset` on: how many there were, 0 at its end.
    fn read_at(&self, _offset: u64, _to: &mut [u8]) -> Result<usize> {
        Err(if self.file_type() == FileType::Directory { Errno::ISDIR } else { Errno::INVAL })
    }

    /// Writes to a regular file, which grows where it must: how many bytes were taken.
    fn write_at(&self, _offset: u64, _from: &[u8]) -> Result<usize> {
        Err(if self.file_type() == FileType::Directory { Errno::ISDIR } else { Errno::INVAL })
    }

    /// Page `index` of a regular file as it is cached: for mmap(2). Bytes past the file's end are zero.
    /// ENXIO where the whole page is past it (a mapping's SIGBUS), ENODEV where there are no pages.
    fn page(&self, _index: u64) -> Result<Frame> {
        Err(Errno::NODEV)
    }

    /// Whether the bytes of this file are the same for as long as the guest lives.
    fn is_immutable(&self) -> bool {
        false
    }

    /// Page `index` of a regular file if it is in memory already: for mapping a neighbourhood at no cost.
    fn cached_page(&self, _index: u64) -> Option<Frame> {
        None
    }

    /// Reserves storage for a range of a regular file, or gives it back (fallocate(2)).
    fn fallocate(&self, _mode: FallocateMode, _offset: u64, _len: u64) -> Result<()> {
        Err(Errno::OPNOTSUPP)
    }

    /// The first byte at or after `offset` that is stored (SEEK_DATA); ENXIO where there is none.
    fn seek_data(&self, offset: u64) -> Result<u64> {
        if offset < self.stat().size { Ok(offset) } else { Err(Errno::NXIO) }
    }

    /// The first byte at or after `offset` that is not stored, the end at the latest (SEEK_HOLE).
    fn seek_hole(&self, offset: u64) -> Result<u64> {
        let size = self.stat().size;
        if offset < size { Ok(size) } else { Err(Errno::NXIO) }
    }

    /// What reads and writes go to once this is open; `None` where they go to the inode itself.
    fn open(&self, _flags: OpenFlags) -> Result<Option<Rc<dyn File>>> {
        Ok(None)
    }
}

/// A tree of inodes that can be mounted.
pub trait FileSystem {
    /// The type's name in /proc/mounts.
    fn type_name(&self) -> &'static str;

    /// The directory at the top.
    fn root(&self) -> Rc<dyn Inode>;

    /// Sizes, for statfs(2).
    fn statfs(&self) -> StatFs;

    /// Frees up to `frames` frames of memory that can be had again from elsewhere: how many it were.
    fn shrink(&self, _frames: usize) -> usize {
        0
    }

    /// How many frames [`FileSystem::shrink`] could free.
    fn cached(&self) -> u64 {
        0
    }
}
