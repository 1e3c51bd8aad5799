//! Areas: ranges of a program's address space with one protection and one backing. Pure book-keeping.

use alloc::collections::BTreeMap;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::Cell;
use core::ops::Range;

use bitflags::bitflags;
use mayfly_abi::layout::{PAGE_SIZE, USER_END, USER_START};

use crate::fs::{Dentry, Inode};

/// Most areas of one program: Linux's vm.max_map_count.
const AREAS_MAX: usize = 65_530;

bitflags! {
    /// What a program may do with memory: PROT_READ and its like (mmap(2)).
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Protection: u32 {
        /// PROT_READ.
        const READ = 1;
        /// PROT_WRITE. On this processor it implies reading.
        const WRITE = 2;
        /// PROT_EXEC. On this processor it implies reading.
        const EXECUTE = 4;
    }
}

/// Whom what is written to a file's mapping reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// This program alone (MAP_PRIVATE).
    Private,
    /// The file (MAP_SHARED).
    Shared,
    /// The file, which was not opened to be written: the mapping can never be (mmap(2), EACCES).
    ReadOnly,
}

/// Where an area's pages come from.
#[derive(Clone)]
pub enum Backing {
    /// Zeros, private to the program.
    Anonymous,
    /// A file, from `offset` (bytes, a multiple of the page size).
    File {
        /// The file.
        file: Rc<Dentry>,
        /// Where the area's first byte lies in it.
        offset: u64,
        /// Whom writes reach.
        sharing: Sharing,
    },
}

impl Backing {
    /// The file behind it, and where the area's first byte lies in that.
    pub fn file(&self) -> Option<(&Rc<dyn Inode>, u64)> {
        match self {
            Backing::Anonymous => None,
            Backing::File { file, offset, .. } => Some((file.inode(), *offset)),
        }
    }

    /// Whether what is written reaches others: a private page is this program's alone.
    pub fn is_shared(&self) -> bool {
        matches!(self, Backing::File { sharing: Sharing::Shared | Sharing::ReadOnly, .. })
    }

    /// Whether no protection may allow writing.
    pub fn is_read_only(&self) -> bool {
        matches!(self, Backing::File { sharing: Sharing::ReadOnly, .. })
    }

    /// The same, `bytes` further on.
    pub fn advanced(mut self, bytes: u64) -> Backing {
        if let Backing::File { offset, .. } = &mut self {
            *offset += bytes;
        }
        self
    }
}

/// What a child finds of an area (madvise(2)).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnFork {
    /// The same.
    #[default]
    Kept,
    /// Zeroes, as where nothing was written yet (MADV_WIPEONFORK).
    Wiped,
    /// Nothing (MADV_DONTFORK).
    Absent,
}

/// One area.
#[derive(Clone)]
pub struct Area {
    /// First address.
    pub start: u64,
    /// One past the last address.
    pub end: u64,
    /// What may be done.
    pub protection: Protection,
    /// Where pages come from.
    pub backing: Backing,
    /// What /proc/self/maps calls it where it is not a file: `[heap]`, `[stack]` or nothing.
    pub name: &'static str,
    /// What a child finds.
    pub on_fork: OnFork,
}

impl Area {
    /// The part of this area that lies in `range`.
    fn cut(&self, range: &Range<u64>) -> Area {
        let start = self.start.max(range.start);
        let backing = self.backing.clone().advanced(start - self.start);
        Area { start, end: self.end.min(range.end), backing, ..self.clone() }
    }

    /// Whether `next`, which begins where this one ends, is more of the same.
    fn continues_in(&self, next: &Area) -> bool {
        let same_backing = match (&self.backing, &next.backing) {
            (Backing::Anonymous, Backing::Anonymous) => true,
            (
                Backing::File { file, offset, sharing },
                Backing::File { file: other, offset: further, sharing: too },
            ) => {
                Rc::ptr_eq(file, other)
                    && offset + (self.end - self.start) == *further
                    && sharing == too
            }
            _ => false,
        };
        self.end == next.start
            && self.protection == next.protection
            && self.name == next.name
            && self.on_fork == next.on_fork
            && same_backing
    }
}

/// There is no room for another area.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// All areas of a program, in order, never overlapping.
#[derive(Clone, Default)]
pub struct Areas {
    by_start: BTreeMap<u64, Area>,
    /// What the last search for room has seen, so that many areas are not passed again for each new one.
    searched: Cell<Option<Searched>>,
}

/// No range of `len` free bytes ends above `end` and at or below `top`.
#[derive(Clone, Copy)]
struct Searched {
    len: u64,
    top: u64,
    end: u64,
}

impl Areas {
    /// The area that contains `address`.
    pub fn find(&self, address: u64) -> Option<&Area> {
        self.by_start
            .range(..=address)
            .next_back()
            .map(|(_, area)| area)
            .filter(|area| address < area.end)
    }

    /// All areas that touch `range`, in order.
    pub fn overlapping(&self, range: Range<u64>) -> impl Iterator<Item = &Area> {
        let first = self.find(range.start).map_or(range.start, |area| area.start);
        self.by_start.range(first..range.end.max(first)).map(|(_, area)| area)
    }

    /// All areas, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Area> {
        self.by_start.values()
    }

    /// Bytes promised in all.
    pub fn bytes(&self) -> u64 {
        self.iter().map(|area| area.end - area.start).sum()
    }

    /// Adds an area to a free range, joining it with its neighbours where they are the same.
    pub fn insert(&mut self, mut area: Area) -> Result<(), Full> {
        debug_assert!(
            area.start < area.end && self.overlapping(area.start..area.end).next().is_none()
        );
        if self.by_start.len() >= AREAS_MAX {
            return Err(Full);
        }
        if let Some((_, before)) = self.by_start.range(..area.start).next_back()
            && before.continues_in(&area)
        {
            area = Area { end: area.end, ..before.clone() };
        }
        if let Some(after) = self.by_start.get(&area.end)
            && area.continues_in(after)
        {
            let end = after.end;
            self.by_start.remove(&area.end);
            area.end = end;
        }
        self.by_start.insert(area.start, area);
        Ok(())
    }

    /// Takes `range` out of all areas, and returns the parts that were there.
    pub fn remove(&mut self, range: Range<u64>) -> Result<Vec<Area>, Full> {
        let touched: Vec<u64> = self.overlapping(range.clone()).map(|area| area.start).collect();
        let splits_one = matches!(touched[..], [only] if {
            let area = &self.by_start[&only];
            area.start < range.start && range.end < area.end
        });
        if splits_one && self.by_start.len() >= AREAS_MAX {
            return Err(Full);
        }
        // An area began where the search ended: what becomes free below it stays below it.
        self.searched.set(self.searched.get().filter(|seen| range.end <= seen.end));
        let mut removed = Vec::with_capacity(touched.len());
        for start in touched {
            let Some(area) = self.by_start.remove(&start) else { continue };
            for rest in [area.start..range.start, range.end..area.end] {
                if rest.start < rest.end {
                    let rest = area.cut(&rest);
                    self.by_start.insert(rest.start, rest);
                }
            }
            removed.push(area.cut(&range));
        }
        Ok(removed)
    }

    /// Whether there is room for what changing the part of areas in `range` comes to.
    pub fn check_cuts(&self, range: &Range<u64>) -> Result<(), Full> {
        let is_inside = |address| self.find(address).is_some_and(|area| area.start < address);
        let cuts = [range.start, range.end].into_iter().filter(|end| is_inside(*end)).count();
        if self.by_start.len() + cuts > AREAS_MAX { Err(Full) } else { Ok(()) }
    }

    /// What a child has of them.
    pub fn of_child(&self) -> Areas {
        let mut areas = self.clone();
        areas.by_start.retain(|_, area| area.on_fork != OnFork::Absent);
        areas.searched.set(None);
        areas
    }

    /// Whether nothing is promised in `range`.
    pub fn is_free(&self, range: Range<u64>) -> bool {
        self.overlapping(range).next().is_none()
    }

    /// The highest free range of `len` bytes that ends at or below `top`: where Linux's top-down mmap
    /// would place it too.
    pub fn find_free(&self, len: u64, top: u64) -> Option<u64> {
        let seen = self.searched.get().filter(|seen| seen.top == top && seen.len <= len);
        let mut end = seen.map_or(top.min(USER_END), |seen| seen.end);
        let mut below = self.by_start.range(..end).rev();
        loop {
            let start = end.checked_sub(len).filter(|start| *start >= USER_START)?;
            match below.next() {
                Some((_, area)) if area.end > start => end = area.start,
                _ => {
                    self.searched.set(Some(Searched { len, top, end }));
                    return Some(start);
                }
            }
        }
    }

    /// The lowest free range of `len` bytes within `within`.
    pub fn find_lowest_free(&self, len: u64, within: Range<u64>) -> Option<u64> {
        let mut start = within.start;
        loop {
            let end = start.checked_add(len).filter(|end| *end <= within.end)?;
            match self.overlapping(start..end).last() {
                Some(area) => start = area.end,
                None => return Some(start),
            }
        }
    }
}

/// `address` rounded down to a page.
pub(super) fn page_of(address: u64) -> u64 {
    address & !(PAGE_SIZE - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn area(start: u64, end: u64) -> Area {
        let protection = Protection::READ | Protection::WRITE;
        let on_fork = OnFork::Kept;
        Area { start, end, protection, backing: Backing::Anonymous, name: "", on_fork }
    }

    fn ranges(areas: &Areas) -> Vec<(u64, u64)> {
        areas.iter().map(|area| (area.start, area.end)).collect()
    }

    #[test]
    fn neighbours_of_one_kind_become_one() {
        let mut areas = Areas::default();
        areas.insert(area(0x10_0000, 0x11_0000)).unwrap();
        areas.insert(area(0x12_0000, 0x13_0000)).unwrap();
        areas.insert(area(0x11_0000, 0x12_0000)).unwrap();
        assert_eq!(ranges(&areas), [(0x10_0000, 0x13_0000)]);
        let mut other = area(0x13_0000, 0x14_0000);
        other.protection = Protection::READ;
        areas.insert(other).unwrap();
        assert_eq!(ranges(&areas), [(0x10_0000, 0x13_0000), (0x13_0000, 0x14_0000)]);
    }

    #[test]
    fn removing_splits() {
        let mut areas = Areas::default();
        areas.insert(area(0x10_0000, 0x20_0000)).unwrap();
        let removed = areas.remove(0x14_0000..0x15_0000).unwrap();
        assert_eq!((removed[0].start, removed[0].end), (0x14_0000, 0x15_0000));
        assert_eq!(ranges(&areas), [(0x10_0000, 0x14_0000), (0x15_0000, 0x20_0000)]);
        assert_eq!(areas.remove(0..USER_END).unwrap().len(), 2);
        assert!(ranges(&areas).is_empty());
    }

    #[test]
    fn where_all_areas_are_taken_nothing_is_cut() {
        let mut areas = Areas::default();
        let starts = (0..AREAS_MAX as u64 - 1).map(|index| 0x10_0000 + index * 0x8000);
        for start in starts {
            areas.insert(area(start, start + 0x4000)).unwrap();
        }
        assert_eq!(areas.check_cuts(&(0x10_1000..0x10_2000)), Err(Full), "two cuts");
        assert_eq!(areas.check_cuts(&(0x10_0000..0x10_2000)), Ok(()), "one");
        let [whole] = &areas.remove(0x10_0000..0x10_4000).unwrap()[..] else { panic!("one") };
        assert_eq!((whole.start, whole.end), (0x10_0000, 0x10_4000));
    }

    #[test]
    fn the_highest_gap_that_fits_is_found() {
        let mut areas = Areas::default();
        areas.insert(area(0x7000_0000, 0x7100_0000)).unwrap();
        areas.insert(area(0x6f00_0000, 0x6ff0_0000)).unwrap();
        assert_eq!(areas.find_free(0x10_0000, 0x7100_0000), Some(0x6ff0_0000));
        assert_eq!(areas.find_free(0x20_0000, 0x7100_0000), Some(0x6ee0_0000));
        assert_eq!(areas.find_free(0x10_0000, 0x8000_0000), Some(0x7ff0_0000));
        assert_eq!(areas.find_free(USER_END, USER_END), None);
        assert!(areas.find(0x7000_0000).is_some() && areas.find(0x7100_0000).is_none());
    }

    #[test]
    fn the_lowest_gap_that_fits_is_found() {
        let (mut areas, within) = (Areas::default(), 0x4000_0000..0x8000_0000);
        assert_eq!(areas.find_lowest_free(0x1000, within.clone()), Some(0x4000_0000));
        areas.insert(area(0x3fff_0000, 0x4001_0000)).unwrap();
        areas.insert(area(0x4001_2000, 0x4002_0000)).unwrap();
        assert_eq!(areas.find_lowest_free(0x2000, within.clone()), Some(0x4001_0000));
        assert_eq!(areas.find_lowest_free(0x3000, within.clone()), Some(0x4002_0000));
        assert_eq!(areas.find_lowest_free(0x4000_0000, within), None);
    }

    #[test]
    fn what_becomes_free_above_the_last_search_is_found() {
        let (mut areas, top) = (Areas::default(), 0x7100_0000);
        let put = |areas: &mut Areas, len: u64, wanted: u64| {
            let start = areas.find_free(len, top).unwrap();
            assert_eq!(start, wanted, "{len:#x}");
            areas.insert(area(start, start + len)).unwrap();
        };
        put(&mut areas, 0x4000, 0x70ff_c000);
        put(&mut areas, 0x4000, 0x70ff_8000);
        areas.remove(0x70ff_e000..0x70ff_f000).unwrap();
        put(&mut areas, 0x2000, 0x70ff_6000);
        put(&mut areas, 0x1000, 0x70ff_e000);
        // Up to where the last search ended, and on both sides of it.
        areas.remove(0x70ff_c000..0x70ff_f000).unwrap();
        put(&mut areas, 0x3000, 0x70ff_c000);
        areas.remove(0x70ff_6000..0x70ff_d000).unwrap();
        put(&mut areas, 0x7000, 0x70ff_6000);
    }
}
