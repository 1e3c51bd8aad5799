//! Time: clocks and sleeping.

use linux_raw_sys::general as linux;

use super::{Call, CallResult, Stop, clock_id};
use crate::clock::{self, SECOND};
use crate::errno::{Errno, Result};
use crate::event::{Clock, Subject};
use crate::slice::SLICE_NS;

/// Resolution of every clock, ns.
const RESOLUTION_NS: u64 = 1;

/// time(2).
pub fn time(call: &mut Call<'_>) -> CallResult {
    let now = clock::realtime_ns() / SECOND;
    if call.args[0] != 0 {
        call.put_words(call.args[0], &[now])?;
    }
    Ok(now)
}

/// gettimeofday(2). The time zone is UTC.
pub fn gettimeofday(call: &mut Call<'_>) -> CallResult {
    let now = clock::realtime_ns();
    if call.args[0] != 0 {
        call.put_words(call.args[0], &[now / SECOND, now % SECOND / 1000])?;
    }
    if call.args[1] != 0 {
        call.put_words(call.args[1], &[0])?;
    }
    Ok(0)
}

/// clock_gettime(2). EINVAL.
pub fn clock_gettime(call: &mut Call<'_>) -> CallResult {
    let now = clock_id::now(call, clock_id::clock(call, call.uint(0))?)?;
    call.put_words(call.args[1], &[now / SECOND, now % SECOND])?;
    Ok(0)
}

/// clock_getres(2). EINVAL.
pub fn clock_getres(call: &mut Call<'_>) -> CallResult {
    clock_id::clock(call, call.uint(0))?;
    if call.args[1] != 0 {
        call.put_words(call.args[1], &[0, RESOLUTION_NS])?;
    }
    Ok(0)
}

/// nanosleep(2). EINVAL; EINTR with the rest, where a signal came.
pub fn nanosleep(call: &mut Call<'_>) -> CallResult {
    let duration = timespec(call, call.args[0])?;
    sleep(call, duration, call.args[1])
}

/// clock_nanosleep(2). As nanosleep(2), but that a sleep until a moment has no rest; EINVAL for the caller's own
/// processor time, which stands still while it sleeps.
pub fn clock_nanosleep(call: &mut Call<'_>) -> CallResult {
    let [_, flags, request, rest, ..] = call.args;
    let time = timespec(call, request)?;
    let clock = clock_id::clock(call, call.uint(0))?;
    let (is_absolute, now) =
        (flags & u64::from(linux::TIMER_ABSTIME) != 0, clock_id::now(call, clock)?);
    let duration = if is_absolute { time.saturating_sub(now) } else { time };
    let rest = if is_absolute { 0 } else { rest };
    match clock {
        Clock::Processor(Subject::Thread(tid)) if tid == call.thread.tid => {
            Err(Errno::INVAL.into())
        }
        Clock::Processor(_) => sleep_on_processor(call, now, duration, rest),
        _ => sleep(call, duration, rest),
    }
}

/// Sleeps until others have run for `duration` ns. There is one vCPU: that cannot be over sooner than the time is by
/// the wall's clock, and then the call looks again.
fn sleep_on_processor(call: &mut Call<'_>, now: u64, duration: u64, rest: u64) -> CallResult {
    let until = *call.thread.pending.processor_ns.get_or_insert(now.saturating_add(duration));
    let left_ns = until.saturating_sub(now);
    if left_ns == 0 {
        return Ok(0);
    }
    if call.is_interrupted() {
        put_rest(call, rest, left_ns)?;
        return Err(Errno::INTR.into());
    }
    let deadline = clock::monotonic_ns().saturating_add(left_ns.max(SLICE_NS));
    call.thread.pending.deadline_ns = Some(deadline);
    Err(Stop::Sleep)
}

/// Sleeps for `duration` ns; where a signal ends it, the rest goes to the struct timespec at `rest`.
fn sleep(call: &mut Call<'_>, duration: u64, rest: u64) -> CallResult {
    if call.is_over(Some(duration)) {
        return Ok(0);
    }
    if !call.is_interrupted() {
        return Err(Stop::Sleep);
    }
    let deadline_ns = call.thread.pending.deadline_ns.unwrap_or(0);
    put_rest(call, rest, deadline_ns.saturating_sub(clock::monotonic_ns()))?;
    Err(Errno::INTR.into())
}

/// Tells how much of a sleep is left, where somebody asks. EFAULT.
fn put_rest(call: &Call<'_>, to: u64, left_ns: u64) -> Result<()> {
    match to {
        0 => Ok(()),
        to => call.put_words(to, &[left_ns / SECOND, left_ns % SECOND]),
    }
}

/// A struct timespec of the program, ns. EINVAL where it is not normalised or negative.
pub fn timespec(call: &Call<'_>, address: u64) -> Result<u64> {
    let [seconds, nanoseconds] = call.get_words(address)?;
    if seconds > i64::MAX as u64 || nanoseconds >= SECOND {
        return Err(Errno::INVAL);
    }
    Ok(seconds.saturating_mul(SECOND).saturating_add(nanoseconds))
}
