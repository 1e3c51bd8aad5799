//! The stack frame of a signal handler, byte for byte as Linux makes it (arch/x86 struct rt_sigframe),
//! since programs look into it.
//!
//! ```text
//!   FP_XSTATE_MAGIC2 (4)
//!   XSAVE area, aligned to 64: what it covers is in its software's words   ◀── pointed at by the ucontext
//!   siginfo_t (128)
//!   ucontext: flags, link, stack, registers (256), mask
//!   return address: the restorer, which calls rt_sigreturn   ◀── RSP in the handler
//! ```

use alloc::vec::Vec;

use linux_raw_sys::general as linux;
use mayfly_hal::fpu::{Fpu, LEGACY_BYTES, SOFTWARE};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::errno::{Errno, Result};
use crate::signal::{Action, Info, bit, blockable};
use crate::thread::Thread;

/// Bytes below RSP that belong to the function that runs (System V ABI §3.2.2).
const RED_ZONE: u64 = 128;
/// RFLAGS bits that a program may set for itself: the arithmetic ones, DF and AC.
const RFLAGS_FREE: u64 = 0x4_0cd5;
/// What the flags say: there is more than FXSAVE's state, SS is saved, and is restored as it says (asm/ucontext.h).
const FLAGS: u64 = 1 | 2 | 4;
/// FP_XSTATE_MAGIC1: the software's words describe an XSAVE area (asm/sigcontext.h, struct _fpx_sw_bytes).
const MAGIC1: u32 = 0x4650_5853;
/// FP_XSTATE_MAGIC2: it is all there.
const MAGIC2: u32 = 0x4650_5845;
/// The selectors as a program sees them: CS, GS, FS, SS.
const SELECTORS: u64 = 0x002b_0000_0000_0033;

#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Frame {
    restorer: u64,
    flags: u64,
    link: u64,
    stack: [u64; 3],
    r8_to_r15: [u64; 8],
    rdi: u64,
    rsi: u64,
    rbp: u64,
    rbx: u64,
    rdx: u64,
    rax: u64,
    rcx: u64,
    rsp: u64,
    rip: u64,
    rflags: u64,
    selectors: u64,
    error: u64,
    vector: u64,
    old_mask: u64,
    cr2: u64,
    fpu: u64,
    reserved: [u64; 8],
    mask: u64,
    info: [u64; 16],
}

const _: () = assert!(size_of::<Frame>() == 8 + 304 + 128);

/// What the software's words of the area say.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C, packed)]
struct SoftwareWords {
    magic1: u32,
    /// Bytes of the area and what follows it.
    extended_size: u32,
    components: u64,
    /// Bytes of the area.
    size: u32,
}

/// Bytes that a handler's stack needs for a frame, at most (AT_MINSIGSTKSZ).
pub fn frame_bytes(fpu: &Fpu) -> usize {
    const ALIGNMENT: usize = 64 + 16;
    size_of::<Frame>() + fpu.bytes() + size_of_val(&MAGIC2) + RED_ZONE as usize + ALIGNMENT
}

/// Makes the thread run a handler next. EFAULT where its stack cannot take the frame: nothing
/// has changed then.
pub fn enter(fpu: &Fpu, thread: &mut Thread, info: &Info, action: &Action) -> Result<()> {
    let top = handler_stack(thread, action);
    let size = fpu.bytes();
    let fpu_bytes = (size + size_of_val(&MAGIC2)) as u64;
    let fpu_at = top.checked_sub(fpu_bytes).ok_or(Errno::FAULT)? & !63;
    // RSP + 8 is a multiple of 16 at a function's first instruction.
    let at = (fpu_at.checked_sub(size_of::<Frame>() as u64).ok_or(Errno::FAULT)? & !15) - 8;
    if overflows_alternate(thread, top, at) {
        return Err(Errno::FAULT);
    }
    let mask = thread.saved_mask.unwrap_or(thread.blocked);
    let registers = &thread.context;
    let frame = Frame {
        restorer: action.restorer,
        flags: FLAGS,
        link: 0,
        stack: [thread.alternate_stack.0, u64::from(stack_state(thread)), thread.alternate_stack.1],
        r8_to_r15: [
            registers.r8,
            registers.r9,
            registers.r10,
            registers.r11,
            registers.r12,
            registers.r13,
            registers.r14,
            registers.r15,
        ],
        rdi: registers.rdi,
        rsi: registers.rsi,
        rbp: registers.rbp,
        rbx: registers.rbx,
        rdx: registers.rdx,
        rax: registers.rax,
        rcx: registers.rcx,
        rsp: registers.rsp,
        rip: registers.rip,
        rflags: registers.rflags,
        selectors: SELECTORS,
        error: thread.last_fault.error,
        vector: thread.last_fault.vector,
        old_mask: mask,
        cr2: thread.last_fault.address,
        fpu: fpu_at,
        reserved: [0; 8],
        mask,
        info: info.to_words(),
    };
    let mut area = fpu.export(&thread.context)?;
    let words = SoftwareWords {
        magic1: MAGIC1,
        extended_size: fpu_bytes as u32,
        components: fpu.components(),
        size: size as u32,
    };
    area.set_software(words.as_bytes());
    let put = |at: u64, bytes: &[u8]| -> Result<()> {
        let space = thread.process.space();
        let mut space = space.borrow_mut();
        space.user_range(at, bytes.len() as u64, true)?.bytes_mut().copy_from_slice(bytes);
        Ok(())
    };
    put(fpu_at, area.bytes())?;
    put(fpu_at + size as u64, &MAGIC2.to_le_bytes())?;
    put(at, frame.as_bytes())?;

    let context = &mut thread.context;
    context.rip = action.handler;
    context.rsp = at;
    context.rdi = info.signal.into();
    context.rsi = at + core::mem::offset_of!(Frame, info) as u64;
    context.rdx = at + core::mem::offset_of!(Frame, flags) as u64;
    context.rax = 0;
    context.rflags &= !(1 << 10 | 1 << 8);
    context.restore_all();
    thread.saved_mask = None;
    thread.blocked |= action.mask;
    if action.flags & u64::from(linux::SA_NODEFER) == 0 {
        thread.blocked |= blockable(bit(info.signal));
    }
    Ok(())
}

/// rt_sigreturn(2): the thread goes on where the signal found it.
pub fn leave(fpu: &Fpu, thread: &mut Thread) -> Result<()> {
    let mut bytes = [0; size_of::<Frame>()];
    get(thread, thread.context.rsp.wrapping_sub(8), &mut bytes)?;
    let frame = Frame::read_from_bytes(&bytes).map_err(|_| Errno::FAULT)?;
    if frame.fpu != 0 {
        let saved = saved_registers(fpu, thread, frame.fpu)?;
        fpu.import(&saved, &mut thread.context)?;
    }
    let context = &mut thread.context;
    let [r8, r9, r10, r11, r12, r13, r14, r15] = frame.r8_to_r15;
    (context.r8, context.r9, context.r10, context.r11) = (r8, r9, r10, r11);
    (context.r12, context.r13, context.r14, context.r15) = (r12, r13, r14, r15);
    context.rax = frame.rax;
    context.rbx = frame.rbx;
    context.rcx = frame.rcx;
    context.rdx = frame.rdx;
    context.rsi = frame.rsi;
    context.rdi = frame.rdi;
    context.rbp = frame.rbp;
    context.rsp = frame.rsp;
    context.rip = frame.rip;
    context.rflags = frame.rflags & RFLAGS_FREE;
    context.restore_all();
    thread.blocked = blockable(frame.mask);
    Ok(())
}

/// Where the handler's stack begins: the alternate one where there is one and it is not in use.
fn handler_stack(thread: &Thread, action: &Action) -> u64 {
    let (base, size) = thread.alternate_stack;
    let wanted = action.flags & u64::from(linux::SA_ONSTACK) != 0;
    if wanted && size > 0 && stack_state(thread) == 0 {
        base + size
    } else {
        thread.context.rsp.wrapping_sub(RED_ZONE)
    }
}

/// ss_flags: SS_DISABLE, SS_ONSTACK or 0.
pub fn stack_state(thread: &Thread) -> u32 {
    let (base, size) = thread.alternate_stack;
    if size == 0 {
        linux::SS_DISABLE
    } else if thread.context.rsp > base && thread.context.rsp - base <= size {
        linux::SS_ONSTACK
    } else {
        0
    }
}

/// Whether a frame from `top` down to `at` would leave the alternate stack that it is on.
fn overflows_alternate(thread: &Thread, top: u64, at: u64) -> bool {
    let (base, size) = thread.alternate_stack;
    size > 0 && top > base && top - base <= size && at < base
}

/// Copies bytes of the program. EFAULT.
fn get(thread: &Thread, at: u64, to: &mut [u8]) -> Result<()> {
    let range = thread.process.space().borrow_mut().user_range(at, to.len() as u64, false)?;
    to.copy_from_slice(range.bytes());
    Ok(())
}

/// The extended registers at `at`: an XSAVE area where they say that they are one of ours, else FXSAVE's part alone.
fn saved_registers(fpu: &Fpu, thread: &Thread, at: u64) -> Result<Vec<u8>> {
    let mut saved = alloc::vec![0; LEGACY_BYTES];
    get(thread, at, &mut saved)?;
    let size = fpu.bytes();
    let words = SoftwareWords::read_from_prefix(&saved[SOFTWARE..]).map_err(|_| Errno::FAULT)?.0;
    if words.magic1 == MAGIC1 && words.size as usize == size {
        let mut whole = alloc::vec![0; size + size_of_val(&MAGIC2)];
        get(thread, at, &mut whole)?;
        if whole[size..] == MAGIC2.to_le_bytes() {
            whole.truncate(size);
            return Ok(whole);
        }
    }
    Ok(saved)
}
