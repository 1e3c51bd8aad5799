//! Where rewritten system calls arrive: by a jump from a stub, at CPL 3.
//!
//! ```text
//!   site: jmp [slot] ──▶ stub: RCX = address after the site, EAX = number
//!                          ├──▶ mayfly_jump    into the kernel, as mayfly_syscall
//!                          └──▶ mayfly_answer  a call whose value the kernel has laid out: back at once
//! ```
//!
//! Nothing is pushed on the program's stack, whose red zone may be in use. RCX and R11 are the call's to change. The
//! flags are the program's until they are saved, and on the short way nothing changes them at all.

use core::arch::global_asm;
use core::mem::offset_of;
use core::ptr::addr_of_mut;

use crate::context::Context;

/// Numbers below this may have a value laid out.
const ANSWERS: usize = 256;
/// How many calls in a row are answered without the kernel: it has to see now and then whose turn it is, and what is
/// due. Together they take about as long as 10 traps.
const BUDGET: u64 = 1024;

unsafe extern "C" {
    fn mayfly_jump();
    fn mayfly_answer();
    static mut MAYFLY_ANSWERS: [u64; ANSWERS];
    static mut MAYFLY_BUDGET: u64;
}

/// Where a stub goes: any call.
pub fn call_entry() -> u64 {
    mayfly_jump as *const () as u64
}

/// Where a stub goes whose call's value is laid out.
pub fn answer_entry() -> u64 {
    mayfly_answer as *const () as u64
}

/// Lays out what a call returns that is answered without the kernel.
///
/// # Panics
/// Where its number is 256 or more.
pub fn lay_out(number: u32, value: u64) {
    assert!((number as usize) < ANSWERS);
    // SAFETY: one vCPU, and the program, which reads it through the stubs only, does not run now.
    unsafe { addr_of_mut!(MAYFLY_ANSWERS[number as usize]).write_volatile(value) };
}

/// How many calls were answered since this was asked last. To be asked before each return to the program: from then on
/// it has its whole budget again.
pub fn take_answered() -> u64 {
    // SAFETY: as in `lay_out`.
    unsafe {
        let left = addr_of_mut!(MAYFLY_BUDGET).read_volatile();
        if left == BUDGET {
            return 0;
        }
        addr_of_mut!(MAYFLY_BUDGET).write_volatile(BUDGET);
        // The last of a budget goes the long way, and counts there.
        BUDGET.saturating_sub(left.max(1))
    }
}

global_asm!(
    // RAX: number. RCX: address after the site. R11 is free.
    ".globl mayfly_jump",
    "mayfly_jump:",
    "mov r11, rsp",
    "mov rsp, [rip + MAYFLY_KERNEL_RSP]",
    "pushfq",
    "push rcx",
    // On the kernel's stack: RCX, flags. R11: the program's RSP.
    "2:",
    "mov rcx, [rip + MAYFLY_CURRENT]",
    "mov [rcx + {rax}], rax",
    "mov [rcx + {rsp}], r11",
    "pop rax",
    "mov [rcx + {rip}], rax",
    "mov [rcx + {rcx}], rax",
    "pop rax",
    "mov [rcx + {rflags}], rax",
    "mov [rcx + {r11}], rax",
    "mov qword ptr [rcx + {full}], 0",
    "mov eax, 2",
    "jmp mayfly_leave",

    // The same registers. No instruction here changes a flag.
    ".globl mayfly_answer",
    "mayfly_answer:",
    "mov r11, rsp",
    "mov rsp, [rip + MAYFLY_KERNEL_RSP]",
    "pushfq",
    "push rcx",
    "mov rcx, [rip + MAYFLY_BUDGET]",
    "lea rcx, [rcx - 1]",
    "mov [rip + MAYFLY_BUDGET], rcx",
    "jrcxz 2b",
    "lea rcx, [rip + MAYFLY_ANSWERS]",
    "mov rax, [rcx + rax * 8]",
    "pop rcx",
    // R11 is the program's RSP, and is to be its flags, which are on top of the stack.
    "push r11",
    "mov r11, [rsp + 8]",
    "pop rsp",
    "jmp rcx",

    ".pushsection .data.mayfly_jump, \"aw\"",
    ".balign 8",
    ".globl MAYFLY_ANSWERS, MAYFLY_BUDGET",
    "MAYFLY_BUDGET: .quad {budget}",
    "MAYFLY_ANSWERS: .skip {answers} * 8",
    ".popsection",
    budget = const BUDGET,
    answers = const ANSWERS,
    rax = const offset_of!(Context, rax),
    rcx = const offset_of!(Context, rcx),
    rsp = const offset_of!(Context, rsp),
    r11 = const offset_of!(Context, r11),
    rip = const offset_of!(Context, rip),
    rflags = const offset_of!(Context, rflags),
    full = const offset_of!(Context, full),
);
