//! The loop that runs the program: enter it, see why it stopped, do that, enter it again.

use alloc::rc::Rc;
use alloc::string::String;

use linux_raw_sys::general as linux;
use mayfly_hal::context::{Access, Trap};
use mayfly_hal::{channel, run as enter};

use crate::end;
use crate::errno::Errno;
use crate::kernel::{Kernel, SHRINK_FRAMES};
use crate::mm::BadAccess;
use crate::process::Process;
use crate::sigframe;
use crate::signal::{self, Action, Delivery, Info};
use crate::syscall::{Stop, dispatch};
use crate::thread::{Pending, Thread};

const SIGILL: u8 = linux::SIGILL as u8;
const SIGTRAP: u8 = linux::SIGTRAP as u8;
const SIGBUS: u8 = linux::SIGBUS as u8;
const SIGFPE: u8 = linux::SIGFPE as u8;
const SIGKILL: u8 = linux::SIGKILL as u8;
const SIGSEGV: u8 = linux::SIGSEGV as u8;
/// si_code where the kernel has nothing more to say.
const SI_KERNEL: i32 = 0x80;
/// Bytes of a `syscall` instruction.
const SYSCALL_BYTES: u64 = 2;

/// Runs the program to its end, which is the guest's.
pub fn run(kernel: &Kernel, process: &Rc<Process>, mut thread: Thread) -> ! {
    channel::mark_user_entered();
    loop {
        while let Some(delivery) = next_signal(process, &thread) {
            deliver(kernel, process, &mut thread, delivery, "");
        }
        thread.restore_mask();
        match enter(&mut thread.context) {
            Trap::SystemCall => system_call(kernel, process, &mut thread),
            Trap::PageFault { address, access } => {
                page_fault(kernel, process, &mut thread, address, access);
            }
            Trap::Exception { vector, .. } => {
                let info = exception(vector, thread.context.rip);
                force(kernel, process, &mut thread, info, exception_text(vector));
            }
        }
    }
}

/// Makes a system call, waiting as long as it takes.
fn system_call(kernel: &Kernel, process: &Rc<Process>, thread: &mut Thread) {
    kernel.count_call();
    thread.pending = Pending::default();
    loop {
        kernel.expire_timers(process);
        match dispatch(kernel, process, thread) {
            Ok(value) => thread.context.rax = value,
            Err(Stop::Errno(errno)) => thread.context.rax = errno_value(errno),
            Err(Stop::Resume) => {}
            Err(Stop::Exit(status)) => exit(kernel, status),
            Err(Stop::Wait) => {
                if let Some(delivery) = next_signal(process, thread) {
                    interrupt(thread, &delivery);
                    deliver(kernel, process, thread, delivery, "");
                    return;
                }
                kernel.wait(thread.pending.deadline_ns);
                continue;
            }
        }
        return;
    }
}

/// A call that waits is interrupted: it gives what it has, or EINTR, or is made again afterwards.
fn interrupt(thread: &mut Thread, delivery: &Delivery) {
    let restart = matches!(delivery, Delivery::Handle(_, Action { flags, .. })
        if flags & u64::from(linux::SA_RESTART) != 0 && thread.pending.deadline_ns.is_none());
    if thread.pending.progress > 0 {
        thread.context.rax = thread.pending.progress;
    } else if restart {
        thread.context.rip -= SYSCALL_BYTES;
    } else {
        thread.context.rax = errno_value(Errno::INTR);
    }
}

fn errno_value(errno: Errno) -> u64 {
    (-i64::from(errno.number())) as u64
}

fn page_fault(
    kernel: &Kernel,
    process: &Rc<Process>,
    thread: &mut Thread,
    address: u64,
    access: Access,
) {
    let mut result = process.space.borrow_mut().fault(address, access);
    if result == Err(BadAccess::OutOfMemory) && kernel.vfs.shrink(SHRINK_FRAMES) > 0 {
        result = process.space.borrow_mut().fault(address, access);
    }
    let (signal, code, text) = match result {
        Ok(()) => return kernel.count_page_fault(),
        Err(BadAccess::NotMapped) => (SIGSEGV, linux::SEGV_MAPERR, "segmentation fault"),
        Err(BadAccess::NotAllowed) => (SIGSEGV, linux::SEGV_ACCERR, "segmentation fault"),
        Err(BadAccess::NoFile) => (SIGBUS, linux::BUS_ADRERR, "bus error"),
        Err(BadAccess::OutOfMemory) => (SIGKILL, linux::SI_USER, "out of memory"),
    };
    force(kernel, process, thread, Info { signal, code: code as i32, address }, text);
}

/// The signal for an exception (AMD APM vol 2 §8.2; arch/x86/kernel/traps.c gives the codes).
fn exception(vector: u8, rip: u64) -> Info {
    let (signal, code, address) = match vector {
        0 => (SIGFPE, linux::FPE_INTDIV as i32, rip),
        1 | 3 => (SIGTRAP, SI_KERNEL, 0),
        6 => (SIGILL, linux::ILL_ILLOPN as i32, rip),
        16 | 19 => (SIGFPE, linux::FPE_FLTINV as i32, rip),
        17 => (SIGBUS, linux::BUS_ADRALN as i32, 0),
        _ => (SIGSEGV, SI_KERNEL, 0),
    };
    Info { signal, code, address }
}

fn exception_text(vector: u8) -> &'static str {
    match vector {
        0 => "division by zero",
        1 | 3 => "trap",
        6 => "illegal instruction",
        16 | 19 => "floating-point exception",
        17 => "misaligned access",
        _ => "segmentation fault",
    }
}

fn next_signal(process: &Process, thread: &Thread) -> Option<Delivery> {
    process.signals.borrow_mut().take(thread.blocked)
}

fn force(kernel: &Kernel, process: &Process, thread: &mut Thread, info: Info, text: &str) {
    let delivery = process.signals.borrow_mut().force(info, thread.blocked);
    deliver(kernel, process, thread, delivery, text);
}

/// Runs a handler, or ends the program. `text` says what a fault was.
fn deliver(
    kernel: &Kernel,
    process: &Process,
    thread: &mut Thread,
    delivery: Delivery,
    text: &str,
) {
    let info = match delivery {
        Delivery::Handle(info, action) => {
            match sigframe::enter(process, thread, &info, &action) {
                Ok(()) => return,
                // No stack to run the handler on.
                Err(_) => Info { signal: SIGSEGV, ..info },
            }
        }
        Delivery::End(info) => info,
    };
    let path = process.started.borrow().executable.path().unwrap_or_default();
    let path = String::from_utf8_lossy(&path);
    let (signal, rip) = (info.signal, thread.context.rip);
    let counters = kernel.counters();
    let name = signal::name(signal);
    if text.is_empty() {
        end::signaled(signal, format_args!("{path}: killed by {name}"), counters)
    }
    end::signaled(
        signal,
        format_args!(
            "{path}: {text} at address {:#x} (rip {rip:#x}): killed by {name}",
            info.address
        ),
        counters,
    )
}

fn exit(kernel: &Kernel, status: u8) -> ! {
    end::exited(status, kernel.counters())
}
