//! What the kernel image tells the VMM: a header at its load address, [`crate::layout::KERNEL_LOAD`].

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// "MayflyKH", read as a little-endian number.
pub const KERNEL_MAGIC: u64 = u64::from_le_bytes(*b"MayflyKH");

/// The kernel's entry points: guest-virtual addresses in the direct map, all entered at CPL 3.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct KernelHeader {
    /// [`KERNEL_MAGIC`].
    pub magic: u64,
    /// [`crate::VERSION`].
    pub version: u64,
    /// First instruction: RDI = address of [`crate::BootInfo`], RSP = top of the kernel's stack.
    pub entry: u64,
    /// Where system calls arrive; see [`crate::vcpu_page`] for what the stub has done by then.
    pub syscall: u64,
    /// Where page faults arrive.
    pub page_fault: u64,
    /// Where all other exceptions arrive.
    pub exception: u64,
    /// Address of the kernel's one `ud2`: a request for the CPL 0 step of [`crate::vcpu_page`].
    pub privileged_step: u64,
    /// One past the image's last byte, its zeroed data included.
    pub end: u64,
}
