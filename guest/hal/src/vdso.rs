//! The vDSO (vdso(7)): a shared library of one page that the kernel maps into every program, so that asking for the time
//! costs no system call.
//!
//! ```text
//!   0x000  ELF header, program headers (PT_LOAD: all of it; PT_DYNAMIC)
//!          dynamic section, symbols, names, hash table, versions
//!          clock_gettime, gettimeofday, time, clock_getres, getcpu
//! ```
//!
//! There is no data page: the program can read the channel, where the VMM puts its measurement of the clock
//! ([`mayfly_abi::channel::Clock`]), through the direct map. Programs look the functions up by name and version LINUX_2.6.

use core::arch::global_asm;
use core::mem::offset_of;

use mayfly_abi::Channel;
use mayfly_abi::channel::{CLOCK_SHIFT, Clock};
use mayfly_abi::layout::{CHANNEL, DIRECT_MAP};

use crate::phys::{FRAME_SIZE, Frame};

unsafe extern "C" {
    static MAYFLY_VDSO: u8;
    static MAYFLY_VDSO_END: u8;
}

/// A frame with the library; `None` when memory is exhausted.
///
/// # Panics
/// Where it takes more than a page: a bug.
pub fn frame() -> Option<Frame> {
    let (start, end) = (&raw const MAYFLY_VDSO, &raw const MAYFLY_VDSO_END);
    let len = end as usize - start as usize;
    assert!(len <= FRAME_SIZE);
    // SAFETY: the two symbols enclose the library, which nobody writes.
    let image = unsafe { core::slice::from_raw_parts(start, len) };
    let frame = Frame::zeroed()?;
    frame.write(0, image);
    Some(frame)
}

/// The clocks of clock_gettime(2) that show CLOCK_REALTIME's time, as a mask: REALTIME, REALTIME_COARSE, TAI.
const REALTIME: u32 = 1 | 1 << 5 | 1 << 11;
/// Those that show CLOCK_MONOTONIC's: MONOTONIC, MONOTONIC_RAW, MONOTONIC_COARSE, BOOTTIME.
const MONOTONIC: u32 = 1 << 1 | 1 << 4 | 1 << 6 | 1 << 7;
/// The largest bit of both.
const CLOCK_MAX: u32 = 11;
const SECOND: u32 = 1_000_000_000;
const NR_CLOCK_GETTIME: u32 = 228;
const NR_CLOCK_GETRES: u32 = 229;

// The library's tables (System V gABI chapters 4 and 5; versions: the LSB's symbol versioning). Addresses in it are
// offsets from its start.
global_asm!(
    ".pushsection .rodata.mayfly_vdso, \"a\"",
    ".balign 16",
    "MAYFLY_VDSO:",
    ".byte 0x7f", ".ascii \"ELF\"", ".byte 2, 1, 1, 0", ".skip 8",
    // ET_DYN, EM_X86_64, EV_CURRENT; no entry; program headers at 64; no section headers.
    ".short 3, 62", ".long 1", ".quad 0, 64, 0", ".long 0", ".short 64, 56, 2, 0, 0, 0",
    // PT_LOAD, readable and executable.
    ".long 1, 5", ".quad 0, 0, 0, MAYFLY_VDSO_END - MAYFLY_VDSO, MAYFLY_VDSO_END - MAYFLY_VDSO, 4096",
    // PT_DYNAMIC, readable.
    ".long 2, 4", ".quad 20f - MAYFLY_VDSO, 20f - MAYFLY_VDSO, 20f - MAYFLY_VDSO, 21f - 20f, 21f - 20f, 8",

    // DT_SONAME, DT_HASH, DT_STRTAB, DT_SYMTAB, DT_STRSZ, DT_SYMENT, DT_VERSYM, DT_VERDEF, DT_VERDEFNUM, DT_NULL.
    "20:",
    ".quad 14, 40f - 30f",
    ".quad 4, 50f - MAYFLY_VDSO",
    ".quad 5, 30f - MAYFLY_VDSO",
    ".quad 6, 22f - MAYFLY_VDSO",
    ".quad 10, 50f - 30f",
    ".quad 11, 24",
    ".quad 0x6ffffff0, 51f - MAYFLY_VDSO",
    ".quad 0x6ffffffc, 52f - MAYFLY_VDSO",
    ".quad 0x6ffffffd, 2",
    ".quad 0, 0",
    "21:",

    // Symbols: name; global function, in some section; address, size.
    "22:",
    ".skip 24",
    ".long 31f - 30f", ".byte 0x12, 0", ".short 1", ".quad 60f - MAYFLY_VDSO, 61f - 60f",
    ".long 32f - 30f", ".byte 0x12, 0", ".short 1", ".quad 61f - MAYFLY_VDSO, 62f - 61f",
    ".long 33f - 30f", ".byte 0x12, 0", ".short 1", ".quad 62f - MAYFLY_VDSO, 63f - 62f",
    ".long 34f - 30f", ".byte 0x12, 0", ".short 1", ".quad 63f - MAYFLY_VDSO, 64f - 63f",
    ".long 35f - 30f", ".byte 0x12, 0", ".short 1", ".quad 64f - MAYFLY_VDSO, 65f - 64f",

    "30: .byte 0",
    "31: .asciz \"__vdso_clock_gettime\"",
    "32: .asciz \"__vdso_gettimeofday\"",
    "33: .asciz \"__vdso_time\"",
    "34: .asciz \"__vdso_clock_getres\"",
    "35: .asciz \"__vdso_getcpu\"",
    "40: .asciz \"linux-vdso.so.1\"",
    "41: .asciz \"LINUX_2.6\"",
    ".balign 8",

    // The hash table: one bucket, a chain through all symbols.
    "50: .long 1, 6, 1, 0, 2, 3, 4, 5, 0",
    // The version of each symbol, and what the versions are called: 1 is the library itself.
    "51: .short 0, 2, 2, 2, 2, 2",
    ".balign 8",
    "52: .short 1, 1, 1, 1", ".long 0xdeebfa1, 20, 28", ".long 40b - 30b, 0",
    ".short 1, 0, 2, 1", ".long 0x3ae75f6, 20, 0", ".long 41b - 30b, 0",
    ".balign 16",

    // int clock_gettime(clockid_t, struct timespec *)
    "60:",
    "cmp edi, {clock_max}",
    "ja 71f",
    "mov eax, {clocks}",
    "bt eax, edi",
    "jnc 71f",
    "mov eax, {realtime_clocks}",
    "mov r9d, {monotonic_ns}",
    "mov ecx, {realtime_ns}",
    "bt eax, edi",
    "cmovc r9d, ecx",
    "call 70f",
    "mov [rsi], rax",
    "mov [rsi + 8], rdx",
    "xor eax, eax",
    "ret",

    // int gettimeofday(struct timeval *, struct timezone *)
    ".balign 16",
    "61:",
    "test rsi, rsi",
    "jz 80f",
    "mov qword ptr [rsi], 0",
    "80:",
    "test rdi, rdi",
    "jz 81f",
    "mov r9d, {realtime_ns}",
    "call 70f",
    "mov [rdi], rax",
    "mov rax, rdx",
    "xor edx, edx",
    "mov ecx, 1000",
    "div rcx",
    "mov [rdi + 8], rax",
    "81:",
    "xor eax, eax",
    "ret",

    // time_t time(time_t *)
    ".balign 16",
    "62:",
    "mov r9d, {realtime_ns}",
    "call 70f",
    "test rdi, rdi",
    "jz 82f",
    "mov [rdi], rax",
    "82:",
    "ret",

    // int clock_getres(clockid_t, struct timespec *): a nanosecond
    ".balign 16",
    "63:",
    "cmp edi, {clock_max}",
    "ja 72f",
    "mov eax, {clocks}",
    "bt eax, edi",
    "jnc 72f",
    "test rsi, rsi",
    "jz 83f",
    "mov qword ptr [rsi], 0",
    "mov qword ptr [rsi + 8], 1",
    "83:",
    "xor eax, eax",
    "ret",

    // int getcpu(unsigned *cpu, unsigned *node, void *): the one vCPU
    ".balign 16",
    "64:",
    "test rdi, rdi",
    "jz 84f",
    "mov dword ptr [rdi], 0",
    "84:",
    "test rsi, rsi",
    "jz 85f",
    "mov dword ptr [rsi], 0",
    "85:",
    "xor eax, eax",
    "ret",
    "65:",

    // The time of the clock whose field is at R9: RAX = seconds, RDX = nanoseconds. RSI and RDI stay. The VMM may have
    // written a new measurement in between, which its version shows.
    ".balign 16",
    "70:",
    "movabs r8, {clock}",
    "90:",
    "mov r10, [r8 + {version}]",
    "lfence",
    "rdtsc",
    "shl rdx, 32",
    "or rax, rdx",
    "sub rax, [r8 + {base_tsc}]",
    "jae 91f",
    "xor eax, eax",
    "91:",
    "mul qword ptr [r8 + {mult}]",
    "shrd rax, rdx, {shift}",
    "add rax, [r8 + r9]",
    "cmp r10, [r8 + {version}]",
    "jne 90b",
    "xor edx, edx",
    "mov ecx, {second}",
    "div rcx",
    "ret",

    // Other clocks: the kernel's.
    "71:",
    "mov eax, {nr_clock_gettime}",
    "syscall",
    "ret",
    "72:",
    "mov eax, {nr_clock_getres}",
    "syscall",
    "ret",
    "MAYFLY_VDSO_END:",
    ".popsection",
    clock_max = const CLOCK_MAX,
    clocks = const REALTIME | MONOTONIC,
    realtime_clocks = const REALTIME,
    monotonic_ns = const offset_of!(Clock, monotonic_ns),
    realtime_ns = const offset_of!(Clock, realtime_ns),
    base_tsc = const offset_of!(Clock, base_tsc),
    mult = const offset_of!(Clock, mult),
    version = const offset_of!(Clock, version),
    shift = const CLOCK_SHIFT,
    clock = const DIRECT_MAP + CHANNEL + offset_of!(Channel, clock) as u64,
    second = const SECOND,
    nr_clock_gettime = const NR_CLOCK_GETTIME,
    nr_clock_getres = const NR_CLOCK_GETRES,
);
