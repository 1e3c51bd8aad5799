//! The page tables that exist before the first instruction: the direct map, in 2 MiB pages.
//!
//! ```text
//!   PML4 [255] ─▶ PDPT [n] ─▶ one page directory for each GiB that has RAM or device registers
//! ```
//!
//! The kernel adds the program's half below. Entries carry A and D already, so that no processor has
//! to write them.

use mayfly_abi::layout::{
    DIRECT_MAP_SLOT, LARGE_PAGE_SIZE, MMIO_HOLE, PAGE_SIZE, PAGE_TABLES, PAGE_TABLES_END,
    ram_ranges,
};

use crate::plan::Write;

/// P, RW, US, A (AMD APM vol 2 §5.4.1).
const TABLE: u64 = 0x27;
/// P, RW, US, A, D, PS.
const LARGE_PAGE: u64 = 0xe7;
const GIB: u64 = 1 << 30;

/// The writes that make up the tables for a guest with `memory_bytes` of RAM.
pub(crate) fn build(memory_bytes: u64) -> Vec<Write> {
    let pdpt = PAGE_TABLES + PAGE_SIZE;
    let mut next = pdpt + PAGE_SIZE;
    let mut writes = vec![entry(PAGE_TABLES, DIRECT_MAP_SLOT as u64, pdpt | TABLE)];
    let registers = (MMIO_HOLE, MMIO_HOLE + LARGE_PAGE_SIZE);
    let [low, high] = ram_ranges(memory_bytes);
    let last = high.1.max(registers.1).div_ceil(GIB);
    for gib in 0..last {
        let directory: Vec<u64> = (0..512)
            .map(|slot| gib * GIB + slot * LARGE_PAGE_SIZE)
            .map(|at| {
                let mapped =
                    [low, high, registers].iter().any(|range| range.0 <= at && at < range.1);
                if mapped { at | LARGE_PAGE } else { 0 }
            })
            .collect();
        let Some(first) = directory.iter().position(|entry| *entry != 0) else { continue };
        let past = directory.iter().rposition(|entry| *entry != 0).unwrap_or(first) + 1;
        assert!(next < PAGE_TABLES_END, "MEMORY_MIB_MAX fits the space for tables");
        writes.push(entry(pdpt, gib, next | TABLE));
        writes.push(Write {
            gpa: next + first as u64 * 8,
            bytes: directory[first..past].iter().flat_map(|entry| entry.to_le_bytes()).collect(),
        });
        next += PAGE_SIZE;
    }
    writes
}

fn entry(table: u64, slot: u64, value: u64) -> Write {
    Write { gpa: table + slot * 8, bytes: value.to_le_bytes().to_vec() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mayfly_abi::layout::{DIRECT_MAP, MEMORY_MIB_MAX, MMIO_HOLE_END};
    use std::collections::HashMap;

    /// Walks the tables as the processor does (AMD APM vol 2 §5.3.4).
    fn translate(writes: &[Write], virt: u64) -> Option<u64> {
        let mut memory = HashMap::new();
        for write in writes {
            for (index, word) in write.bytes.chunks_exact(8).enumerate() {
                let gpa = write.gpa + index as u64 * 8;
                memory.insert(gpa, u64::from_le_bytes(word.try_into().unwrap()));
            }
        }
        let mut table = PAGE_TABLES;
        for shift in [39, 30, 21] {
            let entry = *memory.get(&(table + (virt >> shift & 511) * 8))?;
            if entry & 1 == 0 {
                return None;
            }
            assert_eq!(entry & 6, 6, "writable, and open to CPL 3");
            if entry & 0x80 != 0 {
                return Some((entry & !0x1f_ffff) + (virt & 0x1f_ffff));
            }
            table = entry & !0xfff;
        }
        None
    }

    #[test]
    fn the_direct_map_is_ram_and_registers_and_nothing_else() {
        for mib in [16, 128, 1024, 3328, 4096, MEMORY_MIB_MAX] {
            let writes = build(mib << 20);
            let [low, high] = ram_ranges(mib << 20);
            for gpa in [0x1000, low.1 - 1, MMIO_HOLE, high.1.saturating_sub(1)] {
                assert_eq!(
                    translate(&writes, DIRECT_MAP + gpa),
                    Some(gpa),
                    "{gpa:#x} of {mib} MiB"
                );
            }
            assert_eq!(translate(&writes, DIRECT_MAP + MMIO_HOLE_END - 1), None);
            assert_eq!(translate(&writes, DIRECT_MAP + low.1.max(high.1).max(1 << 32)), None);
            assert_eq!(translate(&writes, 0x40_0000), None);
        }
    }
}
