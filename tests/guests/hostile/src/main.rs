//! A guest kernel that misbehaves, in the way that its command names.
//!
//! ```text
//!   mayfly run --kernel hostile -- PROGRAM SCENARIO [HOW]
//!                                            │
//!     boot (mayfly-hal) ─▶ mayfly_main ──────┴─▶ disk, vsock, registers, cpu, end
//!                                                        │
//!                                                        └─▶ status 0: the VMM took it and went on
//! ```
//!
//! All of guest memory is its to ruin, and its devices' queues are laid out ready in the boot
//! information. What the VMM makes of each scenario is for the test that names it (`kvm_hostile`).
#![no_std]
#![no_main]

mod cpu;
mod defect;
mod disk;
mod end;
mod memory;
mod queue;
mod registers;
mod vsock;

use core::fmt::{self, Write};
use core::panic::PanicInfo;
use core::str;

use mayfly_abi::channel::{Counters, MESSAGE_MAX};
use mayfly_hal::boot::Boot;
use mayfly_hal::channel;

/// The hal comes here once memory is in order.
#[unsafe(no_mangle)]
fn mayfly_main(boot: Boot) -> ! {
    // The program's file, its name for itself, and then what is meant for this kernel.
    let mut words = boot.strings.split(|&byte| byte == 0).skip(2);
    let mut word = |index: u32| {
        let word = words.next().filter(|_| index < boot.info.command.argc).unwrap_or_default();
        str::from_utf8(word).unwrap_or_default()
    };
    let (scenario, how) = (word(1), word(2));
    match scenario {
        "disk" => disk::run(&boot, how),
        "requests" => disk::requests(&boot),
        "to-guest" | "from-guest" | "events" => vsock::break_queue(&boot, scenario, how),
        "packets" => vsock::packets(&boot, how),
        "registers" => registers::run(&boot, how),
        "ports" => cpu::ports(how),
        "cpu" => cpu::run(how),
        "ring0" => cpu::ring0(how),
        "end" => end::run(how),
        _ => unknown(scenario),
    }
    finish()
}

/// The scenario is over, and the guest is still there.
fn finish() -> ! {
    channel::end(mayfly_abi::channel::end::EXITED, 0, b"", Counters::default())
}

/// A word of the command that means nothing: a mistake in the test.
fn unknown(word: &str) -> ! {
    panic!("no scenario is called '{word}'")
}

/// What a panic says, in the channel's own space.
struct Message {
    bytes: [u8; MESSAGE_MAX],
    len: usize,
}

impl Write for Message {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for (&byte, place) in text.as_bytes().iter().zip(&mut self.bytes[self.len..]) {
            *place = byte;
            self.len += 1;
        }
        Ok(())
    }
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    let mut message = Message { bytes: [0; MESSAGE_MAX], len: 0 };
    // Writing to a `Message` cannot fail; it cuts what is too long.
    let _ = write!(message, "hostile: {}", info.message());
    let text = &message.bytes[..message.len];
    channel::end(mayfly_abi::channel::end::PANIC, 0, text, Counters::default())
}
