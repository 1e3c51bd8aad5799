//! Places in the tree of files: which inode has which name in which directory, and what is mounted there.
//!
//! ```text
//!   root's "/" ──► "usr" ──► "lib"          up: strong, so that a working directory knows its path
//!      │                                    down: weak, a dentry lives while somebody needs it
//!      └─► "tmp" ──covered by──► ramfs "/"   down through a mount: at once, in `lookup`
//!                  ◄──covers───              up through a mount: `parent`
//! ```
//!
//! While a dentry lives it is the only one of its directory and name, so renaming it moves everything
//! below. It hides the crossing of mounts, and names that only exist because something is mounted there.

use alloc::collections::BTreeMap;
use alloc::rc::{Rc, Weak};
use alloc::vec::Vec;
use core::cell::{OnceCell, RefCell};
use core::ops::ControlFlow;

use linux_raw_sys::general as linux;

use super::inode::{DirEntry, DirSink, Inode};
use super::mount::{Mount, Stub};
use super::stat::FileType;
use crate::errno::{Errno, Result};

/// Longest path with its final NUL, which programs size their buffers by.
pub const PATH_MAX: usize = linux::PATH_MAX as usize;

/// Cookies from here on are of names that exist only because something is mounted there.
const STUB_COOKIE: u64 = 1 << 62;
/// Cookies of "." and ".." come before those of the inode's own entries.
const DOTS: u64 = 2;

/// One place in the tree.
pub struct Dentry {
    inode: Rc<dyn Inode>,
    /// `None` for what has no place in the tree: pipes, sockets.
    mount: Option<Rc<Mount>>,
    place: RefCell<Place>,
    children: RefCell<BTreeMap<Rc<[u8]>, Weak<Dentry>>>,
    /// Children that the file system lacks and a mount point needs.
    stubs: RefCell<Vec<Rc<Dentry>>>,
    /// The root of what is mounted here.
    covered_by: OnceCell<Rc<Dentry>>,
}

struct Place {
    /// `None` at the root of a mount.
    parent: Option<Rc<Dentry>>,
    name: Rc<[u8]>,
    deleted: bool,
}

impl Dentry {
    /// The root of a mount.
    pub fn root(mount: Rc<Mount>) -> Rc<Dentry> {
        let inode = mount.fs().root();
        Dentry::build(inode, Some(mount), None, Rc::from(&b"/"[..]))
    }

    /// A file of this directory's file system that has no name; what it is shown as says its number.
    pub fn unnamed(self: &Rc<Dentry>, inode: Rc<dyn Inode>) -> Rc<Dentry> {
        let name = alloc::format!("#{}", inode.stat().ino);
        let parent = Some(self.clone());
        let file = Dentry::build(inode, self.mount.clone(), parent, Rc::from(name.as_bytes()));
        file.place.borrow_mut().deleted = true;
        file
    }

    /// What has no place in the tree, and a name just to be shown: `pipe:[3]`.
    pub fn anonymous(inode: Rc<dyn Inode>, name: &[u8]) -> Rc<Dentry> {
        Dentry::build(inode, None, None, Rc::from(name))
    }

    fn build(
        inode: Rc<dyn Inode>,
        mount: Option<Rc<Mount>>,
        parent: Option<Rc<Dentry>>,
        name: Rc<[u8]>,
    ) -> Rc<Dentry> {
        Rc::new(Dentry {
            inode,
            mount,
            place: RefCell::new(Place { parent, name, deleted: false }),
            children: RefCell::new(BTreeMap::new()),
            stubs: RefCell::new(Vec::new()),
            covered_by: OnceCell::new(),
        })
    }

    /// What is here.
    pub fn inode(&self) -> &Rc<dyn Inode> {
        &self.inode
    }

    /// The mount that this is in.
    pub fn mount(&self) -> Option<&Rc<Mount>> {
        self.mount.as_ref()
    }

    /// Whether this is a directory.
    pub fn is_dir(&self) -> bool {
        self.inode.file_type() == FileType::Directory
    }

    /// EROFS in a read-only mount.
    pub fn check_writable(&self) -> Result<()> {
        self.mount.as_ref().map_or(Ok(()), |mount| mount.check_writable())
    }

    /// The place called `name` in this directory, as far down as mounts go.
    pub fn lookup(self: &Rc<Dentry>, name: &[u8]) -> Result<Rc<Dentry>> {
        let live = self
            .children
            .borrow()
            .get(name)
            .and_then(Weak::upgrade)
            .filter(|child| !child.inode.is_gone());
        let child = match live {
            Some(child) => child,
            None => self.adopt(name, self.inode.lookup(name)?),
        };
        Ok(child.top())
    }

    /// The place of `inode`, which the file system just made or found as `name` in this directory.
    pub fn adopt(self: &Rc<Dentry>, name: &[u8], inode: Rc<dyn Inode>) -> Rc<Dentry> {
        let name: Rc<[u8]> = Rc::from(name);
        let child = Dentry::build(inode, self.mount.clone(), Some(self.clone()), name.clone());
        self.children.borrow_mut().insert(name, Rc::downgrade(&child));
        child
    }

    /// What is mounted here, and on that, and so on; else this place itself.
    pub fn top(self: Rc<Dentry>) -> Rc<Dentry> {
        let mut at = self;
        while let Some(cover) = at.covered_by.get() {
            at = cover.clone();
        }
        at
    }

    /// The directory above, through mounts; `None` at the very top.
    pub fn parent(&self) -> Option<Rc<Dentry>> {
        let (mut parent, mut mount) = (self.place.borrow().parent.clone(), self.mount.clone());
        while parent.is_none() {
            let covered = mount?.covers()?.clone();
            parent = covered.place.borrow().parent.clone();
            mount = covered.mount.clone();
        }
        parent.map(Dentry::top)
    }

    /// The directory that this is a name in, and the name; `None` for a mount's root, and for what was removed.
    pub fn name_in_directory(&self) -> Option<(Rc<Dentry>, Rc<[u8]>)> {
        let place = self.place.borrow();
        let parent = place.parent.as_ref().filter(|_| !place.deleted)?;
        Some((parent.clone(), place.name.clone()))
    }

    /// Whether this place is a mount point or the root of a mount: it can't be removed or moved (EBUSY).
    pub fn is_busy(&self) -> bool {
        self.place.borrow().parent.is_none() || self.covered_by.get().is_some()
    }

    /// Its path from the top. ENOENT where it, or a directory above it, was removed; ENAMETOOLONG
    /// (getcwd(2)).
    pub fn path(self: &Rc<Dentry>) -> Result<Vec<u8>> {
        match self.trace()? {
            (_, true) => Err(Errno::NOENT),
            (path, false) => Ok(path),
        }
    }

    /// What /proc/self/fd shows: its path, marked where it was removed, or the name of what has no path.
    pub fn shown_path(self: &Rc<Dentry>) -> Result<Vec<u8>> {
        if self.mount.is_none() {
            return Ok(self.place.borrow().name.to_vec());
        }
        let (mut path, deleted) = self.trace()?;
        if deleted {
            path.extend_from_slice(b" (deleted)");
        }
        Ok(path)
    }

    /// The path, and whether some part of it was removed.
    fn trace(self: &Rc<Dentry>) -> Result<(Vec<u8>, bool)> {
        let (mut names, mut deleted, mut len) = (Vec::new(), false, 0);
        let mut at = self.clone();
        while let Some(parent) = at.parent() {
            let named = at.lowest();
            let place = named.place.borrow();
            len += 1 + place.name.len();
            if len >= PATH_MAX {
                return Err(Errno::NAMETOOLONG);
            }
            deleted |= place.deleted;
            names.push(place.name.clone());
            drop(place);
            at = parent;
        }
        let mut path = Vec::with_capacity(len.max(1));
        for name in names.iter().rev() {
            path.push(b'/');
            path.extend_from_slice(name);
        }
        if path.is_empty() {
            path.push(b'/');
        }
        Ok((path, deleted))
    }

    /// The place under all mounts: the one that has a name.
    fn lowest(self: &Rc<Dentry>) -> Rc<Dentry> {
        let mut at = self.clone();
        while at.place.borrow().parent.is_none() {
            let Some(covered) = at.mount.as_ref().and_then(|mount| mount.covers()).cloned() else {
                break;
            };
            at = covered;
        }
        at
    }

    /// Tells the tree that the file system removed this name.
    pub fn removed(&self) {
        self.forget();
        self.place.borrow_mut().deleted = true;
    }

    /// Tells the tree that the file system moved this name.
    pub fn moved(self: &Rc<Dentry>, parent: &Rc<Dentry>, name: &[u8]) {
        self.forget();
        let name: Rc<[u8]> = Rc::from(name);
        parent.children.borrow_mut().insert(name.clone(), Rc::downgrade(self));
        let old = self.place.replace(Place { parent: Some(parent.clone()), name, deleted: false });
        // The old directory may die by this: not while `place` is borrowed.
        drop(old);
    }

    /// Shows a directory's entries from `cookie` on, "." and ".." first, mount points last.
    pub fn read_dir(self: &Rc<Dentry>, cookie: u64, sink: &mut DirSink<'_>) -> Result<()> {
        if !self.is_dir() {
            return Err(Errno::NOTDIR);
        }
        if cookie == 0 && sink(self.entry(b".", 1)).is_break() {
            return Ok(());
        }
        if cookie <= 1 {
            let parent = self.parent().unwrap_or_else(|| self.clone());
            if sink(parent.entry(b"..", DOTS)).is_break() {
                return Ok(());
            }
        }
        let mut flow = ControlFlow::Continue(());
        if cookie < STUB_COOKIE {
            self.inode.read_dir(cookie.saturating_sub(DOTS), &mut |entry: DirEntry<'_>| {
                let next = (entry.next + DOTS).min(STUB_COOKIE);
                flow = sink(DirEntry { next, ..entry });
                flow
            })?;
        }
        if flow.is_break() {
            return Ok(());
        }
        let first = usize::try_from(cookie.saturating_sub(STUB_COOKIE)).unwrap_or(usize::MAX);
        for (n, stub) in self.stubs.borrow().iter().enumerate().skip(first) {
            let (name, next) = (stub.place.borrow().name.clone(), STUB_COOKIE + n as u64 + 1);
            if sink(stub.entry(&name, next)).is_break() {
                break;
            }
        }
        Ok(())
    }

    /// This directory in a listing.
    fn entry<'a>(&self, name: &'a [u8], next: u64) -> DirEntry<'a> {
        DirEntry { name, ino: self.inode.stat().ino, file_type: FileType::Directory, next }
    }

    /// A directory called `name` that the file system lacks, for something to be mounted in.
    pub(super) fn add_stub(self: &Rc<Dentry>, name: &[u8]) -> Rc<Dentry> {
        let stub = self.adopt(name, Rc::new(Stub::new(self.inode.stat(), name)));
        self.stubs.borrow_mut().push(stub.clone());
        stub
    }

    /// Covers this place with the root of a mount. EBUSY where it is covered already.
    pub(super) fn cover(&self, root: Rc<Dentry>) -> Result<()> {
        self.covered_by.set(root).map_err(|_| Errno::BUSY)
    }

    /// Takes this place out of its directory's children, unless another has that name by now.
    fn forget(&self) {
        let place = self.place.borrow();
        let Some(parent) = &place.parent else { return };
        let mut children = parent.children.borrow_mut();
        let ours = |child: &Weak<Dentry>| {
            // A dentry that is being dropped has no strong reference left, and may have moved already.
            child.strong_count() == 0 || core::ptr::eq(child.as_ptr(), self)
        };
        if children.get(&place.name).is_some_and(ours) {
            children.remove(&place.name);
        }
    }
}

impl Drop for Dentry {
    /// Lets go of the directories above one after the other: how deep they are is the program's choice,
    /// the kernel's stack is not.
    fn drop(&mut self) {
        self.forget();
        let mut above = self.place.get_mut().parent.take();
        while let Some(mut last) = above.and_then(Rc::into_inner) {
            last.forget();
            above = last.place.get_mut().parent.take();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::open::OpenFlags;
    use crate::fs::testing::machine;

    #[test]
    fn a_moved_directory_takes_its_paths_along() {
        let machine = machine();
        machine.mkdir("/tmp/a").unwrap();
        machine.mkdir("/tmp/a/b").unwrap();
        let file = machine.open("/tmp/a/b/f", OpenFlags::CREAT | OpenFlags::WRONLY).unwrap();
        machine.rename("/tmp/a", "/tmp/z").unwrap();
        assert_eq!(file.dentry().path().unwrap(), b"/tmp/z/b/f");
        assert!(Rc::ptr_eq(file.dentry(), &machine.lookup("/tmp/z/b/f").unwrap()));
        machine.unlink("/tmp/z/b/f").unwrap();
        assert_eq!(file.dentry().path(), Err(Errno::NOENT));
        assert_eq!(file.dentry().shown_path().unwrap(), b"/tmp/z/b/f (deleted)");
        machine.open("/tmp/z/b/f", OpenFlags::CREAT | OpenFlags::WRONLY).unwrap();
        assert_eq!(file.dentry().path(), Err(Errno::NOENT), "the name's new owner is another");
    }

    #[test]
    fn the_path_of_a_mounts_root_is_its_mount_point() {
        let machine = machine();
        assert_eq!(machine.lookup("/").unwrap().path().unwrap(), b"/");
        assert_eq!(machine.lookup("/tmp").unwrap().path().unwrap(), b"/tmp");
        assert_eq!(machine.lookup("/proc/self").unwrap().path().unwrap(), b"/proc/7");
        assert_eq!(machine.lookup("/tmp/..").unwrap().path().unwrap(), b"/");
        assert!(machine.lookup("/tmp").unwrap().is_busy());
    }

    #[test]
    fn dropping_a_deep_path_needs_no_stack() {
        let machine = machine();
        let mut at = machine.lookup("/tmp").unwrap();
        let children = machine.lookup("/tmp").unwrap();
        for _ in 0..20_000 {
            machine.vfs.mkdir(&at, b"d", 0o755).unwrap();
            at = at.lookup(b"d").unwrap();
        }
        assert_eq!(at.path(), Err(Errno::NAMETOOLONG));
        std::thread::Builder::new()
            .stack_size(64 << 10)
            .spawn(|| {
                // Nothing of this thread is shared: it builds and drops its own tree.
                let machine = crate::fs::testing::machine();
                let mut at = machine.lookup("/tmp").unwrap();
                for _ in 0..20_000 {
                    machine.vfs.mkdir(&at, b"d", 0o755).unwrap();
                    at = at.lookup(b"d").unwrap();
                }
                machine.vfs.shrink(0);
                drop(at);
                assert!(machine.lookup("/tmp").unwrap().children.borrow().is_empty());
            })
            .unwrap()
            .join()
            .unwrap();
        machine.vfs.shrink(0);
        drop(at);
        assert!(children.children.borrow().is_empty());
    }
}
