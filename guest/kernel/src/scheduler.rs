//! The loop that runs all processes' threads, one at a time: enter it, see why it stopped, do that, enter it again.
//!
//! ```text
//!   run ⟲ pick: the next that is ready; where there is none, sleep until a device, a deadline
//!         turn ⟲ make the call that it waits in · signals · enter ─▶ system call │ page fault │ exception │ upcall
//!            └─▶ Ready: its slice is over │ Waits │ Stopped │ Gone │ Ended, with its process
//! ```
//!
//! There is one kernel stack, and nothing of a thread is on it between turns.

use alloc::boxed::Box;

use linux_raw_sys::general as linux;
use mayfly_hal::context::Trap;
use mayfly_hal::{channel, run as enter};

use crate::errno::Errno;
use crate::family::Status;
use crate::fault;
use crate::kernel::Kernel;
use crate::sigframe;
use crate::signal::{Action, Delivery, Info, bit};
use crate::syscall::{Stop, clone, dispatch, identity, table};
use crate::thread::{Pending, Thread};

/// Bytes of a `syscall` instruction.
const SYSCALL_BYTES: u64 = 2;
const SIGSEGV: u8 = linux::SIGSEGV as u8;

/// What becomes of a thread when its turn is over.
enum After {
    /// It wants to go on.
    Ready,
    /// Its call waits: for files too where it watches.
    Waits {
        /// See [`crate::agenda`].
        watches: bool,
    },
    /// Its process is stopped: it goes on when that is continued.
    Stopped,
    /// It has ended; should the process end with it, the status is in there.
    Gone,
    /// Its process ends.
    Ended(Status),
}

/// Runs the first program to its end, which is the guest's.
pub fn run(kernel: &Kernel, first: Thread) -> ! {
    kernel.threads.ready(Box::new(first));
    channel::mark_user_entered();
    loop {
        let mut thread = pick(kernel);
        kernel.slice.begin();
        let after = turn(kernel, &mut thread);
        kernel.charge(&mut thread);
        match after {
            After::Ready => kernel.threads.ready(thread),
            After::Waits { watches } => kernel.threads.wait(thread, watches),
            After::Stopped => kernel.threads.stop(thread),
            After::Gone => end_thread(kernel, thread),
            After::Ended(status) => kernel.end_process(thread, status),
        }
    }
}

/// The thread that runs next. Sleeps while there is none.
fn pick(kernel: &Kernel) -> Box<Thread> {
    loop {
        kernel.pass_time(None);
        if kernel.threads.with_agenda(|agenda| agenda.has_ready()) {
            kernel.look_out();
        }
        if let Some(thread) = kernel.threads.next() {
            return thread;
        }
        kernel.wait();
    }
}

/// Runs a thread until others are to run.
fn turn(kernel: &Kernel, thread: &mut Thread) -> After {
    if thread.process.is_stopped.get() {
        return After::Stopped;
    }
    kernel.switch_to(thread);
    if thread.set_tid != 0 {
        clone::tell_itself(kernel, thread);
    }
    if thread.in_call
        && let Some(after) = make_call(kernel, thread)
    {
        return after;
    }
    loop {
        load(kernel, thread);
        while let Some(delivery) = next_signal(thread) {
            if let Some(after) = deliver(kernel, thread, delivery, "") {
                return after;
            }
        }
        thread.restore_mask();
        if kernel.is_turn_over() {
            return After::Ready;
        }
        kernel.ask_for_upcall(thread);
        kernel.tell_host();
        let trap = enter(&mut thread.context);
        kernel.note_answered();
        if !matches!(trap, Trap::SystemCall { .. }) {
            kernel.leave_stub(thread);
        }
        match trap {
            Trap::SystemCall { trapped } => {
                kernel.note_call(thread, trapped);
                thread.pending = Pending::default();
                if let Some(after) = make_call(kernel, thread) {
                    return after;
                }
            }
            Trap::PageFault { address, access, error } => {
                if let Some((info, text)) = fault::page(kernel, thread, address, access, error)
                    && let Some(after) = force(kernel, thread, info, text)
                {
                    return after;
                }
            }
            Trap::Exception { vector, error } => {
                let (info, text) = fault::exception(kernel, thread, vector, error);
                if let Some(after) = force(kernel, thread, info, text) {
                    return after;
                }
            }
            Trap::Upcall => kernel.pass_time(Some(thread)),
        }
    }
}

/// Makes the system call that the thread's registers ask for, for the first time or again. What becomes of the thread
/// where it does not simply go on.
fn make_call(kernel: &Kernel, thread: &mut Thread) -> Option<After> {
    let number = thread.context.call_number();
    let progress = thread.pending.progress;
    thread.in_call = false;
    kernel.expire_timers(Some(thread));
    let process = thread.process.clone();
    let mut result = dispatch(kernel, &process, thread);
    // What caches hold is there for whoever needs it; many calls ask for no memory and give ENOMEM all the same.
    while result == Err(Stop::Errno(Errno::NOMEM))
        && kernel.is_short_of_memory()
        && kernel.vfs.reclaim()
    {
        result = dispatch(kernel, &process, thread);
    }
    let may_find_news = table::may_change_files(number) && result == Err(Stop::Errno(Errno::AGAIN));
    if may_find_news && kernel.glance() {
        result = dispatch(kernel, &process, thread);
    }
    kernel.send_of_terminals(Some(thread));
    // What waits has changed nothing, unless a part of it is done.
    let waits = matches!(result, Err(Stop::Wait | Stop::Sleep | Stop::Hold))
        && thread.pending.progress == progress;
    if !waits && table::may_change_files(number) {
        kernel.threads.with_agenda(|agenda| agenda.stir());
    }
    match result {
        Ok(value) => thread.context.rax = value,
        Err(Stop::Errno(errno)) => thread.context.rax = errno_value(errno),
        Err(Stop::Resume) => {}
        Err(Stop::Exit(status)) => return Some(After::Ended(Status::Exited(status))),
        Err(Stop::Kill) => return Some(After::Ended(Status::Killed(linux::SIGKILL as u8))),
        Err(Stop::ExitThread(status)) => {
            if thread.tid == process.pid {
                process.status.set(Some(status));
            }
            return Some(After::Gone);
        }
        Err(stop @ (Stop::Wait | Stop::Sleep | Stop::Hold)) => return wait(kernel, thread, stop),
    }
    None
}

/// The thread's call waits, unless a signal ends that.
fn wait(kernel: &Kernel, thread: &mut Thread, stop: Stop) -> Option<After> {
    let delivery = match stop {
        Stop::Hold => next_signal_but(thread, !bit(linux::SIGKILL as u8)),
        _ => next_signal(thread),
    };
    match delivery {
        Some(delivery @ Delivery::Stop(_)) => {
            // The call is made again when the process goes on.
            thread.in_call = true;
            deliver(kernel, thread, delivery, "")
        }
        Some(delivery) => {
            interrupt(kernel, thread, &delivery);
            load(kernel, thread);
            deliver(kernel, thread, delivery, "")
        }
        None => {
            thread.in_call = true;
            Some(After::Waits { watches: stop == Stop::Wait })
        }
    }
}

/// Makes the processor hold the thread's registers, and the values that it may ask for without the kernel.
fn load(kernel: &Kernel, thread: &Thread) {
    if kernel.threads.load(thread, &kernel.fpu) {
        identity::lay_out(kernel, thread);
    }
}

/// A call that waits is interrupted: it gives what it has, or EINTR, or is made again afterwards.
fn interrupt(kernel: &Kernel, thread: &mut Thread, delivery: &Delivery) {
    kernel.threads.leave_futex(thread.tid);
    let restart = matches!(delivery, Delivery::Handle(_, Action { flags, .. })
        if flags & u64::from(linux::SA_RESTART) != 0 && thread.pending.deadline_ns.is_none());
    let restart = restart || thread.pending.restarts;
    if thread.pending.progress > 0 {
        thread.context.rax = thread.pending.progress;
    } else if restart {
        // A call that came by a jump left its site's `syscall` where it was: there it is made again, by a trap.
        thread.context.rip -= SYSCALL_BYTES;
    } else {
        thread.context.rax = errno_value(Errno::INTR);
    }
}

fn errno_value(errno: Errno) -> u64 {
    (-i64::from(errno.number())) as u64
}

/// What is left to do for a thread that has ended; with the last of them the process ends.
fn end_thread(kernel: &Kernel, thread: Box<Thread>) {
    let is_last = {
        let mut threads = thread.process.threads.borrow_mut();
        threads.remove(&thread.tid);
        threads.is_empty()
    };
    if is_last {
        let status = thread.process.status.get().unwrap_or(0);
        return kernel.end_process(thread, Status::Exited(status));
    }
    kernel.threads.forget(thread.tid);
}

fn next_signal(thread: &mut Thread) -> Option<Delivery> {
    next_signal_but(thread, thread.blocked)
}

fn next_signal_but(thread: &mut Thread, blocked: u64) -> Option<Delivery> {
    thread.process.signals.borrow_mut().take(&mut thread.signals.borrow_mut(), blocked)
}

fn force(kernel: &Kernel, thread: &mut Thread, info: Info, text: &str) -> Option<After> {
    let delivery = thread.process.signals.borrow_mut().actions.force(info, thread.blocked);
    deliver(kernel, thread, delivery, text)
}

/// Runs a handler, or stops or ends the process. `text` says what a fault was. What becomes of the thread where it does
/// not simply go on.
fn deliver(kernel: &Kernel, thread: &mut Thread, delivery: Delivery, text: &str) -> Option<After> {
    let info = match delivery {
        Delivery::Stop(signal) => {
            kernel.stop(&thread.process, signal);
            return Some(After::Stopped);
        }
        Delivery::Handle(info, action) => {
            match sigframe::enter(&kernel.fpu, thread, &info, &action) {
                Ok(()) => return None,
                // No stack to run the handler on. The fault's own handler may have another.
                Err(_) if info.signal == SIGSEGV => info,
                Err(_) => {
                    return force(
                        kernel,
                        thread,
                        Info::from_kernel(SIGSEGV),
                        "no stack for a handler",
                    );
                }
            }
        }
        Delivery::End(info) => info,
    };
    if thread.process.is_first() {
        kernel.end_by(thread, &info, text);
    }
    Some(After::Ended(Status::Killed(info.signal)))
}
