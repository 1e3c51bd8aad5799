//! /proc/cpuinfo: what a program that asks the processor itself is told (AMD APM vol 3 §E).

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::arch::x86_64::{__cpuid, __cpuid_count};

use crate::fs::system::System;

/// Linux's names of the bits of [`features`], from the lowest; `-` where it has none (arch/x86/include/asm/cpufeatures.h).
const NAMES: [&str; 8] = [
    "fpu vme de pse tsc msr pae mce cx8 apic - sep mtrr pge mca cmov pat pse36 pn clflush - dts acpi mmx fxsr sse sse2 \
     ss ht tm ia64 pbe",
    "pni pclmulqdq dtes64 monitor ds_cpl vmx smx est tm2 ssse3 cid sdbg fma cx16 xtpr pdcm - pcid dca sse4_1 sse4_2 \
     x2apic movbe popcnt tsc_deadline_timer aes xsave - avx f16c rdrand hypervisor",
    "- - - - - - - - - - - syscall - - - - - - - mp nx - mmxext - - fxsr_opt pdpe1gb rdtscp - lm 3dnowext 3dnow",
    "lahf_lm cmp_legacy svm extapic cr8_legacy abm sse4a misalignsse 3dnowprefetch osvw ibs xop skinit wdt - lwp fma4 \
     tce - nodeid_msr - tbm topoext perfctr_core perfctr_nb - bpext ptsc perfctr_llc mwaitx",
    "fsgsbase tsc_adjust sgx bmi1 hle avx2 - smep bmi2 erms invpcid rtm cqm - mpx rdt_a avx512f avx512dq rdseed adx \
     smap avx512ifma - clflushopt clwb intel_pt avx512pf avx512er avx512cd sha_ni avx512bw avx512vl",
    "- avx512vbmi umip pku ospke waitpkg avx512_vbmi2 - gfni vaes vpclmulqdq avx512_vnni avx512_bitalg tme \
     avx512_vpopcntdq - la57 - - - - - rdpid - bus_lock_detect cldemote - movdiri movdir64b enqcmd",
    "- - avx512_4vnniw avx512_4fmaps fsrm - - - avx512_vp2intersect - md_clear - - - serialize - tsxldtrk - pconfig \
     arch_lbr - - amx_bf16 avx512_fp16 amx_tile amx_int8 - - flush_l1d arch_capabilities",
    "xsaveopt xsavec xgetbv1 xsaves",
];

pub(super) fn cpuinfo(system: &dyn System) -> Vec<u8> {
    let cpu = system.cpu();
    let (first, brand) = (__cpuid(0), text(cpu.brand.as_flattened()));
    let vendor = [first.ebx, first.edx, first.ecx].map(u32::to_le_bytes);
    let vendor = text(vendor.as_flattened());
    let (family, model, stepping) = split(__cpuid(1).eax);
    let (mhz, khz) = (cpu.tsc_khz / 1000, cpu.tsc_khz % 1000);
    // Twice the frequency, as Linux has it where the time-stamp counter is its clock.
    let (bogo, mips) = (cpu.tsc_khz * 2 / 1000, cpu.tsc_khz * 2 % 1000 / 10);
    let address_bits = __cpuid(0x8000_0008).eax;
    let (physical, linear) = (address_bits & 0xff, address_bits >> 8 & 0xff);
    format!(
        "processor\t: 0\nvendor_id\t: {vendor}\ncpu family\t: {family}\nmodel\t\t: {model}\nmodel name\t: {brand}\n\
         stepping\t: {stepping}\ncpu MHz\t\t: {mhz}.{khz:03}\nphysical id\t: 0\nsiblings\t: 1\ncore id\t\t: 0\n\
         cpu cores\t: 1\napicid\t\t: 0\ninitial apicid\t: 0\nfpu\t\t: yes\nfpu_exception\t: yes\n\
         cpuid level\t: {}\nwp\t\t: yes\nflags\t\t: {}\nbugs\t\t:\nbogomips\t: {bogo}.{mips:02}\n\
         clflush size\t: 64\ncache_alignment\t: 64\n\
         address sizes\t: {physical} bits physical, {linear} bits virtual\npower management:\n\n",
        first.eax,
        flags(&features()),
    )
    .into_bytes()
}

/// CPUID 1 EDX and ECX, 8000_0001h EDX and ECX, 7.0 EBX, ECX and EDX, 0Dh.1 EAX.
fn features() -> [u32; 8] {
    let (basic, extended) = (__cpuid(1), __cpuid(0x8000_0001));
    let (seventh, state) = (__cpuid_count(7, 0), __cpuid_count(0xd, 1));
    [
        basic.edx,
        basic.ecx,
        extended.edx,
        extended.ecx,
        seventh.ebx,
        seventh.ecx,
        seventh.edx,
        state.eax,
    ]
}

/// Family, model and stepping (AMD APM vol 3 §E.3.2).
fn split(signature: u32) -> (u32, u32, u32) {
    let field = |shift: u32, mask: u32| signature >> shift & mask;
    let base = field(8, 0xf);
    let family = if base == 0xf { base + field(20, 0xff) } else { base };
    let model = if base >= 6 { field(16, 0xf) << 4 } else { 0 };
    (family, model | field(4, 0xf), field(0, 0xf))
}

fn flags(features: &[u32; 8]) -> String {
    let mut all: Vec<&str> = Vec::new();
    for (word, names) in features.iter().zip(NAMES) {
        let named = names.split_whitespace().enumerate();
        all.extend(
            named.filter(|(bit, name)| word >> bit & 1 != 0 && *name != "-").map(|(_, name)| name),
        );
    }
    all.join(" ")
}

/// Text that NULs may follow.
fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_above_15_are_sums() {
        assert_eq!(split(0x00a1_0f11), (25, 17, 1), "EPYC 9004");
        assert_eq!(split(0x0005_0657), (6, 85, 7), "Xeon, Cascade Lake");
        assert_eq!(split(0x0000_0543), (5, 4, 3));
    }

    #[test]
    fn bits_have_linuxs_names() {
        let bits = |all: &[u32]| all.iter().fold(0, |word, bit| word | 1 << bit);
        let features = [
            bits(&[0, 4, 10, 23, 25, 26, 31]),
            bits(&[0, 9, 12, 19, 20, 25, 27, 28, 29, 30, 31]),
            bits(&[11, 20, 22, 26, 27, 29, 31]),
            bits(&[0, 5, 6, 22, 29]),
            bits(&[0, 3, 5, 8, 16, 18, 19, 29, 31]),
            bits(&[1, 8, 9, 14, 16, 22, 29]),
            bits(&[4, 10, 14, 23, 29]),
            bits(&[0, 3]),
        ];
        let wanted = "fpu tsc mmx sse sse2 pbe \
            pni ssse3 fma sse4_1 sse4_2 aes avx f16c rdrand hypervisor \
            syscall nx mmxext pdpe1gb rdtscp lm 3dnow \
            lahf_lm abm sse4a topoext mwaitx \
            fsgsbase bmi1 avx2 bmi2 avx512f rdseed adx sha_ni avx512vl \
            avx512vbmi gfni vaes avx512_vpopcntdq la57 rdpid enqcmd \
            fsrm md_clear serialize avx512_fp16 arch_capabilities \
            xsaveopt xsaves";
        assert_eq!(flags(&features), wanted);
    }
}
