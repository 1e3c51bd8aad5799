//! The processor misused: ports, endless loops, faults without handlers, and CPL 0 taken over.

use core::arch::asm;
use core::mem::offset_of;

use mayfly_abi::Channel;
use mayfly_abi::channel::{NO_DEADLINE, PORT_ARM, PORT_KICK, PORT_WAIT};
use mayfly_abi::layout::{CHANNEL, DIRECT_MAP, MMIO_HOLE, PAGE_TABLES, VCPU_PAGE};
use mayfly_abi::vcpu_page::IDT;

use crate::memory::{get, put, put_bytes};
use crate::unknown;

/// `out` of 32 bits.
pub fn out32(port: u16, value: u32) {
    // SAFETY: no memory is named; what the VMM changes meanwhile is read volatile.
    unsafe { asm!("out dx, eax", in("dx") port, in("eax") value, options(nostack)) };
}

/// Ports that nobody serves, and served ones used otherwise than they should be.
pub fn ports(how: &str) {
    let buffer = (DIRECT_MAP + crate::memory::SCRATCH) as *const u8;
    // SAFETY: the buffer is RAM; the direction flag is clear.
    unsafe {
        match how {
            "unknown" => asm!("out dx, al", in("dx") 0x3f8u16, in("al") b'x'),
            "last" => asm!("out dx, al", in("dx") u16::MAX, in("al") 0u8),
            "in" => asm!("in eax, dx", in("dx") PORT_KICK, out("eax") _),
            "between" => asm!("out dx, al", in("dx") PORT_KICK + 1, in("al") 0u8),
            "narrow" => {
                asm!("out dx, al", in("dx") PORT_KICK, in("al") 0u8);
                asm!("out dx, ax", in("dx") PORT_KICK, in("ax") 0u16);
            }
            "string" => asm!(
                "rep outsd",
                in("dx") PORT_KICK,
                inout("rsi") buffer => _,
                inout("rcx") 1000usize => _,
            ),
            _ => unknown(how),
        }
    }
}

/// Loops, floods and faults at CPL 3.
pub fn run(how: &str) {
    let deadline = CHANNEL + offset_of!(Channel, deadline_ns) as u64;
    match how {
        "spin" => loop {
            core::hint::spin_loop();
        },
        "kick-for-ever" => loop {
            out32(PORT_KICK, 0);
        },
        "registers-for-ever" => loop {
            let _: u32 = get(MMIO_HOLE);
        },
        "wait-for-ever" => loop {
            put(deadline, NO_DEADLINE);
            out32(PORT_WAIT, 0);
        },
        // Each of them has come already, or is far beyond a timer's range.
        "deadlines" => {
            for at in [0, 1, u64::MAX >> 40] {
                put(deadline, at);
                out32(PORT_WAIT, 0);
            }
        }
        // The program is to be interrupted, at moments that make no sense; the kernel runs, so nothing happens.
        "upcalls" => {
            let upcall = CHANNEL + offset_of!(Channel, upcall_ns) as u64;
            let armed = CHANNEL + offset_of!(Channel, armed_ns) as u64;
            for at in [0, 1, u64::MAX >> 20, NO_DEADLINE - 1, NO_DEADLINE, 0] {
                for _ in 0..100 {
                    put(upcall, at);
                    put(armed, !at);
                    out32(PORT_ARM, 0);
                }
            }
        }
        "far-deadline" => {
            put(deadline, NO_DEADLINE - 1);
            out32(PORT_WAIT, 0);
        }
        "flood" => {
            for _ in 0..2000 {
                out32(PORT_KICK, 0);
                let _: u32 = get(MMIO_HOLE);
                put(MMIO_HOLE + 0x30, u32::MAX);
            }
        }
        "triple-fault" => {
            for gate in 0..32u64 {
                put(VCPU_PAGE + IDT + gate * 16, 0u64);
                put(VCPU_PAGE + IDT + gate * 16 + 8, 0u64);
            }
            invalid_opcode();
        }
        // No page is left, not even the one with this instruction.
        "no-memory" => {
            put(PAGE_TABLES + 255 * 8, 0u64);
            ring0(LOAD_CR3);
        }
        _ => unknown(how),
    }
}

/// The code of [`ring0`]'s scenario that loads CR3 anew.
const LOAD_CR3: &str = "reload";

/// Runs a few instructions at CPL 0, in the place of the stub that #UD leads to.
pub fn ring0(how: &str) {
    let code: &[u8] = match how {
        "halt" => &[0xf4],                                             // hlt
        "halt-deaf" => &[0xfa, 0xf4],                                  // cli; hlt
        "spin" => &[0xeb, 0xfe],                                       // jmp $
        LOAD_CR3 => &[0x0f, 0x20, 0xd8, 0x0f, 0x22, 0xd8, 0xeb, 0xfe], // cr3 := cr3; jmp $
        "cr3" => &[0x48, 0xb8, 0, 0, 0, 0, 0, 0xf0, 0, 0, 0x0f, 0x22, 0xd8, 0xeb, 0xfe],
        "paging" => &[0x31, 0xc0, 0x0f, 0x22, 0xc0, 0xeb, 0xfe], // cr0 := 0
        "cr4" => &[0x31, 0xc0, 0x0f, 0x22, 0xe0, 0xeb, 0xfe],    // cr4 := 0
        "idt" => &[0x0f, 0x01, 0x1c, 0x25, 0, 0, 0, 0, 0xcc],    // lidt [0]; int3
        "stack" => &[0x31, 0xe4, 0x50, 0xeb, 0xfe],              // rsp := 0; push
        // KVM's own registers: the clock, stolen time and asynchronous faults, far outside RAM.
        "kvm-clock" => MSR_KVM_CLOCK,
        "kvm-steal" => MSR_KVM_STEAL,
        "kvm-faults" => MSR_KVM_FAULTS,
        "efer" => &[0xb9, 0x80, 0, 0, 0xc0, 0x31, 0xc0, 0x31, 0xd2, 0x0f, 0x30, 0xeb, 0xfe],
        "hypercall" => &[0xb8, 1, 0, 0, 0, 0x0f, 0x01, 0xd9, 0x0f, 0x01, 0xc1, 0xeb, 0xfe],
        "string-out" => &[0xba, 0x10, 0, 0, 0, 0xb9, 0, 1, 0, 0, 0xf3, 0x6f, 0xf4],
        "port" => &[0x66, 0xba, 0xf8, 0x03, 0xee, 0xf4], // out 0x3f8, al
        "registers" => STORE_TO_REGISTERS,
        _ => unknown(how),
    };
    let gate = VCPU_PAGE + IDT + 6 * 16;
    let stub = get::<u64>(gate) & 0xffff | get::<u64>(gate) >> 32 & 0xffff_0000;
    put_bytes(VCPU_PAGE + (stub & 0xfff), code);
    invalid_opcode();
}

/// `wrmsr` of an address far outside RAM with its enabling bit, then `hlt`.
macro_rules! enable_far_outside {
    ($low:literal) => {
        &[
            0xb9, $low, 0x4d, 0x56, 0x4b, 0xb8, 1, 0xf0, 0xff, 0xff, 0xba, 0xff, 0xff, 0x0f, 0,
            0x0f, 0x30, 0xf4,
        ]
    };
}

const MSR_KVM_CLOCK: &[u8] = enable_far_outside!(0x01);
const MSR_KVM_FAULTS: &[u8] = enable_far_outside!(0x02);
const MSR_KVM_STEAL: &[u8] = enable_far_outside!(0x03);

/// Locked and vector accesses to the first device's registers, then `hlt`.
const STORE_TO_REGISTERS: &[u8] = &[
    0x48, 0xb8, 0, 0, 0, 0xd0, 0x80, 0x7f, 0, 0, // mov rax, direct map + registers
    0xf0, 0xff, 0x00, // lock inc dword [rax]
    0x0f, 0x11, 0x00, // movups [rax], xmm0
    0xf4,
];

fn invalid_opcode() {
    // SAFETY: what comes of it is the scenario's business.
    unsafe { asm!("ud2") };
}
