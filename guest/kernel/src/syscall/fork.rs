//! New processes: fork(2), vfork(2), and clone(2) without CLONE_THREAD.
//!
//! ```text
//!   fork           copies of everything; memory is copied page by page, when one of both writes
//!   CLONE_VM       the same memory …
//!   CLONE_VFORK    … and the parent does not go on until the child has another program, or has ended
//! ```

use alloc::rc::Rc;
use core::cell::RefCell;

use linux_raw_sys::general as linux;
use mayfly_abi::layout::PAGE_TABLES;
use mayfly_hal::cpu;
use mayfly_hal::phys::{self, FRAME_SIZE};

use super::clone::{OPTIONS, Spawn, flag, new_thread};
use super::{Call, CallResult, Stop, pidfd};
use crate::errno::{Errno, Result};
use crate::mm::Area;
use crate::process::Memory;
use crate::signal::is_signal;

/// What a process may share with its parent, or do before it begins.
const PROCESS_OPTIONS: u64 = OPTIONS
    | flag(linux::CLONE_VM | linux::CLONE_VFORK | linux::CLONE_PIDFD)
    | linux::CLONE_CLEAR_SIGHAND;
/// Frames that must be left for the kernel's own notes of a process: its thread's registers, its descriptors, its place
/// among others.
const NOTES_FRAMES: usize = 64;

/// fork(2). EAGAIN, ENOMEM.
pub fn fork(call: &mut Call<'_>) -> CallResult {
    spawn(call, &Spawn::process(0))
}

/// vfork(2). EAGAIN, ENOMEM.
pub fn vfork(call: &mut Call<'_>) -> CallResult {
    spawn(call, &Spawn::process(flag(linux::CLONE_VM | linux::CLONE_VFORK)))
}

impl Spawn {
    fn process(flags: u64) -> Spawn {
        let exit_signal = linux::SIGCHLD.into();
        Spawn { flags, exit_signal, stack: 0, pidfd: 0, parent_tid: 0, child_tid: 0, tls: 0 }
    }
}

/// A new process. EAGAIN beyond the most there may be; EINVAL for what cannot be shared; ENOMEM.
pub(super) fn spawn(call: &mut Call<'_>, spawn: &Spawn) -> CallResult {
    if let Some(child) = call.thread.pending.lent_to {
        return wait_for_memory(call, child);
    }
    let is_known = spawn.exit_signal == 0 || is_signal(spawn.exit_signal);
    if spawn.flags & !PROCESS_OPTIONS != 0 || !is_known {
        return Err(Errno::INVAL.into());
    }
    let kernel = call.kernel;
    let pid = kernel.new_tid(call.thread)?;
    let memory = match spawn.has(linux::CLONE_VM) {
        true => call.process.space(),
        false => copied_memory(call)?,
    };
    let child = Rc::new(call.process.child(pid, memory)?);
    if spawn.flags & linux::CLONE_CLEAR_SIGHAND != 0 {
        child.signals.borrow_mut().actions.reset_for_exec();
    }
    let mut thread = new_thread(call, spawn, Rc::clone(&child))?;
    if !spawn.has(linux::CLONE_VM) || spawn.has(linux::CLONE_VFORK) {
        thread.alternate_stack = call.thread.alternate_stack;
    }
    if spawn.has(linux::CLONE_PIDFD) {
        let fd = pidfd::add(call, pid, Rc::clone(&child.has_ended), 0)?;
        if let Err(errno) = call.put(spawn.pidfd, &fd.to_le_bytes()) {
            drop(call.process.files.close(fd));
            return Err(errno.into());
        }
    }
    kernel.processes.add(&child, call.process.pid, spawn.exit_signal as u8);
    kernel.limit_processor_time(&child);
    kernel.threads.ready(thread);
    if spawn.has(linux::CLONE_VFORK) {
        child.borrowed_from.set(Some(call.thread.tid));
        call.thread.pending.lent_to = Some(pid);
        return Err(Stop::Hold);
    }
    Ok(pid.into())
}

/// The parent goes on when the child has given its memory back.
fn wait_for_memory(call: &Call<'_>, child: u32) -> CallResult {
    let borrower = call.kernel.processes.get(child).and_then(|child| child.borrowed_from.get());
    if borrower == Some(call.thread.tid) { Err(Stop::Hold) } else { Ok(child.into()) }
}

/// A copy of the process's memory. ENOMEM: caches have given what they could, and the kernel keeps enough for its notes.
fn copied_memory(call: &Call<'_>) -> Result<Memory> {
    let space = call.process.space();
    let areas = space.borrow().areas().iter().count();
    let notes = NOTES_FRAMES + areas * 2 * size_of::<Area>() / FRAME_SIZE;
    // Its stack, and where C libraries keep what they know of a thread.
    let written = [call.thread.context.rsp, cpu::fs_base()];
    loop {
        let has_room = phys::usage().free as usize >= notes;
        let copied = if has_room {
            space.borrow_mut().fork(PAGE_TABLES, &written)
        } else {
            Err(Errno::NOMEM)
        };
        match copied {
            Err(Errno::NOMEM) if call.kernel.vfs.reclaim() => {}
            copied => return Ok(Rc::new(RefCell::new(copied?))),
        }
    }
}
