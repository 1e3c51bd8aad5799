//! The loop that runs the program's threads, one at a time: enter it, see why it stopped, do that, enter it again.
//!
//! ```text
//!   run ⟲ pick: the next that is ready; where there is none, sleep until a device, a deadline
//!         turn ⟲ make the call that it waits in · signals · enter ─▶ system call │ page fault │ exception │ upcall
//!            └─▶ Ready: its slice is over │ Waits │ Gone
//! ```
//!
//! There is one kernel stack, and nothing of a thread is on it between turns.

use alloc::boxed::Box;

use linux_raw_sys::general as linux;
use mayfly_hal::context::Trap;
use mayfly_hal::{channel, run as enter};

use crate::end;
use crate::errno::Errno;
use crate::fault;
use crate::kernel::Kernel;
use crate::sigframe;
use crate::signal::{Action, Delivery, Info};
use crate::syscall::{Stop, dispatch, table};
use crate::thread::{Pending, Thread};

/// Bytes of a `syscall` instruction.
const SYSCALL_BYTES: u64 = 2;

/// What becomes of a thread when its turn is over.
enum After {
    /// It wants to go on.
    Ready,
    /// Its call waits: for files too where it watches.
    Waits {
        /// See [`crate::agenda`].
        watches: bool,
    },
    /// It has ended.
    Gone,
}

/// Runs the program to its end, which is the guest's.
pub fn run(kernel: &Kernel, first: Thread) -> ! {
    kernel.threads.ready(Box::new(first));
    channel::mark_user_entered();
    loop {
        let mut thread = pick(kernel);
        kernel.slice.begin();
        let after = turn(kernel, &mut thread);
        charge(kernel, &mut thread);
        match after {
            After::Ready => kernel.threads.ready(thread),
            After::Waits { watches } => kernel.threads.wait(thread, watches),
            After::Gone => end_thread(kernel, &thread),
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

/// Notes how long a thread has run.
fn charge(kernel: &Kernel, thread: &mut Thread) {
    let ran_ns = kernel.slice.ran_ns();
    thread.ran_ns += ran_ns;
    let process = &thread.process;
    process.ran_ns.set(process.ran_ns.get() + ran_ns);
}

/// Runs a thread until others are to run.
fn turn(kernel: &Kernel, thread: &mut Thread) -> After {
    if thread.in_call
        && let Some(after) = make_call(kernel, thread)
    {
        return after;
    }
    loop {
        kernel.threads.load(thread, &kernel.fpu);
        while let Some(delivery) = next_signal(thread) {
            deliver(kernel, thread, delivery, "");
        }
        thread.restore_mask();
        if kernel.is_turn_over() {
            return After::Ready;
        }
        kernel.ask_for_upcall();
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
                if let Some((info, text)) = fault::page(kernel, thread, address, access, error) {
                    force(kernel, thread, info, text);
                }
            }
            Trap::Exception { vector, error } => {
                let (info, text) = fault::exception(kernel, thread, vector, error);
                force(kernel, thread, info, text);
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
    let may_find_news = table::may_change_files(number) && result == Err(Stop::Errno(Errno::AGAIN));
    if may_find_news && kernel.glance() {
        result = dispatch(kernel, &process, thread);
    }
    // What waits has changed nothing, unless a part of it is done.
    let waits =
        matches!(result, Err(Stop::Wait | Stop::Sleep)) && thread.pending.progress == progress;
    if !waits && table::may_change_files(number) {
        kernel.threads.with_agenda(|agenda| agenda.stir());
    }
    match result {
        Ok(value) => thread.context.rax = value,
        Err(Stop::Errno(errno)) => thread.context.rax = errno_value(errno),
        Err(Stop::Resume) => {}
        Err(Stop::Exit(status)) => end::exited(status, kernel.counters()),
        Err(Stop::ExitThread(status)) => {
            if thread.tid == process.pid {
                process.status.set(Some(status));
            }
            return Some(After::Gone);
        }
        Err(stop @ (Stop::Wait | Stop::Sleep)) => match next_signal(thread) {
            Some(delivery) => {
                interrupt(kernel, thread, &delivery);
                kernel.threads.load(thread, &kernel.fpu);
                deliver(kernel, thread, delivery, "");
            }
            None => {
                thread.in_call = true;
                return Some(After::Waits { watches: stop == Stop::Wait });
            }
        },
    }
    None
}

/// A call that waits is interrupted: it gives what it has, or EINTR, or is made again afterwards.
fn interrupt(kernel: &Kernel, thread: &mut Thread, delivery: &Delivery) {
    kernel.threads.leave_futex(thread.tid);
    let restart = matches!(delivery, Delivery::Handle(_, Action { flags, .. })
        if flags & u64::from(linux::SA_RESTART) != 0 && thread.pending.deadline_ns.is_none());
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
fn end_thread(kernel: &Kernel, thread: &Thread) {
    kernel.threads.forget(thread.tid);
    let left = thread.process.threads.get() - 1;
    thread.process.threads.set(left);
    if left == 0 {
        end::exited(thread.process.status.get().unwrap_or(0), kernel.counters());
    }
}

fn next_signal(thread: &mut Thread) -> Option<Delivery> {
    thread.process.signals.borrow_mut().take(&mut thread.signals, thread.blocked)
}

fn force(kernel: &Kernel, thread: &mut Thread, info: Info, text: &str) {
    let delivery = thread.process.signals.borrow_mut().actions.force(info, thread.blocked);
    deliver(kernel, thread, delivery, text);
}

/// Runs a handler, or ends the program. `text` says what a fault was.
fn deliver(kernel: &Kernel, thread: &mut Thread, delivery: Delivery, text: &str) {
    let info = match delivery {
        Delivery::Handle(info, action) => {
            match sigframe::enter(&kernel.fpu, thread, &info, &action) {
                Ok(()) => return,
                // No stack to run the handler on.
                Err(_) => Info { signal: linux::SIGSEGV as u8, ..info },
            }
        }
        Delivery::End(info) => info,
    };
    kernel.end_by(thread, &info, text)
}
