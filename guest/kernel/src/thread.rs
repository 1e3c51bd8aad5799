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
    /// The mask to come back to, where a call has put another in its place while it waits (sigsuspend(2),
    /// ppoll(2)). A handler's frame takes it; a call that ends otherwise restores it.
    pub saved_mask: Option<u64>,
    /// Where its signal handlers run (sigaltstack(2)): base, size; size 0 where there is none.
    pub alternate_stack: (u64, u64),
}

impl Thread {
    /// A thread about to run its first instruction.
    pub fn new(tid: u32, context: Context) -> Thread {
        Thread {
            tid,
            context,
            pending: Pending::default(),
            blocked: 0,
            saved_mask: None,
            alternate_stack: (0, 0),
        }
    }

    /// Ends what a call has done to the mask, unless a handler's frame will.
    pub fn restore_mask(&mut self) {
        if let Some(mask) = self.saved_mask.take() {
            self.blocked = mask;
        }
    }
}
