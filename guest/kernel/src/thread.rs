//! A thread: registers, and what it waits for.

use mayfly_hal::context::Context;

/// What a thread's current system call has come to so far: a call that had to wait is made again from
/// its start, and finds here what it must not do twice.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pending {
    /// Bytes transferred.
    pub progress: u64,
    /// CLOCK_MONOTONIC at which the call gives up, ns.
    pub deadline_ns: Option<u64>,
}

/// A thread.
pub struct Thread {
    /// Its number; the first thread's is the process's.
    pub tid: u32,
    /// Its registers while it does not run.
    pub context: Context,
    /// The call it is in.
    pub pending: Pending,
    /// Signals it does not want now, bit n − 1 for signal n.
    pub blocked: u64,
    /// Where its signal handlers run (sigaltstack(2)): base, size; size 0 where there is none.
    pub alternate_stack: (u64, u64),
}

impl Thread {
    /// A thread about to run its first instruction.
    pub fn new(tid: u32, context: Context) -> Thread {
        Thread { tid, context, pending: Pending::default(), blocked: 0, alternate_stack: (0, 0) }
    }
}
