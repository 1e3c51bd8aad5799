//! The vCPU's first state: 64-bit mode with paging on, at CPL 3, at the kernel's entry.

use mayfly_abi::layout::{BOOT_INFO, DIRECT_MAP, KERNEL_STACK_TOP, PAGE_TABLES};
use mayfly_abi::vcpu_page::{self as page, RFLAGS, SYSRET_BASE, TSS, USER_CODE, USER_DATA};

/// A segment register with its hidden part (AMD APM vol 2 §4.5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Base address.
    pub base: u64,
    /// Limit, bytes.
    pub limit: u32,
    /// Selector.
    pub selector: u16,
    /// Descriptor type (AMD APM vol 2 §4.7).
    pub kind: u8,
    /// Code or data (1), or system (0).
    pub s: u8,
    /// Privilege level.
    pub dpl: u8,
    /// 64-bit code.
    pub long: u8,
    /// 32-bit default operands.
    pub db: u8,
    /// Limit in pages.
    pub granularity: u8,
}

/// A descriptor-table register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Table {
    /// Base address.
    pub base: u64,
    /// Bytes − 1.
    pub limit: u16,
}

/// What the VMM puts into the vCPU. Registers not named here are 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the processor manuals' own names
pub struct CpuState {
    pub rip: u64,
    pub rsp: u64,
    pub rdi: u64,
    pub rflags: u64,
    pub code: Segment,
    pub data: Segment,
    pub tss: Segment,
    pub gdt: Table,
    pub idt: Table,
    pub cr0: u64,
    pub cr3: u64,
    pub cr4: u64,
    pub efer: u64,
    pub star: u64,
    pub lstar: u64,
    pub fmask: u64,
}

/// PE, MP, ET, NE, WP, PG. AM is clear: hardware would then honour a stray EFLAGS.AC.
const CR0: u64 = 0x8001_0033;
/// PAE, OSFXSR, OSXMMEXCPT, FSGSBASE, OSXSAVE. SMEP and SMAP are off: CPL 0 and CPL 3 share all pages.
const CR4: u64 = 1 << 5 | 1 << 9 | 1 << 10 | 1 << 16 | 1 << 18;
/// SCE, LME, LMA, NXE (AMD APM vol 2 §3.1.7).
const EFER: u64 = 0xd01;
/// What `syscall` clears in RFLAGS: TF, DF, NT, AC.
const FMASK: u64 = 1 << 8 | 1 << 10 | 1 << 14 | 1 << 18;

impl CpuState {
    /// The state that begins at `entry` (guest-virtual).
    pub(crate) fn at(entry: u64) -> CpuState {
        let flat = Segment {
            base: 0,
            limit: u32::MAX,
            selector: USER_DATA,
            kind: 0x3,
            s: 1,
            dpl: 3,
            long: 0,
            db: 1,
            granularity: 1,
        };
        CpuState {
            rip: entry,
            // As after a call: the ABI wants RSP + 8 to be a multiple of 16 (System V x86-64 §3.2.2).
            rsp: DIRECT_MAP + KERNEL_STACK_TOP - 8,
            rdi: DIRECT_MAP + BOOT_INFO,
            rflags: RFLAGS,
            code: Segment { selector: USER_CODE, kind: 0xb, long: 1, db: 0, ..flat },
            data: flat,
            tss: Segment {
                base: page::address(page::TSS_OFFSET),
                limit: crate::vcpu_page::TSS_BYTES as u32 - 1,
                selector: TSS,
                kind: 0xb,
                s: 0,
                dpl: 0,
                long: 0,
                db: 0,
                granularity: 0,
            },
            gdt: Table { base: page::address(page::GDT), limit: page::GDT_ENTRIES as u16 * 8 - 1 },
            idt: Table { base: page::address(page::IDT), limit: page::VECTORS as u16 * 16 - 1 },
            cr0: CR0,
            cr3: PAGE_TABLES,
            cr4: CR4,
            efer: EFER,
            star: u64::from(SYSRET_BASE) << 48 | u64::from(page::KERNEL_CODE) << 32,
            lstar: page::address(page::SYSCALL_STUB),
            fmask: FMASK,
        }
    }
}
