//! The kernel's binary: where the VMM's first instruction leads, and where a kernel bug ends.
#![no_std]
#![no_main]

extern crate alloc;

use mayfly_hal::boot::Boot;

/// The hal comes here once memory is in order.
#[unsafe(no_mangle)]
fn mayfly_main(boot: Boot) -> ! {
    mayfly_kernel::start(boot)
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    mayfly_kernel::end::panicked(info)
}
