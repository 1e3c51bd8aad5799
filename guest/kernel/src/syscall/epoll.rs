//! Waiting for many descriptors: epoll_create(2), epoll_ctl(2), epoll_wait(2).

use alloc::rc::Rc;
use alloc::vec::Vec;

use linux_raw_sys::general as linux;

use super::poll::{Patience, nothing_yet, signal_mask};
use super::target::{check_flags, opened_fd};
use super::time::timespec;
use super::{Call, CallResult};
use crate::errno::{Errno, Result};
use crate::event::Epoll;
use crate::event::epoll::Event;
use crate::fs::{FileType, OpenFile, OpenFlags};

/// Bytes of a struct epoll_event, which is packed: events (32 bits), data (64 bits).
const EVENT_BYTES: usize = 12;
/// Most events that one call tells: those that are left are told by the next.
const TOLD_MAX: usize = 1024;
/// Nanoseconds in a millisecond.
const MILLISECOND: u64 = 1_000_000;

/// epoll_create(2): the size has no meaning, but must be positive. EINVAL, EMFILE.
pub fn epoll_create(call: &mut Call<'_>) -> CallResult {
    if call.int(0) <= 0 {
        return Err(Errno::INVAL.into());
    }
    create(call, false)
}

/// epoll_create1(2). EINVAL, EMFILE.
pub fn epoll_create1(call: &mut Call<'_>) -> CallResult {
    check_flags(call.uint(0), linux::EPOLL_CLOEXEC)?;
    create(call, call.uint(0) != 0)
}

fn create(call: &Call<'_>, close_on_exec: bool) -> CallResult {
    let epoll = Rc::new(Epoll::default());
    let name = "anon_inode:[eventpoll]";
    let file = call.kernel.vfs.anonymous(epoll, FileType::Regular, name, OpenFlags::RDWR);
    Ok(call.process.files.add(file, 0, close_on_exec)?.into())
}

/// epoll_ctl(2). EBADF, EEXIST, EFAULT, EINVAL, ELOOP, ENOENT, ENOSPC, EPERM.
pub fn epoll_ctl(call: &mut Call<'_>) -> CallResult {
    let (operation, fd) = (call.uint(1), call.uint(2));
    let interest = match operation {
        linux::EPOLL_CTL_DEL => Event { events: 0, data: 0 },
        _ => event(&call.get(call.args[3])?),
    };
    let (holder, file) = (opened_fd(call, call.uint(0))?, opened_fd(call, fd)?);
    let epoll = epoll_of(&holder)?;
    if Rc::ptr_eq(&holder, &file) {
        return Err(Errno::INVAL.into());
    }
    match operation {
        linux::EPOLL_CTL_ADD => epoll.add(fd, &file, interest)?,
        linux::EPOLL_CTL_MOD => epoll.modify(fd, &file, interest)?,
        linux::EPOLL_CTL_DEL => epoll.remove(fd, &file)?,
        _ => return Err(Errno::INVAL.into()),
    }
    Ok(0)
}

/// epoll_wait(2). EBADF, EFAULT, EINTR, EINVAL.
pub fn epoll_wait(call: &mut Call<'_>) -> CallResult {
    let timeout_ns = milliseconds(call);
    wait(call, &Patience { timeout_ns, mask: None })
}

/// epoll_pwait(2). As epoll_wait(2).
pub fn epoll_pwait(call: &mut Call<'_>) -> CallResult {
    let mask = signal_mask(call, call.args[4], call.args[5])?;
    let timeout_ns = milliseconds(call);
    wait(call, &Patience { timeout_ns, mask })
}

/// epoll_pwait2(2). As epoll_wait(2); the time is a struct timespec.
pub fn epoll_pwait2(call: &mut Call<'_>) -> CallResult {
    let mask = signal_mask(call, call.args[4], call.args[5])?;
    let timeout_ns = match call.args[3] {
        0 => None,
        time => Some(timespec(call, time)?),
    };
    wait(call, &Patience { timeout_ns, mask })
}

/// Argument 3, in milliseconds; a negative one is none.
fn milliseconds(call: &Call<'_>) -> Option<u64> {
    u64::try_from(call.int(3)).ok().map(|ms| ms * MILLISECOND)
}

fn wait(call: &mut Call<'_>, patience: &Patience) -> CallResult {
    let most = usize::try_from(call.int(2)).unwrap_or(0).min(TOLD_MAX);
    if most == 0 {
        return Err(Errno::INVAL.into());
    }
    let holder = opened_fd(call, call.uint(0))?;
    let epoll = epoll_of(&holder)?;
    // Asked for first: what is told and cannot be written would be lost.
    let mut range = call.bytes_mut(call.args[1], (most * EVENT_BYTES) as u64)?;
    let mut told = Vec::new();
    epoll.collect(most, |event| told.push(event));
    if told.is_empty() {
        return nothing_yet(call, patience);
    }
    for (to, event) in range.bytes_mut().as_chunks_mut::<EVENT_BYTES>().0.iter_mut().zip(&told) {
        to[..4].copy_from_slice(&event.events.to_le_bytes());
        to[4..].copy_from_slice(&event.data.to_le_bytes());
    }
    Ok(told.len() as u64)
}

fn epoll_of(file: &OpenFile) -> Result<&Epoll> {
    file.file().and_then(|file| file.epoll()).ok_or(Errno::INVAL)
}

fn event(bytes: &[u8; EVENT_BYTES]) -> Event {
    let [a, b, c, d, data @ ..] = *bytes;
    Event { events: u32::from_le_bytes([a, b, c, d]), data: u64::from_le_bytes(data) }
}
