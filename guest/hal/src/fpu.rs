//! The x87 and SSE state as a signal frame holds it (FXSAVE, AMD APM vol 2 §11.4.4).

use core::arch::x86_64::{_fxrstor64, _fxsave64};

use crate::context::Context;

/// Bytes of an FXSAVE area.
pub const FXSAVE_BYTES: usize = 512;
/// Where MXCSR, its mask, and XMM0 lie in it.
const MXCSR: usize = 24;
const MXCSR_MASK: usize = 28;
const XMM: usize = 160;
/// Bits of MXCSR that every processor with SSE2 has.
const MXCSR_DEFAULT_MASK: u32 = 0xffbf;

#[repr(C, align(16))]
struct Area([u8; FXSAVE_BYTES]);

/// The program's state: the registers that the kernel leaves alone, as they are, and the XMM registers
/// of its context.
pub fn save(context: &Context) -> [u8; FXSAVE_BYTES] {
    let mut area = Area([0; FXSAVE_BYTES]);
    // SAFETY: the area is 512 bytes, aligned to 16.
    unsafe { _fxsave64(area.0.as_mut_ptr()) };
    for (bytes, word) in area.0[XMM..].chunks_exact_mut(8).zip(context.xmm.as_flattened()) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    area.0
}

/// Restores a state that [`save`] gave, or that the program made up: bits of MXCSR that the processor
/// reserves are dropped.
pub fn restore(saved: &[u8; FXSAVE_BYTES], context: &mut Context) {
    let mut area = Area(*saved);
    let mut fresh = Area([0; FXSAVE_BYTES]);
    // SAFETY: as in `save`. The mask in it is the processor's own.
    unsafe { _fxsave64(fresh.0.as_mut_ptr()) };
    let word = |area: &Area, at: usize| {
        u32::from_le_bytes([area.0[at], area.0[at + 1], area.0[at + 2], area.0[at + 3]])
    };
    let mask = match word(&fresh, MXCSR_MASK) {
        0 => MXCSR_DEFAULT_MASK,
        mask => mask,
    };
    let mxcsr = word(&area, MXCSR) & mask;
    area.0[MXCSR..MXCSR + 4].copy_from_slice(&mxcsr.to_le_bytes());
    // SAFETY: the area is 512 bytes, aligned to 16, and MXCSR has no reserved bit. The XMM registers
    // that it overwrites are volatile between functions (System V ABI §3.2.1).
    unsafe { _fxrstor64(area.0.as_ptr()) };
    for (bytes, word) in area.0[XMM..].chunks_exact(8).zip(context.xmm.as_flattened_mut()) {
        *word = u64::from_le_bytes(bytes.try_into().unwrap_or_default());
    }
}
