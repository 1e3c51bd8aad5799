//! Ends of a guest that make no sense ([`mayfly_abi::channel::End`]).

use core::mem::offset_of;

use mayfly_abi::Channel;
use mayfly_abi::channel::{End, MESSAGE_MAX, Marks, PORT_END, end};
use mayfly_abi::layout::CHANNEL;

use crate::memory::{put, put_bytes};
use crate::{cpu, unknown};

const END: u64 = CHANNEL + offset_of!(Channel, end) as u64;
const MESSAGE: u64 = END + offset_of!(End, message) as u64;

/// Ends as `how` says, and does not go on.
pub fn run(how: &str) {
    let text: &[u8] = match how {
        "controls" => b"one\ntwo\r\x1b[2J\x07\xc2\x9b31m \xff\xfe\x00end",
        _ => b"",
    };
    put_bytes(MESSAGE, text);
    match how {
        "nothing" => say(0, 0, 0),
        "kind" => say(77, 0, 0),
        "code" => say(end::EXITED, 256, 0),
        "signal-0" => say(end::SIGNALED, 0, 0),
        "signal-65" => say(end::SIGNALED, 65, 0),
        "errno" => say(end::NOT_STARTED, u32::MAX, 0),
        "controls" => say(end::PANIC, 0, text.len() as u32),
        "long" => {
            put_bytes(MESSAGE, &[b'A'; MESSAGE_MAX]);
            say(end::PANIC, 0, u32::MAX);
        }
        // A moment before the guest began, and one after the sun's death; counts that overflow any sum.
        "marks" => {
            let marks = CHANNEL + offset_of!(Channel, marks) as u64;
            put(marks + offset_of!(Marks, kernel_ready) as u64, u64::MAX);
            put(marks + offset_of!(Marks, user_entered) as u64, 1u64);
            let counters = CHANNEL + offset_of!(Channel, counters) as u64;
            (0..5).for_each(|index| put(counters + index * 8, u64::MAX));
            say(end::EXITED, 7, u32::MAX);
        }
        _ => unknown(how),
    }
    cpu::out32(PORT_END, 0);
}

fn say(kind: u32, code: u32, message_len: u32) {
    put(END + offset_of!(End, kind) as u64, kind);
    put(END + offset_of!(End, code) as u64, code);
    put(END + offset_of!(End, message_len) as u64, message_len);
}
