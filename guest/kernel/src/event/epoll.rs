//! A set of descriptors that are waited for together (epoll(7)).
//!
//! ```text
//!   items, by descriptor and file:   [fd 4 → ◌ file, events, data] [fd 7 → …] …
//!                                              │ weak: with the file's last descriptor the item is gone
//!   epoll_wait: look at each, from where the last look ended ─► ready? ─► reported
//!                 level: while it is ready
//!                 EPOLLET: where its pulse has moved since the last look
//!                 EPOLLONESHOT: once, until EPOLL_CTL_MOD
//! ```
//!
//! An epoll is a file, too, and may be in another: five deep at most, and never in a circle, so that each look ends.

use alloc::collections::BTreeMap;
use alloc::rc::{Rc, Weak};
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::ops::Bound;

use linux_raw_sys::general as linux;

use crate::errno::{Errno, Result};
use crate::fs::{Fd, File, OpenFile, Poll, Pulse};

/// Most items of one epoll: every wait looks at each.
pub const ITEMS_MAX: usize = 16 << 10;
/// Most epolls in one, and in one that is in another: a look at each of them looks at all of its items.
pub const NESTED_MAX: usize = 64;
const NESTED_DEEP_MAX: usize = 4;
/// Most epolls in a chain, each in the one before (Linux's EP_MAX_NESTS, and the first).
const DEPTH_MAX: usize = 5;
/// What is told without being asked for.
const UNASKED: u32 = linux::EPOLLERR | linux::EPOLLHUP;
/// Bits of an interest that are no events.
const FLAGS: u32 =
    linux::EPOLLET | linux::EPOLLONESHOT | linux::EPOLLWAKEUP | linux::EPOLLEXCLUSIVE;
/// Events that go with EPOLLEXCLUSIVE (epoll_ctl(2)).
const EXCLUSIVE: u32 = linux::EPOLLIN
    | linux::EPOLLOUT
    | linux::EPOLLERR
    | linux::EPOLLHUP
    | linux::EPOLLWAKEUP
    | linux::EPOLLET
    | linux::EPOLLEXCLUSIVE;
/// Events whose arrival moves [`Pulse::output`] alone.
const OUTPUT: u32 = linux::EPOLLOUT | linux::EPOLLWRNORM | linux::EPOLLWRBAND;

/// Which events a program waits for, or what it is told (struct epoll_event).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// EPOLL… bits.
    pub events: u32,
    /// The program's own word.
    pub data: u64,
}

/// An item is a descriptor's number and the file that it stood for: the number alone may be given out
/// anew while the file lives on under another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    fd: Fd,
    /// The file's address, which is not reused while the item holds on to it.
    file: usize,
}

impl Key {
    fn new(fd: Fd, file: &Rc<OpenFile>) -> Key {
        Key { fd, file: Rc::as_ptr(file).addr() }
    }
}

struct Item {
    file: Weak<OpenFile>,
    interest: Event,
    /// EPOLLONESHOT has told once.
    spent: bool,
    /// The file's pulse at the last look since the interest was set.
    seen: Option<Pulse>,
}

impl Item {
    fn new(file: &Rc<OpenFile>, interest: Event) -> Item {
        Item { file: Rc::downgrade(file), interest, spent: false, seen: None }
    }

    /// The events to tell of now, not noted yet. `None`: the file is gone.
    fn look(&self) -> Option<(u32, Option<Pulse>)> {
        let file = self.file.upgrade()?;
        let pulse = file.pulse();
        if self.spent {
            return Some((0, pulse));
        }
        let wanted = self.interest.events & !FLAGS | UNASKED;
        let events = file.poll().events() & wanted;
        let edge = self.interest.events & linux::EPOLLET == 0 || self.has_moved(pulse);
        Some((if edge { events } else { 0 }, pulse))
    }

    /// Whether a direction of interest has seen something new since the last look.
    fn has_moved(&self, pulse: Option<Pulse>) -> bool {
        let (Some(seen), Some(pulse)) = (self.seen, pulse) else { return true };
        let wanted = self.interest.events & !FLAGS;
        let input = wanted & !OUTPUT != 0 && seen.input != pulse.input;
        let output = (wanted & OUTPUT != 0 || wanted == 0) && seen.output != pulse.output;
        input || output
    }
}

/// An epoll.
#[derive(Default)]
pub struct Epoll {
    items: RefCell<BTreeMap<Key, Item>>,
    /// The last item that was told of: the next look begins behind it.
    last: Cell<Key>,
    /// How many epolls it is in.
    holders: Cell<usize>,
    /// How long the longest chain of epolls was that led to it since it is in one.
    above: Cell<usize>,
    /// How often an interest was added or changed.
    changes: Cell<u64>,
}

impl Epoll {
    /// EPOLL_CTL_ADD. EEXIST; EINVAL for what does not go with EPOLLEXCLUSIVE; EPERM for a file that never waits; ELOOP
    /// for a circle of epolls, or more than [`DEPTH_MAX`] in a chain; ENOSPC beyond [`ITEMS_MAX`], or [`NESTED_MAX`] epolls.
    pub fn add(&self, fd: Fd, file: &Rc<OpenFile>, interest: Event) -> Result<()> {
        if file.pulse().is_none() {
            return Err(Errno::PERM);
        }
        let nested = nested(file);
        let is_exclusive = interest.events & linux::EPOLLEXCLUSIVE != 0;
        if is_exclusive && (nested.is_some() || interest.events & !EXCLUSIVE != 0) {
            return Err(Errno::INVAL);
        }
        let is_deep = |inner: &Epoll| self.above.get() + 1 + inner.height() > DEPTH_MAX;
        if nested.is_some_and(|inner| inner.reaches(self) || is_deep(inner)) {
            return Err(Errno::LOOP);
        }
        let mut items = self.items.borrow_mut();
        let key = Key::new(fd, file);
        if items.contains_key(&key) {
            return Err(Errno::EXIST);
        }
        if items.len() >= ITEMS_MAX {
            items.retain(|_, item| item.file.strong_count() > 0);
        }
        let most = if self.above.get() == 0 { NESTED_MAX } else { NESTED_DEEP_MAX };
        let fits = |inner: &Epoll| count_nested(&items) < most && inner.holds() <= NESTED_DEEP_MAX;
        let has_room = nested.is_none_or(fits);
        if items.len() >= ITEMS_MAX || !has_room {
            return Err(Errno::NOSPC);
        }
        items.insert(key, Item::new(file, interest));
        if let Some(inner) = nested {
            inner.holders.update(|holders| holders + 1);
            inner.sink(self.above.get() + 1);
        }
        self.changes.update(|changes| changes + 1);
        Ok(())
    }

    /// EPOLL_CTL_MOD. ENOENT; EINVAL where EPOLLEXCLUSIVE is there, or comes.
    pub fn modify(&self, fd: Fd, file: &Rc<OpenFile>, interest: Event) -> Result<()> {
        let mut items = self.items.borrow_mut();
        let item = items.get_mut(&Key::new(fd, file)).ok_or(Errno::NOENT)?;
        if (item.interest.events | interest.events) & linux::EPOLLEXCLUSIVE != 0 {
            return Err(Errno::INVAL);
        }
        *item = Item::new(file, interest);
        self.changes.update(|changes| changes + 1);
        Ok(())
    }

    /// EPOLL_CTL_DEL. ENOENT.
    pub fn remove(&self, fd: Fd, file: &Rc<OpenFile>) -> Result<()> {
        let item = self.items.borrow_mut().remove(&Key::new(fd, file));
        item.map(|_| let_go(file)).ok_or(Errno::NOENT)
    }

    /// How many epolls the longest chain has that begins with it.
    fn height(&self) -> usize {
        self.inner().map(|file| nested(&file).map_or(0, Epoll::height)).max().unwrap_or(0) + 1
    }

    /// Whether another is it, or in it.
    fn reaches(&self, other: &Epoll) -> bool {
        core::ptr::eq(self, other)
            || self.inner().any(|file| nested(&file).is_some_and(|inner| inner.reaches(other)))
    }

    /// There is a chain of so many epolls above it.
    fn sink(&self, above: usize) {
        self.above.update(|before| before.max(above));
        for file in self.inner() {
            nested(&file).into_iter().for_each(|inner| inner.sink(above + 1));
        }
    }

    /// There is only this chain above it any more.
    fn float(&self, above: usize) {
        self.above.set(above);
        for file in self.inner() {
            let alone = nested(&file).filter(|inner| inner.holders.get() == 1);
            alone.into_iter().for_each(|inner| inner.float(above + 1));
        }
    }

    /// The epolls in it.
    fn inner(&self) -> impl Iterator<Item = Rc<OpenFile>> {
        let items = self.items.borrow();
        let files = items.values().filter_map(|item| item.file.upgrade());
        files.filter(|file| nested(file).is_some()).collect::<Vec<_>>().into_iter()
    }

    /// How many epolls are in it.
    fn holds(&self) -> usize {
        count_nested(&self.items.borrow())
    }

    /// Gives `tell` up to `most` events; how many it were.
    pub fn collect(&self, most: usize, mut tell: impl FnMut(Event)) -> usize {
        let mut items = self.items.borrow_mut();
        items.retain(|_, item| item.file.strong_count() > 0);
        let last = self.last.get();
        let (after, before) = (Bound::Excluded(last), Bound::Included(last));
        let mut told = 0;
        for range in [(after, Bound::Unbounded), (Bound::Unbounded, before)] {
            for (key, item) in items.range_mut(range) {
                if told == most {
                    return told;
                }
                let Some((events, pulse)) = item.look() else { continue };
                item.seen = pulse;
                if events != 0 {
                    item.spent = item.interest.events & linux::EPOLLONESHOT != 0;
                    tell(Event { events, data: item.interest.data });
                    self.last.set(*key);
                    told += 1;
                }
            }
        }
        told
    }
}

impl File for Epoll {
    fn poll(&self) -> Poll {
        let items = self.items.borrow();
        let ready = items.values().any(|item| item.look().is_some_and(|(events, _)| events != 0));
        if ready { Poll::IN } else { Poll::empty() }
    }

    /// It moves with every item's, whichever way.
    fn pulse(&self) -> Option<Pulse> {
        let items = self.items.borrow();
        let pulses = items.values().filter_map(|item| item.file.upgrade()?.pulse());
        let sum = |sum: u64, of: Pulse| sum.wrapping_add(of.input).wrapping_add(of.output);
        Some(Pulse { input: pulses.fold(self.changes.get(), sum), output: 0 })
    }

    fn epoll(&self) -> Option<&Epoll> {
        Some(self)
    }
}

impl Drop for Epoll {
    fn drop(&mut self) {
        let files = self.items.get_mut().values().filter_map(|item| item.file.upgrade());
        files.for_each(|file| let_go(&file));
    }
}

/// The epoll that a file is.
fn nested(file: &OpenFile) -> Option<&Epoll> {
    file.file()?.epoll()
}

fn count_nested(items: &BTreeMap<Key, Item>) -> usize {
    let is_nested = |item: &&Item| item.file.upgrade().is_some_and(|file| nested(&file).is_some());
    items.values().filter(is_nested).count()
}

/// One epoll less that this file is in.
fn let_go(file: &OpenFile) {
    if let Some(inner) = nested(file) {
        inner.holders.update(|holders| holders - 1);
        if inner.holders.get() == 0 {
            inner.float(0);
        }
    }
}

#[cfg(test)]
mod tests;
