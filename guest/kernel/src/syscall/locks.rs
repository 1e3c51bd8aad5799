//! Locks of files: fcntl(2)'s F_SETLK and its kin, flock(2).

use alloc::rc::Rc;
use core::ops::Range;

use linux_raw_sys::general as linux;

use super::target::opened;
use super::{Call, CallResult, Stop};
use crate::errno::{Errno, Result};
use crate::family::Pid;
use crate::fs::locks::{Kind, Lock, Owner};
use crate::fs::{OpenFile, Whence};

/// struct flock: type and whence (16 bits each), start, length, process.
const FLOCK_BYTES: usize = 32;

/// What a struct flock says.
struct Wanted {
    kind: u32,
    range: Range<u64>,
    pid: i32,
}

/// How long a circle of processes is looked for (Linux's MAX_DEADLK_ITERATIONS).
const CIRCLE_MAX: usize = 10;

/// F_GETLK, F_SETLK, F_SETLKW and their F_OFD_ kin. EAGAIN, EBADF, EDEADLK, EFAULT, EINTR, EINVAL, ENOLCK, EOVERFLOW.
pub fn record(call: &mut Call<'_>, command: u32, address: u64) -> CallResult {
    let file = opened(call, 0)?;
    let (asks, waits, is_own) = match command {
        linux::F_GETLK => (true, false, false),
        linux::F_SETLK => (false, false, false),
        linux::F_SETLKW => (false, true, false),
        linux::F_OFD_GETLK => (true, false, true),
        linux::F_OFD_SETLK => (false, false, true),
        linux::F_OFD_SETLKW => (false, true, true),
        _ => return Err(Errno::INVAL.into()),
    };
    let wanted = wanted(call, &file, address)?;
    if is_own && wanted.pid != 0 {
        return Err(Errno::INVAL.into());
    }
    let pid = call.process.pid;
    let owner = if is_own { Owner::of(&file) } else { Owner::Process(pid) };
    let exclusive = match wanted.kind {
        linux::F_RDLCK => false,
        linux::F_WRLCK => true,
        linux::F_UNLCK if !asks => {
            call.kernel.locks.release(Kind::Record, &file, owner, &wanted.range)?;
            return Ok(0);
        }
        _ => return Err(Errno::INVAL.into()),
    };
    let lock = Lock { owner, exclusive, range: wanted.range };
    if asks {
        return tell_conflict(call, &file, &lock, address);
    }
    let flags = file.flags();
    if !(if exclusive { flags.writes() } else { flags.reads() }) {
        return Err(Errno::BADF.into());
    }
    match is_own {
        true => file.releases_locks(&call.kernel.locks),
        false => call.process.files.releases_locks(pid, &call.kernel.locks),
    }
    take(call, &file, (Kind::Record, lock), waits)
}

/// Takes a lock, or waits for it.
fn take(
    call: &mut Call<'_>,
    file: &Rc<OpenFile>,
    (kind, lock): (Kind, Lock),
    waits: bool,
) -> CallResult {
    match call.kernel.locks.take(kind, file, lock.clone()) {
        Err(Errno::AGAIN) if waits => {
            call.thread.pending.awaits_lock_of = holder(call, kind, file, &lock);
            if is_in_circle(call) { Err(Errno::DEADLK.into()) } else { Err(Stop::Wait) }
        }
        result => Ok(result.map(|()| 0)?),
    }
}

/// The process that a process's lock waits for, where it is one.
fn holder(call: &Call<'_>, kind: Kind, file: &OpenFile, lock: &Lock) -> Option<Pid> {
    let found = call.kernel.locks.conflict(kind, file, lock)?;
    match (lock.owner, found.owner) {
        (Owner::Process(_), Owner::Process(pid)) => Some(pid),
        _ => None,
    }
}

/// Whether the process for which the caller waits itself waits for the caller, by way of others perhaps.
fn is_in_circle(call: &Call<'_>) -> bool {
    let (threads, processes) = (&call.kernel.threads, &call.kernel.processes);
    let next = |pid: &Pid| threads.awaited_lock(&processes.get(*pid)?);
    let mut awaited = core::iter::successors(call.thread.pending.awaits_lock_of, next);
    awaited.by_ref().take(CIRCLE_MAX).any(|pid| pid == call.process.pid)
}

/// Writes what stands in the lock's way, or that nothing does.
fn tell_conflict(call: &Call<'_>, file: &OpenFile, lock: &Lock, address: u64) -> CallResult {
    let Some(found) = call.kernel.locks.conflict(Kind::Record, file, lock) else {
        call.put(address, &(linux::F_UNLCK as u16).to_le_bytes())?;
        return Ok(0);
    };
    let kind = if found.exclusive { linux::F_WRLCK } else { linux::F_RDLCK };
    let Range { start, end } = found.range;
    let len = if end == u64::MAX { 0 } else { end - start };
    let pid = match found.owner {
        Owner::Process(pid) => pid,
        Owner::Description(_) => u32::MAX,
    };
    call.put_words(address, &[kind.into(), start, len, pid.into()])?;
    Ok(0)
}

/// The struct flock at an address. EFAULT, EINVAL, EOVERFLOW.
fn wanted(call: &Call<'_>, file: &OpenFile, address: u64) -> Result<Wanted> {
    let bytes = call.get::<FLOCK_BYTES>(address)?;
    let word = |at: usize| i64::from_le_bytes(bytes[at..at + 8].try_into().unwrap_or_default());
    let kind = u32::from(u16::from_le_bytes([bytes[0], bytes[1]]));
    let whence = u32::from(u16::from_le_bytes([bytes[2], bytes[3]]));
    let base = match whence {
        linux::SEEK_SET => 0,
        linux::SEEK_CUR => file.seek(0, Whence::Current).unwrap_or(0),
        linux::SEEK_END => file.stat().size,
        _ => return Err(Errno::INVAL),
    };
    let (start, len, pid) = (word(8), word(16), word(24) as i32);
    let from = base.checked_add_signed(start).ok_or(Errno::INVAL)?;
    let range = match len {
        0 => from..u64::MAX,
        len if len > 0 => from..from.checked_add_signed(len).ok_or(Errno::OVERFLOW)?,
        len => from.checked_add_signed(len).ok_or(Errno::INVAL)?..from,
    };
    Ok(Wanted { kind, range, pid })
}

/// flock(2). EBADF, EINTR, EINVAL, ENOLCK, EWOULDBLOCK.
pub fn flock(call: &mut Call<'_>) -> CallResult {
    let file = opened(call, 0)?;
    let operation = call.uint(1);
    let (owner, whole) = (Owner::of(&file), 0..u64::MAX);
    let exclusive = match operation & !linux::LOCK_NB {
        linux::LOCK_SH => false,
        linux::LOCK_EX => true,
        linux::LOCK_UN => {
            call.kernel.locks.release(Kind::Whole, &file, owner, &whole)?;
            return Ok(0);
        }
        _ => return Err(Errno::INVAL.into()),
    };
    file.releases_locks(&call.kernel.locks);
    let lock = Lock { owner, exclusive, range: whole };
    take(call, &file, (Kind::Whole, lock), operation & linux::LOCK_NB == 0)
}
