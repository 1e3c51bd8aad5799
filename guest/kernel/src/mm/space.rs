//! An address space: areas and page tables kept in step.

use core::ops::Range;

use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::vec::Vec;
use mayfly_abi::layout::{PAGE_SIZE, USER_END, USER_START};
use mayfly_hal::paging::{Flags, OutOfFrames, PageTables};
use mayfly_hal::phys::{self, Frame};

use super::area::{Area, Areas, Backing, Full, OnFork, Protection};
use crate::errno::{Errno, Result};
use crate::fs::Inode;
use crate::futex::Key;
use crate::rewrite::Calls;

/// Where a new area is to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// Anywhere; this address if it is free.
    Anywhere(u64),
    /// As `Anywhere`, where 31 bits can say where (MAP_32BIT).
    Low(u64),
    /// Exactly here, in place of what is there (MAP_FIXED).
    Replace(u64),
    /// Exactly here, or not at all (MAP_FIXED_NOREPLACE).
    Exactly(u64),
}

/// Where areas of MAP_32BIT are placed: where Linux places them.
const LOW: Range<u64> = 0x4000_0000..0x8000_0000;

/// What /proc/self/maps calls the first thread's stack.
pub const STACK_NAME: &str = "[stack]";

/// A program's address space.
pub struct AddressSpace {
    pub(super) areas: Areas,
    pub(super) tables: PageTables,
    /// Areas are placed below this address.
    pub(super) mmap_top: u64,
    /// The heap of brk(2): start, and current end (any byte).
    pub(super) heap: Range<u64>,
    /// System calls that were made jumps; `None` where that may not be done.
    pub(super) calls: Option<Box<Calls>>,
}

impl From<OutOfFrames> for Errno {
    fn from(_: OutOfFrames) -> Errno {
        Errno::NOMEM
    }
}

impl From<Full> for Errno {
    fn from(_: Full) -> Errno {
        Errno::NOMEM
    }
}

impl AddressSpace {
    /// An empty address space. `template` is the guest-physical address of a page-table root whose
    /// kernel half to share.
    pub fn new(template: u64, mmap_top: u64) -> Result<AddressSpace> {
        let tables = PageTables::new(template)?;
        Ok(AddressSpace { areas: Areas::default(), tables, mmap_top, heap: 0..0, calls: None })
    }

    /// The areas.
    pub fn areas(&self) -> &Areas {
        &self.areas
    }

    /// Makes this the address space that runs.
    #[cfg(feature = "bare-metal")]
    pub fn activate(&self) {
        self.tables.activate();
    }

    /// The futex at `address`: one of this space's alone where it `is_private` or no shared mapping is there.
    pub fn futex(&self, address: u64, is_private: bool) -> Key {
        let area = self.areas.find(address).filter(|area| !is_private && area.backing.is_shared());
        match area.and_then(|area| Some((area.start, area.backing.file()?))) {
            Some((start, (inode, offset))) => {
                let stat = inode.stat();
                Key::Shared { dev: stat.dev, ino: stat.ino, offset: offset + (address - start) }
            }
            None => Key::Private { space: self.tables.root(), address },
        }
    }

    /// Drops translations that the processor may still hold.
    pub(super) fn flush(&self) {
        self.tables.flush();
    }

    /// mmap(2): adds an area of `len` bytes (any number above 0) and returns where it begins.
    pub fn map(
        &mut self,
        placement: Placement,
        len: u64,
        protection: Protection,
        backing: Backing,
        name: &'static str,
    ) -> Result<u64> {
        let len =
            len.checked_next_multiple_of(PAGE_SIZE).filter(|len| *len > 0).ok_or(Errno::NOMEM)?;
        let start = match placement {
            Placement::Anywhere(hint) => self.place(hint, len)?,
            Placement::Low(hint) => self.place_low(hint, len)?,
            Placement::Replace(start) => {
                let range = checked_range(start, len)?;
                self.unmap(range)?;
                start
            }
            Placement::Exactly(start) => {
                let range = checked_range(start, len)?;
                if !self.areas.is_free(range) {
                    return Err(Errno::EXIST);
                }
                start
            }
        };
        self.areas.insert(Area {
            start,
            end: start + len,
            protection,
            backing,
            name,
            on_fork: OnFork::Kept,
        })?;
        Ok(start)
    }

    /// Adds an area of one page that shows `frame`, exactly at `start`.
    pub fn map_frame(
        &mut self,
        start: u64,
        frame: Frame,
        protection: Protection,
        name: &'static str,
    ) -> Result<()> {
        let place = Placement::Exactly(start);
        self.map(place, PAGE_SIZE, protection, Backing::Anonymous, name)?;
        self.tables.map(start, frame, page_flags(protection))?;
        Ok(())
    }

    /// munmap(2): forgets everything in `range` (page-aligned).
    pub fn unmap(&mut self, range: Range<u64>) -> Result<()> {
        self.release_calls(&range);
        if self.areas.remove(range.clone())?.is_empty() {
            return Ok(());
        }
        self.drop_pages(range);
        Ok(())
    }

    /// mprotect(2). ENOMEM where part of the range is not mapped, what is before that is changed, and, with nothing
    /// changed, for too many areas. EACCES
    /// where it would allow writing to a file that was opened to be read.
    pub fn protect(&mut self, range: Range<u64>, protection: Protection) -> Result<()> {
        let writes = protection.contains(Protection::WRITE);
        let is_read_only = |area: &Area| area.backing.is_read_only();
        if writes && self.areas.overlapping(range.clone()).any(is_read_only) {
            return Err(Errno::ACCES);
        }
        self.areas.check_cuts(&range)?;
        self.release_calls(&range);
        let mut covered = range.start;
        for area in self.areas.remove(range.clone())? {
            let contiguous = area.start == covered;
            let protection = if contiguous { protection } else { area.protection };
            covered = if contiguous { area.end } else { covered };
            self.areas.insert(Area { protection, ..area })?;
        }
        let mut restricted = false;
        self.for_each_page(range.start..covered, |tables, page| {
            let Some(mapping) = tables.query(page) else { return };
            // A page becomes writable at its next write fault, where a shared frame is copied.
            let flags = page_flags(protection) - Flags::WRITE;
            restricted |= mapping.flags.contains(Flags::PRESENT);
            tables.protect(page, flags);
        });
        if restricted {
            self.flush();
        }
        if covered < range.end { Err(Errno::NOMEM) } else { Ok(()) }
    }

    /// `range`, and what lies before it of the area that it begins in, which grows downwards (PROT_GROWSDOWN): the first
    /// thread's stack, which is here all that it may grow to. EINVAL for another, ENOMEM where there is none.
    pub fn grown_down(&self, range: Range<u64>) -> Result<Range<u64>> {
        let area = self.areas.overlapping(range.clone()).next().ok_or(Errno::NOMEM)?;
        if area.name == STACK_NAME { Ok(area.start..range.end) } else { Err(Errno::INVAL) }
    }

    /// madvise(2): what a child finds in `range`. ENOMEM for too many areas; EINVAL where memory that is not this
    /// program's alone is to be wiped.
    pub fn set_on_fork(&mut self, range: Range<u64>, on_fork: OnFork) -> Result<()> {
        let is_anonymous = |area: &Area| matches!(area.backing, Backing::Anonymous);
        if on_fork == OnFork::Wiped && !self.areas.overlapping(range.clone()).all(is_anonymous) {
            return Err(Errno::INVAL);
        }
        self.areas.check_cuts(&range)?;
        for area in self.areas.remove(range)? {
            self.areas.insert(Area { on_fork, ..area })?;
        }
        Ok(())
    }

    /// madvise(MADV_DONTNEED): private pages are zero (or the file's) at the next touch, and their frames
    /// are free. Shared pages stay what they are.
    pub fn discard(&mut self, range: Range<u64>) {
        self.release_calls(&range);
        self.drop_pages(range);
    }

    /// A file has lost its bytes in `lost`, whole pages of it: what shows them is gone, and the next touch finds what is
    /// there then. The program's own copies go too where the file has become shorter (`copies`), as on Linux.
    pub fn withdraw(&mut self, file: &Rc<dyn Inode>, lost: &Range<u64>, copies: bool) {
        let part = |area: &Area| {
            let (inode, offset) = area.backing.file()?;
            if !Rc::ptr_eq(inode, file) || !(copies || area.backing.is_shared()) {
                return None;
            }
            let end = offset + (area.end - area.start);
            let (first, last) = (lost.start.max(offset), lost.end.min(end));
            (first < last).then(|| area.start + (first - offset)..area.start + (last - offset))
        };
        let parts: Vec<Range<u64>> = self.areas.iter().filter_map(part).collect();
        parts.into_iter().for_each(|range| self.discard(range));
    }

    /// Whether every page of `range` is in some area.
    pub fn is_mapped(&self, range: Range<u64>) -> bool {
        let mut covered = range.start;
        for area in self.areas.overlapping(range.clone()) {
            if area.start > covered {
                break;
            }
            covered = area.end;
        }
        covered >= range.end
    }

    /// mincore(2): whether a touch of each page of `range` would need nothing from a disk.
    pub fn resident(&mut self, range: Range<u64>) -> Vec<bool> {
        let in_cache = |page: u64| {
            let area = self.areas.find(page)?;
            let (inode, offset) = area.backing.file()?;
            inode.cached_page((offset + (page - area.start)) / PAGE_SIZE)
        };
        let cached: Vec<bool> = range
            .clone()
            .step_by(PAGE_SIZE as usize)
            .map(|page| in_cache(page).is_some())
            .collect();
        let pages = range.step_by(PAGE_SIZE as usize).zip(cached);
        pages.map(|(page, cached)| cached || self.tables.query(page).is_some()).collect()
    }

    /// Where the heap of brk(2) begins; it is empty at first.
    pub fn set_heap(&mut self, start: u64) {
        let start = start.next_multiple_of(PAGE_SIZE);
        self.heap = start..start;
    }

    /// brk(2): moves the heap's end if that is possible, and returns where it is then.
    pub fn brk(&mut self, end: u64) -> u64 {
        if end < self.heap.start || self.move_heap_end(end).is_err() {
            return self.heap.end;
        }
        self.heap.end = end;
        end
    }

    fn move_heap_end(&mut self, end: u64) -> Result<()> {
        let old = self.heap.end.next_multiple_of(PAGE_SIZE);
        let new = end.checked_next_multiple_of(PAGE_SIZE).ok_or(Errno::NOMEM)?;
        if new < old {
            return self.unmap(new..old);
        }
        if new > old {
            let rw = Protection::READ | Protection::WRITE;
            AddressSpace::check_promise(new - old, rw)?;
            self.release_calls(&(old..new));
            self.map(Placement::Exactly(old), new - old, rw, Backing::Anonymous, "[heap]")?;
        }
        Ok(())
    }

    /// Refuses a promise that could never be kept: more private writable memory than there is. Linux's
    /// heuristic overcommit (vm.overcommit_memory = 0) refuses the same.
    pub fn check_promise(len: u64, protection: Protection) -> Result<()> {
        let counted = protection.contains(Protection::WRITE);
        let total = u64::from(phys::usage().total) * PAGE_SIZE;
        if counted && len > total { Err(Errno::NOMEM) } else { Ok(()) }
    }

    pub(super) fn place(&self, hint: u64, len: u64) -> Result<u64> {
        let free = self.hinted(hint, len, USER_END);
        free.or_else(|| self.areas.find_free(len, self.mmap_top)).ok_or(Errno::NOMEM)
    }

    fn place_low(&self, hint: u64, len: u64) -> Result<u64> {
        let free = self.hinted(hint, len, LOW.end);
        free.or_else(|| self.areas.find_lowest_free(len, LOW)).ok_or(Errno::NOMEM)
    }

    /// The page of `hint`, if there is one and `len` bytes from there on are free and below `end`.
    fn hinted(&self, hint: u64, len: u64, end: u64) -> Option<u64> {
        let hint = hint & !(PAGE_SIZE - 1);
        let range = checked_range(hint, len).ok().filter(|range| range.end <= end)?;
        self.areas.is_free(range).then_some(hint)
    }

    /// Unmaps every page in `range`; frames are freed once no translation leads to them.
    pub(super) fn drop_pages(&mut self, range: Range<u64>) {
        let mut frames: Vec<Frame> = Vec::new();
        self.for_each_page(range, |tables, page| frames.extend(tables.unmap(page)));
        if !frames.is_empty() {
            self.flush();
        }
    }

    /// Calls `work` for each page of `range` that may be there.
    pub(super) fn for_each_page(
        &mut self,
        range: Range<u64>,
        mut work: impl FnMut(&mut PageTables, u64),
    ) {
        let mut page = range.start;
        while let Some(at) = self.tables.next_populated(page).filter(|at| *at < range.end) {
            work(&mut self.tables, at);
            page = at + PAGE_SIZE;
        }
    }
}

/// `start..start + len` if it is page-aligned and the program's to use.
pub(super) fn checked_range(start: u64, len: u64) -> Result<Range<u64>> {
    if !start.is_multiple_of(PAGE_SIZE) {
        return Err(Errno::INVAL);
    }
    let end = start.checked_add(len).filter(|end| *end <= USER_END).ok_or(Errno::NOMEM)?;
    if start < USER_START {
        return Err(Errno::PERM);
    }
    Ok(start..end)
}

/// A protection as page-table flags.
pub(super) fn page_flags(protection: Protection) -> Flags {
    if protection.is_empty() {
        return Flags::HIDDEN;
    }
    let mut flags = Flags::empty();
    flags.set(Flags::WRITE, protection.contains(Protection::WRITE));
    flags.set(Flags::NO_EXECUTE, !protection.contains(Protection::EXECUTE));
    flags
}
