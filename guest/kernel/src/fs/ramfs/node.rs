//! An inode of the file system in memory: names, attributes, bytes.

use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::Cell;

use mayfly_hal::phys::{FRAME_SIZE, Frame};

use super::dir::Directory;
use super::pages::Pages;
use super::{Body, LINK_MAX, Node};
use crate::errno::{Errno, Result};
use crate::fs::file::File;
use crate::fs::inode::{
    DirEntry, DirSink, FallocateMode, Inode, NewNode, RenameFlags, SetAttributes,
};
use crate::fs::open::OpenFlags;
use crate::fs::seals::Seals;
use crate::fs::stat::{FileType, PERMISSIONS, Stat, Times};
use crate::fs::xattr::XattrFlags;

/// What tmpfs counts a name as in a directory's `st_size`, bytes.
const ENTRY_SIZE: u64 = 20;
/// The bit of a mode that says: set-group-id.
const S_ISGID: u32 = 0o2000;

impl Node {
    pub(super) fn directory(&self) -> Result<&Directory> {
        match &self.body {
            Body::Directory(directory) => Ok(directory),
            _ => Err(Errno::NOTDIR),
        }
    }

    /// The directory, where names can still be put into it. ENOENT once it is removed.
    pub(super) fn live_directory(&self) -> Result<&Directory> {
        if self.nlink.get() == 0 { Err(Errno::NOENT) } else { self.directory() }
    }

    pub(super) fn is_dir(&self) -> bool {
        matches!(self.body, Body::Directory(_))
    }

    fn pages(&self) -> Result<&Pages> {
        match &self.body {
            Body::File(pages) => Ok(pages),
            Body::Directory(_) => Err(Errno::ISDIR),
            _ => Err(Errno::INVAL),
        }
    }

    /// The child called `name`.
    pub(super) fn child(&self, name: &[u8]) -> Result<Rc<Node>> {
        self.shared.get(self.directory()?.get(name).ok_or(Errno::NOENT)?)
    }

    /// What is made in a directory with the set-group-id bit is of the directory's group, and directories hand that on
    /// (inode(7)).
    fn hand_group_on(&self, made: &Node) {
        if self.mode.get() & S_ISGID != 0 {
            made.owner.set((made.owner.get().0, self.owner.get().1));
            made.mode.set(made.mode.get() | if made.is_dir() { S_ISGID } else { 0 });
        }
    }

    fn update_times(&self, update: impl FnOnce(&mut Times)) {
        let mut times = self.times.get();
        update(&mut times);
        self.times.set(times);
    }

    /// Notes that the inode changed.
    pub(super) fn changed(&self) {
        let now = self.shared.system.realtime_ns();
        self.update_times(|times| times.changed = now);
    }

    /// Notes that the contents changed.
    pub(super) fn modified(&self) {
        let now = self.shared.system.realtime_ns();
        self.update_times(|times| (times.modified, times.changed) = (now, now));
    }

    /// Counts links up or down. With the last one an inode leaves the table and lives on just while it
    /// is open.
    pub(super) fn add_links(&self, count: i32) {
        let left = self.nlink.get().saturating_add_signed(count);
        self.nlink.set(left);
        self.changed();
        if left == 0 {
            // Bound, so that the table is not borrowed any more when the inode dies.
            let last = self.shared.nodes.borrow_mut().remove(&self.ino);
            drop(last);
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.shared.unnamed.borrow_mut().remove(&self.ino);
    }
}

impl Inode for Node {
    fn stat(&self) -> Stat {
        let (uid, gid) = self.owner.get();
        let (size, frames, rdev) = match &self.body {
            Body::File(pages) => (pages.size(), pages.count(), 0),
            Body::Directory(directory) => ((directory.len() as u64 + 2) * ENTRY_SIZE, 0, 0),
            Body::Symlink { text, .. } => (text.len() as u64, 0, 0),
            Body::Fifo(_) => (0, 0, 0),
            Body::Special { rdev } => (0, 0, *rdev),
        };
        Stat {
            dev: self.shared.dev,
            ino: self.ino,
            mode: self.mode.get(),
            nlink: self.nlink.get(),
            uid,
            gid,
            rdev,
            size,
            blocks: frames * (FRAME_SIZE as u64 / 512),
            block_size: FRAME_SIZE as u32,
            times: self.times.get(),
        }
    }

    fn file_type(&self) -> FileType {
        FileType::of(self.mode.get()).unwrap_or(FileType::Regular)
    }

    fn lookup(&self, name: &[u8]) -> Result<Rc<dyn Inode>> {
        Ok(self.child(name)?)
    }

    fn read_dir(&self, mut cookie: u64, sink: &mut DirSink<'_>) -> Result<()> {
        let directory = self.directory()?;
        while let Some((at, name, ino)) = directory.after(cookie) {
            cookie = at;
            let file_type = self.shared.get(ino)?.file_type();
            if sink(DirEntry { name: &name, ino, file_type, next: at }).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn read_link(&self) -> Result<Vec<u8>> {
        match &self.body {
            Body::Symlink { text, .. } => Ok(text.to_vec()),
            _ => Err(Errno::INVAL),
        }
    }

    fn create(&self, name: &[u8], what: NewNode<'_>, mode: u32) -> Result<Rc<dyn Inode>> {
        let directory = self.live_directory()?;
        if directory.get(name).is_some() {
            return Err(Errno::EXIST);
        }
        let is_dir = what == NewNode::Directory;
        if is_dir && self.nlink.get() >= LINK_MAX {
            return Err(Errno::MLINK);
        }
        let node = self.shared.node(what, mode, self.ino)?;
        self.hand_group_on(&node);
        self.shared.budget.add_entry()?;
        self.shared.nodes.borrow_mut().insert(node.ino, node.clone());
        node.nlink.set(if is_dir { 2 } else { 1 });
        directory.set(name, node.ino);
        if is_dir {
            self.add_links(1);
        }
        self.modified();
        Ok(node)
    }

    fn link(&self, name: &[u8], ino: u64) -> Result<()> {
        let directory = self.live_directory()?;
        let node = self.shared.get(ino).or_else(|_| self.shared.get_unnamed(ino))?;
        if node.is_dir() {
            return Err(Errno::PERM);
        }
        if directory.get(name).is_some() {
            return Err(Errno::EXIST);
        }
        if node.nlink.get() >= LINK_MAX {
            return Err(Errno::MLINK);
        }
        self.shared.budget.add_entry()?;
        directory.set(name, ino);
        if node.nlink.get() == 0 {
            self.shared.unnamed.borrow_mut().remove(&ino);
            self.shared.nodes.borrow_mut().insert(ino, node.clone());
        }
        node.add_links(1);
        self.modified();
        Ok(())
    }

    fn unlink(&self, name: &[u8]) -> Result<()> {
        let node = self.child(name)?;
        if node.is_dir() {
            return Err(Errno::ISDIR);
        }
        self.directory()?.remove(name);
        self.shared.budget.remove_entry();
        node.add_links(-1);
        self.modified();
        Ok(())
    }

    fn rmdir(&self, name: &[u8]) -> Result<()> {
        let node = self.child(name)?;
        if !node.directory()?.is_empty() {
            return Err(Errno::NOTEMPTY);
        }
        self.directory()?.remove(name);
        self.shared.budget.remove_entry();
        node.add_links(-2);
        self.add_links(-1);
        self.modified();
        Ok(())
    }

    fn rename(&self, name: &[u8], to: u64, new_name: &[u8], how: RenameFlags) -> Result<()> {
        super::rename::rename(self, name, &*self.shared.get(to)?, new_name, how)
    }

    fn set_attributes(&self, set: &SetAttributes) -> Result<()> {
        if let Some(permissions) = set.permissions {
            let becomes_other = (self.mode.get() ^ permissions) & 0o111 != 0;
            if let (Body::File(pages), true) = (&self.body, becomes_other) {
                pages.seals.get().check(Seals::EXEC)?;
            }
            self.mode.set(self.mode.get() & !PERMISSIONS | permissions & PERMISSIONS);
        }
        let (uid, gid) = self.owner.get();
        self.owner.set((set.uid.unwrap_or(uid), set.gid.unwrap_or(gid)));
        self.update_times(|times| {
            times.accessed = set.accessed.unwrap_or(times.accessed);
            times.modified = set.modified.unwrap_or(times.modified);
        });
        self.changed();
        Ok(())
    }

    fn seals(&self) -> Option<&Cell<Seals>> {
        match &self.body {
            Body::File(pages) => Some(&pages.seals),
            _ => None,
        }
    }

    fn unnamed(&self, mode: u32, may_be_named: bool) -> Result<Rc<dyn Inode>> {
        self.live_directory()?;
        let node = self.shared.node(NewNode::File, mode, self.ino)?;
        self.hand_group_on(&node);
        if may_be_named {
            self.shared.unnamed.borrow_mut().insert(node.ino, Rc::downgrade(&node));
        }
        Ok(node)
    }

    fn xattr(&self, name: &[u8]) -> Result<Vec<u8>> {
        self.attributes.get(name)
    }

    fn xattr_names(&self) -> Result<Vec<u8>> {
        self.attributes.names()
    }

    fn set_xattr(&self, name: &[u8], value: Option<&[u8]>, how: XattrFlags) -> Result<()> {
        self.attributes.set(&self.shared.budget, name, value, how)?;
        self.changed();
        Ok(())
    }

    fn truncate(&self, size: u64) -> Result<()> {
        self.pages()?.truncate(size)?;
        self.modified();
        Ok(())
    }

    fn read_at(&self, offset: u64, to: &mut [u8]) -> Result<usize> {
        Ok(self.pages()?.read_at(offset, to))
    }

    fn write_at(&self, offset: u64, from: &[u8]) -> Result<usize> {
        let count = self.pages()?.write_at(offset, from)?;
        self.modified();
        Ok(count)
    }

    fn page(&self, index: u64) -> Result<Frame> {
        match &self.body {
            Body::File(pages) => pages.page(index),
            _ => Err(Errno::NODEV),
        }
    }

    fn cached_page(&self, index: u64) -> Option<Frame> {
        match &self.body {
            Body::File(pages) => pages.existing(index),
            _ => None,
        }
    }

    fn fallocate(&self, mode: FallocateMode, offset: u64, len: u64) -> Result<()> {
        let (pages, end) = (self.pages()?, offset + len);
        if mode.contains(FallocateMode::PUNCH_HOLE) {
            pages.seals.get().check(Seals::WRITES)?;
            pages.discard(offset, end);
        } else {
            pages.check_growth(end)?;
            pages.reserve(offset, end)?;
            if !mode.contains(FallocateMode::KEEP_SIZE) {
                pages.grow(end);
            }
        }
        self.modified();
        Ok(())
    }

    fn seek_data(&self, offset: u64) -> Result<u64> {
        match &self.body {
            Body::File(pages) => pages.seek_data(offset),
            _ => Err(Errno::NXIO),
        }
    }

    fn seek_hole(&self, offset: u64) -> Result<u64> {
        match &self.body {
            Body::File(pages) => pages.seek_hole(offset),
            _ => Err(Errno::NXIO),
        }
    }

    fn open(&self, flags: OpenFlags) -> Result<Option<Rc<dyn File>>> {
        match &self.body {
            Body::Fifo(pipe) => pipe.open(flags).map(Some),
            _ => Ok(None),
        }
    }
}
