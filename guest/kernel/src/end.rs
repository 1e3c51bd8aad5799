//! The end of a guest: what the host is told, and how.

use core::fmt::{self, Write};

use mayfly_abi::channel::{Counters, MESSAGE_MAX, end};
use mayfly_hal::channel;

/// A line for the host's stderr, built without the heap: it may be the heap that failed.
struct Message {
    bytes: [u8; MESSAGE_MAX],
    len: usize,
}

impl Write for Message {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            if self.len < MESSAGE_MAX {
                self.bytes[self.len] = byte;
                self.len += 1;
            }
        }
        Ok(())
    }
}

fn end(kind: u32, code: u32, text: fmt::Arguments<'_>, counters: Counters) -> ! {
    let mut message = Message { bytes: [0; MESSAGE_MAX], len: 0 };
    // Writing to a `Message` cannot fail; it cuts what is too long.
    let _ = message.write_fmt(text);
    channel::end(kind, code, &message.bytes[..message.len], counters)
}

/// The program exited with `status`.
pub fn exited(status: u8, counters: Counters) -> ! {
    end(end::EXITED, status.into(), format_args!(""), counters)
}

/// `signal` killed the program.
pub fn signaled(signal: u8, text: fmt::Arguments<'_>, counters: Counters) -> ! {
    end(end::SIGNALED, signal.into(), text, counters)
}

/// The program could not be started.
pub fn not_started(errno: u16, text: fmt::Arguments<'_>) -> ! {
    end(end::NOT_STARTED, errno.into(), text, Counters::default())
}

/// The kernel met a bug of its own, or ran out of memory for itself.
pub fn panicked(info: &core::panic::PanicInfo<'_>) -> ! {
    end(end::PANIC, 0, format_args!("{info}"), Counters::default())
}
