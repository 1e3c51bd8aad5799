//! What one program has: its sites, the table and the stubs behind them, and the pages that were changed.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::ops::Range;

use mayfly_abi::layout::{
    CALL_SITES_MAX, CALL_STUB_BYTES, CALL_STUBS, CALL_STUBS_END, CALL_TABLE, PAGE_SIZE,
};
use mayfly_hal::phys::Frame;

use super::hot::HotSites;

/// Most pages of a program's code that are copied: 1 MiB. Hot sites lie close together.
pub const PAGES_MAX: usize = 256;
/// Bytes of a slot in the table: an address.
const SLOT_BYTES: u64 = 8;

/// Where stubs go, and for which calls.
#[derive(Clone, Copy, Debug)]
pub struct Entries {
    /// For any call.
    pub call: u64,
    /// For calls whose value is laid out.
    pub answer: u64,
    /// The numbers of those.
    pub answered: &'static [u32],
}

impl Entries {
    /// Where the stub for a call goes.
    pub fn of(&self, number: u32) -> u64 {
        if self.answered.contains(&number) { self.answer } else { self.call }
    }
}

/// A site: the address after its `syscall`, and the number that it loads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Site {
    /// Where the program goes on.
    pub back: u64,
    /// The call's number.
    pub number: u32,
}

/// See the module. A site's stub depends on the site alone, so that it stays right whatever becomes of the memory; it
/// lives as long as the program, and is used again where the same site comes back.
#[derive(Debug)]
pub struct Calls {
    entries: Entries,
    /// Which of its places trap often.
    pub hot: HotSites,
    slots: BTreeMap<Site, usize>,
    sites: Vec<Site>,
    /// Frames of table and stubs, by address.
    frames: BTreeMap<u64, Frame>,
    /// Copies of the program's pages that have been written to, by address.
    pages: BTreeMap<u64, Frame>,
}

impl Calls {
    /// Nothing is rewritten yet.
    pub fn new(entries: Entries) -> Calls {
        Calls {
            entries,
            hot: HotSites::default(),
            slots: BTreeMap::new(),
            sites: Vec::new(),
            frames: BTreeMap::new(),
            pages: BTreeMap::new(),
        }
    }

    /// Where stubs go.
    pub fn entries(&self) -> &Entries {
        &self.entries
    }

    /// The slot that leads to a site's stub.
    pub fn slot(&self, site: Site) -> Option<usize> {
        self.slots.get(&site).copied()
    }

    /// The next slot that leads nowhere; `None` where there is none left.
    pub fn free_slot(&self) -> Option<usize> {
        Some(self.sites.len()).filter(|slot| *slot < CALL_SITES_MAX)
    }

    /// Notes that the free slot leads to this site's stub now.
    pub fn add_site(&mut self, site: Site) {
        self.slots.insert(site, self.sites.len());
        self.sites.push(site);
    }

    /// The site whose stub contains `rip`.
    pub fn site_of_stub(&self, rip: u64) -> Option<Site> {
        let offset = rip.checked_sub(CALL_STUBS).filter(|_| rip < CALL_STUBS_END)?;
        self.sites.get((offset / CALL_STUB_BYTES) as usize).copied()
    }

    /// The frame at a page of table or stubs.
    pub fn frame(&self, page: u64) -> Option<&Frame> {
        self.frames.get(&page)
    }

    /// Notes the frame of a page of table or stubs.
    pub fn add_frame(&mut self, page: u64, frame: Frame) {
        self.frames.insert(page, frame);
    }

    /// The copy that the program has of one of its pages.
    pub fn page(&self, page: u64) -> Option<&Frame> {
        self.pages.get(&page)
    }

    /// The addresses of all copies.
    pub fn pages(&self) -> impl Iterator<Item = u64> {
        self.pages.keys().copied()
    }

    /// Notes a copy. False where there are [`PAGES_MAX`].
    pub fn add_page(&mut self, page: u64, copy: Frame) -> bool {
        let has_room = self.pages.len() < PAGES_MAX;
        if has_room {
            self.pages.insert(page, copy);
        }
        has_room
    }

    /// Forgets the copies in `range`, and returns their addresses. Their sites may become hot again.
    pub fn take_pages(&mut self, range: &Range<u64>) -> Vec<u64> {
        if range.is_empty() {
            return Vec::new();
        }
        let pages: Vec<u64> = self.pages.range(range.clone()).map(|(page, _)| *page).collect();
        for page in &pages {
            self.pages.remove(page);
        }
        if !pages.is_empty() {
            self.hot = HotSites::default();
        }
        pages
    }
}

/// The address of a slot.
pub fn slot_address(slot: usize) -> u64 {
    CALL_TABLE + slot as u64 * SLOT_BYTES
}

/// The address of a slot's stub.
pub fn stub_address(slot: usize) -> u64 {
    CALL_STUBS + slot as u64 * CALL_STUB_BYTES
}

const _: () =
    assert!(PAGE_SIZE.is_multiple_of(CALL_STUB_BYTES) && PAGE_SIZE.is_multiple_of(SLOT_BYTES));

#[cfg(test)]
mod tests {
    use super::*;

    const ENTRIES: Entries = Entries { call: 1, answer: 2, answered: &[110] };

    fn site(back: u64) -> Site {
        Site { back, number: 39 }
    }

    #[test]
    fn slots_have_a_bound_and_come_back_to_their_sites() {
        let mut calls = Calls::new(ENTRIES);
        for n in 0..CALL_SITES_MAX {
            assert_eq!(calls.free_slot(), Some(n));
            calls.add_site(site(n as u64));
        }
        assert_eq!(calls.free_slot(), None);
        assert_eq!((calls.slot(site(7)), calls.slot(site(u64::MAX))), (Some(7), None));
        assert!(slot_address(CALL_SITES_MAX - 1) + SLOT_BYTES <= CALL_STUBS);
        assert!(stub_address(CALL_SITES_MAX - 1) + CALL_STUB_BYTES <= CALL_STUBS_END);
    }

    #[test]
    fn an_address_in_a_stub_names_its_site() {
        let mut calls = Calls::new(ENTRIES);
        calls.add_site(site(0x40_1007));
        calls.add_site(site(0x40_2007));
        assert_eq!(calls.site_of_stub(stub_address(1)), Some(site(0x40_2007)));
        assert_eq!(calls.site_of_stub(stub_address(2) - 1), Some(site(0x40_2007)));
        assert_eq!(calls.site_of_stub(stub_address(2)), None, "there is none");
        assert_eq!(calls.site_of_stub(CALL_STUBS - 1), None);
        assert_eq!(calls.site_of_stub(CALL_STUBS_END), None);
    }

    #[test]
    fn copies_have_a_bound_and_are_forgotten_by_range() {
        let mut calls = Calls::new(ENTRIES);
        for n in 0..PAGES_MAX as u64 {
            assert!(calls.add_page(n * PAGE_SIZE, Frame::zeroed().unwrap()));
        }
        assert!(!calls.add_page(1 << 40, Frame::zeroed().unwrap()));
        assert_eq!(calls.take_pages(&(PAGE_SIZE..3 * PAGE_SIZE)), [PAGE_SIZE, 2 * PAGE_SIZE]);
        assert!(calls.page(PAGE_SIZE).is_none() && calls.page(0).is_some());
        assert!(calls.take_pages(&(5..5)).is_empty());
    }

    #[test]
    fn answered_calls_have_an_entry_of_their_own() {
        assert_eq!((ENTRIES.of(110), ENTRIES.of(39)), (2, 1));
    }
}
