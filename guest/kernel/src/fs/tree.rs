//! File systems that are a table: /dev and /proc are each one list of paths.
//!
//! ```text
//!   "sys/kernel/osrelease"  Text(…)   ─┐
//!   "self"                  Link(…)    ├─ one table; its directories follow from the paths
//!   "[pid]/maps"            Text(…)   ─┘  and [pid] is the program's number
//! ```
//!
//! A text is made when its file is opened, so that reading it in pieces gives one state of things.

use alloc::format;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::str;

use super::dentry::Dentry;
use super::file::{File, Text};
use super::inode::{DirEntry, DirSink, FileSystem, Inode, Link};
use super::open::OpenFlags;
use super::stat::{FileType, Stat, StatFs, Times, device_number};
use super::system::System;
use crate::errno::{Errno, Result};

/// The component of a path that stands for the program's process number.
pub const PID: &str = "[pid]";

/// One line of the table.
pub struct Item {
    /// Where it is, without a leading slash. Paths with the same directory stand together.
    pub path: &'static str,
    /// Permission bits.
    pub mode: u32,
    /// What it is.
    pub leaf: Leaf,
}

/// What a path of the table is.
pub enum Leaf {
    /// A regular file with generated contents.
    Text(fn(&dyn System) -> Vec<u8>),
    /// A symbolic link with a text.
    Link(fn(&dyn System) -> Vec<u8>),
    /// A symbolic link to a place, whatever its path is.
    Jump(fn(&dyn System) -> Option<Rc<Dentry>>),
    /// A character device (major, minor).
    Device(u32, u32),
    /// A directory with a link for each descriptor.
    Descriptors,
}

/// A file system made of a table.
pub struct TreeFs {
    tree: Rc<Tree>,
    type_name: &'static str,
    magic: u32,
}

struct Tree {
    items: &'static [Item],
    system: Rc<dyn System>,
    /// `st_dev`.
    dev: u64,
    mounted: Times,
}

impl TreeFs {
    /// The table `items` as a file system of this type, `dev` its `st_dev`.
    pub fn new(
        system: Rc<dyn System>,
        dev: u64,
        (type_name, magic): (&'static str, u32),
        items: &'static [Item],
    ) -> TreeFs {
        let mounted = Times::all(system.realtime_ns());
        TreeFs { tree: Rc::new(Tree { items, system, dev, mounted }), type_name, magic }
    }
}

impl FileSystem for TreeFs {
    fn type_name(&self) -> &'static str {
        self.type_name
    }

    fn root(&self) -> Rc<dyn Inode> {
        Rc::new(TreeInode { tree: self.tree.clone(), node: Node::Directory("") })
    }

    fn statfs(&self) -> StatFs {
        StatFs {
            magic: self.magic,
            block_size: 4096,
            blocks: 0,
            blocks_free: 0,
            files: 0,
            files_free: 0,
        }
    }
}

/// FNV-1a: inode numbers of things that have no other number than their path.
pub(super) fn hash(text: &[u8]) -> u64 {
    text.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    })
}

#[derive(Clone, Copy)]
enum Node {
    /// The directory with this path: a beginning of some item's path.
    Directory(&'static str),
    Item(&'static Item),
    /// The link of a descriptor.
    Descriptor(u32),
}

struct TreeInode {
    tree: Rc<Tree>,
    node: Node,
}

impl TreeInode {
    fn mode(&self) -> u32 {
        let (file_type, permissions) = match self.node {
            Node::Directory(_) => (FileType::Directory, 0o555),
            Node::Descriptor(_) => (FileType::Symlink, 0o700),
            Node::Item(item) => match item.leaf {
                Leaf::Text(_) => (FileType::Regular, item.mode),
                Leaf::Link(_) | Leaf::Jump(_) => (FileType::Symlink, 0o777),
                Leaf::Device(..) => (FileType::CharDevice, item.mode),
                Leaf::Descriptors => (FileType::Directory, item.mode),
            },
        };
        file_type.mode_bits() | permissions
    }

    fn ino(&self) -> u64 {
        match self.node {
            Node::Directory(path) => hash(path.as_bytes()),
            Node::Item(item) => hash(item.path.as_bytes()),
            Node::Descriptor(fd) => hash(&fd.to_le_bytes()),
        }
    }

    /// The rest of `path` below this directory: its first name, and whether that is all.
    fn below(directory: &str, path: &'static str) -> Option<(&'static str, bool)> {
        let rest = match directory {
            "" => path,
            _ => path.strip_prefix(directory)?.strip_prefix('/')?,
        };
        Some(rest.split_once('/').map_or((rest, true), |(name, _)| (name, false)))
    }

    /// The child that an item makes in `directory`, under the name that it has in the table.
    fn child(&self, directory: &str, item: &'static Item) -> Option<(&'static str, TreeInode)> {
        let (name, is_all) = TreeInode::below(directory, item.path)?;
        let node = if is_all {
            Node::Item(item)
        } else {
            let slash = if directory.is_empty() { 0 } else { 1 };
            Node::Directory(&item.path[..directory.len() + slash + name.len()])
        };
        Some((name, TreeInode { tree: self.tree.clone(), node }))
    }

    fn list(&self, directory: &str, cookie: u64, sink: &mut DirSink<'_>) -> Result<()> {
        let first = usize::try_from(cookie).unwrap_or(usize::MAX);
        let items = self.tree.items;
        for (n, item) in items.iter().enumerate().skip(first) {
            let Some((name, child)) = self.child(directory, item) else { continue };
            // Items of one directory stand together: its name is new where the item before lacks it.
            let before = n.checked_sub(1).and_then(|n| TreeInode::below(directory, items[n].path));
            if before.is_some_and(|(before, _)| before == name) {
                continue;
            }
            let pid = format!("{}", self.tree.system.pid());
            let entry = DirEntry {
                name: if name == PID { pid.as_bytes() } else { name.as_bytes() },
                ino: child.ino(),
                file_type: child.file_type(),
                next: n as u64 + 1,
            };
            if sink(entry).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn list_descriptors(&self, cookie: u64, sink: &mut DirSink<'_>) -> Result<()> {
        let first = u32::try_from(cookie).unwrap_or(u32::MAX);
        for fd in self.tree.system.descriptors(first) {
            let child = TreeInode { tree: self.tree.clone(), node: Node::Descriptor(fd) };
            let name = format!("{fd}");
            let entry = DirEntry {
                name: name.as_bytes(),
                ino: child.ino(),
                file_type: FileType::Symlink,
                next: u64::from(fd) + 1,
            };
            if sink(entry).is_break() {
                break;
            }
        }
        Ok(())
    }

    /// Where a link that jumps leads.
    fn target(&self) -> Option<Result<Rc<Dentry>>> {
        let system = &*self.tree.system;
        let target = match self.node {
            Node::Descriptor(fd) => system.descriptor(fd).map(|file| file.dentry().clone()),
            Node::Item(Item { leaf: Leaf::Jump(target), .. }) => target(system),
            _ => return None,
        };
        Some(target.ok_or(Errno::NOENT))
    }
}

impl Inode for TreeInode {
    fn stat(&self) -> Stat {
        let rdev = match self.node {
            Node::Item(Item { leaf: Leaf::Device(major, minor), .. }) => {
                device_number(*major, *minor)
            }
            _ => 0,
        };
        let size = if matches!(self.node, Node::Descriptor(_)) { 64 } else { 0 };
        Stat {
            dev: self.tree.dev,
            ino: self.ino(),
            mode: self.mode(),
            nlink: if self.file_type() == FileType::Directory { 2 } else { 1 },
            uid: 0,
            gid: 0,
            rdev,
            size,
            blocks: 0,
            block_size: 1024,
            times: self.tree.mounted,
        }
    }

    fn file_type(&self) -> FileType {
        FileType::of(self.mode()).unwrap_or(FileType::Regular)
    }

    fn lookup(&self, name: &[u8]) -> Result<Rc<dyn Inode>> {
        let name = str::from_utf8(name).map_err(|_| Errno::NOENT)?;
        let number = parse_number(name);
        match self.node {
            Node::Directory(directory) => {
                let wanted = if number == Some(self.tree.system.pid()) { PID } else { name };
                let mut children =
                    self.tree.items.iter().filter_map(|item| self.child(directory, item));
                let (_, child) = children
                    .find(|(child, _)| *child == wanted && name != PID)
                    .ok_or(Errno::NOENT)?;
                Ok(Rc::new(child))
            }
            Node::Item(Item { leaf: Leaf::Descriptors, .. }) => {
                let fd = number.ok_or(Errno::NOENT)?;
                self.tree.system.descriptor(fd).ok_or(Errno::NOENT)?;
                let node = Node::Descriptor(fd);
                Ok(Rc::new(TreeInode { tree: self.tree.clone(), node }))
            }
            _ => Err(Errno::NOTDIR),
        }
    }

    fn read_dir(&self, cookie: u64, sink: &mut DirSink<'_>) -> Result<()> {
        match self.node {
            Node::Directory(directory) => self.list(directory, cookie, sink),
            Node::Item(Item { leaf: Leaf::Descriptors, .. }) => self.list_descriptors(cookie, sink),
            _ => Err(Errno::NOTDIR),
        }
    }

    fn read_link(&self) -> Result<Vec<u8>> {
        if let Node::Item(Item { leaf: Leaf::Link(text), .. }) = self.node {
            return Ok(text(&*self.tree.system));
        }
        self.target().ok_or(Errno::INVAL)??.shown_path()
    }

    fn follow(&self) -> Result<Link> {
        match self.target() {
            Some(target) => target.map(Link::Jump),
            None => self.read_link().map(Link::Text),
        }
    }

    fn open(&self, flags: OpenFlags) -> Result<Option<Rc<dyn File>>> {
        let Node::Item(Item { leaf: Leaf::Text(text), .. }) = self.node else { return Ok(None) };
        // Nothing here can be set. Permission bits do not stop root, but there is nothing to write to.
        if flags.writes() {
            return Err(Errno::ACCES);
        }
        Ok(Some(Rc::new(Text(text(&*self.tree.system)))))
    }
}

/// A decimal number as the kernel writes it: no sign, no leading zeros.
fn parse_number(text: &str) -> Option<u32> {
    let canonical = text == "0" || text.starts_with(|first: char| matches!(first, '1'..='9'));
    text.parse().ok().filter(|_| canonical)
}
