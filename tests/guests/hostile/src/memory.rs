//! Guest-physical memory, read and written without asking anyone.

use core::ptr::{read_volatile, write_volatile};

use mayfly_abi::layout::{DIRECT_MAP, ram_ranges};
use mayfly_hal::boot::Boot;

/// Where a scenario puts its buffers: RAM that nothing else uses in the smallest guest.
pub const SCRATCH: u64 = 12 << 20;

/// Writes `value` at `gpa`, which is aligned for it and in the direct map.
pub fn put<T>(gpa: u64, value: T) {
    // SAFETY: the direct map is writable, and in this kernel nothing is sacred.
    unsafe { write_volatile((DIRECT_MAP + gpa) as *mut T, value) }
}

/// Reads what is at `gpa`, which is aligned for it and in the direct map.
pub fn get<T: zerocopy::FromBytes>(gpa: u64) -> T {
    // SAFETY: the direct map is readable, and any bytes are a value of `T`.
    unsafe { read_volatile((DIRECT_MAP + gpa) as *const T) }
}

/// Writes `bytes` from `gpa` on.
pub fn put_bytes(gpa: u64, bytes: &[u8]) {
    for (at, &byte) in (gpa..).zip(bytes) {
        put(at, byte);
    }
}

/// Guest-physical address past the RAM that begins at 0.
pub fn end(boot: &Boot) -> u64 {
    ram_ranges(boot.info.memory_bytes)[0].1
}
