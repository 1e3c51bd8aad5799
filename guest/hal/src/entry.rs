//! The way into a program and back.
//!
//! ```text
//!   kernel ── run(context) ──▶ program ── syscall ──▶ LSTAR stub ──▶ mayfly_syscall ─┐
//!      ▲                          │                                                  │
//!      │                          └── exception ──▶ gate, stub ──▶ mayfly_exception ─┤
//!      ▲                          └── rewritten call ──▶ its stub ──▶ jump.rs ─────────┤
//!      ▲                          └── upcall by the VMM, as an exception ──────────────┤
//!      └──────────── returns a Trap ◀── registers are in the context ◀───────────────┘
//! ```
//!
//! To the kernel, running a program is a function call. The stubs at CPL 0 are the VMM's
//! ([`mayfly_abi::vcpu_page`]); everything here runs at CPL 3, and needs no privilege: `iretq` to the
//! same level restores RIP, RFLAGS and RSP in one step.

use core::arch::global_asm;
use core::mem::offset_of;

use mayfly_abi::layout::{DIRECT_MAP_SLOT, USER_END};
use mayfly_abi::vcpu_page::{
    CELL_R11, CELL_RAX, CELL_RCX, EXCEPTION_FRAME, ExceptionFrame, RFLAGS, UPCALL_VECTOR,
    USER_CODE, USER_DATA, address,
};
use mayfly_abi::{KERNEL_MAGIC, VERSION};

use crate::context::{Access, Context, Trap};

unsafe extern "C" {
    /// Runs the program until it traps: 0 is a system call, 1 an exception, 2 a system call that came by a jump.
    fn mayfly_enter(context: *mut Context) -> u64;
    /// The kernel's one `ud2`: loads CR3 from RDI.
    fn mayfly_privileged_step(cr3: u64);
}

/// Runs a program until it needs the kernel.
///
/// The context must describe a program whose memory is mapped in the active page tables; whatever it
/// does, it ends in a [`Trap`], since the kernel's own state is out of its way by convention only: the
/// wall around both is the virtual machine.
pub fn run(context: &mut Context) -> Trap {
    // The way into the program would fault on such an address itself, were it not canonical.
    if context.rip >= USER_END {
        let error = FETCH_ERROR;
        return Trap::PageFault { address: context.rip, access: Access::Execute, error };
    }
    // SAFETY: the pointer is to a live context that nobody else uses until the call returns; the entry
    // code keeps the System V ABI towards its caller.
    match unsafe { mayfly_enter(context) } {
        0 => return Trap::SystemCall { trapped: true },
        2 => return Trap::SystemCall { trapped: false },
        _ => {}
    }
    match context.vector {
        PAGE_FAULT => {
            let (address, error) = (context.cr2, context.error);
            Trap::PageFault { address, access: Access::from_error_code(error), error }
        }
        UPCALL_VECTOR => Trap::Upcall,
        vector => Trap::Exception { vector: vector as u8, error: context.error },
    }
}

/// Makes the page tables at `root` (guest-physical) the active ones and drops stale translations.
///
/// # Safety
/// The tables map the kernel's direct map as before.
pub(crate) unsafe fn load_cr3(root: u64) {
    // SAFETY: the caller's promise; the CPL 0 stub changes no register.
    unsafe { mayfly_privileged_step(root) };
}

const PAGE_FAULT: u64 = 14;
/// The error code of a fetch by a program from where nothing is (AMD APM vol 2 §8.4.2).
const FETCH_ERROR: u64 = 0x14;
/// RFLAGS.TF.
const TRAP_FLAG: u64 = 1 << 8;

/// An exception inside the kernel: a bug of ours. The registers of the moment are gone but for these.
extern "C" fn kernel_exception(vector: u64, error: u64, rip: u64, address: u64) -> ! {
    panic!("exception {vector} (error {error:#x}) in the kernel at {rip:#x}, address {address:#x}");
}

// What the VMM reads first: see `mayfly_abi::KernelHeader`.
global_asm!(
    ".pushsection .mayfly.header, \"a\"",
    ".quad {magic}",
    ".quad {version}",
    ".quad mayfly_start",
    ".quad mayfly_syscall",
    ".quad mayfly_page_fault",
    ".quad mayfly_exception",
    ".quad mayfly_privileged_step",
    ".quad mayfly_image_end",
    ".popsection",
    magic = const KERNEL_MAGIC,
    version = const VERSION,
);

// The first instruction. RDI: boot information; RSP: the kernel's stack, as after a call.
global_asm!(
    ".globl mayfly_start",
    "mayfly_start:",
    "xor ebp, ebp",
    "jmp {main}",
    main = sym crate::boot::start,
);

// The way in. Registers that the System V ABI lets the callee keep are on the kernel's stack meanwhile.
global_asm!(
    ".globl mayfly_enter",
    "mayfly_enter:",
    "push rbx; push rbp; push r12; push r13; push r14; push r15",
    "mov [rip + MAYFLY_CURRENT], rdi",
    "mov [rip + MAYFLY_KERNEL_RSP], rsp",
    "mov rcx, rdi",
    "movaps xmm0, [rcx + {xmm}]",
    "movaps xmm1, [rcx + {xmm} + 16]",
    "movaps xmm2, [rcx + {xmm} + 32]",
    "movaps xmm3, [rcx + {xmm} + 48]",
    "movaps xmm4, [rcx + {xmm} + 64]",
    "movaps xmm5, [rcx + {xmm} + 80]",
    "movaps xmm6, [rcx + {xmm} + 96]",
    "movaps xmm7, [rcx + {xmm} + 112]",
    "movaps xmm8, [rcx + {xmm} + 128]",
    "movaps xmm9, [rcx + {xmm} + 144]",
    "movaps xmm10, [rcx + {xmm} + 160]",
    "movaps xmm11, [rcx + {xmm} + 176]",
    "movaps xmm12, [rcx + {xmm} + 192]",
    "movaps xmm13, [rcx + {xmm} + 208]",
    "movaps xmm14, [rcx + {xmm} + 224]",
    "movaps xmm15, [rcx + {xmm} + 240]",
    "mov rbx, [rcx + {rbx}]",
    "mov rdx, [rcx + {rdx}]",
    "mov rsi, [rcx + {rsi}]",
    "mov rdi, [rcx + {rdi}]",
    "mov rbp, [rcx + {rbp}]",
    "mov r8,  [rcx + {r8}]",
    "mov r9,  [rcx + {r9}]",
    "mov r10, [rcx + {r10}]",
    "mov r12, [rcx + {r12}]",
    "mov r13, [rcx + {r13}]",
    "mov r14, [rcx + {r14}]",
    "mov r15, [rcx + {r15}]",
    "cmp qword ptr [rcx + {full}], 0",
    "jne 2f",
    // After a system call: RCX is the address, R11 the flags, as `sysretq` leaves them.
    "mov rax, [rcx + {rax}]",
    "mov r11, [rcx + {rflags}]",
    "push r11",
    "popfq",
    "mov rsp, [rcx + {rsp}]",
    "mov rcx, [rcx + {rip}]",
    "jmp rcx",
    // After an exception, and for a new program: every register.
    "2:",
    "push {ss}",
    "push [rcx + {rsp}]",
    "push [rcx + {rflags}]",
    "push {cs}",
    "push [rcx + {rip}]",
    "mov rax, [rcx + {rax}]",
    "mov r11, [rcx + {r11}]",
    "mov rcx, [rcx + {rcx}]",
    "iretq",
    xmm = const offset_of!(Context, xmm),
    rax = const offset_of!(Context, rax),
    rbx = const offset_of!(Context, rbx),
    rcx = const offset_of!(Context, rcx),
    rdx = const offset_of!(Context, rdx),
    rsi = const offset_of!(Context, rsi),
    rdi = const offset_of!(Context, rdi),
    rbp = const offset_of!(Context, rbp),
    rsp = const offset_of!(Context, rsp),
    r8 = const offset_of!(Context, r8),
    r9 = const offset_of!(Context, r9),
    r10 = const offset_of!(Context, r10),
    r11 = const offset_of!(Context, r11),
    r12 = const offset_of!(Context, r12),
    r13 = const offset_of!(Context, r13),
    r14 = const offset_of!(Context, r14),
    r15 = const offset_of!(Context, r15),
    rip = const offset_of!(Context, rip),
    rflags = const offset_of!(Context, rflags),
    full = const offset_of!(Context, full),
    ss = const USER_DATA,
    cs = const USER_CODE,
);

// The ways back. `mayfly_leave` is their common end: RCX is the context, EAX what `mayfly_enter` returns.
global_asm!(
    // A system call. RCX and R11 are free: the stub has stored them.
    ".globl mayfly_syscall",
    "mayfly_syscall:",
    "mov rcx, [rip + MAYFLY_CURRENT]",
    "mov [rcx + {rax}], rax",
    "mov [rcx + {rsp}], rsp",
    "movabs rax, [{cell_rcx}]",
    "mov [rcx + {rip}], rax",
    "mov [rcx + {rcx}], rax",
    "movabs rax, [{cell_r11}]",
    "mov [rcx + {rflags}], rax",
    "mov [rcx + {r11}], rax",
    "mov qword ptr [rcx + {full}], 0",
    "xor eax, eax",
    "jmp mayfly_leave",

    // A page fault: RAX is CR2. All other exceptions: RAX is the program's.
    ".globl mayfly_page_fault",
    "mayfly_page_fault:",
    "push rax",
    "movabs rax, [{cell_rax}]",
    "push rax",
    "push rcx",
    "push {page_fault}",
    "pop rcx",
    "jmp 3f",
    ".globl mayfly_exception",
    "mayfly_exception:",
    "push 0",
    "push rax",
    "push rcx",
    "movabs rax, [{frame} + {frame_vector}]",
    "mov rcx, rax",
    // Here: RCX = vector; on the exception stack: RCX, RAX, CR2.
    "3:",
    "movabs rax, [{frame} + {frame_rip}]",
    "shr rax, 39",
    "cmp eax, {kernel_slot}",
    "je 4f",
    "push rcx",
    "mov rcx, [rip + MAYFLY_CURRENT]",
    "mov [rcx + {r11}], r11",
    "pop r11",
    "mov [rcx + {vector}], r11",
    "pop r11",
    "mov [rcx + {rcx}], r11",
    "pop r11",
    "mov [rcx + {rax}], r11",
    "pop r11",
    "mov [rcx + {cr2}], r11",
    "movabs rax, [{frame} + {frame_error}]",
    "mov [rcx + {error}], rax",
    "movabs rax, [{frame} + {frame_rip}]",
    "mov [rcx + {rip}], rax",
    "movabs rax, [{frame} + {frame_rflags}]",
    "mov [rcx + {rflags}], rax",
    "movabs rax, [{frame} + {frame_rsp}]",
    "mov [rcx + {rsp}], rax",
    "mov qword ptr [rcx + {full}], 1",
    "mov eax, 1",

    ".globl mayfly_leave",
    "mayfly_leave:",
    "or qword ptr [rcx + {rflags}], {rflags_value}",
    // A trap flag would strike on the way back into the program, in the kernel.
    "and qword ptr [rcx + {rflags}], ~{trap_flag}",
    "mov [rcx + {rbx}], rbx",
    "mov [rcx + {rdx}], rdx",
    "mov [rcx + {rsi}], rsi",
    "mov [rcx + {rdi}], rdi",
    "mov [rcx + {rbp}], rbp",
    "mov [rcx + {r8}],  r8",
    "mov [rcx + {r9}],  r9",
    "mov [rcx + {r10}], r10",
    "mov [rcx + {r12}], r12",
    "mov [rcx + {r13}], r13",
    "mov [rcx + {r14}], r14",
    "mov [rcx + {r15}], r15",
    "movaps [rcx + {xmm}], xmm0",
    "movaps [rcx + {xmm} + 16], xmm1",
    "movaps [rcx + {xmm} + 32], xmm2",
    "movaps [rcx + {xmm} + 48], xmm3",
    "movaps [rcx + {xmm} + 64], xmm4",
    "movaps [rcx + {xmm} + 80], xmm5",
    "movaps [rcx + {xmm} + 96], xmm6",
    "movaps [rcx + {xmm} + 112], xmm7",
    "movaps [rcx + {xmm} + 128], xmm8",
    "movaps [rcx + {xmm} + 144], xmm9",
    "movaps [rcx + {xmm} + 160], xmm10",
    "movaps [rcx + {xmm} + 176], xmm11",
    "movaps [rcx + {xmm} + 192], xmm12",
    "movaps [rcx + {xmm} + 208], xmm13",
    "movaps [rcx + {xmm} + 224], xmm14",
    "movaps [rcx + {xmm} + 240], xmm15",
    "mov rsp, [rip + MAYFLY_KERNEL_RSP]",
    // Clears DF, NT, AC and TF, which no FMASK has cleared on a software KVM.
    "push {rflags_value}",
    "popfq",
    "pop r15; pop r14; pop r13; pop r12; pop rbp; pop rbx",
    "ret",

    // An exception inside the kernel: RCX = vector; on the stack RCX, RAX, CR2.
    "4:",
    "mov rdi, rcx",
    "movabs rax, [{frame} + {frame_error}]",
    "mov rsi, rax",
    "movabs rax, [{frame} + {frame_rip}]",
    "mov rdx, rax",
    "mov rcx, [rsp + 16]",
    "cld",
    "and rsp, -16",
    "call {kernel_exception}",
    "ud2",

    // A load of CR3 from RDI, done at CPL 0 by the stub that this `ud2` leads to.
    ".globl mayfly_privileged_step",
    "mayfly_privileged_step:",
    "ud2",
    "ret",

    ".pushsection .bss.mayfly_entry, \"aw\", @nobits",
    ".balign 8",
    ".globl MAYFLY_CURRENT, MAYFLY_KERNEL_RSP",
    "MAYFLY_CURRENT: .skip 8",
    "MAYFLY_KERNEL_RSP: .skip 8",
    ".popsection",
    cell_rcx = const address(CELL_RCX),
    cell_r11 = const address(CELL_R11),
    cell_rax = const address(CELL_RAX),
    frame = const EXCEPTION_FRAME,
    frame_vector = const offset_of!(ExceptionFrame, vector),
    frame_error = const offset_of!(ExceptionFrame, error),
    frame_rip = const offset_of!(ExceptionFrame, rip),
    frame_rflags = const offset_of!(ExceptionFrame, rflags),
    frame_rsp = const offset_of!(ExceptionFrame, rsp),
    page_fault = const PAGE_FAULT,
    trap_flag = const TRAP_FLAG,
    kernel_slot = const DIRECT_MAP_SLOT,
    kernel_exception = sym kernel_exception,
    rflags_value = const RFLAGS,
    xmm = const offset_of!(Context, xmm),
    rax = const offset_of!(Context, rax),
    rbx = const offset_of!(Context, rbx),
    rcx = const offset_of!(Context, rcx),
    rdx = const offset_of!(Context, rdx),
    rsi = const offset_of!(Context, rsi),
    rdi = const offset_of!(Context, rdi),
    rbp = const offset_of!(Context, rbp),
    rsp = const offset_of!(Context, rsp),
    r8 = const offset_of!(Context, r8),
    r9 = const offset_of!(Context, r9),
    r10 = const offset_of!(Context, r10),
    r11 = const offset_of!(Context, r11),
    r12 = const offset_of!(Context, r12),
    r13 = const offset_of!(Context, r13),
    r14 = const offset_of!(Context, r14),
    r15 = const offset_of!(Context, r15),
    rip = const offset_of!(Context, rip),
    rflags = const offset_of!(Context, rflags),
    vector = const offset_of!(Context, vector),
    error = const offset_of!(Context, error),
    cr2 = const offset_of!(Context, cr2),
    full = const offset_of!(Context, full),
);
