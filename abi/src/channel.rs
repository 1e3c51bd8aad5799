//! The channel: one page that guest and VMM both write while the guest runs, at
//! [`crate::layout::CHANNEL`], and the ports that say "look".
//!
//! The guest's half is an allegation: the VMM copies a field once and checks the copy. The VMM writes
//! its half only while the guest is outside, so the guest needs no lock to read it.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// `out` here (32 bits, any data): serve every queue, then go on. The ports are low so that the I/O
/// permission bitmap of the task state segment is short: a software KVM may show IOPL as 0 and ask the
/// bitmap instead.
pub const PORT_KICK: u16 = 0x10;
/// `out` here: serve every queue; where that changed nothing for the guest, sleep until a device has
/// something or [`Channel::deadline_ns`] has come. It looks at the outside once where that has passed already.
pub const PORT_WAIT: u16 = 0x14;
/// `out` here: the guest is done; [`Channel::end`] says how.
pub const PORT_END: u16 = 0x18;
/// `out` here: look at [`Channel::upcall_ns`], which is earlier than [`Channel::armed_ns`]; go on at once.
pub const PORT_ARM: u16 = 0x1c;

/// One past the last port that the guest may use.
pub const PORTS_END: u16 = 0x20;

/// Most bytes of a message to the host's stderr.
pub const MESSAGE_MAX: usize = 1024;

/// [`Channel::deadline_ns`], [`Channel::upcall_ns`] and [`Channel::armed_ns`]: no deadline.
pub const NO_DEADLINE: u64 = u64::MAX;

/// How a guest ended: the values of [`End::kind`].
pub mod end {
    /// The program exited; the code is its status, 0..=255.
    pub const EXITED: u32 = 1;
    /// A signal killed the program; the code is its number, 1..=64.
    pub const SIGNALED: u32 = 2;
    /// The program could not be started; the code is a Linux error number.
    pub const NOT_STARTED: u32 = 3;
    /// The kernel met a bug of its own.
    pub const PANIC: u32 = 4;
}

/// How the guest ended, as it says.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct End {
    /// One of [`end`].
    pub kind: u32,
    /// See [`end`].
    pub code: u32,
    /// Bytes of [`End::message`] that count.
    pub message_len: u32,
    /// Zero.
    pub reserved: u32,
    /// One line for a person, UTF-8.
    pub message: [u8; MESSAGE_MAX],
}

/// The clock: the VMM's measurement of one moment, and the counter's rate.
///
/// `now = base_ns + ((tsc - base_tsc) * mult >> CLOCK_SHIFT)`, in 128-bit arithmetic.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Clock {
    /// The guest's time-stamp counter at that moment.
    pub base_tsc: u64,
    /// CLOCK_MONOTONIC of the host at that moment, ns.
    pub monotonic_ns: u64,
    /// CLOCK_REALTIME of the host at that moment, ns since 1970.
    pub realtime_ns: u64,
    /// Nanoseconds for each tick, times 2^[`CLOCK_SHIFT`].
    pub mult: u64,
    /// Another number with each measurement: who is interrupted while it reads sees that it has mixed two.
    pub version: u64,
}

/// See [`Clock`].
pub const CLOCK_SHIFT: u32 = 32;

/// Events that the guest stamps with its time-stamp counter; 0 where one has not happened.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Marks {
    /// The kernel is set up; it is about to load the program.
    pub kernel_ready: u64,
    /// The program's first instruction is next.
    pub user_entered: u64,
}

/// Counts that the guest keeps for the curious.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Counters {
    /// System calls made.
    pub system_calls: u64,
    /// System calls with no entry in the table, answered ENOSYS.
    pub unknown_calls: u64,
    /// Page faults resolved.
    pub page_faults: u64,
    /// Frames handed out.
    pub frames: u64,
    /// Block requests made.
    pub block_requests: u64,
    /// System calls that came by a jump, without a trap.
    pub jumped_calls: u64,
    /// Places of system calls that were made jumps.
    pub rewritten_sites: u64,
    /// Places that are used as much, and had to stay traps.
    pub trapping_sites: u64,
}

/// The page itself.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Channel {
    /// VMM → guest.
    pub clock: Clock,
    /// Guest → VMM: latest CLOCK_MONOTONIC at which [`PORT_WAIT`] returns, ns.
    pub deadline_ns: u64,
    /// Guest → VMM: CLOCK_MONOTONIC from which on a program that still runs is to be interrupted by an upcall
    /// ([`crate::vcpu_page`]), ns. The VMM looks at it when [`PORT_ARM`] asks it to, and at `armed_ns`.
    pub upcall_ns: u64,
    /// VMM → guest: CLOCK_MONOTONIC at which it looks at `upcall_ns` next, ns.
    pub armed_ns: u64,
    /// Guest → VMM.
    pub marks: Marks,
    /// Guest → VMM.
    pub counters: Counters,
    /// Guest → VMM.
    pub end: End,
}

const _: () = assert!(size_of::<Channel>() <= crate::layout::PAGE_SIZE as usize);

impl Clock {
    /// CLOCK_MONOTONIC at a counter value, ns. Values before the base give the base.
    pub fn monotonic_at(&self, tsc: u64) -> u64 {
        self.monotonic_ns.wrapping_add(self.elapsed_ns(tsc))
    }

    /// CLOCK_REALTIME at a counter value, ns since 1970.
    pub fn realtime_at(&self, tsc: u64) -> u64 {
        self.realtime_ns.wrapping_add(self.elapsed_ns(tsc))
    }

    /// The multiplier for a counter of `khz`; 0 gives 0.
    pub const fn mult_for(khz: u64) -> u64 {
        if khz == 0 { 0 } else { ((1_000_000u128 << CLOCK_SHIFT) / khz as u128) as u64 }
    }

    fn elapsed_ns(&self, tsc: u64) -> u64 {
        let ticks = tsc.saturating_sub(self.base_tsc);
        ((u128::from(ticks) * u128::from(self.mult)) >> CLOCK_SHIFT) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_of_ticks_is_a_second() {
        let clock = Clock {
            base_tsc: 1000,
            monotonic_ns: 5,
            realtime_ns: 7,
            mult: Clock::mult_for(2_596_146),
            version: 0,
        };
        let later = 1000 + 2_596_146_000;
        assert!(clock.monotonic_at(later).abs_diff(1_000_000_005) <= 1);
        assert_eq!(clock.realtime_at(0), 7, "a counter that ran backwards is clamped");
    }
}
