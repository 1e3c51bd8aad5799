//! Files: the tree of names, what is mounted in it, and what is open.
//!
//! ```text
//!   system calls          open, read, rename, …: thin skins over this
//!        │                                    │
//!   ┌────▼────┐  path   ┌────────┐      ┌─────▼────┐  fd   ┌──────────┐
//!   │   Vfs   ├────────►│ Dentry │◄─────┤ OpenFile │◄──────┤ FdTable  │
//!   └─────────┘  walk   └───┬────┘      └─────┬────┘       └──────────┘
//!                           │ inode           │ where that is not the inode itself
//!                      ┌────▼────┐       ┌────▼────┐
//!                      │  Inode  │       │  File   │
//!                      └────┬────┘       └────┬────┘
//!         erofs ramfs /dev /proc         pipes devices text
//!           │
//!        page cache ─► Disk
//! ```
//!
//! One vCPU runs all this and nothing preempts it, so there are no locks; nothing waits either: what
//! would have to is EAGAIN. The program is root with every capability: permission bits are kept and
//! shown, and refuse nothing but running what nobody may run.

use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};

use linux_raw_sys::general as linux;

pub mod cache;
pub mod dentry;
pub mod devfs;
pub mod devices;
pub mod devpts;
pub mod erofs;
pub mod fdtable;
pub mod file;
pub mod inode;
pub mod inotify;
pub mod locks;
pub mod mount;
mod names;
pub mod open;
pub mod open_file;
pub mod owner;
pub mod path;
pub mod pipe;
pub mod procfs;
pub mod ramfs;
mod recent;
pub mod ring;
pub mod seals;
pub mod stat;
pub mod sysfs;
pub mod system;
#[cfg(test)]
pub(crate) mod testing;
pub mod tree;
pub mod xattr;

pub use cache::{Disk, PageCache};
pub use dentry::Dentry;
pub use fdtable::{Fd, FdTable};
pub use file::{File, IoctlArgument, Poll, Pulse};
pub use inode::{DirEntry, FallocateMode, FileSystem, Inode, NewNode, RenameFlags, SetAttributes};
pub use mount::{Mount, MountFlags};
pub use open::OpenFlags;
pub use open_file::{OpenFile, Whence};
pub use path::Follow;
pub use seals::Seals;
pub use stat::{FileType, Stat, StatFs};
pub use system::{ProcessInfo, System};
pub use xattr::XattrFlags;

use self::inotify::Watches;
use self::mount::MOUNTS_MAX;
use self::path::Walk;
use self::pipe::{Pipe, PipeInode};
use self::recent::Recent;
use self::stat::{Times, device_number};
use crate::errno::{Errno, Result};

/// `st_dev` of what is in no file system: pipes, sockets.
const ANONYMOUS_DEV: u64 = device_number(0, 1);
/// Frames to take back from caches at a time when memory is short.
pub const RECLAIMED_FRAMES: usize = 64;

/// The tree of files.
pub struct Vfs {
    system: Rc<dyn System>,
    /// The roots of all mounts, in the order in which they were mounted.
    roots: RefCell<Vec<Rc<Dentry>>>,
    root: Rc<Dentry>,
    recent: Recent,
    last_anonymous_ino: Cell<u64>,
    watches: Rc<Watches>,
}

impl Vfs {
    /// A tree with `fs` at its root, which /proc/mounts says comes from `source`.
    pub fn new(
        system: Rc<dyn System>,
        fs: Rc<dyn FileSystem>,
        source: &[u8],
        flags: MountFlags,
    ) -> Vfs {
        let watches = Rc::<Watches>::default();
        let root = Dentry::root(Mount::new(fs, source, flags, None, watches.clone()));
        let roots = RefCell::new(Vec::from([root.clone()]));
        let recent = Recent::default();
        Vfs { system, roots, root, recent, last_anonymous_ino: Cell::new(0), watches }
    }

    /// Who watches files.
    pub fn watches(&self) -> &Rc<Watches> {
        &self.watches
    }

    /// The directory at the top.
    pub fn root(&self) -> &Rc<Dentry> {
        &self.root
    }

    /// Mounts `fs` at the absolute `path`. Directories that are missing on the way there are shown from
    /// then on, also in a file system that can't be written. ENOTDIR; ENOMEM beyond [`MOUNTS_MAX`].
    pub fn mount(
        &self,
        path: &[u8],
        fs: Rc<dyn FileSystem>,
        source: &[u8],
        flags: MountFlags,
    ) -> Result<()> {
        if self.roots.borrow().len() >= MOUNTS_MAX {
            return Err(Errno::NOMEM);
        }
        let mut at = self.root.clone();
        for name in path.split(|&byte| byte == b'/').filter(|name| !name.is_empty()) {
            at = match self.lookup(&at, name, Follow::Yes) {
                Err(Errno::NOENT) => at.add_stub(name),
                found => found?,
            };
        }
        if !at.is_dir() {
            return Err(Errno::NOTDIR);
        }
        let root =
            Dentry::root(Mount::new(fs, source, flags, Some(at.clone()), self.watches.clone()));
        at.cover(root.clone())?;
        self.roots.borrow_mut().push(root);
        Ok(())
    }

    /// The lines of /proc/mounts.
    pub fn mounts_text(&self) -> Vec<u8> {
        let roots = self.roots.borrow();
        let line = |root: &Rc<Dentry>| Some(root.mount()?.line(&root.path().ok()?));
        roots.iter().filter_map(line).flatten().collect()
    }

    /// The lines of /proc/self/mountinfo (proc(5)).
    pub fn mountinfo_text(&self) -> Vec<u8> {
        let roots = self.roots.borrow();
        let ids: Vec<&Rc<Mount>> = roots.iter().filter_map(|root| root.mount()).collect();
        let id_of = |mount: &Rc<Mount>| ids.iter().position(|other| Rc::ptr_eq(other, mount));
        let line = |(id, root): (usize, &Rc<Dentry>)| {
            let mount = root.mount()?;
            // The root is its own parent's child, and has none.
            let parent = mount.covers().and_then(|under| id_of(under.mount()?)).unwrap_or(0);
            let dev = root.inode().stat().dev;
            Some(mount.info_line(id, parent, dev, &root.path().ok()?))
        };
        roots.iter().enumerate().filter_map(line).flatten().collect()
    }

    /// The number that /proc/self/mountinfo gives the mount of a place; `None` for what is in none.
    pub fn mount_id(&self, dentry: &Dentry) -> Option<u64> {
        let roots = self.roots.borrow();
        let is_its = |root: &Rc<Dentry>| match (root.mount(), dentry.mount()) {
            (Some(one), Some(other)) => Rc::ptr_eq(one, other),
            _ => false,
        };
        roots.iter().position(is_its).map(|id| (mount::FIRST_ID + id) as u64)
    }

    /// Frees up to `frames` frames that file systems hold and can read again: how many it were.
    pub fn shrink(&self, frames: usize) -> usize {
        self.recent.clear();
        let mut freed = 0;
        for root in self.roots.borrow().iter() {
            if let Some(mount) = root.mount()
                && freed < frames
            {
                freed += mount.fs().shrink(frames - freed);
            }
        }
        freed
    }

    /// Frees some frames that file systems hold, where memory is short: whether there were any.
    pub fn reclaim(&self) -> bool {
        self.shrink(RECLAIMED_FRAMES) > 0
    }

    /// How many frames file systems hold and can read again.
    pub fn cached(&self) -> u64 {
        let cached = |root: &Rc<Dentry>| root.mount().map_or(0, |mount| mount.fs().cached());
        self.roots.borrow().iter().map(cached).sum()
    }

    /// What `path` means, seen from the directory `base`.
    pub fn lookup(&self, base: &Rc<Dentry>, path: &[u8], follow: Follow) -> Result<Rc<Dentry>> {
        let mut walk = Walk::new(&self.root, base, path)?;
        let found = walk.to_end(follow);
        self.recent.note(walk.at());
        found
    }

    /// faccessat(2) with a `mode` of R_OK, W_OK and X_OK: root may do all but write what is mounted
    /// read-only (EROFS) and run what nobody may run (EACCES).
    pub fn access(&self, dentry: &Rc<Dentry>, mode: u32) -> Result<()> {
        let stat = dentry.inode().stat();
        let file_type = stat.file_type();
        let inode_changes =
            matches!(file_type, FileType::Regular | FileType::Directory | FileType::Symlink);
        if mode & linux::W_OK != 0 && inode_changes {
            dentry.check_writable()?;
        }
        let runs = file_type == FileType::Directory || stat.mode & 0o111 != 0;
        if mode & linux::X_OK != 0 && !runs { Err(Errno::ACCES) } else { Ok(()) }
    }

    /// statfs(2).
    pub fn statfs(&self, dentry: &Rc<Dentry>) -> StatFs {
        match dentry.mount() {
            Some(mount) => mount.fs().statfs(),
            None => StatFs {
                magic: linux::PIPEFS_MAGIC,
                block_size: 4096,
                blocks: 0,
                blocks_free: 0,
                files: 0,
                files_free: 0,
            },
        }
    }

    /// chmod(2), chown(2), utimensat(2). EROFS.
    pub fn set_attributes(&self, dentry: &Rc<Dentry>, set: &SetAttributes) -> Result<()> {
        dentry.check_writable()?;
        dentry.inode().set_attributes(set)?;
        dentry.tell_all(linux::IN_ATTRIB);
        Ok(())
    }

    /// chmod(2): the permission bits. EOPNOTSUPP for a link, EROFS.
    pub fn chmod(&self, dentry: &Rc<Dentry>, mode: u32) -> Result<()> {
        if dentry.inode().file_type() == FileType::Symlink {
            return Err(Errno::OPNOTSUPP);
        }
        let set = SetAttributes { permissions: Some(mode), ..SetAttributes::default() };
        self.set_attributes(dentry, &set)
    }

    /// truncate(2). EISDIR, EINVAL, EROFS.
    pub fn truncate(&self, dentry: &Rc<Dentry>, size: u64) -> Result<()> {
        if size > open_file::OFFSET_MAX {
            return Err(Errno::INVAL);
        }
        match dentry.inode().file_type() {
            FileType::Directory => return Err(Errno::ISDIR),
            FileType::Regular => dentry.check_writable()?,
            _ => return Err(Errno::INVAL),
        }
        dentry.inode().truncate(size)?;
        dentry.tell_all(linux::IN_MODIFY);
        Ok(())
    }

    /// pipe2(2): the end to read from and the end to write to.
    pub fn pipe(&self, flags: OpenFlags) -> Result<(Rc<OpenFile>, Rc<OpenFile>)> {
        let stat = self.anonymous_stat(FileType::Fifo, 0o600);
        let pipe = Pipe::new();
        let name = alloc::format!("pipe:[{}]", stat.ino);
        let inode = Rc::new(PipeInode { pipe: pipe.clone(), stat });
        let dentry = Dentry::anonymous(inode, name.as_bytes());
        let flags = flags & (OpenFlags::NONBLOCK | OpenFlags::DIRECT);
        let end = |access: OpenFlags| -> Result<Rc<OpenFile>> {
            // A pipe's end never waits for the other to be opened: it is, in the next line.
            Ok(OpenFile::new(dentry.clone(), Some(pipe.open(access)?), access | flags))
        };
        Ok((end(OpenFlags::RDONLY)?, end(OpenFlags::WRONLY)?))
    }

    /// An open file of any other kind, in no file system: `anon_inode:[eventfd]`, `socket:[…]` with its
    /// number put in for "…". Its /proc/self/fd link opens the same object again where it is a device
    /// or a pipe, else nothing (ENXIO).
    pub fn anonymous(
        &self,
        file: Rc<dyn File>,
        file_type: FileType,
        name: &str,
        flags: OpenFlags,
    ) -> Rc<OpenFile> {
        let stat = self.anonymous_stat(file_type, 0o600);
        let name = name.replace('…', &alloc::format!("{}", stat.ino));
        let inode = Rc::new(AnonymousInode { file: file.clone(), stat });
        OpenFile::new(Dentry::anonymous(inode, name.as_bytes()), Some(file), flags)
    }

    fn anonymous_stat(&self, file_type: FileType, permissions: u32) -> Stat {
        let ino = self.last_anonymous_ino.get() + 1;
        self.last_anonymous_ino.set(ino);
        Stat {
            dev: ANONYMOUS_DEV,
            ino,
            mode: file_type.mode_bits() | permissions,
            nlink: 1,
            uid: 0,
            gid: 0,
            rdev: 0,
            size: 0,
            blocks: 0,
            block_size: 4096,
            times: Times::all(self.system.realtime_ns()),
        }
    }
}

/// The inode of an object that is in no file system.
struct AnonymousInode {
    file: Rc<dyn File>,
    stat: Stat,
}

impl Inode for AnonymousInode {
    fn stat(&self) -> Stat {
        self.stat
    }

    fn open(&self, _flags: OpenFlags) -> Result<Option<Rc<dyn File>>> {
        match self.stat.file_type() {
            FileType::CharDevice | FileType::Fifo => Ok(Some(self.file.clone())),
            _ => Err(Errno::NXIO),
        }
    }
}

#[cfg(test)]
mod tests;
