//! Timers that send signals: timer_create(2) and its kin.

use linux_raw_sys::general as linux;

use super::event::put_timespecs;
use super::time::timespec;
use super::{Call, CallResult, clock_id};
use crate::errno::{Errno, Result};
use crate::event::{Notice, Now, Setting, Timer};
use crate::signal::is_signal;

/// timer_create(2). EAGAIN, EFAULT, EINVAL.
pub fn timer_create(call: &mut Call<'_>) -> CallResult {
    let [_, event, id_at, ..] = call.args;
    let clock = clock_id::clock(call, call.uint(0))?;
    let (pid, timers) = (call.process.pid, &call.kernel.timers);
    let id = if event == 0 {
        // Its value is its number.
        let notice = |id: u32| Notice { signal: linux::SIGALRM as u8, tid: None, value: id.into() };
        timers.create(pid, clock, |id| Some(notice(id)))?
    } else {
        let notice = notice(call, event)?;
        timers.create(pid, clock, |_| notice)?
    };
    let told = call.put(id_at, &id.to_le_bytes());
    if told.is_err() {
        timers.delete(pid, id)?;
    }
    Ok(told.map(|()| 0)?)
}

/// A struct sigevent: value, signal, how, thread. EFAULT, EINVAL.
fn notice(call: &Call<'_>, event: u64) -> Result<Option<Notice>> {
    let [value, signal_and_how, tid] = call.get_words(event)?;
    let (signal, how) = (signal_and_how & u64::from(u32::MAX), (signal_and_how >> 32) as u32);
    let tid = match how {
        linux::SIGEV_NONE => return Ok(None),
        // As Linux, to which a library's own thread is a signal like any other.
        linux::SIGEV_SIGNAL | linux::SIGEV_THREAD => None,
        linux::SIGEV_THREAD_ID => Some(tid as u32),
        _ => return Err(Errno::INVAL),
    };
    let exists = |tid| tid == call.thread.tid || call.kernel.threads.with(tid, |_| ()).is_some();
    if !is_signal(signal) || !tid.is_none_or(exists) {
        return Err(Errno::INVAL);
    }
    Ok(Some(Notice { signal: signal as u8, tid, value }))
}

/// timer_settime(2). EFAULT, EINVAL.
pub fn timer_settime(call: &mut Call<'_>) -> CallResult {
    let [_, flags, new, old, ..] = call.args;
    let absolute = flags & u64::from(linux::TIMER_ABSTIME) != 0;
    let interval_ns = timespec(call, new)?;
    let value_ns = timespec(call, new.checked_add(16).ok_or(Errno::FAULT)?)?;
    let setting = Setting { value_ns, interval_ns };
    let before = with_timer(call, |timer, now| timer.set(setting, absolute, now))?;
    if old != 0 {
        put_timespecs(call, old, before)?;
    }
    Ok(0)
}

/// timer_gettime(2). EFAULT, EINVAL.
pub fn timer_gettime(call: &mut Call<'_>) -> CallResult {
    let setting = with_timer(call, Timer::get)?;
    put_timespecs(call, call.args[1], setting)?;
    Ok(0)
}

/// Gives `work` the timer of argument 0, and the time. EINVAL where there is none.
fn with_timer<R>(call: &Call<'_>, work: impl FnOnce(&Timer, &Now) -> R) -> Result<R> {
    call.kernel.timers.with(call.process.pid, call.uint(0), |timer, _| {
        work(timer, &call.kernel.moment_on(timer.clock(), call.thread))
    })
}

/// timer_getoverrun(2). EINVAL.
pub fn timer_getoverrun(call: &mut Call<'_>) -> CallResult {
    Ok(call.kernel.timers.with(call.process.pid, call.uint(0), |_, overrun| overrun.into())?)
}

/// timer_delete(2). EINVAL.
pub fn timer_delete(call: &mut Call<'_>) -> CallResult {
    call.kernel.timers.delete(call.process.pid, call.uint(0))?;
    Ok(0)
}
