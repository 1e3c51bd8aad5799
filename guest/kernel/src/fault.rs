//! Exceptions of a program: which signal each comes to (arch/x86/kernel/traps.c gives signals and codes).

use linux_raw_sys::general as linux;
use mayfly_hal::context::Access;

use crate::kernel::Kernel;
use crate::mm::BadAccess;
use crate::signal::{Info, SI_KERNEL};
use crate::thread::{LastFault, Thread};

const SIGILL: u8 = linux::SIGILL as u8;
const SIGTRAP: u8 = linux::SIGTRAP as u8;
const SIGBUS: u8 = linux::SIGBUS as u8;
const SIGFPE: u8 = linux::SIGFPE as u8;
const SIGKILL: u8 = linux::SIGKILL as u8;
const SIGSEGV: u8 = linux::SIGSEGV as u8;
/// #PF.
const PAGE_FAULT: u64 = 14;

/// Resolves a page fault; the signal where it can't, and what a person is told.
pub fn page(
    kernel: &Kernel,
    thread: &mut Thread,
    address: u64,
    access: Access,
    error: u64,
) -> Option<(Info, &'static str)> {
    let space = thread.process.space();
    let mut result = space.borrow_mut().fault(address, access);
    if result == Err(BadAccess::OutOfMemory) && kernel.vfs.reclaim() {
        result = space.borrow_mut().fault(address, access);
    }
    let (signal, code, text) = match result {
        Ok(()) => {
            kernel.count_page_fault();
            return None;
        }
        Err(BadAccess::NotMapped) => (SIGSEGV, linux::SEGV_MAPERR, "segmentation fault"),
        Err(BadAccess::NotAllowed) => (SIGSEGV, linux::SEGV_ACCERR, "segmentation fault"),
        Err(BadAccess::NoFile) => (SIGBUS, linux::BUS_ADRERR, "bus error"),
        Err(BadAccess::OutOfMemory) => (SIGKILL, linux::SI_USER, "out of memory"),
    };
    thread.last_fault = LastFault { vector: PAGE_FAULT, error, address };
    Some((Info::fault(signal, code as i32, address), text))
}

/// The signal for another exception (AMD APM vol 2 §8.2), and what a person is told.
pub fn exception(
    kernel: &Kernel,
    thread: &mut Thread,
    vector: u8,
    error: u64,
) -> (Info, &'static str) {
    thread.last_fault = LastFault { vector: vector.into(), error, ..thread.last_fault };
    let rip = thread.context.rip;
    let (signal, code, address, text) = match vector {
        0 => (SIGFPE, linux::FPE_INTDIV as i32, rip, "division by zero"),
        1 => (SIGTRAP, linux::TRAP_TRACE as i32, rip, "trap"),
        3 => (SIGTRAP, SI_KERNEL, 0, "trap"),
        6 => (SIGILL, linux::ILL_ILLOPN as i32, rip, "illegal instruction"),
        11 | 12 => (SIGBUS, SI_KERNEL, 0, "bus error"),
        16 | 19 => {
            let code = floating_point_code(kernel.fpu.exceptions(vector));
            (SIGFPE, code as i32, rip, "floating-point exception")
        }
        17 => (SIGBUS, linux::BUS_ADRALN as i32, 0, "misaligned access"),
        _ => (SIGSEGV, SI_KERNEL, 0, "segmentation fault"),
    };
    (Info::fault(signal, code, address), text)
}

/// si_code for exception bits as [`mayfly_hal::fpu::Fpu::exceptions`] gives them.
fn floating_point_code(exceptions: u32) -> u32 {
    let is_raised = |bit: u32| exceptions & 1 << bit != 0;
    if is_raised(2) {
        linux::FPE_FLTDIV
    } else if is_raised(3) {
        linux::FPE_FLTOVF
    } else if is_raised(1) || is_raised(4) {
        linux::FPE_FLTUND
    } else if is_raised(5) {
        linux::FPE_FLTRES
    } else {
        linux::FPE_FLTINV
    }
}
