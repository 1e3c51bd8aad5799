//! A file system in memory, for /tmp and other writable places: bounded, and gone with the machine.
//!
//! ```text
//!   table:  ino 1 ─► directory "/"   name ─► ino      directories name inodes by number and own none:
//!           ino 2 ─► file: pages                      a tree of any depth is taken apart without
//!           ino 3 ─► link: text                       recursion
//!              ▲ strong while it has a name; what is open lives on without one
//! ```
//!
//! It behaves as Linux's tmpfs: bytes count by whole pages, names count against the limit of inodes,
//! and storage is given out when it is written to.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::rc::{Rc, Weak};
use core::cell::{Cell, RefCell};

use linux_raw_sys::general::TMPFS_MAGIC;
use mayfly_hal::phys::FRAME_SIZE;

use super::inode::{FileSystem, Inode, NewNode};
use super::pipe::Pipe;
use super::stat::{FileType, PERMISSIONS, StatFs, Times};
use super::system::System;
use crate::errno::{Errno, Result};

mod attributes;
mod budget;
mod dir;
mod node;
mod pages;
mod rename;

use attributes::Attributes;
pub use budget::Limits;
use budget::{Budget, Charge};
use dir::Directory;
use pages::Pages;

/// The root's inode number.
const ROOT: u64 = 1;
/// Longest text of a link that costs no page of the limit (an inode's own size, about).
const SHORT_LINK: usize = 128;
/// Most names of one inode, and most directories in one (Linux's LINK_MAX of ext4 is 65,000).
const LINK_MAX: u32 = 65_000;

/// A file system in memory.
pub struct RamFs {
    shared: Rc<Shared>,
    root: Rc<Node>,
}

/// What all inodes of one file system share.
struct Shared {
    system: Rc<dyn System>,
    dev: u64,
    budget: Rc<Budget>,
    next_ino: Cell<u64>,
    /// Every inode that has a name.
    nodes: RefCell<BTreeMap<u64, Rc<Node>>>,
    /// Those that are open, have none yet, and may get one (O_TMPFILE).
    unnamed: RefCell<BTreeMap<u64, Weak<Node>>>,
}

/// An inode.
struct Node {
    shared: Rc<Shared>,
    ino: u64,
    mode: Cell<u32>,
    owner: Cell<(u32, u32)>,
    nlink: Cell<u32>,
    times: Cell<Times>,
    attributes: Attributes,
    body: Body,
}

enum Body {
    File(Pages),
    Directory(Directory),
    Symlink {
        text: Box<[u8]>,
        _charge: Charge,
    },
    Fifo(Rc<Pipe>),
    /// A device or a socket's name: the type is in the mode.
    Special {
        rdev: u64,
    },
}

impl RamFs {
    /// An empty file system with these limits; `dev` is its `st_dev`, `mode` the permission bits of its
    /// root (/tmp: 0o1777).
    pub fn new(system: Rc<dyn System>, dev: u64, limits: Limits, mode: u32) -> RamFs {
        let now = system.realtime_ns();
        let shared = Rc::new(Shared {
            budget: Rc::new(Budget::new(system.clone(), limits)),
            system,
            dev,
            next_ino: Cell::new(ROOT + 1),
            nodes: RefCell::default(),
            unnamed: RefCell::default(),
        });
        let root = Rc::new(Node {
            shared: shared.clone(),
            ino: ROOT,
            mode: Cell::new(FileType::Directory.mode_bits() | mode & PERMISSIONS),
            owner: Cell::new((0, 0)),
            nlink: Cell::new(2),
            times: Cell::new(Times::born(now)),
            attributes: Attributes::default(),
            body: Body::Directory(Directory::new(ROOT)),
        });
        shared.nodes.borrow_mut().insert(ROOT, root.clone());
        RamFs { shared, root }
    }

    /// A regular file without a name (memfd_create(2)). It counts against the limit of bytes.
    pub fn unnamed(&self, mode: u32) -> Result<Rc<dyn Inode>> {
        Ok(self.shared.node(NewNode::File, mode, ROOT)?)
    }
}

impl FileSystem for RamFs {
    fn type_name(&self) -> &'static str {
        "tmpfs"
    }

    fn root(&self) -> Rc<dyn Inode> {
        self.root.clone()
    }

    fn statfs(&self) -> StatFs {
        let budget = &self.shared.budget;
        let (frames, entries) = budget.totals();
        let (frames_free, entries_free) = budget.free();
        StatFs {
            magic: TMPFS_MAGIC,
            block_size: FRAME_SIZE as u32,
            blocks: frames,
            blocks_free: frames_free,
            files: entries,
            files_free: entries_free,
        }
    }
}

impl Drop for RamFs {
    /// The inodes and their table hold each other.
    fn drop(&mut self) {
        let nodes = self.shared.nodes.take();
        drop(nodes);
    }
}

impl Shared {
    /// The inode with this number, where it has a name. ENOENT: it was removed.
    fn get(&self, ino: u64) -> Result<Rc<Node>> {
        self.nodes.borrow().get(&ino).cloned().ok_or(Errno::NOENT)
    }

    /// The inode with this number, where it has no name yet and may get one. ENOENT.
    fn get_unnamed(&self, ino: u64) -> Result<Rc<Node>> {
        self.unnamed.borrow().get(&ino).and_then(Weak::upgrade).ok_or(Errno::NOENT)
    }

    /// A new inode without a name and without links. `parent`: where a directory is.
    fn node(self: &Rc<Shared>, what: NewNode<'_>, mode: u32, parent: u64) -> Result<Rc<Node>> {
        let (file_type, body) = match what {
            NewNode::File => (FileType::Regular, Body::File(Pages::new(self.budget.clone()))),
            NewNode::Directory => (FileType::Directory, Body::Directory(Directory::new(parent))),
            NewNode::Symlink(text) => {
                let frames = if text.len() > SHORT_LINK { 1 } else { 0 };
                let _charge = self.budget.charge(frames)?;
                (FileType::Symlink, Body::Symlink { text: Box::from(text), _charge })
            }
            NewNode::Fifo => (FileType::Fifo, Body::Fifo(Pipe::new())),
            NewNode::Socket => (FileType::Socket, Body::Special { rdev: 0 }),
            NewNode::CharDevice(rdev) => (FileType::CharDevice, Body::Special { rdev }),
            NewNode::BlockDevice(rdev) => (FileType::BlockDevice, Body::Special { rdev }),
        };
        let permissions = if file_type == FileType::Symlink { 0o777 } else { mode & PERMISSIONS };
        let ino = self.next_ino.get();
        self.next_ino.set(ino + 1);
        Ok(Rc::new(Node {
            shared: self.clone(),
            ino,
            mode: Cell::new(file_type.mode_bits() | permissions),
            owner: Cell::new(self.system.owner()),
            nlink: Cell::new(0),
            times: Cell::new(Times::born(self.system.realtime_ns())),
            attributes: Attributes::default(),
            body,
        }))
    }
}

#[cfg(test)]
mod tests;
