//! A second address space like the first (fork(2)): every page is in both, and copied when one of them writes.
//!
//! ```text
//!   parent's entry ─▶ frame ◀─ child's entry      private: neither may write, until its fault has made a copy
//!                                                 shared:  both go on as before
//! ```
//!
//! Code that was changed for this program ([`super::rewrite`]) is not handed on: the child finds the file's bytes there, and
//! its own calls become jumps when they are hot again.

use alloc::boxed::Box;

use mayfly_abi::layout::{CALL_STUBS_END, CALL_TABLE};
use mayfly_hal::paging::{Flags, PageTables};
use mayfly_hal::phys::Frame;

use super::area::{OnFork, page_of};
use super::space::{AddressSpace, page_flags};
use crate::errno::Result;
use crate::rewrite::Calls;

impl AddressSpace {
    /// The child's address space. Pages that both will write to at once, where their stacks are for instance, are copied
    /// now: two faults less. ENOMEM.
    pub fn fork(&mut self, template: u64, written: &[u64]) -> Result<AddressSpace> {
        let mut child = AddressSpace {
            areas: self.areas.of_child(),
            tables: PageTables::new(template)?,
            mmap_top: self.mmap_top,
            heap: self.heap.clone(),
            calls: self.calls.as_ref().map(|calls| Box::new(Calls::new(*calls.entries()))),
        };
        let shared = self.share_pages(&mut child.tables);
        for address in written {
            self.copy_now(&mut child.tables, page_of(*address));
        }
        // Also where memory ran out on the way: some of this space's pages may be read-only by now.
        self.flush();
        shared?;
        if let Some(calls) = &self.calls {
            for page in calls.pages() {
                drop(child.tables.unmap(page));
            }
            child.drop_pages(CALL_TABLE..CALL_STUBS_END);
        }
        Ok(child)
    }

    /// Gives the other tables a copy of a page that is shared until it is written, where there is memory for it.
    fn copy_now(&mut self, tables: &mut PageTables, page: u64) {
        let Some(area) = self.areas.find(page) else { return };
        let flags = page_flags(area.protection);
        if !flags.contains(Flags::WRITE) || area.backing.is_shared() {
            return;
        }
        let Some(copy) = Frame::scratch() else { return };
        let Some(frame) = tables.unmap(page) else { return };
        copy.copy_from(&frame);
        drop(frame);
        // Its tables are there in both: they held the page until now.
        let _ = tables.map(page, copy, flags);
        if let Some(own) = self.tables.unmap(page) {
            let flags = if own.is_unique() { flags } else { flags - Flags::WRITE };
            let _ = self.tables.map(page, own, flags);
        }
    }

    fn share_pages(&mut self, tables: &mut PageTables) -> Result<()> {
        for area in self.areas.iter().filter(|area| area.on_fork == OnFork::Kept) {
            let is_private = !area.backing.is_shared();
            self.tables.share(tables, area.start..area.end, is_private)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use mayfly_abi::layout::PAGE_SIZE;
    use mayfly_hal::context::Access;
    use mayfly_hal::phys;

    use super::*;
    use crate::mm::{Backing, Placement, Protection};

    const BASE: u64 = 0x40_0000;
    const RW: Protection = Protection::READ.union(Protection::WRITE);

    struct Forked {
        template: Frame,
        parent: AddressSpace,
        child: AddressSpace,
    }

    /// A space of `pages` written pages, and its copy.
    fn forked(pages: u64) -> Forked {
        let template = Frame::zeroed().unwrap();
        let mut parent = AddressSpace::new(template.gpa(), 0x1000_0000).unwrap();
        let place = Placement::Exactly(BASE);
        parent.map(place, pages * PAGE_SIZE, RW, Backing::Anonymous, "").unwrap();
        for page in 0..pages {
            parent.fault(BASE + page * PAGE_SIZE, Access::Write).unwrap();
        }
        frame(&mut parent, BASE).write(0, b"before");
        let child = parent.fork(template.gpa(), &[]).unwrap();
        Forked { template, parent, child }
    }

    /// The frame at a page, as a hold of its own.
    fn frame(space: &mut AddressSpace, page: u64) -> Frame {
        let mapping = space.tables.query(page).unwrap();
        let held = space.tables.unmap(page).unwrap();
        space.tables.map(page, held.clone(), mapping.flags).unwrap();
        held
    }

    fn text(space: &mut AddressSpace) -> [u8; 6] {
        let mut text = [0; 6];
        frame(space, BASE).read(0, &mut text);
        text
    }

    #[test]
    fn a_write_of_either_reaches_the_other_never() {
        for parent_writes in [true, false] {
            let Forked { template: _template, mut parent, mut child } = forked(2);
            assert_eq!(frame(&mut parent, BASE), frame(&mut child, BASE));
            let (writer, reader) =
                if parent_writes { (&mut parent, &mut child) } else { (&mut child, &mut parent) };
            writer.fault(BASE, Access::Write).unwrap();
            frame(writer, BASE).write(0, b"after!");
            assert_eq!((text(writer), text(reader)), (*b"after!", *b"before"));
            reader.fault(BASE, Access::Write).unwrap();
            frame(reader, BASE).write(0, b"third!");
            assert_eq!((text(writer), text(reader)), (*b"after!", *b"third!"));
        }
    }

    #[test]
    fn a_child_finds_what_was_said_of_children() {
        let Forked { template, mut parent, child } = forked(4);
        drop(child);
        let page = |index: u64| BASE + index * PAGE_SIZE..BASE + (index + 1) * PAGE_SIZE;
        parent.set_on_fork(page(1), OnFork::Wiped).unwrap();
        parent.set_on_fork(page(2), OnFork::Absent).unwrap();
        let mut child = parent.fork(template.gpa(), &[page(1).start, page(2).start]).unwrap();
        let mut is_there = |index: u64| {
            (child.is_mapped(page(index)), child.tables.query(page(index).start).is_some())
        };
        let found = [0, 1, 2, 3].map(&mut is_there);
        assert_eq!(found, [(true, true), (true, false), (false, false), (true, true)]);
        parent.set_on_fork(page(1).start..page(2).end, OnFork::Kept).unwrap();
        assert_eq!(parent.areas().iter().count(), 1, "one again");
    }

    #[test]
    fn the_last_who_has_a_page_writes_to_it_without_a_copy() {
        let Forked { template: _template, mut parent, child } = forked(1);
        let before = frame(&mut parent, BASE);
        drop(child);
        drop(frame(&mut parent, BASE));
        let gpa = before.gpa();
        drop(before);
        parent.fault(BASE, Access::Write).unwrap();
        assert_eq!(frame(&mut parent, BASE).gpa(), gpa);
    }

    #[test]
    fn what_both_will_write_is_copied_at_once() {
        let template = Frame::zeroed().unwrap();
        let mut parent = AddressSpace::new(template.gpa(), 0x1000_0000).unwrap();
        let place = Placement::Exactly(BASE);
        parent.map(place, 2 * PAGE_SIZE, RW, Backing::Anonymous, "").unwrap();
        parent.fault(BASE, Access::Write).unwrap();
        frame(&mut parent, BASE).write(0, b"before");
        // Once alone, once while another child has the page, too; and where nothing is.
        let mut first = parent.fork(template.gpa(), &[BASE + 7, 0x7000_0000]).unwrap();
        let writes = |space: &mut AddressSpace| {
            space.tables.query(BASE).unwrap().flags.contains(Flags::WRITE)
        };
        assert!(writes(&mut parent) && writes(&mut first));
        assert_ne!(frame(&mut parent, BASE), frame(&mut first, BASE));
        assert_eq!(text(&mut first), *b"before");
        let mut second = parent.fork(template.gpa(), &[]).unwrap();
        let mut third = parent.fork(template.gpa(), &[BASE]).unwrap();
        assert!(!writes(&mut parent) && !writes(&mut second) && writes(&mut third));
        assert_eq!(frame(&mut parent, BASE), frame(&mut second, BASE));
    }

    #[test]
    fn writing_from_front_to_back_takes_few_faults() {
        let Forked { template: _template, mut parent, mut child } = forked(100);
        let write_all = |space: &mut AddressSpace| {
            let mut faults = 0;
            for page in (0..100).map(|page| BASE + page * PAGE_SIZE) {
                if !space.tables.query(page).unwrap().flags.contains(Flags::WRITE) {
                    space.fault(page, Access::Write).unwrap();
                    faults += 1;
                }
            }
            faults
        };
        let faults = (write_all(&mut child), write_all(&mut parent));
        assert!(faults.0 < 20 && faults.1 < 20, "{faults:?}");
        for page in (0..100).map(|page| BASE + page * PAGE_SIZE) {
            assert_ne!(frame(&mut parent, page), frame(&mut child, page));
        }
    }

    #[test]
    fn what_memory_is_too_short_for_leaves_nothing_behind() {
        let Forked { template, mut parent, child } = forked(3);
        drop(child);
        let mut held: alloc::vec::Vec<Frame> = core::iter::from_fn(Frame::scratch).collect();
        for free in 0..4 {
            let before = phys::usage().free;
            assert_eq!(before, free);
            assert_eq!(parent.fork(template.gpa(), &[]).err(), Some(crate::errno::Errno::NOMEM));
            assert_eq!(phys::usage().free, before);
            held.pop();
        }
        assert!(parent.fork(template.gpa(), &[]).is_ok());
    }
}
