//! Who the program is: root, in a process of its own.

use super::{Call, CallResult};
use crate::errno::Errno;
use crate::process::PID;

/// getpid(2).
pub fn getpid(call: &mut Call<'_>) -> CallResult {
    Ok(call.process.pid.into())
}

/// gettid(2).
pub fn gettid(call: &mut Call<'_>) -> CallResult {
    Ok(call.thread.tid.into())
}

/// getppid(2): the parent is the host's, and has no number here.
pub fn getppid(_: &mut Call<'_>) -> CallResult {
    Ok(1)
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
    Ok(0)
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
