//! Who the program is: root, in a process of its own.

use linux_raw_sys::general as linux;
use mayfly_hal::jump;

use super::{Call, CallResult};
use crate::errno::Errno;
use crate::process::PID;
use crate::thread::Thread;

/// The calls here that take no argument: their values are laid out for stubs ([`crate::rewrite`]), as the vDSO's clock
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
/// The parent's number: it is the host's, and has none here.
const PARENT: u32 = 1;
/// Root.
const ROOT: u32 = 0;

/// Lays out the values for the thread that runs next.
pub fn lay_out(thread: &Thread) {
    let values = [thread.process.pid, thread.tid, PARENT, PID, ROOT, ROOT, ROOT, ROOT];
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
pub fn getppid(_: &mut Call<'_>) -> CallResult {
    Ok(PARENT.into())
}

/// getpgrp(2): the program leads its group.
pub fn getpgrp(_: &mut Call<'_>) -> CallResult {
    Ok(PID.into())
}

/// getpgid(2), getsid(2). ESRCH for another process.
pub fn getpgid(call: &mut Call<'_>) -> CallResult {
    match call.uint(0) {
        0 | PID => Ok(PID.into()),
        _ => Err(Errno::SRCH.into()),
    }
}

/// getuid(2) and its like: root.
pub fn zero(_: &mut Call<'_>) -> CallResult {
    Ok(ROOT.into())
}

/// setuid(2), setgid(2): root stays root. EPERM for another.
pub fn set_root(call: &mut Call<'_>) -> CallResult {
    if call.uint(0) == 0 { Ok(0) } else { Err(Errno::PERM.into()) }
}

/// getresuid(2), getresgid(2): real, effective and saved.
pub fn getres(call: &mut Call<'_>) -> CallResult {
    for index in 0..3 {
        call.put(call.args[index], &0u32.to_le_bytes())?;
    }
    Ok(0)
}
