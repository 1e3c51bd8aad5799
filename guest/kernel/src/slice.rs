//! How long a thread runs while others would, and the moment at which the VMM is to interrupt it.
//!
//! ```text
//!        turn begins                     SLICE_NS later
//!   ─────────┼──────────────────────────────┼─────────────▶ CLOCK_MONOTONIC
//!            │ a trap after that moment gives the processor to the next thread;
//!            │ a program that makes none is taken out by an upcall
//! ```
//!
//! A thread that nobody waits behind asks for no upcall, and costs no exit.

use core::cell::Cell;

use mayfly_abi::channel::NO_DEADLINE;
use mayfly_hal::channel;

use crate::clock;

/// How long a thread runs while another is ready, and how old news from the host may be that a thread waits for:
/// about Linux's own slice. An upcall costs 15 to 40 µs.
pub const SLICE_NS: u64 = 4_000_000;

/// The turn that is on.
#[derive(Debug, Default)]
pub struct Slice {
    began_ns: Cell<u64>,
    ends_ns: Cell<u64>,
    /// What the VMM was asked for last; 0 stands for nothing.
    upcall_ns: Cell<u64>,
    /// Turns that are over, ns together.
    before_ns: Cell<u64>,
}

impl Slice {
    /// A thread's turn begins.
    pub fn begin(&self) {
        let now = clock::monotonic_ns();
        self.began_ns.set(now);
        self.ends_ns.set(now.saturating_add(SLICE_NS));
    }

    /// How long the turn has been on, ns.
    pub fn ran_ns(&self) -> u64 {
        clock::monotonic_ns().saturating_sub(self.began_ns.get())
    }

    /// The turn is over; how long it was, ns.
    pub fn end(&self) -> u64 {
        let ran_ns = self.ran_ns();
        self.before_ns.update(|before| before + ran_ns);
        ran_ns
    }

    /// How long all turns were together, this one among them, ns.
    pub fn all_ns(&self) -> u64 {
        self.before_ns.get() + self.ran_ns()
    }

    /// Whether others may run now.
    pub fn is_over(&self) -> bool {
        self.ends_ns.get() <= clock::monotonic_ns()
    }

    /// The turn goes on: there was nobody else.
    pub fn extend(&self) {
        self.ends_ns.set(clock::monotonic_ns().saturating_add(SLICE_NS));
    }

    /// The thread gives up the rest of its turn.
    pub fn give_up(&self) {
        self.ends_ns.set(0);
    }

    /// CLOCK_MONOTONIC at which it is over, ns.
    pub fn ends_ns(&self) -> u64 {
        self.ends_ns.get()
    }

    /// Has the program interrupted at this moment at the latest.
    pub fn interrupt_at(&self, moment_ns: Option<u64>) {
        // 0 would read as "nothing" below; every moment since the host's boot is later.
        let wanted = moment_ns.unwrap_or(0);
        if self.upcall_ns.replace(wanted) != wanted {
            channel::set_upcall(moment_ns.unwrap_or(NO_DEADLINE));
        }
    }
}
