//! Changes a program's code so that a system call is a jump ([`crate::rewrite`]), and changes it back.
//!
//! ```text
//!   page cache's frame ──copy──▶ the program's own frame ──5 bytes──▶ mapped in its place, as unwritable as before
//!                                  └── dropped as soon as the program remaps, protects or unmaps it:
//!                                      the next touch finds the file's bytes
//! ```
//!
//! Only pages that show a read-only image's bytes as they are: private, executable, not writable, and never written.
//! What a program has made itself (anonymous memory, files in memory, pages it has changed) is never looked at. The
//! kernel writes through the direct map; to the program, table, stubs and code cannot be written.

use core::ops::Range;

use alloc::boxed::Box;
use alloc::vec::Vec;
use mayfly_abi::layout::{CALL_STUBS, CALL_STUBS_END, CALL_TABLE, PAGE_SIZE};
use mayfly_hal::paging::Flags;
use mayfly_hal::phys::Frame;

use super::area::{Area, Backing, Protection, Sharing, page_of};
use super::space::{AddressSpace, Placement, page_flags};
use crate::rewrite::calls::{Site, slot_address, stub_address};
use crate::rewrite::site::{
    CONTEXT_BYTES, MOV_BYTES, SITE_BYTES, SYSCALL_BYTES, jump_through, may_be_rewritten,
};
use crate::rewrite::{Calls, Entries, stub};

/// What /proc/self/maps calls table and stubs.
const NAME: &str = "[syscalls]";
/// Both.
const RESERVED: Range<u64> = CALL_TABLE..CALL_STUBS_END;

/// What became of a place that trapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trapped {
    /// Nothing: it has not trapped often, or has been looked at before.
    Cold,
    /// It is a jump now.
    Rewritten,
    /// It is hot, and cannot be a jump.
    Stays,
}

impl AddressSpace {
    /// Sets the place for table and stubs aside, where the program has left it free: else nothing is rewritten.
    pub fn reserve_calls(&mut self, entries: Entries) {
        if !self.areas.is_free(RESERVED) {
            return;
        }
        let parts = [
            (CALL_TABLE..CALL_STUBS, Protection::READ),
            (CALL_STUBS..CALL_STUBS_END, Protection::READ | Protection::EXECUTE),
        ];
        for (part, protection) in parts {
            let len = part.end - part.start;
            let place = Placement::Exactly(part.start);
            if self.map(place, len, protection, Backing::Anonymous, NAME).is_err() {
                return;
            }
        }
        self.calls = Some(Box::new(Calls::new(entries)));
    }

    /// A system call `number` whose return address is `back` has trapped: makes it a jump where it is worth it.
    pub fn note_trap(&mut self, back: u64, number: u64) -> Trapped {
        let Some(mut calls) = self.calls.take() else { return Trapped::Cold };
        let trapped = match calls.hot.count(back) {
            false => Trapped::Cold,
            true if self.rewrite(&mut calls, back, number).is_some() => Trapped::Rewritten,
            true => Trapped::Stays,
        };
        self.calls = Some(calls);
        trapped
    }

    /// Where a program that is stopped in a stub stands in truth: at its site's `syscall`, with this number in EAX.
    pub fn place_of_stub(&self, rip: u64) -> Option<(u64, u32)> {
        let site = self.calls.as_ref()?.site_of_stub(rip)?;
        Some((site.back - SYSCALL_BYTES as u64, site.number))
    }

    /// The program is about to change what is at `range`: it finds there what it put there. Where it wants the place of
    /// table and stubs it has it, and nothing is rewritten from then on.
    pub(super) fn release_calls(&mut self, range: &Range<u64>) {
        let Some(mut calls) = self.calls.take() else { return };
        let wants_place = range.start < RESERVED.end && RESERVED.start < range.end;
        let everything = 0..u64::MAX;
        let pages = calls.take_pages(if wants_place { &everything } else { range });
        let frames: Vec<Frame> = pages.iter().filter_map(|page| self.tables.unmap(*page)).collect();
        if !frames.is_empty() {
            self.flush();
        }
        if wants_place {
            // There is none whose threads stand in a stub: see `place_of_stub`.
            let _ = self.unmap(RESERVED);
        } else {
            self.calls = Some(calls);
        }
    }

    fn rewrite(&mut self, calls: &mut Calls, back: u64, number: u64) -> Option<()> {
        let start = back.checked_sub(SITE_BYTES as u64)?;
        let page = page_of(start);
        let offset = (start - page) as usize;
        // A site that lies on two pages, or whose context does, stays a trap.
        if offset < CONTEXT_BYTES || offset + SITE_BYTES > PAGE_SIZE as usize {
            return None;
        }
        let area = self.areas.find(start).filter(|area| is_plain_code(area))?.clone();
        let frame = match calls.page(page) {
            Some(copy) => copy.clone(),
            None => self.untouched(&area, page)?,
        };
        let mut bytes = [0; CONTEXT_BYTES + SITE_BYTES];
        frame.read(offset - CONTEXT_BYTES, &mut bytes);
        if !may_be_rewritten(&bytes, number) {
            return None;
        }
        let site = Site { back, number: number as u32 };
        let slot = self.make_stub(calls, site)?;
        let jump: [u8; MOV_BYTES] = jump_through(slot_address(slot));
        if calls.page(page).is_some() {
            // The program does not run meanwhile: to all its threads this is one step.
            frame.write(offset, &jump);
            return Some(());
        }
        let copy = Frame::scratch()?;
        copy.copy_from(&frame);
        copy.write(offset, &jump);
        if !calls.add_page(page, copy.clone()) {
            return None;
        }
        let before = self.tables.unmap(page)?;
        // Its table is there: it held the page until now.
        let flags = page_flags(area.protection) - Flags::WRITE;
        let mapped = self.tables.map(page, copy, flags);
        self.flush();
        drop(before);
        mapped.ok()
    }

    /// The frame at `page` if it is an image's own.
    fn untouched(&mut self, area: &Area, page: u64) -> Option<Frame> {
        let (inode, offset) = area.backing.file().filter(|(inode, _)| inode.is_immutable())?;
        let cached = inode.cached_page((offset + (page - area.start)) / PAGE_SIZE)?;
        let mapping = self.tables.query(page)?;
        (mapping.gpa == cached.gpa()).then_some(cached)
    }

    /// A stub for the site, and a slot that leads to it.
    fn make_stub(&mut self, calls: &mut Calls, site: Site) -> Option<usize> {
        if let Some(slot) = calls.slot(site) {
            return Some(slot);
        }
        let slot = calls.free_slot()?;
        let code = stub::bytes(site.back, site.number, calls.entries().of(site.number));
        self.write_reserved(calls, stub_address(slot), &code)?;
        self.write_reserved(calls, slot_address(slot), &stub_address(slot).to_le_bytes())?;
        // Only now: memory may have been short, and the slot leads nowhere.
        calls.add_site(site);
        Some(slot)
    }

    /// Writes to table or stubs: bytes within one page.
    fn write_reserved(&mut self, calls: &mut Calls, address: u64, bytes: &[u8]) -> Option<()> {
        let page = page_of(address);
        if calls.frame(page).is_none() {
            let frame = Frame::zeroed()?;
            // The program may have looked at the empty page before.
            let before = self.tables.unmap(page);
            let protection = self.areas.find(page)?.protection;
            self.tables.map(page, frame.clone(), page_flags(protection)).ok()?;
            if before.is_some() {
                self.flush();
            }
            calls.add_frame(page, frame);
        }
        calls.frame(page)?.write((address - page) as usize, bytes);
        Some(())
    }
}

/// Code as it comes from a file, and stays.
fn is_plain_code(area: &Area) -> bool {
    let is_code = area.protection.contains(Protection::EXECUTE)
        && !area.protection.contains(Protection::WRITE);
    is_code && matches!(area.backing, Backing::File { sharing: Sharing::Private, .. })
}

#[cfg(test)]
mod tests;
