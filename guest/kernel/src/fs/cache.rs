//! Pages of a disk that are kept in memory.
//!
//! ```text
//!   disk page   17   18   19   20   21 …
//!               ├─ cached ─┤   └─ missing: one request for all that is wanted up to the next cached one
//! ```
//!
//! The contents of files lie on the disk page by page, so one cache serves metadata, read(2) and
//! mmap(2): a mapped page is the cached frame itself. When memory is short, pages that nobody else holds
//! go, those that were not asked for lately first (the clock algorithm).

use alloc::collections::BTreeMap;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};

use mayfly_hal::phys::{self, Frame};

use crate::errno::{Errno, Result};

/// Most pages in one request: 128 KiB, Linux's read-ahead. An exit costs as much as the first touch of a
/// few pages, so larger requests gain nothing.
pub const REQUEST_PAGES_MAX: usize = 32;

/// Free frames below total / RESERVE_SHARE are left to programs: the cache evicts before it grows.
const RESERVE_SHARE: u32 = 16;
/// Most slots that one request looks at for something to evict: it must end soon, even where all
/// pages are mapped.
const SCAN_MAX: usize = 1024;

/// A disk of 4 KiB pages.
pub trait Disk {
    /// How many pages it has.
    fn pages(&self) -> u64;

    /// Fills `frames`, 1 to [`REQUEST_PAGES_MAX`], from page `first` on, all of which exist. EIO.
    fn read_pages(&self, first: u64, frames: &[Frame]) -> Result<()>;
}

/// The cached pages of one disk.
pub struct PageCache {
    disk: Rc<dyn Disk>,
    slots: RefCell<BTreeMap<u64, Slot>>,
    /// Where eviction goes on.
    hand: Cell<u64>,
}

struct Slot {
    frame: Frame,
    /// Whether it was asked for since the hand came by.
    used: bool,
}

impl PageCache {
    /// An empty cache.
    pub fn new(disk: Rc<dyn Disk>) -> PageCache {
        PageCache { disk, slots: RefCell::default(), hand: Cell::new(0) }
    }

    /// How many pages are cached.
    pub fn len(&self) -> usize {
        self.slots.borrow().len()
    }

    /// Whether no page is cached.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Page `index`, if it is cached.
    pub fn get(&self, index: u64) -> Option<Frame> {
        let mut slots = self.slots.borrow_mut();
        let slot = slots.get_mut(&index)?;
        slot.used = true;
        Some(slot.frame.clone())
    }

    /// Page `index`; where it is missing, read together with up to `wanted` − 1 missing pages behind it.
    /// Says too how many pages were read. EIO, also past the end of the disk; ENOMEM.
    pub fn load(&self, index: u64, wanted: u64) -> Result<(Frame, u64)> {
        if let Some(frame) = self.get(index) {
            return Ok((frame, 0));
        }
        let count = self.missing(index, wanted)?;
        match self.read(index, count) {
            // What is behind the page may be what is broken.
            Err(Errno::IO) if count > 1 => self.read(index, 1),
            result => result,
        }
    }

    /// How many pages could be given back now.
    pub fn idle(&self) -> usize {
        self.slots.borrow().values().filter(|slot| slot.frame.is_unique()).count()
    }

    /// Gives up to `frames` pages back: how many it were.
    pub fn shrink(&self, frames: usize) -> usize {
        // Once around to find all used, once more to take them, with the turns from end to start.
        self.evict(frames, 2 * (self.len() + 2))
    }

    /// How many pages from `index` on are missing, up to `wanted`.
    fn missing(&self, index: u64, wanted: u64) -> Result<usize> {
        let left =
            self.disk.pages().checked_sub(index).filter(|left| *left > 0).ok_or(Errno::IO)?;
        let wanted = wanted.min(left).clamp(1, REQUEST_PAGES_MAX as u64);
        let slots = self.slots.borrow();
        let cached = slots.range(index..index + wanted).next();
        Ok(cached.map_or(wanted, |(cached, _)| cached - index) as usize)
    }

    fn read(&self, index: u64, count: usize) -> Result<(Frame, u64)> {
        let count = self.make_room(count);
        let mut frames: Vec<Frame> = (0..count).map_while(|_| Frame::scratch()).collect();
        if frames.is_empty() && self.shrink(1) > 0 {
            frames.extend(Frame::scratch());
        }
        let first = frames.first().ok_or(Errno::NOMEM)?.clone();
        self.disk.read_pages(index, &frames)?;
        let read = frames.len() as u64;
        let slots = (index..).zip(frames.into_iter().map(|frame| Slot { frame, used: true }));
        self.slots.borrow_mut().extend(slots);
        Ok((first, read))
    }

    /// Evicts so that `count` more pages leave the reserve alone, and says how many may be read: all, or
    /// just the one that is needed.
    fn make_room(&self, count: usize) -> usize {
        let usage = phys::usage();
        let reserve = (usage.total / RESERVE_SHARE) as usize;
        let short = (reserve + count).saturating_sub(usage.free as usize);
        if short == 0 || self.evict(short, SCAN_MAX) >= short { count } else { 1 }
    }

    fn evict(&self, wanted: usize, scan_max: usize) -> usize {
        let mut slots = self.slots.borrow_mut();
        let (mut hand, mut freed) = (self.hand.get(), 0);
        for _ in 0..scan_max {
            if freed == wanted || slots.is_empty() {
                break;
            }
            let Some((&index, slot)) = slots.range_mut(hand..).next() else {
                hand = 0;
                continue;
            };
            hand = index + 1;
            if slot.frame.is_unique() && !core::mem::take(&mut slot.used) {
                slots.remove(&index);
                freed += 1;
            }
        }
        self.hand.set(hand);
        freed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::testing::MemoryDisk;

    fn cache(pages: u8) -> (PageCache, Rc<MemoryDisk>) {
        let bytes = (0..pages).flat_map(|n| [n; phys::FRAME_SIZE]).collect();
        let disk = Rc::new(MemoryDisk::new(bytes));
        (PageCache::new(disk.clone()), disk)
    }

    #[test]
    fn missing_pages_come_in_one_request() {
        let (cache, disk) = cache(100);
        assert_eq!(cache.load(10, 4).unwrap().1, 4);
        assert_eq!(cache.load(12, 4).unwrap().1, 0, "cached");
        assert_eq!(cache.load(5, 100).unwrap().1, 5, "up to the next cached one");
        assert_eq!(cache.load(20, 1000).unwrap().1, REQUEST_PAGES_MAX as u64);
        assert_eq!(cache.load(98, 8).unwrap().1, 2, "up to the end");
        assert_eq!(disk.requests(), [(10, 4), (5, 5), (20, 32), (98, 2)]);
        for page in [5, 13, 51, 99] {
            assert_eq!(cache.get(page).unwrap().bytes(), &[page as u8; phys::FRAME_SIZE]);
        }
        assert_eq!(cache.load(100, 1).err(), Some(Errno::IO));
        assert_eq!(cache.load(u64::MAX, 2).err(), Some(Errno::IO));
        assert_eq!(cache.load(4, 0).unwrap().1, 1);
    }

    #[test]
    fn a_broken_page_spoils_only_itself() {
        let (cache, disk) = cache(20);
        disk.break_page(7);
        assert_eq!(cache.load(5, 8).unwrap().1, 1);
        assert_eq!(cache.load(7, 8).err(), Some(Errno::IO));
        assert_eq!(cache.load(8, 8).unwrap().1, 8);
    }

    #[test]
    fn shrinking_takes_what_nobody_holds_the_least_used_first() {
        let (cache, _) = cache(16);
        cache.load(0, 16).unwrap();
        let held = cache.get(3).unwrap();
        assert_eq!(cache.shrink(4), 4);
        assert!(cache.get(3).is_some());
        // The hand has gone round once: what is asked for now is spared.
        let spared: Vec<u64> = (8..12).filter(|&page| cache.get(page).is_some()).collect();
        assert_eq!(cache.shrink(4), 4);
        assert!(spared.iter().all(|&page| cache.get(page).is_some()));
        assert_eq!((cache.len(), cache.idle()), (8, 7));
        assert_eq!(cache.shrink(100), 7);
        assert_eq!((cache.len(), cache.idle()), (1, 0));
        drop(held);
        assert_eq!(cache.shrink(100), 1);
        assert!(cache.is_empty());
    }

    #[test]
    fn a_short_memory_is_left_to_the_program() {
        let (cache, disk) = cache(64);
        let mut hoard: Vec<Frame> = core::iter::from_fn(Frame::scratch).collect();
        assert_eq!(cache.load(0, 8).err(), Some(Errno::NOMEM));
        hoard.truncate(hoard.len() - 4);
        for page in 0..64 {
            assert_eq!(cache.load(page, 8).unwrap().0.bytes()[0], page as u8);
            assert!(cache.len() <= 4);
        }
        assert!(disk.requests().iter().all(|&(_, count)| count == 8 || count == 1));
        assert!(disk.requests().len() >= 64);
    }
}
