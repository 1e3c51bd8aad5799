//! Who is to be told of a file's readiness, and by which signal: F_SETOWN, F_SETSIG and their kin of fcntl(2).
//!
//! They are kept and given back. Nobody is told: readiness is asked for (poll(2), epoll(7)).

use linux_raw_sys::general as linux;

use super::target::opened;
use super::{Call, CallResult, Stop};
use crate::errno::{Errno, Result};
use crate::family::Pid;
use crate::fs::owner::{Owner, OwnerKind};
use crate::fs::{FileType, OpenFile, OpenFlags};
use crate::signal::SIGNAL_MAX;

/// F_GETOWN, F_SETOWN, F_GETOWN_EX, F_SETOWN_EX, F_GETSIG, F_SETSIG; `None` for another command. EBADF, EFAULT, EINVAL;
/// ESRCH for who is not there.
pub fn fcntl(call: &Call<'_>, command: u32, argument: u64) -> Option<CallResult> {
    let answer = match command {
        linux::F_GETOWN => get(call).map(|owner| match owner.kind {
            OwnerKind::Group => -i64::from(owner.id) as u64,
            _ => owner.id.into(),
        }),
        linux::F_SETOWN => owner_of(argument as i32).and_then(|owner| set(call, owner)),
        linux::F_GETOWN_EX => get(call).and_then(|Owner { kind, id }| {
            let kind = match kind {
                OwnerKind::Thread => linux::F_OWNER_TID,
                OwnerKind::Process => linux::F_OWNER_PID,
                OwnerKind::Group => linux::F_OWNER_PGRP,
            };
            call.put_words(argument, &[u64::from(id) << 32 | u64::from(kind)])?;
            Ok(0)
        }),
        linux::F_SETOWN_EX => owner_at(call, argument).and_then(|owner| set(call, owner)),
        linux::F_GETSIG => opened(call, 0).map(|file| file.signal.get().into()),
        linux::F_SETSIG => set_signal(call, argument),
        _ => return None,
    };
    Some(answer.map_err(Stop::from))
}

/// FIOASYNC of ioctl(2), which is O_ASYNC. ENOTTY for what is always ready.
pub fn set_async(file: &OpenFile, on: bool) -> Result<()> {
    let mut flags = file.flags();
    let can_tell = matches!(file.file_type(), FileType::Fifo | FileType::Socket)
        || file.file().is_some_and(|file| file.terminal().is_some());
    if on != flags.contains(OpenFlags::ASYNC) && !can_tell {
        return Err(Errno::NOTTY);
    }
    flags.set(OpenFlags::ASYNC, on);
    file.set_flags(flags);
    Ok(())
}

/// The owner, nobody where that has ended.
fn get(call: &Call<'_>) -> Result<Owner> {
    let owner = opened(call, 0)?.owner.get();
    Ok(if is_there(call, owner) { owner } else { Owner::default() })
}

fn set(call: &Call<'_>, owner: Owner) -> Result<u64> {
    let file = opened(call, 0)?;
    if owner.id != 0 && !is_there(call, owner) {
        return Err(Errno::SRCH);
    }
    file.owner.set(owner);
    Ok(0)
}

fn is_there(call: &Call<'_>, owner: Owner) -> bool {
    let families = &call.kernel.processes;
    match owner.kind {
        OwnerKind::Thread if owner.id == call.thread.tid => true,
        OwnerKind::Thread => call.kernel.threads.with(owner.id, |_| ()).is_some(),
        OwnerKind::Process => families.with(|families| families.get(owner.id).is_ok()),
        OwnerKind::Group => families.with(|families| !families.group(owner.id).is_empty()),
    }
}

/// F_SETOWN's argument: a process, or with a minus a group.
fn owner_of(argument: i32) -> Result<Owner> {
    let kind = if argument < 0 { OwnerKind::Group } else { OwnerKind::Process };
    let id: Pid = argument.checked_abs().ok_or(Errno::INVAL)?.unsigned_abs();
    Ok(Owner { kind, id })
}

/// The struct f_owner_ex at an address: what it is, and its number.
fn owner_at(call: &Call<'_>, address: u64) -> Result<Owner> {
    let [word] = call.get_words(address)?;
    let kind = match word as u32 {
        linux::F_OWNER_TID => OwnerKind::Thread,
        linux::F_OWNER_PID => OwnerKind::Process,
        linux::F_OWNER_PGRP => OwnerKind::Group,
        _ => return Err(Errno::INVAL),
    };
    Ok(Owner { kind, id: (word >> 32) as u32 })
}

fn set_signal(call: &Call<'_>, argument: u64) -> Result<u64> {
    let signal = u8::try_from(argument).ok().filter(|signal| *signal <= SIGNAL_MAX);
    opened(call, 0)?.signal.set(signal.ok_or(Errno::INVAL)?);
    Ok(0)
}
