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

use alloc::collections::BTreeMap;
use alloc::rc::{Rc, Weak};
use core::cell::{Cell, RefCell};
use core::ops::Bound;

use linux_raw_sys::general as linux;

use crate::errno::{Errno, Result};
use crate::fs::{Fd, File, OpenFile, Poll, Pulse};

/// Most items of one epoll: every wait looks at each.
pub const ITEMS_MAX: usize = 16 << 10;
/// What is told without being asked for.
const UNASKED: u32 = linux::EPOLLERR | linux::EPOLLHUP;
/// Bits of an interest that are no events.
const FLAGS: u32 =
    linux::EPOLLET | linux::EPOLLONESHOT | linux::EPOLLWAKEUP | linux::EPOLLEXCLUSIVE;
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
}

impl Epoll {
    /// EPOLL_CTL_ADD. EEXIST; EPERM for a file that never waits; ELOOP for an epoll (which also bounds
    /// how deep a look goes); ENOSPC beyond [`ITEMS_MAX`].
    pub fn add(&self, fd: Fd, file: &Rc<OpenFile>, interest: Event) -> Result<()> {
        if file.pulse().is_none() {
            return Err(Errno::PERM);
        }
        if file.file().is_some_and(|file| file.epoll().is_some()) {
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
        if items.len() >= ITEMS_MAX {
            return Err(Errno::NOSPC);
        }
        items.insert(key, Item::new(file, interest));
        Ok(())
    }

    /// EPOLL_CTL_MOD. ENOENT.
    pub fn modify(&self, fd: Fd, file: &Rc<OpenFile>, interest: Event) -> Result<()> {
        let mut items = self.items.borrow_mut();
        let item = items.get_mut(&Key::new(fd, file)).ok_or(Errno::NOENT)?;
        *item = Item::new(file, interest);
        Ok(())
    }

    /// EPOLL_CTL_DEL. ENOENT.
    pub fn remove(&self, fd: Fd, file: &Rc<OpenFile>) -> Result<()> {
        let item = self.items.borrow_mut().remove(&Key::new(fd, file));
        item.map(drop).ok_or(Errno::NOENT)
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

    fn pulse(&self) -> Option<Pulse> {
        Some(Pulse::default())
    }

    fn epoll(&self) -> Option<&Epoll> {
        Some(self)
    }
}

#[cfg(test)]
mod tests;
