//! Waiting for children: wait4(2), waitid(2).

use linux_raw_sys::general as linux;

use super::{Call, CallResult, Stop, pidfd};
use crate::clock::SECOND;
use crate::errno::{Errno, Result};
use crate::family::{Events, Pid, Status, Which};
use crate::signal::Info;

/// Options of wait4(2); __WNOTHREAD changes nothing: children are all its threads' own.
const OPTIONS: u32 = linux::WNOHANG
    | linux::WUNTRACED
    | linux::WCONTINUED
    | linux::__WNOTHREAD
    | linux::__WALL
    | linux::__WCLONE;
/// Words of struct rusage.
pub(super) const USAGE_WORDS: usize = 18;

/// What was found of a child.
struct Found {
    pid: Pid,
    status: Status,
    ran_ns: u64,
}

/// wait4(2): for an end, and for stops and continuations where that is asked for. ECHILD, EFAULT, EINTR, EINVAL.
pub fn wait4(call: &mut Call<'_>) -> CallResult {
    let (target, options) = (call.int(0), call.uint(2));
    let [_, status_at, _, usage_at, ..] = call.args;
    if options & !OPTIONS != 0 {
        return Err(Errno::INVAL.into());
    }
    let which = match target {
        -1 => Which::Any,
        0 => Which::Group(call.kernel.processes.group(call.process.pid)),
        i32::MIN => return Err(Errno::SRCH.into()),
        group if group < 0 => Which::Group(group.unsigned_abs()),
        child => Which::Child(child as u32),
    };
    let mut events = events(options);
    events.ended = true;
    let Some(found) = find(call, which, events, options)? else { return Ok(0) };
    if status_at != 0 {
        call.put(status_at, &found.status.word().to_le_bytes())?;
    }
    put_usage(call, usage_at, found.ran_ns)?;
    call.kernel.processes.with(|families| families.take_news(found.pid));
    Ok(found.pid.into())
}

/// waitid(2). EBADF, ECHILD, EFAULT, EINTR, EINVAL.
pub fn waitid(call: &mut Call<'_>) -> CallResult {
    let (kind, target, options) = (call.uint(0), call.uint(1), call.uint(3));
    let [_, _, info_at, _, usage_at, _] = call.args;
    const EVENTS: u32 = linux::WEXITED | linux::WSTOPPED | linux::WCONTINUED;
    let known = OPTIONS | EVENTS | linux::WNOWAIT;
    if options & !known != 0 || options & EVENTS == 0 {
        return Err(Errno::INVAL.into());
    }
    let which = match kind {
        linux::P_ALL => Which::Any,
        linux::P_PID if target > 0 => Which::Child(target),
        linux::P_PIDFD => Which::Child(pidfd::process(call, target)?),
        linux::P_PGID if target > 0 => Which::Group(target),
        linux::P_PGID => Which::Group(call.kernel.processes.group(call.process.pid)),
        _ => return Err(Errno::INVAL.into()),
    };
    let events = events(options);
    let found = find(call, which, events, options)?;
    if info_at != 0 {
        let words = match &found {
            Some(Found { pid, status, .. }) => {
                Info::from_child(linux::SIGCHLD as u8, *pid, *status, 0).to_words()
            }
            None => [0; 16],
        };
        call.put_words(info_at, &words[..4])?;
    }
    let Some(found) = found else { return Ok(0) };
    put_usage(call, usage_at, found.ran_ns)?;
    if options & linux::WNOWAIT == 0 {
        call.kernel.processes.with(|families| families.take_news(found.pid));
    }
    Ok(0)
}

/// WUNTRACED is WSTOPPED.
fn events(options: u32) -> Events {
    Events {
        ended: options & linux::WEXITED != 0,
        stopped: options & linux::WUNTRACED != 0,
        continued: options & linux::WCONTINUED != 0,
        clones: options & linux::__WCLONE != 0,
        all: options & linux::__WALL != 0,
    }
}

/// A child of which there is news. Waits for it, unless WNOHANG says that there may be none. ECHILD.
fn find(
    call: &mut Call<'_>,
    which: Which,
    events: Events,
    options: u32,
) -> Result<Option<Found>, Stop> {
    let (pid, processes) = (call.process.pid, &call.kernel.processes);
    match processes.with(|families| families.find(pid, which, events))? {
        Some((pid, status)) => {
            let ran_ns = processes.with(|families| {
                families.get(pid).map_or(0, |member| member.ran_ns + member.children_ran_ns)
            });
            Ok(Some(Found { pid, status, ran_ns }))
        }
        None if options & linux::WNOHANG != 0 => Ok(None),
        None => {
            call.thread.pending.awaits_child = true;
            Err(Stop::Sleep)
        }
    }
}

fn put_usage(call: &Call<'_>, address: u64, ran_ns: u64) -> Result<()> {
    if address == 0 {
        return Ok(());
    }
    let mut words = [0; USAGE_WORDS];
    (words[0], words[1]) = (ran_ns / SECOND, ran_ns % SECOND / 1000);
    call.put_words(address, &words)
}
