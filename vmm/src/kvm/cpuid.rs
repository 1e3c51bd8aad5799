//! The processor as a guest sees it: KVM's CPUID table, and what the kernel is told of it.

use core::arch::x86_64::{__cpuid, CpuidResult};

use kvm_bindings::{CpuId, kvm_cpuid_entry2};
use mayfly_abi::CpuInfo;
use mayfly_abi::control::CpuidEntry;
use thiserror::Error;

/// A processor that a guest can run on.
#[derive(Debug)]
pub struct Cpu {
    /// For KVM_SET_CPUID2.
    pub(super) table: CpuId,
    /// For the boot information; `tsc_khz` is the vCPU's to tell.
    pub info: CpuInfo,
}

/// A processor that no guest of ours can run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum CpuError {
    /// CR4.OSXSAVE could not be set.
    #[error("the processor, as KVM offers it, has no XSAVE, which guests need")]
    NoXsave,
    /// More entries than KVM takes.
    #[error("the CPUID table has {0} entries, more than KVM takes")]
    TooMany(usize),
}

/// CPUID 1 ECX: RDRAND. CPUID 0xd.1 EAX: XSAVEOPT (AMD APM vol 3 §E).
const RDRAND: u32 = 1 << 30;
const XSAVEOPT: u32 = 1;
/// AT_HWCAP2: FSGSBASE may be used (Linux arch/x86/include/uapi/asm/hwcap2.h).
const HWCAP2_FSGSBASE: u32 = 1 << 1;
/// The leaves that spell the brand.
const BRAND_LEAVES: [u32; 3] = [0x8000_0002, 0x8000_0003, 0x8000_0004];

impl Cpu {
    /// The processor that `table`, a host's answer to KVM_GET_SUPPORTED_CPUID, describes.
    ///
    /// FSGSBASE is taken for granted: a boot plan sets CR4.FSGSBASE, and KVM refuses that where it is
    /// missing. A software KVM accepts it without listing it.
    ///
    /// # Errors
    /// [`CpuError`].
    pub fn new(table: &[CpuidEntry]) -> Result<Cpu, CpuError> {
        let leaf = |function, index| {
            let is_it = |entry: &&CpuidEntry| entry.function == function && entry.index == index;
            table.iter().find(is_it).copied().unwrap_or_default()
        };
        let state = leaf(0xd, 0);
        let has = |bit: bool, feature| if bit { feature } else { 0 };
        let info = CpuInfo {
            xcr0: u64::from(state.eax) | u64::from(state.edx) << 32,
            xsave_bytes: state.ecx,
            hwcap: leaf(1, 0).edx,
            hwcap2: HWCAP2_FSGSBASE,
            features: has(leaf(1, 0).ecx & RDRAND != 0, CpuInfo::RDRAND)
                | has(leaf(0xd, 1).eax & XSAVEOPT != 0, CpuInfo::XSAVEOPT),
            tsc_khz: 0,
            brand: BRAND_LEAVES.map(|function| brand_part(leaf(function, 0))),
        };
        if info.xcr0 == 0 {
            return Err(CpuError::NoXsave);
        }
        let entries: Vec<_> = table.iter().map(entry_to_kvm).collect();
        let table = CpuId::from_entries(&entries).map_err(|_| CpuError::TooMany(entries.len()))?;
        Ok(Cpu { table, info })
    }
}

fn brand_part(leaf: CpuidEntry) -> [u8; 16] {
    let mut part = [0; 16];
    for (bytes, word) in part.chunks_exact_mut(4).zip([leaf.eax, leaf.ebx, leaf.ecx, leaf.edx]) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    part
}

/// Spells the host's own brand in `table` where it has none: a software KVM leaves it out.
pub(super) fn fill_in_brand(table: &mut [CpuidEntry]) {
    let is_blank = |entry: &CpuidEntry| [entry.eax, entry.ebx, entry.ecx, entry.edx] == [0; 4];
    for entry in table.iter_mut().filter(|entry| BRAND_LEAVES.contains(&entry.function)) {
        if is_blank(entry) {
            let CpuidResult { eax, ebx, ecx, edx } = __cpuid(entry.function);
            *entry = CpuidEntry { eax, ebx, ecx, edx, ..*entry };
        }
    }
}

pub(super) fn entry_from_kvm(entry: &kvm_cpuid_entry2) -> CpuidEntry {
    let &kvm_cpuid_entry2 { function, index, flags, eax, ebx, ecx, edx, .. } = entry;
    CpuidEntry { function, index, flags, eax, ebx, ecx, edx }
}

fn entry_to_kvm(entry: &CpuidEntry) -> kvm_cpuid_entry2 {
    let &CpuidEntry { function, index, flags, eax, ebx, ecx, edx } = entry;
    kvm_cpuid_entry2 { function, index, flags, eax, ebx, ecx, edx, padding: [0; 3] }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Vec<CpuidEntry> {
        let entry = |function, index| CpuidEntry { function, index, ..CpuidEntry::default() };
        vec![
            CpuidEntry { ecx: RDRAND, edx: 0x178b_fbff, ..entry(1, 0) },
            CpuidEntry { eax: 7, edx: 1, ecx: 832, ..entry(0xd, 0) },
            CpuidEntry { eax: u32::from_le_bytes(*b"Zen "), ..entry(BRAND_LEAVES[0], 0) },
        ]
    }

    #[test]
    fn the_kernel_is_told_what_the_table_says() {
        let info = Cpu::new(&table()).unwrap().info;
        assert_eq!((info.xcr0, info.xsave_bytes, info.hwcap), (0x1_0000_0007, 832, 0x178b_fbff));
        assert_eq!(info.features, CpuInfo::RDRAND, "no leaf says XSAVEOPT");
        assert_eq!(&info.brand.concat()[..5], b"Zen \0");
    }

    #[test]
    fn only_a_blank_brand_is_filled_in() {
        let mut known = table();
        fill_in_brand(&mut known);
        assert_eq!(known, table());
        let mut blank = [CpuidEntry { function: BRAND_LEAVES[0], ..CpuidEntry::default() }];
        fill_in_brand(&mut blank);
        assert_ne!(blank[0].eax, 0, "every processor with long mode has a brand");
    }

    #[test]
    fn a_table_that_will_not_do_is_refused() {
        assert_eq!(Cpu::new(&table()[..1]).unwrap_err(), CpuError::NoXsave);
        let long = [table(), vec![table()[1]; 300]].concat();
        assert_eq!(Cpu::new(&long).unwrap_err(), CpuError::TooMany(303));
    }
}
