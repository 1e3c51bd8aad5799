//! File systems that are a table: /dev and /proc are each one list of paths.
//!
//! ```text
//!   "sys/kernel/osrelease"  Text(…)   ─┐
//!   "self"                  Link(…)    ├─ one table; its directories follow from the paths
//!   "[pid]/maps"            About(…)  ─┘  and [pid] is a process's number, [tid] one of its threads'
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
use super::system::{ProcessInfo, System};
use crate::errno::{Errno, Result};
use crate::family::Pid;

/// The component of a path that stands for a process's number.
const PID: &str = "[pid]";
/// The component that stands for the number of one of its threads.
const TID: &str = "[tid]";

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
    /// A regular file about a process, or the thread of this number.
    About(fn(&dyn ProcessInfo, u32) -> Vec<u8>),
    /// A symbolic link to a place of a process, whatever its path is.
    Jump(fn(&dyn ProcessInfo) -> Rc<Dentry>),
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
        let node = Node::Directory("");
        Rc::new(TreeInode { tree: self.tree.clone(), node, pid: 0, tid: 0 })
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
    /// The process that it is about, and the thread; 0: none.
    pid: Pid,
    tid: u32,
}

impl TreeInode {
    fn mode(&self) -> u32 {
        let (file_type, permissions) = match self.node {
            Node::Directory(_) => (FileType::Directory, 0o555),
            Node::Descriptor(_) => (FileType::Symlink, 0o700),
            Node::Item(item) => match item.leaf {
                Leaf::Text(_) | Leaf::About(_) => (FileType::Regular, item.mode),
                Leaf::Link(_) | Leaf::Jump(_) => (FileType::Symlink, 0o777),
                Leaf::Device(..) => (FileType::CharDevice, item.mode),
                Leaf::Descriptors => (FileType::Directory, item.mode),
            },
        };
        file_type.mode_bits() | permissions
    }

    fn ino(&self) -> u64 {
        let own = match self.node {
            Node::Directory(path) => hash(path.as_bytes()),
            Node::Item(item) => hash(item.path.as_bytes()),
            Node::Descriptor(fd) => hash(&fd.to_le_bytes()),
        };
        own ^ u64::from(self.pid) << 32 ^ u64::from(self.tid)
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
        Some((name, TreeInode { tree: self.tree.clone(), node, ..*self }))
    }

    /// The numbers that a name of the table stands for; `None` where it stands for itself.
    fn numbers(&self, name: &str) -> Option<Vec<u32>> {
        match name {
            PID => Some(self.tree.system.pids()),
            TID => Some(self.process().map(|process| process.threads()).unwrap_or_default()),
            _ => None,
        }
    }

    /// The process that it is about. ESRCH where that has ended.
    fn process(&self) -> Result<Rc<dyn ProcessInfo>> {
        self.tree.system.process(self.pid).ok_or(Errno::SRCH)
    }

    /// The same, of this process or this thread.
    fn of(self, name: &str, number: u32) -> TreeInode {
        match name {
            PID => TreeInode { pid: number, tid: number, ..self },
            _ => TreeInode { tid: number, ..self },
        }
    }

    /// Cookies are an item's index, and below 32 bits of one more than the last number that was shown in its place.
    fn list(&self, directory: &str, cookie: u64, sink: &mut DirSink<'_>) -> Result<()> {
        let first = usize::try_from(cookie >> 32).unwrap_or(usize::MAX);
        let items = self.tree.items;
        for (n, item) in items.iter().enumerate().skip(first) {
            let Some((name, child)) = self.child(directory, item) else { continue };
            // Items of one directory stand together: its name is new where the item before lacks it.
            let before = n.checked_sub(1).and_then(|n| TreeInode::below(directory, items[n].path));
            if before.is_some_and(|(before, _)| before == name) {
                continue;
            }
            let mut show = |name: &str, child: &TreeInode, next: u64| {
                let (ino, file_type) = (child.ino(), child.file_type());
                sink(DirEntry { name: name.as_bytes(), ino, file_type, next })
            };
            let Some(numbers) = self.numbers(name) else {
                if show(name, &child, (n as u64 + 1) << 32).is_break() {
                    return Ok(());
                }
                continue;
            };
            let lowest = if n == first { cookie as u32 } else { 0 };
            for number in numbers.into_iter().filter(|number| *number >= lowest) {
                let (child, next) = (child.same().of(name, number), u64::from(number) + 1);
                if show(&format!("{number}"), &child, (n as u64) << 32 | next).is_break() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn same(&self) -> TreeInode {
        TreeInode { tree: self.tree.clone(), ..*self }
    }

    fn list_descriptors(&self, cookie: u64, sink: &mut DirSink<'_>) -> Result<()> {
        let first = u32::try_from(cookie).unwrap_or(u32::MAX);
        for fd in self.process()?.descriptors(first) {
            let child = TreeInode { node: Node::Descriptor(fd), ..self.same() };
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
        let target = |process: Rc<dyn ProcessInfo>| match self.node {
            Node::Descriptor(fd) => process.descriptor(fd).map(|file| file.dentry().clone()),
            Node::Item(Item { leaf: Leaf::Jump(target), .. }) => Some(target(&*process)),
            _ => None,
        };
        match self.node {
            Node::Descriptor(_) | Node::Item(Item { leaf: Leaf::Jump(_), .. }) => {
                Some(self.process().and_then(|process| target(process).ok_or(Errno::NOENT)))
            }
            _ => None,
        }
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

    fn is_gone(&self) -> bool {
        let is_there = |process: Rc<dyn ProcessInfo>| {
            self.tid == self.pid || process.threads().contains(&self.tid)
        };
        self.pid > 0 && !self.tree.system.process(self.pid).is_some_and(is_there)
    }

    fn lookup(&self, name: &[u8]) -> Result<Rc<dyn Inode>> {
        let name = str::from_utf8(name).map_err(|_| Errno::NOENT)?;
        let number = parse_number(name);
        match self.node {
            Node::Directory(directory) => {
                let mut children =
                    self.tree.items.iter().filter_map(|item| self.child(directory, item));
                // One name of a directory may stand for numbers.
                let is_meant = |stands: &str| match (self.numbers(stands), number) {
                    (Some(numbers), Some(number)) => numbers.contains(&number),
                    (Some(_), None) => false,
                    (None, _) => stands == name,
                };
                let (stands, child) =
                    children.find(|(child, _)| is_meant(child)).ok_or(Errno::NOENT)?;
                Ok(Rc::new(match number {
                    Some(number) if stands != name => child.of(stands, number),
                    _ => child,
                }))
            }
            Node::Item(Item { leaf: Leaf::Descriptors, .. }) => {
                let fd = number.ok_or(Errno::NOENT)?;
                self.process()?.descriptor(fd).ok_or(Errno::NOENT)?;
                Ok(Rc::new(TreeInode { node: Node::Descriptor(fd), ..self.same() }))
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
        let text: &dyn Fn() -> Result<Vec<u8>> = match self.node {
            Node::Item(Item { leaf: Leaf::Text(text), .. }) => &|| Ok(text(&*self.tree.system)),
            Node::Item(Item { leaf: Leaf::About(text), .. }) => {
                &|| self.process().map(|process| text(&*process, self.tid))
            }
            _ => return Ok(None),
        };
        // Nothing here can be set. Permission bits do not stop root, but there is nothing to write to.
        if flags.writes() {
            return Err(Errno::ACCES);
        }
        Ok(Some(Rc::new(Text(text()?))))
    }
}

/// A decimal number as the kernel writes it: no sign, no leading zeros.
pub(super) fn parse_number(text: &str) -> Option<u32> {
    let canonical = text == "0" || text.starts_with(|first: char| matches!(first, '1'..='9'));
    text.parse().ok().filter(|_| canonical)
}
