//! The memory map of a unikernel guest, as the boot plan lays it out and the guest kernel finds it.
//!
//! ```text
//!  guest-physical                               guest-virtual
//!
//!  0x0000_0000  unused: null is never valid     0x0000_0000_0000  never mapped (64 KiB)
//!  0x0000_1000  vCPU page: GDT IDT TSS stubs    0x0000_0040_0000  programs that are not PIE
//!  0x0000_2000  boot information                0x0000_050f_0000  reserved: rewritten calls
//!  0x0000_3000  channel (shared with the VMM)   0x5555_5555_0000  PIE programs, then their heap
//!  0x0000_4000  virtqueues                              …         mappings, growing down
//!  0x0000_6000  page tables (root, then the     0x7f7f_ffff_f000  top of the program's stack
//!               direct map's)                   ─────────── PML4 slot 255: the kernel's ───────────
//!  0x0008_0000  command: argv and environment   0x7f80_0000_0000  direct map: all of guest-physical
//!  0x0018_0000  kernel stack, growing down                        memory, 2 MiB pages
//!  0x0020_0000  kernel image, then free RAM
//!  0xd000_0000  hole: virtio-mmio registers
//! 0x1_0000_0000  RAM above the hole
//! ```
//!
//! Kernel and program share privilege level 3 on purpose: the wall is the virtual machine, and a
//! software KVM interprets CPL 0 one slow instruction at a time. The kernel lives *inside* the direct
//! map, so a guest-physical address and a kernel pointer differ by a constant.

/// Bytes in a page (AMD APM vol 2 §5.3).
pub const PAGE_SIZE: u64 = 4096;
/// Bytes mapped by one page-directory entry with the PS bit (AMD APM vol 2 §5.3.4). 1 GiB pages are
/// not used: software KVMs may not know them.
pub const LARGE_PAGE_SIZE: u64 = 2 << 20;

/// The vCPU page: descriptor tables, the CPL 0 stubs and their stack. See [`crate::vcpu_page`].
pub const VCPU_PAGE: u64 = 0x1000;
/// [`crate::BootInfo`].
pub const BOOT_INFO: u64 = 0x2000;
/// [`crate::Channel`].
pub const CHANNEL: u64 = 0x3000;
/// The virtqueues' descriptor tables and rings, packed.
pub const QUEUES: u64 = 0x4000;
/// End of the space for virtqueues.
pub const QUEUES_END: u64 = 0x6000;
/// The root page table (PML4); the page-directory-pointer table and the page directories follow.
pub const PAGE_TABLES: u64 = 0x6000;
/// End of the space for the boot page tables: bounds RAM at (0x7a − 2) page directories of 1 GiB.
pub const PAGE_TABLES_END: u64 = 0x8_0000;
/// argv and environment strings, each ended by NUL.
pub const COMMAND: u64 = 0x8_0000;
/// Most bytes of argv and environment together (Linux allows a quarter of the stack, 2 MiB).
pub const COMMAND_MAX: u64 = 0x10_0000 - 0x8_0000;
/// Top of the kernel's stack, which grows down to [`KERNEL_STACK_END`].
pub const KERNEL_STACK_TOP: u64 = 0x18_0000;
/// Lowest address of the kernel's stack.
pub const KERNEL_STACK_END: u64 = 0x10_0000;
/// Where the kernel image begins; its header is at this address.
pub const KERNEL_LOAD: u64 = 0x20_0000;

/// Start of the hole in RAM that holds device registers.
pub const MMIO_HOLE: u64 = 0xd000_0000;
/// End of the hole, where RAM goes on.
pub const MMIO_HOLE_END: u64 = 0x1_0000_0000;
/// Distance between two devices' register windows (virtio 1.2 §4.2.2 needs 0x100 and the
/// configuration space).
pub const MMIO_STRIDE: u64 = 0x1000;

/// Where the direct map of guest-physical memory begins: PML4 slot 255.
pub const DIRECT_MAP: u64 = 0x7f80_0000_0000;
/// PML4 slot of the direct map.
pub const DIRECT_MAP_SLOT: usize = 255;
/// One past the highest address that a program may map.
pub const USER_END: u64 = 0x7f7f_ffff_f000;
/// Lowest address that a program may map (Linux's vm.mmap_min_addr).
pub const USER_START: u64 = 0x1_0000;
/// The table through which rewritten system-call sites jump: 8 bytes for each. Its upper half is what the bytes
/// `0f 05` of `syscall` are as the end of an address.
pub const CALL_TABLE: u64 = 0x050f_0000;
/// Most sites that one program has rewritten: table and stubs fill what the upper half of the address covers. glibc
/// has about 440 that can be, busybox 240.
pub const CALL_SITES_MAX: usize = 1536;
/// Bytes of a site's stub.
pub const CALL_STUB_BYTES: u64 = 32;
/// The stubs, behind the table.
pub const CALL_STUBS: u64 = CALL_TABLE + CALL_SITES_MAX as u64 * 8;
/// One past the last stub.
pub const CALL_STUBS_END: u64 = CALL_STUBS + CALL_SITES_MAX as u64 * CALL_STUB_BYTES;

const _: () =
    assert!(CALL_STUBS.is_multiple_of(PAGE_SIZE) && CALL_STUBS_END <= CALL_TABLE + 0x1_0000);

/// Most RAM a guest may have, MiB: Lambda's own limit is 10,240; ours is what Lambda's API model
/// admits (32,768), and the boot page tables have room for it.
pub const MEMORY_MIB_MAX: u64 = 32_768;
/// Least RAM a guest may have, MiB: the kernel, its tables and a small program.
pub const MEMORY_MIB_MIN: u64 = 16;

/// The RAM of a guest of `bytes`, as at most two ranges `(start, end)` around the hole.
pub const fn ram_ranges(bytes: u64) -> [(u64, u64); 2] {
    if bytes <= MMIO_HOLE {
        [(0, bytes), (0, 0)]
    } else {
        [(0, MMIO_HOLE), (MMIO_HOLE_END, MMIO_HOLE_END + (bytes - MMIO_HOLE))]
    }
}
