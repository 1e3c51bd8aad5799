//! A file's bytes, in frames that exist where something was written.

use alloc::collections::BTreeMap;
use alloc::rc::Rc;
use core::cell::{Cell, RefCell};

use mayfly_hal::phys::{FRAME_SIZE, Frame};

use super::budget::Budget;
use crate::errno::{Errno, Result};
use crate::fs::seals::Seals;

const PAGE: u64 = FRAME_SIZE as u64;

/// The pages of one file. No borrow lasts while bytes are copied, so that the copy may itself come back
/// here: memory that maps the file may be the other side of it.
pub(super) struct Pages {
    budget: Rc<Budget>,
    frames: RefCell<BTreeMap<u64, Frame>>,
    size: Cell<u64>,
    /// What may not be done any more. A file that was made by name can have no more of them, as on Linux.
    pub(super) seals: Cell<Seals>,
}

impl Pages {
    pub(super) fn new(budget: Rc<Budget>) -> Pages {
        Pages {
            budget,
            frames: RefCell::default(),
            size: Cell::new(0),
            seals: Cell::new(Seals::SEAL),
        }
    }

    pub(super) fn size(&self) -> u64 {
        self.size.get()
    }

    /// How many frames there are.
    pub(super) fn count(&self) -> u64 {
        self.frames.borrow().len() as u64
    }

    pub(super) fn read_at(&self, offset: u64, to: &mut [u8]) -> usize {
        let left = self.size.get().saturating_sub(offset);
        let count = usize::try_from(left).unwrap_or(usize::MAX).min(to.len());
        let mut done = 0;
        while done < count {
            let (index, within) = split(offset + done as u64);
            let now = (FRAME_SIZE - within).min(count - done);
            let to = &mut to[done..done + now];
            match self.get(index) {
                Some(frame) => frame.read(within, to),
                None => to.fill(0),
            }
            done += now;
        }
        count
    }

    /// Writes as much as there is room for. ENOSPC or ENOMEM where that is nothing, EPERM where it is sealed.
    pub(super) fn write_at(&self, offset: u64, from: &[u8]) -> Result<usize> {
        self.seals.get().check(Seals::WRITES)?;
        self.check_growth(offset.saturating_add(from.len() as u64))?;
        let mut done = 0;
        while done < from.len() {
            let (index, within) = split(offset + done as u64);
            let now = (FRAME_SIZE - within).min(from.len() - done);
            match self.get_or_make(index, now < FRAME_SIZE) {
                Ok(frame) => frame.write(within, &from[done..done + now]),
                Err(errno) if done == 0 => return Err(errno),
                Err(_) => break,
            }
            done += now;
        }
        self.size.set(self.size.get().max(offset + done as u64));
        Ok(done)
    }

    /// EPERM where it is sealed.
    pub(super) fn truncate(&self, size: u64) -> Result<()> {
        self.check_growth(size)?;
        if size < self.size.get() {
            self.seals.get().check(Seals::SHRINK)?;
            self.discard(size, u64::MAX);
        }
        self.size.set(size);
        Ok(())
    }

    /// EPERM where it must not become that long.
    pub(super) fn check_growth(&self, size: u64) -> Result<()> {
        if size > self.size.get() { self.seals.get().check(Seals::GROW) } else { Ok(()) }
    }

    /// The page itself, made where it is a hole: who maps it may write to it. ENXIO past the end.
    pub(super) fn page(&self, index: u64) -> Result<Frame> {
        if index >= self.size.get().div_ceil(PAGE) {
            return Err(Errno::NXIO);
        }
        self.get_or_make(index, true)
    }

    /// The page, where it exists.
    pub(super) fn existing(&self, index: u64) -> Option<Frame> {
        if index < self.size.get().div_ceil(PAGE) { self.get(index) } else { None }
    }

    /// Makes every page of the range exist. ENOSPC before anything is done.
    pub(super) fn reserve(&self, offset: u64, end: u64) -> Result<()> {
        let (first, last) = (offset / PAGE, end.div_ceil(PAGE));
        let there = self.frames.borrow().range(first..last).count() as u64;
        if last - first - there > self.budget.free().0 {
            return Err(Errno::NOSPC);
        }
        (first..last).try_for_each(|index| self.get_or_make(index, true).map(drop))
    }

    pub(super) fn grow(&self, size: u64) {
        self.size.set(self.size.get().max(size));
    }

    /// Makes the bytes from `offset` to `end` zero, and frees the pages that are wholly in between.
    pub(super) fn discard(&self, offset: u64, end: u64) {
        let (first, last) = (offset.div_ceil(PAGE), end / PAGE);
        if offset / PAGE == end / PAGE {
            return self.zero(offset, (end - offset) as usize);
        }
        self.zero(offset, (first * PAGE - offset) as usize);
        self.zero(last * PAGE, (end - last * PAGE) as usize);
        let mut frames = self.frames.borrow_mut();
        let before = frames.len();
        let mut cut = frames.split_off(&first);
        frames.append(&mut cut.split_off(&last));
        self.budget.give_back((before - frames.len()) as u64);
    }

    /// The start of the first page at or after `offset` that exists, `offset` itself where it is in it.
    pub(super) fn seek_data(&self, offset: u64) -> Result<u64> {
        let frames = self.frames.borrow();
        let (index, _) = frames.range(offset / PAGE..).next().ok_or(Errno::NXIO)?;
        let found = offset.max(index * PAGE);
        if found < self.size.get() { Ok(found) } else { Err(Errno::NXIO) }
    }

    /// The start of the first page at or after `offset` that does not exist, or the end.
    pub(super) fn seek_hole(&self, offset: u64) -> Result<u64> {
        if offset >= self.size.get() {
            return Err(Errno::NXIO);
        }
        let (frames, mut index) = (self.frames.borrow(), offset / PAGE);
        for there in frames.range(index..).map(|(there, _)| *there) {
            if there != index {
                break;
            }
            index += 1;
        }
        Ok(offset.max(index * PAGE).min(self.size.get()))
    }

    fn get(&self, index: u64) -> Option<Frame> {
        self.frames.borrow().get(&index).cloned()
    }

    fn get_or_make(&self, index: u64, zeroed: bool) -> Result<Frame> {
        if let Some(frame) = self.get(index) {
            return Ok(frame);
        }
        let frame = self.budget.take_frame(zeroed)?;
        self.frames.borrow_mut().insert(index, frame.clone());
        Ok(frame)
    }

    /// Zeroes bytes within one page, where it exists.
    fn zero(&self, offset: u64, len: usize) {
        let (index, within) = split(offset);
        if len > 0
            && let Some(frame) = self.get(index)
        {
            frame.zero(within, len);
        }
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        self.budget.give_back(self.count());
    }
}

/// A page's index, and an offset in it.
fn split(offset: u64) -> (u64, usize) {
    (offset / PAGE, (offset % PAGE) as usize)
}
