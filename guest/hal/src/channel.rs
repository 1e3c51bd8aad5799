//! The kernel's side of the channel page, and the exits that say "look" (see [`mayfly_abi::channel`]).

use core::ptr::{addr_of_mut, read_volatile, write_volatile};

use mayfly_abi::Channel;
use mayfly_abi::channel::{
    Clock, Counters, End, MESSAGE_MAX, PORT_ARM, PORT_END, PORT_KICK, PORT_WAIT,
};
use mayfly_abi::layout::{CHANNEL, DIRECT_MAP};

use crate::cpu;

const PAGE: *mut Channel = (DIRECT_MAP + CHANNEL) as *mut Channel;

/// The clock that the VMM measured last.
pub fn clock() -> Clock {
    loop {
        // SAFETY: the page is mapped for as long as the guest runs.
        let version = || unsafe { read_volatile(addr_of_mut!((*PAGE).clock.version)) };
        let before = version();
        // SAFETY: as above.
        let clock = unsafe { read_volatile(addr_of_mut!((*PAGE).clock)) };
        // The VMM may have interrupted this to write a new measurement.
        if before == version() {
            return clock;
        }
    }
}

/// Stamps the moment at which the kernel was ready.
pub fn mark_kernel_ready() {
    // SAFETY: as in `clock`; this field is ours to write.
    unsafe { write_volatile(addr_of_mut!((*PAGE).marks.kernel_ready), cpu::tsc()) };
}

/// Stamps the moment before the program's first instruction.
pub fn mark_user_entered() {
    // SAFETY: as in `mark_kernel_ready`.
    unsafe { write_volatile(addr_of_mut!((*PAGE).marks.user_entered), cpu::tsc()) };
}

/// Makes every queue be served.
pub fn kick() {
    cpu::out(PORT_KICK);
}

/// Makes every queue be served, and sleeps until a device has something or the host's CLOCK_MONOTONIC
/// reaches `deadline_ns`.
pub fn wait(deadline_ns: u64) {
    // SAFETY: as in `mark_kernel_ready`.
    unsafe { write_volatile(addr_of_mut!((*PAGE).deadline_ns), deadline_ns) };
    cpu::out(PORT_WAIT);
}

/// Asks for an upcall if a program runs at `at_ns` of the host's CLOCK_MONOTONIC. Exits where the VMM would look too
/// late otherwise.
pub fn set_upcall(at_ns: u64) {
    // SAFETY: as in `mark_kernel_ready`; `armed_ns` is written during exits only.
    let armed_ns = unsafe {
        write_volatile(addr_of_mut!((*PAGE).upcall_ns), at_ns);
        read_volatile(addr_of_mut!((*PAGE).armed_ns))
    };
    if at_ns < armed_ns {
        cpu::out(PORT_ARM);
    }
}

/// Ends the guest. `kind` and `code` are of [`mayfly_abi::channel::end`]; a longer message is cut.
pub fn end(kind: u32, code: u32, message: &[u8], counters: Counters) -> ! {
    let len = message.len().min(MESSAGE_MAX);
    let mut end =
        End { kind, code, message_len: len as u32, reserved: 0, message: [0; MESSAGE_MAX] };
    end.message[..len].copy_from_slice(&message[..len]);
    // SAFETY: as in `mark_kernel_ready`.
    unsafe {
        write_volatile(addr_of_mut!((*PAGE).counters), counters);
        write_volatile(addr_of_mut!((*PAGE).end), end);
    }
    loop {
        cpu::out(PORT_END);
    }
}
