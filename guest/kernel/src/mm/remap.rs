//! mremap(2): an area grows, shrinks or moves, and takes its pages along.
//!
//! ```text
//!   old   [ keeps          | tail ]       shrinking lets go of the tail
//!   old   [                ]──────▶       growing where there is room behind it
//!   new             [                     ]   or elsewhere: pages move, not bytes
//! ```

use core::ops::Range;

use mayfly_abi::layout::PAGE_SIZE;
use mayfly_hal::paging::Mapping;

use super::area::{Area, Backing};
use super::space::{AddressSpace, checked_range};
use crate::errno::{Errno, Result};

/// Where a remapped area may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination {
    /// Where it is, or nowhere.
    InPlace,
    /// Where it is, or anywhere (MREMAP_MAYMOVE).
    MayMove,
    /// Exactly here, in place of what is there (MREMAP_FIXED).
    Fixed(u64),
    /// Anywhere; the old range stays, empty (MREMAP_DONTUNMAP).
    Leaving,
}

impl AddressSpace {
    /// mremap(2): makes what is at `old` (page-aligned) `new_len` bytes long, and returns where it is
    /// then. An empty `old` range makes a second mapping of a shared file. EFAULT where `old` is not in one
    /// area; EINVAL, ENOMEM.
    pub fn remap(&mut self, old: Range<u64>, new_len: u64, to: Destination) -> Result<u64> {
        let new_len =
            new_len.checked_next_multiple_of(PAGE_SIZE).filter(|l| *l > 0).ok_or(Errno::INVAL)?;
        self.release_calls(&old);
        let area = self.areas.find(old.start).filter(|area| old.end <= area.end);
        let area = area.ok_or(Errno::FAULT)?.clone();
        let (old_len, duplicates) = (old.end - old.start, old.is_empty());
        if duplicates && (!area.backing.is_shared() || to == Destination::InPlace) {
            return Err(Errno::INVAL);
        }
        if to == Destination::Leaving
            && (old_len != new_len || !matches!(area.backing, Backing::Anonymous))
        {
            return Err(Errno::INVAL);
        }
        if new_len > old_len && !area.backing.is_shared() {
            AddressSpace::check_promise(new_len - old_len, area.protection)?;
        }
        match to {
            Destination::InPlace | Destination::MayMove if !duplicates => {
                if self.resize(&area, old.clone(), new_len)? {
                    return Ok(old.start);
                }
                if to == Destination::InPlace {
                    return Err(Errno::NOMEM);
                }
            }
            Destination::Fixed(start) => {
                let new = checked_range(start, new_len)?;
                if new.start < old.end && old.start < new.end {
                    return Err(Errno::INVAL);
                }
                self.unmap(new)?;
            }
            _ => {}
        }
        let start = match to {
            Destination::Fixed(start) => start,
            _ => self.place(0, new_len)?,
        };
        self.areas.insert(part(&area, start..start + new_len, old.start))?;
        // What is beyond the new length is not moved, and goes with the old range.
        let moved = self.move_pages(old.start..old.end.min(old.start + new_len), start);
        if let Err(errno) = moved {
            self.areas.remove(start..start + new_len)?;
            return Err(errno);
        }
        if to != Destination::Leaving {
            self.unmap(old)?;
        }
        Ok(start)
    }

    /// Shrinks or grows in place; whether it could.
    fn resize(&mut self, area: &Area, old: Range<u64>, new_len: u64) -> Result<bool> {
        let new = checked_range(old.start, new_len)?;
        if new.end <= old.end {
            self.unmap(new.end..old.end)?;
            return Ok(true);
        }
        let grows = old.end == area.end && self.areas.is_free(old.end..new.end);
        if grows {
            self.areas.insert(part(area, old.end..new.end, old.end))?;
        }
        Ok(grows)
    }

    /// Moves what is there at `old` to `new`, without copying a byte. ENOMEM, and all is where it was.
    fn move_pages(&mut self, old: Range<u64>, new: u64) -> Result<()> {
        let mut page = old.start;
        let mut moved = Ok(());
        while let Some(at) = self.tables.next_populated(page).filter(|at| *at < old.end) {
            moved = self.move_page(at, new + (at - old.start));
            if moved.is_err() {
                self.move_back(old.start..at, new)?;
                break;
            }
            page = at + PAGE_SIZE;
        }
        self.flush();
        moved
    }

    /// Moves what is there at `new` to `old`, where it came from: its tables are there still.
    fn move_back(&mut self, old: Range<u64>, new: u64) -> Result<()> {
        let (mut page, end) = (new, new + (old.end - old.start));
        while let Some(at) = self.tables.next_populated(page).filter(|at| *at < end) {
            self.move_page(at, old.start + (at - new))?;
            page = at + PAGE_SIZE;
        }
        Ok(())
    }

    /// Moves one page, if it is there. ENOMEM, and it is where it was.
    fn move_page(&mut self, from: u64, to: u64) -> Result<()> {
        let Some(Mapping { flags, .. }) = self.tables.query(from) else { return Ok(()) };
        let Some(frame) = self.tables.unmap(from) else { return Ok(()) };
        let moved = self.tables.map(to, frame.clone(), flags);
        if moved.is_err() {
            self.tables.map(from, frame, flags)?;
        }
        Ok(moved?)
    }
}

/// An area like `area` at `range`, whose first byte is what `area` has at `from`.
fn part(area: &Area, range: Range<u64>, from: u64) -> Area {
    let backing = area.backing.clone().advanced(from - area.start);
    Area { start: range.start, end: range.end, backing, ..area.clone() }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use mayfly_hal::context::Access;
    use mayfly_hal::phys::{Frame, usage};

    use super::*;
    use crate::mm::{Placement, Protection};

    /// Pages on both sides of where one leaf table ends (2 MiB).
    const BASE: u64 = 0x5f_e000;
    const PAGES: u64 = 4;

    #[test]
    fn what_memory_is_too_short_for_stays_where_it_is() {
        let template = Frame::zeroed().unwrap();
        let mut space = AddressSpace::new(template.gpa(), 0x1000_0000).unwrap();
        let (place, len) = (Placement::Exactly(BASE), PAGES * PAGE_SIZE);
        let rw = Protection::READ | Protection::WRITE;
        space.map(place, len, rw, Backing::Anonymous, "").unwrap();
        space.fault(BASE, Access::Write).unwrap();
        space.fault(BASE + 3 * PAGE_SIZE, Access::Write).unwrap();
        let frames = |space: &mut AddressSpace, start: u64| -> Vec<Option<u64>> {
            let pages = (0..PAGES).map(|page| start + page * PAGE_SIZE);
            pages.map(|page| space.tables.query(page).map(|mapping| mapping.gpa)).collect()
        };
        let before = frames(&mut space, BASE);
        let mut held: Vec<Frame> = core::iter::from_fn(Frame::scratch).collect();
        // There, too, the range needs two tables of its own: the first, then the second, has no frame.
        let to = Destination::Fixed(BASE + (4 << 20));
        let mut refused = 0;
        while space.remap(BASE..BASE + len, len, to) == Err(Errno::NOMEM) {
            assert_eq!(frames(&mut space, BASE), before);
            assert!(space.areas.is_free(BASE + (4 << 20)..BASE + (4 << 20) + len));
            refused += 1;
            held.pop();
        }
        assert_eq!(refused, 2);
        assert_eq!(frames(&mut space, BASE + (4 << 20)), before);
        assert_eq!(frames(&mut space, BASE), [None; PAGES as usize]);
        assert_eq!(usage().free, 0);
    }
}
