//! Who the program is: a thread, in a process, a process group and a session.

use linux_raw_sys::general as linux;
use mayfly_hal::jump;

use super::{Call, CallResult};
use crate::errno::Errno;
use crate::family::Pid;
use crate::kernel::Kernel;
use crate::thread::Thread;

/// The calls that say who, and take no argument: their values are laid out for stubs ([`crate::rewrite`]), as the vDSO's clock
/// is.
pub const ANSWERED: [u32; 8] = [
    linux::__NR_getpid,
    linux::__NR_gettid,
    linux::__NR_getppid,
    linux::__NR_getpgrp,
    linux::__NR_getuid,
    linux::__NR_geteuid,
    linux::__NR_getgid,
    linux::__NR_getegid,
];

/// Lays out the values for the thread that runs next.
pub fn lay_out(kernel: &Kernel, thread: &Thread) {
    let (pid, processes) = (thread.process.pid, &kernel.processes);
    let (parent, group) = (processes.parent(pid), processes.group(pid));
    let [user, of] = thread.process.credentials.borrow().ids();
    let ids = [user.real, user.effective, of.real, of.effective];
    let values = [pid, thread.tid, parent, group].into_iter().chain(ids);
    for (number, value) in ANSWERED.into_iter().zip(values) {
        jump::lay_out(number, value.into());
    }
}

/// getpid(2).
pub fn getpid(call: &mut Call<'_>) -> CallResult {
    Ok(call.process.pid.into())
}

/// gettid(2).
pub fn gettid(call: &mut Call<'_>) -> CallResult {
    Ok(call.thread.tid.into())
}

/// getppid(2).
pub fn getppid(call: &mut Call<'_>) -> CallResult {
    Ok(call.kernel.processes.parent(call.process.pid).into())
}

/// getpgrp(2).
pub fn getpgrp(call: &mut Call<'_>) -> CallResult {
    Ok(call.kernel.processes.group(call.process.pid).into())
}

/// The process that argument `index` means: 0 is the caller's.
fn process(call: &Call<'_>, index: usize) -> Pid {
    match call.uint(index) {
        0 => call.process.pid,
        pid => pid,
    }
}

/// getpgid(2). ESRCH.
pub fn getpgid(call: &mut Call<'_>) -> CallResult {
    let pid = process(call, 0);
    Ok(call.kernel.processes.with(|families| families.get(pid).map(|of| of.group))?.into())
}

/// getsid(2). ESRCH.
pub fn getsid(call: &mut Call<'_>) -> CallResult {
    let pid = process(call, 0);
    Ok(call.kernel.processes.with(|families| families.get(pid).map(|of| of.session))?.into())
}

/// setpgid(2). EACCES, EINVAL, EPERM, ESRCH.
pub fn setpgid(call: &mut Call<'_>) -> CallResult {
    let pid = process(call, 0);
    let group = match call.int(1) {
        0 => pid,
        group => u32::try_from(group).map_err(|_| Errno::INVAL)?,
    };
    let caller = call.process.pid;
    call.kernel.processes.with(|families| families.set_group(caller, pid, group))?;
    lay_out(call.kernel, call.thread);
    Ok(0)
}

/// setsid(2). EPERM.
pub fn setsid(call: &mut Call<'_>) -> CallResult {
    let session = call.kernel.processes.with(|families| families.set_session(call.process.pid))?;
    lay_out(call.kernel, call.thread);
    Ok(session.into())
}
