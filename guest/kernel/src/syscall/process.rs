//! The process: its image, its end, its registers, its limits.

use alloc::rc::Rc;
use alloc::vec::Vec;

use mayfly_abi::layout::USER_END;
use mayfly_hal::cpu;

use super::{Call, CallResult, Stop};
use crate::errno::Errno;
use crate::kernel::Kernel;
use crate::limits;
use crate::process::Process;
use crate::thread::{Registers, Thread};

// arch_prctl(2)'s operations (asm/prctl.h).
const ARCH_SET_GS: u32 = 0x1001;
const ARCH_SET_FS: u32 = 0x1002;
const ARCH_GET_FS: u32 = 0x1003;
const ARCH_GET_GS: u32 = 0x1004;
/// What tells a parent of a program's end.
const SIGCHLD: u8 = linux_raw_sys::general::SIGCHLD as u8;

/// execve(2): replaces the program, whose other threads end. ENOENT, EACCES, ENOEXEC, ENOMEM, E2BIG, ELOOP.
pub fn execve(call: &mut Call<'_>) -> CallResult {
    let path = call.path(0)?;
    let mut argv = call.strings(call.args[1])?;
    if argv.is_empty() {
        // Programs count on a name of theirs; Linux gives an empty one since 5.18.
        argv.push(Vec::new());
    }
    let env = call.strings(call.args[2])?;
    let cwd = call.cwd();
    let registers = Registers::initial(&call.kernel.fpu)?;
    let ids = call.process.credentials.borrow().ids();
    let personality = call.process.personality.get().after_exec();
    let loaded = call.kernel.load_program(&cwd, &path, argv, env, ids, personality)?;

    // From here on there is no way back.
    call.kernel.end_other_threads(call.process);
    super::clone::leave(call.kernel, call.thread);
    let context = call.kernel.start_program(call.process, loaded).map_err(|_| Stop::Kill)?;
    call.kernel.give_memory_back(call.process);
    call.process.signals.borrow_mut().actions.reset_for_exec();
    call.process.files.close_for_exec();
    call.process.credentials.borrow_mut().note_exec();
    call.process.personality.set(personality);
    call.kernel.timers.reset_for_exec(call.process.pid);
    call.kernel.processes.with(|families| {
        if let Ok(member) = families.get_mut(call.process.pid) {
            (member.has_executed, member.exit_signal) = (true, SIGCHLD);
        }
    });
    call.process.status.set(None);
    call.process.threads.borrow_mut().insert(call.process.pid);
    let (threads, thread) = (&call.kernel.threads, &mut *call.thread);
    threads.forget(thread.tid);
    let before = Thread::new(call.process.pid, Rc::clone(call.process), context, registers);
    let before = core::mem::replace(thread, before);
    thread.signals = before.signals;
    thread.blocked = before.blocked;
    thread.ran_ns = before.ran_ns;
    Err(Stop::Resume)
}

/// exit(2): ends the thread.
pub fn exit(call: &mut Call<'_>) -> CallResult {
    super::clone::leave(call.kernel, call.thread);
    Err(Stop::ExitThread(call.uint(0) as u8))
}

/// exit_group(2): ends the process.
pub fn exit_group(call: &mut Call<'_>) -> CallResult {
    Err(Stop::Exit(call.uint(0) as u8))
}

/// arch_prctl(2): the bases of FS and GS. EPERM for an address that is not the program's.
pub fn arch_prctl(call: &mut Call<'_>) -> CallResult {
    let address = call.args[1];
    match call.uint(0) {
        ARCH_SET_FS | ARCH_SET_GS if address >= USER_END => Err(Errno::PERM.into()),
        ARCH_SET_FS => {
            cpu::set_fs_base(address);
            Ok(0)
        }
        ARCH_SET_GS => {
            cpu::set_gs_base(address);
            Ok(0)
        }
        ARCH_GET_FS => Ok(call.put_words(address, &[cpu::fs_base()]).map(|()| 0)?),
        ARCH_GET_GS => Ok(call.put_words(address, &[cpu::gs_base()]).map(|()| 0)?),
        _ => Err(Errno::INVAL.into()),
    }
}

/// getrlimit(2).
pub fn getrlimit(call: &mut Call<'_>) -> CallResult {
    let (soft, hard) = call.process.limits.borrow().get(call.uint(0) as usize)?;
    call.put_words(call.args[1], &[soft, hard])?;
    Ok(0)
}

/// setrlimit(2).
pub fn setrlimit(call: &mut Call<'_>) -> CallResult {
    let [soft, hard] = call.get_words(call.args[1])?;
    set_limit(call.kernel, call.process, call.uint(0) as usize, (soft, hard))
}

/// prlimit64(2). ESRCH.
pub fn prlimit64(call: &mut Call<'_>) -> CallResult {
    let [_, _, new, old, ..] = call.args;
    let process = match call.uint(0) {
        0 => Rc::clone(call.process),
        pid => call.kernel.processes.get(pid).ok_or(Errno::SRCH)?,
    };
    let number = call.uint(1) as usize;
    let (soft, hard) = process.limits.borrow().get(number)?;
    if new != 0 {
        let [soft, hard] = call.get_words(new)?;
        set_limit(call.kernel, &process, number, (soft, hard))?;
    }
    if old != 0 {
        call.put_words(old, &[soft, hard])?;
    }
    Ok(0)
}

fn set_limit(kernel: &Kernel, process: &Process, number: usize, limit: (u64, u64)) -> CallResult {
    process.limits.borrow_mut().set(number, limit)?;
    match number {
        limits::OPEN_FILES => process.files.set_limit(limit.0 as u32)?,
        limits::PROCESSOR_TIME => kernel.limit_processor_time(process),
        _ => {}
    }
    Ok(0)
}
