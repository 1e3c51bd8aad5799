//! A program's extended registers: x87, SSE, AVX and whatever else XCR0 covers (AMD APM vol 2 §11.5).
//!
//! The kernel's own code uses XMM registers and nothing beyond. So of a program's registers XMM0 to XMM15 are in its
//! [`Context`] while the kernel runs, and the others stay in the processor until another thread's take their place.
//!
//! ```text
//!   area (XSAVE, standard format)    0  x87, MXCSR │ 160  XMM │ 464  software's │ 512  header │ 576  AVX …
//!                                                     ▲ from the context, where somebody looks
//! ```

use core::arch::x86_64::{_fxsave64, _xrstor64, _xsave64};

use alloc::vec::Vec;
use mayfly_abi::CpuInfo;

use crate::context::Context;

/// Bytes of the part that FXSAVE knows: the least that a signal frame holds.
pub const LEGACY_BYTES: usize = 512;
/// Where the words lie in an area that the processor leaves to software.
pub const SOFTWARE: usize = 464;
/// Where MXCSR, its mask, and XMM0 lie in it.
const MXCSR: usize = 24;
const MXCSR_MASK: usize = 28;
const XMM: usize = 160;
const XMM_BYTES: usize = 256;
/// Where the header is: which components follow, and how.
const HEADER_BYTES: usize = 64;
/// Bits of MXCSR that every processor with SSE2 has.
const MXCSR_DEFAULT_MASK: u32 = 0xffbf;
/// The x87 control word and MXCSR of a new program: all exceptions masked.
const FCW_INITIAL: u16 = 0x37f;
const MXCSR_INITIAL: u32 = 0x1f80;
/// Components that FXSAVE knows: x87 and SSE.
const LEGACY: u64 = 3;
const SSE: u64 = 2;
/// #MF's vector, as opposed to #XM's.
const X87_VECTOR: u8 = 16;

/// The unit of an area: XSAVE wants 64-byte alignment.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
struct Line([u8; 64]);

/// One thread's extended registers, while they are not in the processor.
#[derive(Debug)]
pub struct Area(Vec<Line>);

/// The processor's extended registers as a whole.
#[derive(Clone, Copy, Debug)]
pub struct Fpu {
    components: u64,
    lines: usize,
    mxcsr_mask: u32,
}

/// Memory for an area ran out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfMemory;

impl Fpu {
    /// What the VMM has found and switched on.
    pub fn new(cpu: &CpuInfo) -> Fpu {
        let mut area = [Line([0; 64]); LEGACY_BYTES / 64];
        // SAFETY: the area is 512 bytes, aligned to 64.
        unsafe { _fxsave64(area.as_mut_ptr().cast()) };
        let mxcsr_mask = match word(&area[0].0, MXCSR_MASK) {
            0 => MXCSR_DEFAULT_MASK,
            mask => mask,
        };
        let bytes = (cpu.xsave_bytes as usize).max(LEGACY_BYTES + HEADER_BYTES);
        Fpu { components: cpu.xcr0, lines: bytes.div_ceil(64), mxcsr_mask }
    }

    /// Bytes of an area.
    pub fn bytes(&self) -> usize {
        self.lines * 64
    }

    /// The components that an area covers (XCR0).
    pub fn components(&self) -> u64 {
        self.components
    }

    /// An area with the registers of a new program.
    ///
    /// # Errors
    /// [`OutOfMemory`].
    pub fn area(&self) -> Result<Area, OutOfMemory> {
        let mut lines = Vec::new();
        lines.try_reserve_exact(self.lines).map_err(|_| OutOfMemory)?;
        lines.resize(self.lines, Line([0; 64]));
        lines[0].0[..2].copy_from_slice(&FCW_INITIAL.to_le_bytes());
        lines[0].0[MXCSR..MXCSR + 4].copy_from_slice(&MXCSR_INITIAL.to_le_bytes());
        Ok(Area(lines))
    }

    /// Copies the processor's registers into `area`. What it says of XMM is the kernel's own.
    pub fn save(&self, area: &mut Area) {
        #[target_feature(enable = "xsave")]
        unsafe fn save(to: *mut u8, components: u64) {
            // SAFETY: the caller's.
            unsafe { _xsave64(to, components) };
        }
        assert_eq!(area.0.len(), self.lines);
        // SAFETY: CR4.OSXSAVE is set; the area is aligned, and as long as CPUID says that these components take.
        unsafe { save(area.0.as_mut_ptr().cast(), self.components) };
    }

    /// Puts `area` into the processor's registers. The XMM registers are volatile between functions (System V ABI
    /// §3.2.1), and a program's are loaded from its context on the way to it.
    pub fn load(&self, area: &Area) {
        #[target_feature(enable = "xsave")]
        unsafe fn load(from: *const u8, components: u64) {
            // SAFETY: the caller's.
            unsafe { _xrstor64(from, components) };
        }
        assert_eq!(area.0.len(), self.lines);
        // SAFETY: as in `save`; every area comes from `area`, `save` or `import`, so that its header and MXCSR have no
        // bit that the processor refuses.
        unsafe { load(area.0.as_ptr().cast(), self.components) };
    }

    /// The registers of the program that is stopped at `context`, all of them.
    ///
    /// # Errors
    /// [`OutOfMemory`].
    pub fn export(&self, context: &Context) -> Result<Area, OutOfMemory> {
        let mut area = self.area()?;
        self.save(&mut area);
        let bytes = area.bytes_mut();
        let xmm = bytes[XMM..XMM + XMM_BYTES].chunks_exact_mut(8);
        for (bytes, word) in xmm.zip(context.xmm.as_flattened()) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        let components = quad(bytes, LEGACY_BYTES) | SSE;
        bytes[LEGACY_BYTES..LEGACY_BYTES + 8].copy_from_slice(&components.to_le_bytes());
        Ok(area)
    }

    /// Gives the program that is stopped at `context` registers that [`Fpu::export`] has shown it, or that it made up:
    /// bits that the processor would refuse are dropped. Only the legacy part counts where `bytes` has no more.
    ///
    /// # Errors
    /// [`OutOfMemory`].
    ///
    /// # Panics
    /// Where `bytes` is shorter than [`LEGACY_BYTES`].
    pub fn import(&self, bytes: &[u8], context: &mut Context) -> Result<(), OutOfMemory> {
        let mut area = self.area()?;
        let whole = bytes.len() >= self.bytes();
        let to = area.bytes_mut();
        let len = if whole { to.len() } else { LEGACY_BYTES };
        to[..len].copy_from_slice(&bytes[..len]);
        let mxcsr = word(to, MXCSR) & self.mxcsr_mask;
        to[MXCSR..MXCSR + 4].copy_from_slice(&mxcsr.to_le_bytes());
        let components = if whole { quad(to, LEGACY_BYTES) & self.components } else { LEGACY };
        // The compact format's bit and the rest of the header are reserved here (AMD APM vol 2 §11.5.3).
        to[LEGACY_BYTES..LEGACY_BYTES + HEADER_BYTES].fill(0);
        to[LEGACY_BYTES..LEGACY_BYTES + 8].copy_from_slice(&components.to_le_bytes());
        self.load(&area);
        context.xmm = Default::default();
        if components & SSE != 0 {
            let xmm = area.bytes_mut()[XMM..XMM + XMM_BYTES].chunks_exact(8);
            for (bytes, word) in xmm.zip(context.xmm.as_flattened_mut()) {
                *word = quad(bytes, 0);
            }
        }
        Ok(())
    }

    /// The floating-point exceptions that are raised and not masked, after #MF or #XM: bits 0 to 5 are invalid
    /// operation, denormal, division by zero, overflow, underflow, precision (AMD APM vol 1 §4.10, §6.8).
    pub fn exceptions(&self, vector: u8) -> u32 {
        let mut area = [Line([0; 64]); LEGACY_BYTES / 64];
        // SAFETY: the area is 512 bytes, aligned to 64.
        unsafe { _fxsave64(area.as_mut_ptr().cast()) };
        if vector == X87_VECTOR {
            let control_and_status = word(&area[0].0, 0);
            (control_and_status >> 16) & !control_and_status & 0x3f
        } else {
            let mxcsr = word(&area[0].0, MXCSR);
            mxcsr & !(mxcsr >> 7) & 0x3f
        }
    }
}

impl Area {
    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: lines are bytes without padding, one after the other.
        unsafe { core::slice::from_raw_parts(self.0.as_ptr().cast(), self.0.len() * 64) }
    }

    /// Its bytes, to write. For a copy on its way out: what the processor refuses must not come back.
    fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `bytes`.
        unsafe { core::slice::from_raw_parts_mut(self.0.as_mut_ptr().cast(), self.0.len() * 64) }
    }

    /// Sets the words that the processor leaves to software, as far as they go.
    ///
    /// # Panics
    /// Where there are more than 48 bytes.
    pub fn set_software(&mut self, bytes: &[u8]) {
        assert!(bytes.len() <= LEGACY_BYTES - SOFTWARE);
        self.bytes_mut()[SOFTWARE..SOFTWARE + bytes.len()].copy_from_slice(bytes);
    }
}

fn word(bytes: &[u8], at: usize) -> u32 {
    bytes[at..].first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

fn quad(bytes: &[u8], at: usize) -> u64 {
    bytes[at..].first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}
