//! The first Rust code in a guest: checks the boot information and takes charge of memory.

use core::ptr::NonNull;

use mayfly_abi::layout::{
    COMMAND, COMMAND_MAX, DIRECT_MAP, PAGE_SIZE, QUEUES, QUEUES_END, ram_ranges,
};
use mayfly_abi::{BOOT_MAGIC, BootInfo, VERSION};

use crate::dma::DmaRegion;
use crate::phys;

unsafe extern "Rust" {
    /// The kernel proper, in the binary.
    safe fn mayfly_main(boot: Boot) -> !;
}

/// What the VMM left for the kernel.
#[derive(Clone, Copy, Debug)]
pub struct Boot {
    /// The machine.
    pub info: &'static BootInfo,
    /// The command's strings, each ended by NUL (see [`mayfly_abi::CommandInfo`]).
    pub strings: &'static [u8],
}

impl Boot {
    /// Memory of a virtqueue that the boot plan has placed.
    ///
    /// # Panics
    /// Where it is not in the space for virtqueues: the VMM's bug.
    pub fn queue_region(&self, gpa: u64, len: usize) -> DmaRegion {
        let end = gpa.checked_add(len as u64);
        assert!(gpa >= QUEUES && end.is_some_and(|end| end <= QUEUES_END), "queue at {gpa:#x}");
        let pointer = NonNull::new(phys::pointer(gpa)).expect("the direct map is not at 0");
        // SAFETY: that space is RAM which is used for nothing but the queues, for ever.
        unsafe { DmaRegion::from_raw(pointer, gpa, len) }
    }
}

/// Comes here from the entry point.
pub(crate) extern "C" fn start(info: *const BootInfo) -> ! {
    // SAFETY: the VMM passes the address of the boot information, which nobody writes from now on.
    let info = unsafe { &*info };
    assert_eq!((info.magic, info.version), (BOOT_MAGIC, VERSION), "boot information");
    let [low, high] = ram_ranges(info.memory_bytes);
    let first = (info.free_start / PAGE_SIZE) as u32;
    let end = (low.1.max(high.1) / PAGE_SIZE) as u32;
    // SAFETY: this is the one call; the direct map covers all RAM, and RAM from `free_start` on is
    // zero and unused, as the boot protocol says.
    unsafe { phys::init(DIRECT_MAP as *mut u8, first, end) };
    let len = u64::from(info.command.len);
    assert!(info.command.gpa == COMMAND && len <= COMMAND_MAX, "command block");
    // SAFETY: the block lies in RAM that nobody writes.
    let strings =
        unsafe { core::slice::from_raw_parts((DIRECT_MAP + COMMAND) as *const u8, len as usize) };
    mayfly_main(Boot { info, strings })
}
