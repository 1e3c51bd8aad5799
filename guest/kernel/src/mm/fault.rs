//! Faults: making a promised page real.
//!
//! A fault costs the program an exception (17 µs on a software KVM), a page that is mapped but not
//! touched costs a page-table entry: so a fault maps the neighbourhood too.

use core::ops::Range;

use mayfly_abi::layout::PAGE_SIZE;
#[cfg(feature = "bare-metal")]
use mayfly_abi::layout::USER_END;
use mayfly_hal::context::Access;
use mayfly_hal::paging::{Flags, Mapping};
use mayfly_hal::phys::Frame;
#[cfg(feature = "bare-metal")]
use mayfly_hal::user::UserRange;

use super::area::{Area, Backing, Protection, page_of};
use super::space::{AddressSpace, page_flags};
use crate::errno::Errno;

/// Pages in the neighbourhood that one fault maps (Linux's fault-around: 64 KiB).
const AROUND: u64 = 16;
/// Most pages that one write to a private file, or after a fork, copies ahead. A dynamic linker relocates a library's data
/// from front to back, hundreds of pages of it.
const AHEAD_MAX: u64 = 16;

/// Why an access is not allowed: the signal a program gets for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadAccess {
    /// SIGSEGV, SEGV_MAPERR: nothing is mapped there.
    NotMapped,
    /// SIGSEGV, SEGV_ACCERR: it is mapped, but not for this.
    NotAllowed,
    /// SIGBUS: the file behind it ends before, or cannot be read.
    NoFile,
    /// Memory is exhausted: what Linux's OOM killer ends with SIGKILL.
    OutOfMemory,
}

impl AddressSpace {
    /// Makes `address` accessible, if the program may access it so.
    pub fn fault(&mut self, address: u64, access: Access) -> Result<(), BadAccess> {
        let area = self.areas.find(address).ok_or(BadAccess::NotMapped)?;
        let allowed = match access {
            Access::Read => !area.protection.is_empty(),
            Access::Write => area.protection.contains(Protection::WRITE),
            Access::Execute => area.protection.contains(Protection::EXECUTE),
        };
        if !allowed {
            return Err(BadAccess::NotAllowed);
        }
        let area = area.clone();
        let page = page_of(address);
        match self.tables.query(page) {
            Some(_) if access == Access::Write => self.make_writable(&area, page),
            Some(_) => {
                self.tables.protect(page, page_flags(area.protection) - Flags::WRITE);
                Ok(())
            }
            None => match &area.backing {
                Backing::Anonymous => self.fill_anonymous(&area, page),
                Backing::File { .. } => self.fill_from_file(&area, page, access),
            },
        }
    }

    /// Checks a range of the program's memory and makes it ready for the kernel to touch.
    #[cfg(feature = "bare-metal")]
    pub fn user_range(&mut self, start: u64, len: u64, writable: bool) -> Result<UserRange, Errno> {
        let end = start.checked_add(len).filter(|end| *end <= USER_END).ok_or(Errno::FAULT)?;
        let (access, needed) = match writable {
            true => (Access::Write, Flags::PRESENT | Flags::WRITE),
            false => (Access::Read, Flags::PRESENT),
        };
        for page in (page_of(start)..end).step_by(PAGE_SIZE as usize) {
            let mapping = self.tables.query(page);
            if mapping.is_some_and(|mapping| mapping.flags.contains(needed)) {
                continue;
            }
            self.fault(page, access).map_err(|bad| match bad {
                BadAccess::OutOfMemory => Errno::NOMEM,
                _ => Errno::FAULT,
            })?;
        }
        UserRange::check(&mut self.tables, start, len as usize, writable).map_err(|_| Errno::FAULT)
    }

    /// Makes every page of `range` accessible, as far as it is mapped and there is memory (MAP_POPULATE):
    /// what cannot be had now is a fault later.
    pub fn populate(&mut self, range: Range<u64>) -> Result<(), BadAccess> {
        let mut page = range.start;
        while page < range.end {
            let Some(area) = self.areas.find(page) else { return Err(BadAccess::NotMapped) };
            // A shared page is not written to: that would make a hole of its file a page.
            let writes = area.protection.contains(Protection::WRITE) && !area.backing.is_shared();
            let access = if writes { Access::Write } else { Access::Read };
            let needed = if writes { Flags::PRESENT | Flags::WRITE } else { Flags::PRESENT };
            if !self.tables.query(page).is_some_and(|mapping| mapping.flags.contains(needed)) {
                self.fault(page, access)?;
            }
            page += PAGE_SIZE;
        }
        Ok(())
    }

    /// Zeroes from `address` to the end of its page: what follows a program's initialised data.
    pub fn zero_tail(&mut self, address: u64) -> Result<(), Errno> {
        let page = page_of(address);
        let area = self.areas.find(page).ok_or(Errno::FAULT)?;
        let flags = page_flags(area.protection);
        let Some((inode, offset)) = area.backing.file() else { return Ok(()) };
        let cached = inode.page((offset + (page - area.start)) / PAGE_SIZE)?;
        let copy = Frame::scratch().ok_or(Errno::NOMEM)?;
        copy.copy_from(&cached);
        copy.zero((address - page) as usize, (page + PAGE_SIZE - address) as usize);
        self.tables.map(page, copy, flags)?;
        Ok(())
    }

    /// A write to a page that is there but read-only: alone, it becomes writable; shared, it is copied. So are the next
    /// ones, where as many before it were written to: a flush costs as much as several copies.
    fn make_writable(&mut self, area: &Area, page: u64) -> Result<(), BadAccess> {
        let made = self.make_own(area, page);
        let ahead = self.ahead(area, page);
        for next in ahead.step_by(PAGE_SIZE as usize) {
            let is_waiting = |at: Mapping| !at.flags.intersects(Flags::WRITE | Flags::HIDDEN);
            let goes_on = made.is_ok() && self.tables.query(next).is_some_and(is_waiting);
            if !goes_on || self.make_own(area, next).is_err() {
                break;
            }
        }
        self.flush();
        made
    }

    /// Makes a page that is there writable. Needs a flush.
    fn make_own(&mut self, area: &Area, page: u64) -> Result<(), BadAccess> {
        let flags = page_flags(area.protection);
        // Taken first: where there is none, the page must stay as it is.
        let spare = Frame::scratch();
        let frame = self.tables.unmap(page).ok_or(BadAccess::NotMapped)?;
        let is_ours = area.backing.is_shared() || frame.is_unique();
        match spare {
            _ if is_ours => self.put(page, frame, flags),
            Some(copy) => {
                copy.copy_from(&frame);
                self.put(page, copy, flags)
            }
            None => {
                self.put(page, frame, flags - Flags::WRITE)?;
                Err(BadAccess::OutOfMemory)
            }
        }
    }

    /// The pages behind `page` that will be written to next: as many as were written to right before it, and one.
    fn ahead(&mut self, area: &Area, page: u64) -> Range<u64> {
        let mut run = 0;
        while run < AHEAD_MAX
            && let Some(before) = page.checked_sub((run + 1) * PAGE_SIZE)
            && before >= area.start
            && self.tables.query(before).is_some_and(|at| at.flags.contains(Flags::WRITE))
        {
            run += 1;
        }
        page + PAGE_SIZE..area.end.min(page + (run + 1) * PAGE_SIZE)
    }

    fn fill_anonymous(&mut self, area: &Area, page: u64) -> Result<(), BadAccess> {
        let flags = page_flags(area.protection);
        let frame = Frame::zeroed().ok_or(BadAccess::OutOfMemory)?;
        self.put(page, frame, flags)?;
        for neighbour in neighbourhood(area, page) {
            if self.tables.query(neighbour).is_none() {
                let Some(frame) = Frame::fresh() else { break };
                self.put(neighbour, frame, flags)?;
            }
        }
        Ok(())
    }

    fn fill_from_file(&mut self, area: &Area, page: u64, access: Access) -> Result<(), BadAccess> {
        let Some((inode, offset)) = area.backing.file() else { return Ok(()) };
        let shared = area.backing.is_shared();
        let index = |page: u64| (offset + (page - area.start)) / PAGE_SIZE;
        let frame = inode.page(index(page)).map_err(|error| match error {
            Errno::NOMEM => BadAccess::OutOfMemory,
            _ => BadAccess::NoFile,
        })?;
        if access == Access::Write && !shared {
            let copy = Frame::scratch().ok_or(BadAccess::OutOfMemory)?;
            copy.copy_from(&frame);
            self.put(page, copy, page_flags(area.protection))?;
            return self.copy_ahead(area, page);
        }
        let mut flags = page_flags(area.protection);
        if !shared {
            flags -= Flags::WRITE;
        }
        self.put(page, frame, flags)?;
        for neighbour in neighbourhood(area, page) {
            if self.tables.query(neighbour).is_none()
                && let Some(frame) = inode.cached_page(index(neighbour))
            {
                self.put(neighbour, frame, flags)?;
            }
        }
        Ok(())
    }

    /// After a write to `page` of a private file: where as many pages before it were written to, the next
    /// ones will be, and get their copies at once, as far as the file is in memory.
    fn copy_ahead(&mut self, area: &Area, page: u64) -> Result<(), BadAccess> {
        let Some((inode, offset)) = area.backing.file() else { return Ok(()) };
        for next in self.ahead(area, page).step_by(PAGE_SIZE as usize) {
            let index = (offset + (next - area.start)) / PAGE_SIZE;
            if self.tables.query(next).is_some() {
                break;
            }
            let Some((frame, copy)) = inode.cached_page(index).zip(Frame::scratch()) else { break };
            copy.copy_from(&frame);
            self.put(next, copy, page_flags(area.protection))?;
        }
        Ok(())
    }

    fn put(&mut self, page: u64, frame: Frame, flags: Flags) -> Result<(), BadAccess> {
        self.tables.map(page, frame, flags).map_err(|_| BadAccess::OutOfMemory)
    }
}

/// The other pages of the aligned window around `page` that lie in `area`.
fn neighbourhood(area: &Area, page: u64) -> impl Iterator<Item = u64> + use<> {
    let window = AROUND * PAGE_SIZE;
    let start = (page - page % window).max(area.start);
    let end = (page - page % window + window).min(area.end);
    (start..end).step_by(PAGE_SIZE as usize).filter(move |neighbour| *neighbour != page)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::testing::{Machine, machine};
    use crate::mm::{Placement, Sharing};

    const BASE: u64 = 0x40_0000;

    /// A space with a private, writable mapping of a file of `pages` pages, each full of its number.
    fn mapped(machine: &Machine, pages: u8) -> AddressSpace {
        let bytes: std::vec::Vec<u8> = (0..pages).flat_map(|n| [n; PAGE_SIZE as usize]).collect();
        machine.write("/tmp/file", &bytes);
        let template = Frame::zeroed().unwrap();
        let mut space = AddressSpace::new(template.gpa(), 0x1000_0000).unwrap();
        let file = machine.lookup("/tmp/file").unwrap();
        let backing = Backing::File { file, offset: 0, sharing: Sharing::Private };
        let rw = Protection::READ | Protection::WRITE;
        space.map(Placement::Exactly(BASE), bytes.len() as u64, rw, backing, "").unwrap();
        space
    }

    fn is_writable(space: &mut AddressSpace, page: u64) -> bool {
        space.tables.query(page).is_some_and(|mapping| mapping.flags.contains(Flags::WRITE))
    }

    #[test]
    fn writing_a_private_file_from_front_to_back_takes_few_faults() {
        let machine = machine();
        let mut space = mapped(&machine, 100);
        let mut faults = 0;
        for page in (0..100).map(|n| BASE + n * PAGE_SIZE) {
            if !is_writable(&mut space, page) {
                space.fault(page, Access::Write).unwrap();
                faults += 1;
            }
        }
        assert!(faults < 20, "{faults} faults");
        let file = machine.lookup("/tmp/file").unwrap();
        for n in 0..100 {
            let frame = space.tables.unmap(BASE + n * PAGE_SIZE).unwrap();
            assert_eq!(frame.bytes()[7], n as u8);
            assert!(frame.is_unique() && frame != file.inode().page(n).unwrap(), "page {n}");
        }
    }

    #[test]
    fn writing_here_and_there_copies_nothing_else() {
        let machine = machine();
        let mut space = mapped(&machine, 40);
        for page in (0..40).step_by(3).map(|n| BASE + n * PAGE_SIZE) {
            space.fault(page, Access::Write).unwrap();
            assert!(!is_writable(&mut space, page + 2 * PAGE_SIZE));
        }
    }

    #[test]
    fn populating_maps_all_that_is_promised() {
        let machine = machine();
        let mut space = mapped(&machine, 8);
        assert_eq!(space.populate(BASE..BASE + 8 * PAGE_SIZE), Ok(()));
        assert!((0..8).all(|n| is_writable(&mut space, BASE + n * PAGE_SIZE)));
        assert_eq!(space.populate(BASE..BASE + 9 * PAGE_SIZE), Err(BadAccess::NotMapped));
    }
}
