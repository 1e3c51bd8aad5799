//! Single instructions: the counter, random numbers, segment bases, ports.

#[cfg(feature = "bare-metal")]
use core::arch::asm;
use core::arch::x86_64::{_rdrand64_step, _rdtsc};

/// The time-stamp counter.
pub fn tsc() -> u64 {
    // SAFETY: `rdtsc` is open to CPL 3 (CR4.TSD is clear).
    unsafe { _rdtsc() }
}

/// A random number from the processor, `None` where it has none to give. Ask only a processor that has
/// RDRAND: on another the instruction is #UD, which ends the guest.
pub fn random() -> Option<u64> {
    #[target_feature(enable = "rdrand")]
    fn step() -> Option<u64> {
        let mut value = 0;
        // A hardware generator may be out of numbers for a moment: the manuals say ten tries.
        (0..10).find(|_| _rdrand64_step(&mut value) == 1).map(|_| value)
    }
    // SAFETY: an unknown instruction is a defined exception, not undefined behaviour: see above.
    unsafe { step() }
}

/// Points FS, a program's thread-local storage, at `base`.
#[cfg(feature = "bare-metal")]
pub fn set_fs_base(base: u64) {
    // SAFETY: CR4.FSGSBASE is set; the kernel itself does not use FS. A base that is not canonical
    // would be #GP here: callers pass addresses below USER_END.
    unsafe { asm!("wrfsbase {}", in(reg) base, options(nostack, preserves_flags)) };
}

/// Where FS points.
#[cfg(feature = "bare-metal")]
pub fn fs_base() -> u64 {
    let base;
    // SAFETY: CR4.FSGSBASE is set.
    unsafe { asm!("rdfsbase {}", out(reg) base, options(nomem, nostack, preserves_flags)) };
    base
}

/// Points GS at `base`; as [`set_fs_base`].
#[cfg(feature = "bare-metal")]
pub fn set_gs_base(base: u64) {
    // SAFETY: as in `set_fs_base`; the kernel does not use GS either.
    unsafe { asm!("wrgsbase {}", in(reg) base, options(nostack, preserves_flags)) };
}

/// Where GS points.
#[cfg(feature = "bare-metal")]
pub fn gs_base() -> u64 {
    let base;
    // SAFETY: CR4.FSGSBASE is set.
    unsafe { asm!("rdgsbase {}", out(reg) base, options(nomem, nostack, preserves_flags)) };
    base
}

/// Exits to the VMM through a port. All memory may have changed when it returns.
#[cfg(feature = "bare-metal")]
pub(crate) fn out(port: u16) {
    // SAFETY: IOPL is 3, and the ports are the VMM's; no `nomem`, since the VMM writes guest memory.
    unsafe { asm!("out dx, eax", in("dx") port, in("eax") 0u32, options(nostack)) };
}
