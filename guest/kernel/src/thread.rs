//! A thread: registers, signals of its own, and what it waits for. All of it is plain data.

use alloc::rc::Rc;
use alloc::vec::Vec;

use mayfly_hal::context::Context;
use mayfly_hal::cpu;
use mayfly_hal::fpu::{Area, Fpu};

use crate::agenda::Tid;
use crate::errno::{Errno, Result};
use crate::family::Pid;
use crate::process::Process;
use crate::signal::{OwnQueue, bit};

/// What a thread's current system call has come to so far: a call that had to wait is made again from
/// its start, and finds here what it must not do twice.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pending {
    /// Bytes transferred.
    pub progress: u64,
    /// CLOCK_MONOTONIC at which the call gives up, ns.
    pub deadline_ns: Option<u64>,
    /// The processor time of whoever it waits for at which the call is over, ns (clock_nanosleep(2)).
    pub processor_ns: Option<u64>,
    /// It has been in a futex's queue: if it is not any more, it was woken.
    pub queued: bool,
    /// A signal's handler does not end the call: it is made again afterwards, whatever SA_RESTART says.
    pub restarts: bool,
    /// Signals that end the wait, although they are blocked (sigtimedwait(2)).
    pub awaited: u64,
    /// Messages received (recvmmsg(2)).
    pub messages: u64,
    /// It waits for a lock that this process holds (F_SETLKW).
    pub awaits_lock_of: Option<Pid>,
    /// It waits for news of a child.
    pub awaits_child: bool,
    /// The child that it has lent its memory to (vfork(2)).
    pub lent_to: Option<Pid>,
}

/// Linux's usual slack of timers.
pub const TIMER_SLACK_NS: u64 = 50_000;

/// The registers that stay in the processor while the kernel runs, of a thread whose are not there.
#[derive(Debug)]
pub struct Registers {
    /// FS: thread-local storage.
    pub fs_base: u64,
    /// GS.
    pub gs_base: u64,
    /// x87, SSE, AVX and so on.
    pub extended: Area,
}

impl Registers {
    /// A copy of what the processor holds for the thread that is stopped at `context`. ENOMEM.
    pub fn copied(fpu: &Fpu, context: &Context) -> Result<Registers> {
        let extended = fpu.export(context)?;
        Ok(Registers { fs_base: cpu::fs_base(), gs_base: cpu::gs_base(), extended })
    }

    /// The registers of a new program. ENOMEM.
    pub fn initial(fpu: &Fpu) -> Result<Registers> {
        Ok(Registers { fs_base: 0, gs_base: 0, extended: fpu.area()? })
    }

    /// Takes them out of the processor.
    pub fn save(&mut self, fpu: &Fpu) {
        self.fs_base = cpu::fs_base();
        self.gs_base = cpu::gs_base();
        fpu.save(&mut self.extended);
    }

    /// Puts them into the processor.
    pub fn load(&self, fpu: &Fpu) {
        cpu::set_fs_base(self.fs_base);
        cpu::set_gs_base(self.gs_base);
        fpu.load(&self.extended);
    }
}

impl From<mayfly_hal::fpu::OutOfMemory> for Errno {
    fn from(_: mayfly_hal::fpu::OutOfMemory) -> Errno {
        Errno::NOMEM
    }
}

/// The last exception of a thread, as signal frames show it from then on.
#[derive(Clone, Copy, Debug, Default)]
pub struct LastFault {
    /// Vector (trapno).
    pub vector: u64,
    /// Error code (err).
    pub error: u64,
    /// Where, for a page fault (cr2).
    pub address: u64,
}

/// A thread.
pub struct Thread {
    /// Its number; the first thread's is the process's.
    pub tid: Tid,
    /// What it shares with the process's other threads.
    pub process: Rc<Process>,
    /// Its registers while it does not run.
    pub context: Context,
    /// Its other registers, while they are not in the processor.
    pub registers: Registers,
    /// Whether it is in a system call that waits.
    pub in_call: bool,
    /// That call.
    pub pending: Pending,
    /// Signals for it alone.
    pub signals: OwnQueue,
    /// Signals it does not want now, bit n − 1 for signal n.
    pub blocked: u64,
    /// The mask to come back to, where a call has put another in its place while it waits (sigsuspend(2),
    /// ppoll(2)). A handler's frame takes it; a call that ends otherwise restores it.
    pub saved_mask: Option<u64>,
    /// Where its signal handlers run (sigaltstack(2)): base, size; size 0 where there is none.
    pub alternate_stack: (u64, u64),
    /// What happened last.
    pub last_fault: LastFault,
    /// Where to write its number before its first instruction (CLONE_CHILD_SETTID); 0: nowhere.
    pub set_tid: u64,
    /// Where to write 0, and whom to wake, when it ends (set_tid_address(2)); 0: nowhere.
    pub clear_tid: u64,
    /// The head of the list of futexes that it holds (set_robust_list(2)); 0: none.
    pub robust_list: u64,
    /// Its name (prctl PR_SET_NAME).
    pub name: Vec<u8>,
    /// How long it has run, ns.
    pub ran_ns: u64,
    /// How late its timers may be, ns: kept for who asks (PR_SET_TIMERSLACK).
    pub timer_slack_ns: u64,
}

impl Thread {
    /// A thread about to run its first instruction.
    pub fn new(tid: Tid, process: Rc<Process>, context: Context, registers: Registers) -> Thread {
        let name = process.name.borrow().clone();
        Thread {
            tid,
            process,
            context,
            registers,
            in_call: false,
            pending: Pending::default(),
            signals: OwnQueue::default(),
            blocked: 0,
            saved_mask: None,
            alternate_stack: (0, 0),
            last_fault: LastFault::default(),
            set_tid: 0,
            clear_tid: 0,
            robust_list: 0,
            name,
            ran_ns: 0,
            timer_slack_ns: TIMER_SLACK_NS,
        }
    }

    /// Ends what a call has done to the mask, unless a handler's frame will.
    pub fn restore_mask(&mut self) {
        if let Some(mask) = self.saved_mask.take() {
            self.blocked = mask;
        }
    }

    /// Whether it is to look at a signal now: it does not block it, or waits for it.
    pub fn takes(&self, signal: u8) -> bool {
        bit(signal) & (!self.blocked | self.pending.awaited) != 0
    }

    /// Whether a signal waits that is to be handled.
    pub fn is_interrupted(&self) -> bool {
        self.process.signals.borrow().has(&self.signals.borrow(), self.blocked)
    }
}
