//! Page tables (AMD APM vol 2 §5.3): a program's half of the address space; the kernel's half is the
//! direct map that the boot plan built, one shared top-level entry.
//!
//! ```text
//!   root ─▶ [0..255) the program's   ─▶ … ─▶ leaf table ─▶ frame (one hold of it for each entry)
//!        └▶ [255]    the direct map
//! ```
//!
//! A not-present entry may become present without any flush; every other change needs one. Entries are
//! born with A and D set, so that no processor (or shadow pager) has to write them later.

use core::mem::ManuallyDrop;
use core::ops::Range;
use core::sync::atomic::{AtomicU64, Ordering};

use bitflags::bitflags;
use mayfly_abi::layout::{DIRECT_MAP_SLOT, PAGE_SIZE, USER_END};

use crate::phys::{self, Frame};

bitflags! {
    /// What a program may do with a page, and whose it is.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Flags: u64 {
        /// It is mapped.
        const PRESENT = 1;
        /// It may be written.
        const WRITE = 1 << 1;
        /// CPL 3 may use it; every page of ours.
        const USER = 1 << 2;
        /// Accessed.
        const ACCESSED = 1 << 5;
        /// Dirty.
        const DIRTY = 1 << 6;
        /// The entry holds its frame, but the page may not be touched at all (PROT_NONE). A bit that
        /// the processor leaves to software.
        const HIDDEN = 1 << 9;
        /// It may not be executed.
        const NO_EXECUTE = 1 << 63;
    }
}

const ADDRESS: u64 = 0x000f_ffff_ffff_f000;
const TABLE: u64 =
    Flags::PRESENT.bits() | Flags::WRITE.bits() | Flags::USER.bits() | Flags::ACCESSED.bits();
/// The root of the tables that the processor uses; 0 before any was activated, and where there is no vCPU.
static ACTIVE: AtomicU64 = AtomicU64::new(0);
/// Entries in a table.
const ENTRIES: usize = 512;
/// Bits of a virtual address below each level's index: leaf table first.
const SHIFTS: [u32; 4] = [12, 21, 30, 39];

/// Memory ran out while a table was needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfFrames;

/// An entry that holds a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// Guest-physical address of the frame.
    pub gpa: u64,
    /// What may be done with it.
    pub flags: Flags,
}

/// The page tables of one program.
#[derive(Debug)]
pub struct PageTables {
    root: ManuallyDrop<Frame>,
    /// The leaf table used last: (address of its first page, its guest-physical address).
    last: Option<(u64, u64)>,
}

impl PageTables {
    /// Empty tables, with the kernel's half taken from `template` (guest-physical address of a root).
    pub fn new(template: u64) -> Result<PageTables, OutOfFrames> {
        let root = ManuallyDrop::new(spare::table()?);
        write_entry(root.gpa(), DIRECT_MAP_SLOT, read_entry(template, DIRECT_MAP_SLOT));
        Ok(PageTables { root, last: None })
    }

    /// Makes these tables the active ones, and drops all stale translations.
    #[cfg(feature = "bare-metal")]
    pub fn activate(&self) {
        // SAFETY: `new` took the kernel's half from the active tables, and nothing changes it.
        unsafe { crate::entry::load_cr3(self.root.gpa()) };
        ACTIVE.store(self.root.gpa(), Ordering::Relaxed);
    }

    /// Guest-physical address of their root: no two tables have the same at a time.
    pub fn root(&self) -> u64 {
        self.root.gpa()
    }

    /// Whether these are the tables that the processor uses.
    pub fn is_active(&self) -> bool {
        ACTIVE.load(Ordering::Relaxed) == self.root.gpa()
    }

    /// Drops stale translations. Of tables that are not active there are none: activating any drops them all.
    pub fn flush(&self) {
        #[cfg(feature = "bare-metal")]
        if self.is_active() {
            self.activate();
        }
    }

    /// Maps `frame` at the page `address`; the entry holds it. What was there must be unmapped before.
    pub fn map(&mut self, address: u64, frame: Frame, flags: Flags) -> Result<(), OutOfFrames> {
        let leaf = self.leaf_or_new(address)?;
        let slot = slot(address, 0);
        debug_assert_eq!(read_entry(leaf, slot), 0, "{address:#x} is mapped already");
        write_entry(leaf, slot, frame.into_gpa() | entry_flags(flags).bits());
        Ok(())
    }

    /// What is mapped at `address`.
    pub fn query(&mut self, address: u64) -> Option<Mapping> {
        let entry = read_entry(self.leaf(address)?, slot(address, 0));
        let flags = Flags::from_bits_truncate(entry);
        (entry != 0).then_some(Mapping { gpa: entry & ADDRESS, flags })
    }

    /// Changes what may be done with a mapped page. Needs a flush if anything is taken away.
    pub fn protect(&mut self, address: u64, flags: Flags) {
        if let (Some(mapping), Some(leaf)) = (self.query(address), self.leaf(address)) {
            write_entry(leaf, slot(address, 0), mapping.gpa | entry_flags(flags).bits());
        }
    }

    /// Unmaps a page and returns the hold on its frame. Needs a flush before the frame is used anew.
    pub fn unmap(&mut self, address: u64) -> Option<Frame> {
        let mapping = self.query(address)?;
        write_entry(self.leaf(address)?, slot(address, 0), 0);
        // SAFETY: the entry held the frame since `map`, and it is gone now.
        Some(unsafe { Frame::from_gpa(mapping.gpa) })
    }

    /// Maps what is mapped in `range` in `other` too, where nothing is mapped there yet: each entry holds its frame. With
    /// `copy_on_write` neither may write to it from then on, which needs a flush of these tables; whether it does.
    pub fn share(
        &mut self,
        other: &mut PageTables,
        range: Range<u64>,
        copy_on_write: bool,
    ) -> Result<bool, OutOfFrames> {
        let mut restricted = false;
        let mut page = range.start;
        while let Some(start) = self.next_populated(page).filter(|start| *start < range.end) {
            page = ((start >> SHIFTS[1]) + 1) << SHIFTS[1];
            let Some(from) = self.leaf(start) else { continue };
            let mut to = None;
            for address in (start..page.min(range.end)).step_by(PAGE_SIZE as usize) {
                let mut entry = read_entry(from, slot(address, 0));
                if entry == 0 {
                    continue;
                }
                if copy_on_write && entry & Flags::WRITE.bits() != 0 {
                    entry &= !Flags::WRITE.bits();
                    write_entry(from, slot(address, 0), entry);
                    restricted = true;
                }
                let leaf = match to {
                    Some(leaf) => leaf,
                    None => *to.insert(other.leaf_or_new(address)?),
                };
                debug_assert_eq!(read_entry(leaf, slot(address, 0)), 0);
                // SAFETY: the entry holds its frame, and goes on doing so: what is dropped here is not that hold.
                let held = ManuallyDrop::new(unsafe { Frame::from_gpa(entry & ADDRESS) });
                let shared = Frame::clone(&held).into_gpa();
                write_entry(leaf, slot(address, 0), shared | entry & !ADDRESS);
            }
        }
        Ok(restricted)
    }

    /// The lowest address at or above `address` whose leaf table exists, or `None`: lets a caller that
    /// walks a huge range skip what was never touched.
    pub fn next_populated(&mut self, address: u64) -> Option<u64> {
        let mut address = address;
        'restart: while address < USER_END {
            let mut table = self.root.gpa();
            for level in (1..4).rev() {
                let entry = read_entry(table, slot(address, level));
                if entry & 1 == 0 {
                    let span = 1u64 << SHIFTS[level];
                    address = (address & !(span - 1)).checked_add(span)?;
                    continue 'restart;
                }
                table = entry & ADDRESS;
            }
            return Some(address);
        }
        None
    }

    fn leaf(&mut self, address: u64) -> Option<u64> {
        let region = address & !((1 << SHIFTS[1]) - 1);
        if let Some((cached, leaf)) = self.last
            && cached == region
        {
            return Some(leaf);
        }
        let mut table = self.root.gpa();
        for level in (1..4).rev() {
            let entry = read_entry(table, slot(address, level));
            if entry & 1 == 0 {
                return None;
            }
            table = entry & ADDRESS;
        }
        self.last = Some((region, table));
        Some(table)
    }

    fn leaf_or_new(&mut self, address: u64) -> Result<u64, OutOfFrames> {
        assert!(address < USER_END, "the kernel's half is not the program's to map");
        if let Some(leaf) = self.leaf(address) {
            return Ok(leaf);
        }
        let mut table = self.root.gpa();
        for level in (1..4).rev() {
            let entry = read_entry(table, slot(address, level));
            table = if entry & 1 == 0 {
                let new = spare::table()?.into_gpa();
                write_entry(table, slot(address, level), new | TABLE);
                new
            } else {
                entry & ADDRESS
            };
        }
        Ok(table)
    }

    /// Frees the tables below the root, and the frames that entries still hold.
    fn free_below(table: u64, level: usize, slots: Range<usize>) {
        for slot in slots {
            let entry = read_entry(table, slot);
            if entry == 0 {
                continue;
            }
            if level > 0 {
                PageTables::free_below(entry & ADDRESS, level - 1, 0..ENTRIES);
            }
            write_entry(table, slot, 0);
            // SAFETY: each entry holds its frame, be it a table or a page; the tables are going away.
            let frame = unsafe { Frame::from_gpa(entry & ADDRESS) };
            if level > 0 { spare::keep(frame) } else { drop(frame) }
        }
    }
}

impl Drop for PageTables {
    fn drop(&mut self) {
        assert!(!self.is_active(), "the processor still uses these tables");
        // Four levels deep, never more.
        PageTables::free_below(self.root.gpa(), 3, 0..DIRECT_MAP_SLOT);
        write_entry(self.root.gpa(), DIRECT_MAP_SLOT, 0);
        // SAFETY: the tables are going away, and nobody uses their root after this.
        spare::keep(unsafe { ManuallyDrop::take(&mut self.root) });
    }
}

/// Empty tables that are used again. A software KVM watches frames that were tables, for a while after they were in use:
/// to fill one with zeros, or with anything else, costs it 1 µs for each word.
#[cfg(feature = "bare-metal")]
mod spare {
    use super::OutOfFrames;
    use crate::cell::KernelCell;
    use crate::phys::Frame;

    /// Most tables that wait: what five small processes have.
    const SPARE_MAX: usize = 64;

    static SPARE: KernelCell<([Option<Frame>; SPARE_MAX], usize)> =
        KernelCell::new(([const { None }; SPARE_MAX], 0));

    /// A table without entries.
    pub fn table() -> Result<Frame, OutOfFrames> {
        let spare = SPARE.with(|(spare, count)| {
            *count = count.checked_sub(1)?;
            spare[*count].take()
        });
        spare.or_else(Frame::zeroed).ok_or(OutOfFrames)
    }

    /// Takes back a table without entries.
    pub fn keep(table: Frame) {
        SPARE.with(|(spare, count)| {
            if let Some(place) = spare.get_mut(*count) {
                *place = Some(table);
                *count += 1;
            }
        });
    }
}

/// Where no processor has seen them, tables are frames like others.
#[cfg(not(feature = "bare-metal"))]
mod spare {
    use super::OutOfFrames;
    use crate::phys::Frame;

    pub fn table() -> Result<Frame, OutOfFrames> {
        Frame::zeroed().ok_or(OutOfFrames)
    }

    pub fn keep(table: Frame) {
        drop(table);
    }
}

fn entry_flags(flags: Flags) -> Flags {
    let born = flags | Flags::PRESENT | Flags::USER | Flags::ACCESSED | Flags::DIRTY;
    if flags.contains(Flags::HIDDEN) { born - Flags::PRESENT } else { born }
}

fn slot(address: u64, level: usize) -> usize {
    (address >> SHIFTS[level]) as usize % ENTRIES
}

fn read_entry(table: u64, slot: usize) -> u64 {
    debug_assert!(table.is_multiple_of(PAGE_SIZE) && slot < ENTRIES);
    // SAFETY: `table` is the frame of a live table, and `slot` lies inside it.
    unsafe { phys::pointer(table).cast::<u64>().add(slot).read_volatile() }
}

fn write_entry(table: u64, slot: usize, entry: u64) {
    debug_assert!(table.is_multiple_of(PAGE_SIZE) && slot < ENTRIES);
    // SAFETY: as in `read_entry`.
    unsafe { phys::pointer(table).cast::<u64>().add(slot).write_volatile(entry) };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tables() -> PageTables {
        let template = Frame::zeroed().unwrap();
        write_entry(template.gpa(), DIRECT_MAP_SLOT, 0x7000 | TABLE);
        PageTables::new(template.gpa()).unwrap()
    }

    #[test]
    fn a_page_is_mapped_queried_protected_and_unmapped() {
        let mut tables = tables();
        let frame = Frame::zeroed().unwrap();
        let gpa = frame.gpa();
        tables.map(0x40_0000, frame, Flags::WRITE).unwrap();
        let mapping = tables.query(0x40_0123 & !0xfff).unwrap();
        assert_eq!(mapping.gpa, gpa);
        assert!(mapping.flags.contains(Flags::WRITE | Flags::USER | Flags::DIRTY));
        assert_eq!(tables.query(0x40_1000), None);
        tables.protect(0x40_0000, Flags::NO_EXECUTE);
        assert!(!tables.query(0x40_0000).unwrap().flags.contains(Flags::WRITE));
        assert_eq!(tables.unmap(0x40_0000).unwrap().gpa(), gpa);
        assert_eq!(tables.query(0x40_0000), None);
    }

    #[test]
    fn dropping_tables_frees_everything_they_held() {
        let before = phys::usage();
        let mut tables = tables();
        for page in 0..2000 {
            let address = 0x5555_0000_0000 + page * 0x12_3000;
            tables.map(address, Frame::zeroed().unwrap(), Flags::empty()).unwrap();
        }
        assert!(phys::usage().free < before.free - 2000);
        drop(tables);
        assert_eq!(phys::usage().free, before.free);
    }

    #[test]
    fn sharing_holds_frames_twice_and_takes_writing_away_from_both() {
        let before = phys::usage();
        let (mut one, mut two) = (tables(), tables());
        for page in [0x40_0000, 0x40_1000, 0x5f_f000, 0x60_0000, 0x7000_0000_0000] {
            one.map(page, Frame::zeroed().unwrap(), Flags::WRITE).unwrap();
        }
        one.map(0x40_2000, Frame::zeroed().unwrap(), Flags::HIDDEN).unwrap();
        assert_eq!(one.share(&mut two, 0x40_1000..0x60_0000, true), Ok(true));
        assert_eq!(one.share(&mut two, 0x60_0000..USER_END, false), Ok(false));
        let at = |tables: &mut PageTables, page| tables.query(page).map(|at| (at.gpa, at.flags));
        assert_eq!(at(&mut two, 0x40_0000), None);
        for page in [0x40_1000, 0x40_2000, 0x5f_f000, 0x60_0000, 0x7000_0000_0000] {
            assert_eq!(at(&mut one, page), at(&mut two, page), "{page:#x}");
        }
        assert!(!one.query(0x5f_f000).unwrap().flags.contains(Flags::WRITE));
        assert!(two.query(0x60_0000).unwrap().flags.contains(Flags::WRITE));
        assert!(two.query(0x40_2000).unwrap().flags.contains(Flags::HIDDEN));
        drop(one);
        assert!(two.unmap(0x40_1000).unwrap().is_unique());
        drop(two);
        assert_eq!(phys::usage().free, before.free);
    }

    #[test]
    fn holes_are_skipped() {
        let mut tables = tables();
        assert_eq!(tables.next_populated(0), None);
        tables.map(0x7000_0000_0000, Frame::zeroed().unwrap(), Flags::empty()).unwrap();
        assert_eq!(tables.next_populated(0x1000), Some(0x7000_0000_0000));
        assert_eq!(tables.next_populated(0x7000_0020_0000), None);
    }
}
