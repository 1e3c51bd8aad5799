//! mremap(2): an area grows, shrinks or moves, and takes its pages along.
//!
//! ```text
//!   old   [ keeps          | tail ]       shrinking lets go of the tail
//!   old   [                ]──────▶       growing where there is room behind it
//!   new             [                     ]   or elsewhere: pages move, not bytes
//! ```

use core::ops::Range;

use mayfly_abi::layout::PAGE_SIZE;

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
        self.move_pages(old.start..old.end.min(old.start + new_len), start)?;
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

    /// Moves what is there at `old` to `new`, without copying a byte.
    fn move_pages(&mut self, old: Range<u64>, new: u64) -> Result<()> {
        let mut page = old.start;
        while let Some(at) = self.tables.next_populated(page).filter(|at| *at < old.end) {
            if let Some(mapping) = self.tables.query(at)
                && let Some(frame) = self.tables.unmap(at)
            {
                self.tables.map(new + (at - old.start), frame, mapping.flags)?;
            }
            page = at + PAGE_SIZE;
        }
        self.flush();
        Ok(())
    }
}

/// An area like `area` at `range`, whose first byte is what `area` has at `from`.
fn part(area: &Area, range: Range<u64>, from: u64) -> Area {
    let backing = area.backing.clone().advanced(from - area.start);
    Area { start: range.start, end: range.end, backing, ..area.clone() }
}
