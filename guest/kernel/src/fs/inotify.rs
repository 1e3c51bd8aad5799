//! Watching files and directories (inotify(7)).
//!
//! ```text
//!   Dentry: created, written, moved, … ─▶ Watches: who watches this inode, or its directory ─▶ Inotify: queue ─▶ read
//! ```
//!
//! Where nobody watches, telling is one look at an empty table.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::rc::{Rc, Weak};
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};

use linux_raw_sys::general as linux;
use linux_raw_sys::ioctl::FIONREAD;

use super::dentry::Dentry;
use super::file::{File, IoctlArgument, Poll, Pulse};
use crate::errno::{Errno, Result};

/// Most events that wait for a reader: Linux's fs.inotify.max_queued_events. What is beyond is one event that says so.
pub const QUEUE_MAX: usize = 16_384;
/// Most watches of one descriptor: Linux's least fs.inotify.max_user_watches.
pub const WATCHES_MAX: usize = 8_192;
/// Bytes of struct inotify_event before its name; names are padded to as much.
const EVENT_BYTES: usize = 16;
/// Flags that say how to watch, not what.
const HOW: u32 = linux::IN_ONESHOT | linux::IN_EXCL_UNLINK;

/// An inode: `st_dev`, `st_ino`.
type FileId = (u64, u64);
/// A descriptor, and the number of one of its watches.
type Watcher = (Weak<Inotify>, i32);

/// Who watches what.
#[derive(Default)]
pub struct Watches {
    by_file: RefCell<BTreeMap<FileId, Vec<Watcher>>>,
    last_cookie: Cell<u32>,
}

impl Watches {
    /// A number that ties the two names of a move together.
    pub fn cookie(&self) -> u32 {
        self.last_cookie.update(|cookie| cookie.wrapping_add(1).max(1));
        self.last_cookie.get()
    }

    /// Whether nobody watches anything.
    pub fn is_empty(&self) -> bool {
        self.by_file.borrow().is_empty()
    }

    fn tell(&self, file: FileId, mask: u32, cookie: u32, name: &[u8]) {
        let watchers = self.by_file.borrow().get(&file).cloned().unwrap_or_default();
        for (inotify, wd) in watchers {
            if let Some(inotify) = inotify.upgrade() {
                inotify.note(wd, mask, cookie, name);
            }
        }
    }

    fn remove(&self, file: FileId, inotify: *const Inotify, wd: i32) {
        let mut files = self.by_file.borrow_mut();
        if let Some(watchers) = files.get_mut(&file) {
            watchers.retain(|(other, number)| other.as_ptr() != inotify || *number != wd);
            if watchers.is_empty() {
                files.remove(&file);
            }
        }
    }
}

impl Dentry {
    /// Tells who watches this inode that something happened to it, or under this name in it.
    pub fn tell(&self, mask: u32, cookie: u32, name: &[u8]) {
        if let Some(watches) = self.mount().map(|mount| mount.watches())
            && !watches.is_empty()
        {
            watches.tell(id(self), mask, cookie, name);
        }
    }

    /// Tells who watches the directory that this is in, then who watches this inode: Linux's order, by which a watcher of
    /// both reads them.
    pub fn tell_all(&self, mask: u32) {
        let Some(watches) = self.mount().map(|mount| mount.watches()) else { return };
        if watches.is_empty() {
            return;
        }
        let mask = mask | self.directory_bit();
        if let Some((directory, name)) = self.name_in_directory() {
            watches.tell(id(&directory), mask, 0, &name);
        }
        watches.tell(id(self), mask, 0, b"");
    }

    /// IN_ISDIR for a directory.
    pub fn directory_bit(&self) -> u32 {
        if self.is_dir() { linux::IN_ISDIR } else { 0 }
    }

    /// Tells that this has moved from one name in a directory to another.
    pub fn tell_move(&self, from: (&Dentry, &[u8]), to: (&Dentry, &[u8])) {
        let cookie = self.mount().map_or(0, |mount| mount.watches().cookie());
        from.0.tell(linux::IN_MOVED_FROM | self.directory_bit(), cookie, from.1);
        to.0.tell(linux::IN_MOVED_TO | self.directory_bit(), cookie, to.1);
        self.tell(linux::IN_MOVE_SELF, 0, b"");
    }

    /// Tells that a name of this inode is gone, and with its last name the inode.
    pub fn tell_removed(&self) {
        if !self.is_dir() {
            self.tell(linux::IN_ATTRIB, 0, b"");
        }
        if self.inode().stat().nlink == 0 || self.is_dir() {
            self.tell(linux::IN_DELETE_SELF, 0, b"");
        }
    }
}

fn id(dentry: &Dentry) -> FileId {
    let stat = dentry.inode().stat();
    (stat.dev, stat.ino)
}

#[derive(Debug, PartialEq, Eq)]
struct Event {
    wd: i32,
    mask: u32,
    cookie: u32,
    name: Vec<u8>,
}

impl Event {
    /// Bytes of the name with its NULs.
    fn name_bytes(&self) -> usize {
        if self.name.is_empty() { 0 } else { (self.name.len() + 1).next_multiple_of(EVENT_BYTES) }
    }
}

/// The descriptor.
pub struct Inotify {
    this: Weak<Inotify>,
    all: Rc<Watches>,
    watches: RefCell<BTreeMap<i32, (FileId, u32)>>,
    last_wd: Cell<i32>,
    queue: RefCell<VecDeque<Event>>,
    /// How often something came.
    arrivals: Cell<u64>,
}

impl Inotify {
    /// A descriptor that watches nothing yet.
    pub fn new(all: Rc<Watches>) -> Rc<Inotify> {
        Rc::new_cyclic(|this| Inotify {
            this: this.clone(),
            all,
            watches: RefCell::default(),
            last_wd: Cell::new(0),
            queue: RefCell::default(),
            arrivals: Cell::new(0),
        })
    }

    /// inotify_add_watch(2): the watch's number. EEXIST, EINVAL, ENOSPC, ENOTDIR.
    pub fn watch(&self, dentry: &Dentry, mask: u32) -> Result<i32> {
        let adds_and_makes = linux::IN_MASK_ADD | linux::IN_MASK_CREATE;
        if mask & linux::IN_ALL_EVENTS == 0 || mask & adds_and_makes == adds_and_makes {
            return Err(Errno::INVAL);
        }
        if mask & linux::IN_ONLYDIR != 0 && !dentry.is_dir() {
            return Err(Errno::NOTDIR);
        }
        let (file, kept) = (id(dentry), mask & (linux::IN_ALL_EVENTS | HOW));
        let mut watches = self.watches.borrow_mut();
        if let Some((wd, (_, old))) = watches.iter_mut().find(|(_, (other, _))| *other == file) {
            if mask & linux::IN_MASK_CREATE != 0 {
                return Err(Errno::EXIST);
            }
            *old = if mask & linux::IN_MASK_ADD != 0 { *old | kept } else { kept };
            return Ok(*wd);
        }
        if watches.len() >= WATCHES_MAX {
            return Err(Errno::NOSPC);
        }
        let wd = self.last_wd.get().checked_add(1).ok_or(Errno::NOSPC)?;
        self.last_wd.set(wd);
        watches.insert(wd, (file, kept));
        self.all.by_file.borrow_mut().entry(file).or_default().push((self.this.clone(), wd));
        Ok(wd)
    }

    /// inotify_rm_watch(2). EINVAL.
    pub fn forget(&self, wd: i32) -> Result<()> {
        let (file, _) = self.watches.borrow_mut().remove(&wd).ok_or(Errno::INVAL)?;
        self.all.remove(file, self, wd);
        self.push(Event { wd, mask: linux::IN_IGNORED, cookie: 0, name: Vec::new() });
        Ok(())
    }

    /// Something happened that a watch may be for.
    fn note(&self, wd: i32, mask: u32, cookie: u32, name: &[u8]) {
        let Some((_, wanted)) = self.watches.borrow().get(&wd).copied() else { return };
        if wanted & mask & linux::IN_ALL_EVENTS != 0 {
            self.push(Event { wd, mask, cookie, name: name.to_vec() });
        }
        let is_last = wanted & mask & linux::IN_ALL_EVENTS != 0 && wanted & linux::IN_ONESHOT != 0;
        if is_last || mask & linux::IN_DELETE_SELF != 0 {
            // It is there: it was found above.
            let _ = self.forget(wd);
        }
    }

    /// Puts an event into the queue, unless it says what the last one says.
    fn push(&self, event: Event) {
        let mut queue = self.queue.borrow_mut();
        let lost = || Event { wd: -1, mask: linux::IN_Q_OVERFLOW, cookie: 0, name: Vec::new() };
        let event = match queue.len() {
            len if len >= QUEUE_MAX => return,
            len if len + 1 == QUEUE_MAX => lost(),
            _ if queue.back() == Some(&event) => return,
            _ => event,
        };
        queue.push_back(event);
        self.arrivals.update(|arrivals| arrivals + 1);
    }
}

impl File for Inotify {
    /// As many whole events as fit. EAGAIN; EINVAL where the first does not.
    fn read(&self, _offset: u64, to: &mut [u8]) -> Result<usize> {
        let mut queue = self.queue.borrow_mut();
        let mut done = 0;
        while let Some(event) = queue.front() {
            let (padded, rest) = (event.name_bytes(), &mut to[done..]);
            let Some((head, name)) =
                rest.get_mut(..EVENT_BYTES + padded).map(|bytes| bytes.split_at_mut(EVENT_BYTES))
            else {
                break;
            };
            let words = [event.wd as u32, event.mask, event.cookie, padded as u32];
            for (to, word) in head.chunks_exact_mut(4).zip(words) {
                to.copy_from_slice(&word.to_ne_bytes());
            }
            name.fill(0);
            name[..event.name.len()].copy_from_slice(&event.name);
            done += EVENT_BYTES + padded;
            queue.pop_front();
        }
        match done {
            0 if queue.is_empty() => Err(Errno::AGAIN),
            0 => Err(Errno::INVAL),
            done => Ok(done),
        }
    }

    fn poll(&self) -> Poll {
        if self.queue.borrow().is_empty() { Poll::empty() } else { Poll::IN }
    }

    fn pulse(&self) -> Option<Pulse> {
        Some(Pulse { input: self.arrivals.get(), output: 0 })
    }

    fn inotify(&self) -> Option<&Inotify> {
        Some(self)
    }

    fn ioctl(&self, request: u32, argument: &dyn IoctlArgument) -> Result<u32> {
        if request != FIONREAD {
            return Err(Errno::NOTTY);
        }
        let bytes = |event: &Event| EVENT_BYTES + event.name_bytes();
        let count: usize = self.queue.borrow().iter().map(bytes).sum();
        argument.write(&(count as u32).to_ne_bytes())?;
        Ok(0)
    }
}

impl Drop for Inotify {
    fn drop(&mut self) {
        for (wd, (file, _)) in self.watches.take() {
            self.all.remove(file, self, wd);
        }
    }
}

#[cfg(test)]
mod tests;
