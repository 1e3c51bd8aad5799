//! The vCPU page: all that must exist at CPL 0, on one page, at [`crate::layout::VCPU_PAGE`].
//!
//! ```text
//!  0x000  GDT
//!  0x060  frame for `iretq` to the page-fault entry        } constants: an exception stub
//!  0x090  frame for `iretq` to the entry of other faults   } points RSP at one of them
//!  0x0c0  cells: what the stubs leave for the kernel
//!  0x100  TSS
//!  0x180  LSTAR stub
//!  0x200  IDT, 32 gates
//!  0x400  exception stubs
//!  0xf00  the stack of CPL 0 (grows down from 0x1000; one exception deep)
//! ```
//!
//! **System calls.** `syscall` comes to the LSTAR stub: at CPL 0 on hardware, still at CPL 3 on a
//! software KVM. The stub stores RCX and R11 in their cells, and continues at
//! [`crate::KernelHeader::syscall`] at CPL 3 on both, every other register (RSP too) as the program
//! left it.
//!
//! **Exceptions.** The processor pushes its frame on the CPL 0 stack; the stub adds the vector and
//! enters the kernel at CPL 3 on its exception stack. Nothing nests, so the frame is always at the same
//! place, [`EXCEPTION_FRAME`], and the kernel reads it there. For a page fault RAX holds CR2 and the
//! program's RAX is in its cell; for all others every general register is the program's.
//!
//! **Upcalls.** While the program runs, and only then, the VMM may enter the kernel's exception entry itself: it writes
//! the frame, with the vector [`UPCALL_VECTOR`], and sets RIP and RSP as the stub's `iretq` would.
//!
//! **The privileged step.** A few things need CPL 0, for the kernel at CPL 3 too: `ud2` at the address
//! that the kernel's header names makes the stub load CR3 from RDI (which drops stale translations too: no page is
//! global) and go on behind it. All registers are unharmed.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::layout::{DIRECT_MAP, VCPU_PAGE};

/// Selector of the CPL 0 code segment (`STAR[47:32]`, AMD APM vol 2 §6.1.1).
pub const KERNEL_CODE: u16 = 0x10;
/// Selector of the CPL 0 stack segment: [`KERNEL_CODE`] + 8.
pub const KERNEL_DATA: u16 = 0x18;
/// `STAR[63:48]`; `sysretq` loads SS from this + 8 and CS from this + 16.
pub const SYSRET_BASE: u16 = 0x23;
/// Selector of the CPL 3 stack segment; also Linux's value.
pub const USER_DATA: u16 = 0x2b;
/// Selector of the CPL 3 code segment; also Linux's value.
pub const USER_CODE: u16 = 0x33;
/// Selector of the task state segment.
pub const TSS: u16 = 0x40;

/// RFLAGS of every frame that is built or restored: IOPL 3 (kernel and program may use ports), IF as
/// programs expect it (no interrupt source exists), and the bit that is always 1.
pub const RFLAGS: u64 = 0x3202;

/// Offset of the global descriptor table.
pub const GDT: u64 = 0x000;
/// Entries of the global descriptor table: 8, and the TSS's takes two.
pub const GDT_ENTRIES: usize = 10;
/// Offset of the `iretq` frame for page faults.
pub const PAGE_FAULT_IRET: u64 = 0x060;
/// Offset of the `iretq` frame for other exceptions.
pub const EXCEPTION_IRET: u64 = 0x090;
/// Offset of the cell where the LSTAR stub stores RCX: the address after `syscall`.
pub const CELL_RCX: u64 = 0x0c0;
/// Offset of the cell where the LSTAR stub stores R11: the program's RFLAGS.
pub const CELL_R11: u64 = 0x0c8;
/// Offset of the cell with the address of the kernel's system-call entry.
pub const CELL_SYSCALL: u64 = 0x0d0;
/// Offset of the cell where the page-fault stub stores RAX.
pub const CELL_RAX: u64 = 0x0d8;
/// Offset of the cell with the address of the kernel's `ud2`.
pub const CELL_STEP: u64 = 0x0e0;
/// Offset of the task state segment.
pub const TSS_OFFSET: u64 = 0x100;
/// Offset of the LSTAR stub.
pub const SYSCALL_STUB: u64 = 0x180;
/// Offset of the interrupt descriptor table.
pub const IDT: u64 = 0x200;
/// Vectors with a gate: the processor's exceptions.
pub const VECTORS: usize = 32;
/// The vector of an upcall: the VMM makes the program's registers look as after an exception, which it is not.
pub const UPCALL_VECTOR: u64 = VECTORS as u64;
/// Offset of the exception stubs.
pub const EXCEPTION_STUBS: u64 = 0x400;
/// Offset past the last stub: the CPL 0 stack's lowest byte.
pub const STUBS_END: u64 = 0xf00;
/// Offset of the CPL 0 stack's top.
pub const STACK_TOP: u64 = 0x1000;

/// Guest-virtual address of an offset in the vCPU page.
pub const fn address(offset: u64) -> u64 {
    DIRECT_MAP + VCPU_PAGE + offset
}

/// What lies on the CPL 0 stack when the kernel's exception entry runs (AMD APM vol 2 §8.9.3).
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ExceptionFrame {
    /// Vector number.
    pub vector: u64,
    /// Error code; 0 where the exception has none.
    pub error: u64,
    /// Where it happened.
    pub rip: u64,
    /// Code selector.
    pub cs: u64,
    /// Flags.
    pub rflags: u64,
    /// Stack pointer.
    pub rsp: u64,
    /// Stack selector.
    pub ss: u64,
}

/// Guest-virtual address of the [`ExceptionFrame`].
pub const EXCEPTION_FRAME: u64 = address(STACK_TOP) - size_of::<ExceptionFrame>() as u64;
/// The same place, guest-physical.
pub const EXCEPTION_FRAME_GPA: u64 = EXCEPTION_FRAME - DIRECT_MAP;
