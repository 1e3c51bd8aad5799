//! The time: the VMM's last measurement, carried on by the time-stamp counter.

use mayfly_hal::{channel, cpu};

use crate::event::Now;

/// Nanoseconds in a second.
pub const SECOND: u64 = 1_000_000_000;

/// CLOCK_REALTIME, ns since 1970.
pub fn realtime_ns() -> u64 {
    channel::clock().realtime_at(cpu::tsc())
}

/// CLOCK_MONOTONIC, ns: the host's, so that deadlines mean the same on both sides.
pub fn monotonic_ns() -> u64 {
    channel::clock().monotonic_at(cpu::tsc())
}

/// This moment, while nobody runs.
pub fn now() -> Now {
    let (clock, tsc) = (channel::clock(), cpu::tsc());
    Now {
        monotonic_ns: clock.monotonic_at(tsc),
        realtime_ns: clock.realtime_at(tsc),
        running: [None; 2],
    }
}
