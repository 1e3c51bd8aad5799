//! Descriptors of processes: pidfd_open(2), pidfd_send_signal(2).

use alloc::rc::Rc;
use core::cell::Cell;

use linux_raw_sys::general as linux;

use super::target::{check_flags, opened_fd};
use super::{Call, CallResult, signals};
use crate::errno::{Errno, Result};
use crate::event::PidFd;
use crate::family::Pid;
use crate::fs::{Fd, FileType, OpenFlags};

/// PIDFD_NONBLOCK is open(2)'s flag.
const FLAGS: u32 = linux::O_NONBLOCK;

/// pidfd_open(2). EINVAL, EMFILE, ESRCH.
pub fn pidfd_open(call: &mut Call<'_>) -> CallResult {
    check_flags(call.uint(1), FLAGS)?;
    let pid = u32::try_from(call.int(0)).ok().filter(|pid| *pid > 0).ok_or(Errno::INVAL)?;
    let has_ended = match call.kernel.processes.find(pid)? {
        Some(process) => Rc::clone(&process.has_ended),
        None => Rc::new(Cell::new(true)),
    };
    Ok(add(call, pid, has_ended, call.uint(1))?.into())
}

/// A new descriptor, closed by execve(2). EMFILE.
pub(super) fn add(call: &Call<'_>, pid: Pid, has_ended: Rc<Cell<bool>>, flags: u32) -> Result<Fd> {
    let kept = OpenFlags::RDWR | OpenFlags::from_bits_truncate(flags & FLAGS);
    let file = Rc::new(PidFd { pid, has_ended });
    let file = call.kernel.vfs.anonymous(file, FileType::Regular, "anon_inode:[pidfd]", kept);
    call.process.files.add(file, 0, true)
}

/// The process behind a descriptor. EBADF.
pub(super) fn process(call: &Call<'_>, fd: Fd) -> Result<Pid> {
    opened_fd(call, fd)?.file().and_then(|file| file.process()).ok_or(Errno::BADF)
}

/// pidfd_send_signal(2). EBADF, EFAULT, EINVAL, EPERM, ESRCH.
pub fn pidfd_send_signal(call: &mut Call<'_>) -> CallResult {
    check_flags(call.uint(3), 0)?;
    let pid = process(call, call.uint(0))?;
    let [_, signal, info, ..] = call.args;
    signals::send(call, pid, signal, info)
}
