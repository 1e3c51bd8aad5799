//! Time: clocks and sleeping.

use linux_raw_sys::general as linux;

use super::{Call, CallResult, Stop};
use crate::clock::{self, SECOND};
use crate::errno::{Errno, Result};

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
    let now = match call.uint(0) {
        linux::CLOCK_PROCESS_CPUTIME_ID => call.ran_ns(),
        linux::CLOCK_THREAD_CPUTIME_ID => call.thread_ran_ns(),
        clock => now(clock)?,
    };
    call.put_words(call.args[1], &[now / SECOND, now % SECOND])?;
    Ok(0)
}

/// clock_getres(2). EINVAL.
pub fn clock_getres(call: &mut Call<'_>) -> CallResult {
    now(call.uint(0))?;
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

/// clock_nanosleep(2). As nanosleep(2), but that a sleep until a moment has no rest.
pub fn clock_nanosleep(call: &mut Call<'_>) -> CallResult {
    let [_, flags, request, rest, ..] = call.args;
    let time = timespec(call, request)?;
    let now = match call.uint(0) {
        linux::CLOCK_THREAD_CPUTIME_ID => return Err(Errno::INVAL.into()),
        clock => now(clock)?,
    };
    if flags & u64::from(linux::TIMER_ABSTIME) != 0 {
        return sleep(call, time.saturating_sub(now), 0);
    }
    sleep(call, time, rest)
}

/// Sleeps for `duration` ns; where a signal ends it, the rest goes to the struct timespec at `rest`.
fn sleep(call: &mut Call<'_>, duration: u64, rest: u64) -> CallResult {
    if call.is_over(Some(duration)) {
        return Ok(0);
    }
    if !call.is_interrupted() {
        return Err(Stop::Sleep);
    }
    if rest != 0 {
        let deadline_ns = call.thread.pending.deadline_ns.unwrap_or(0);
        let left_ns = deadline_ns.saturating_sub(clock::monotonic_ns());
        call.put_words(rest, &[left_ns / SECOND, left_ns % SECOND])?;
    }
    Err(Errno::INTR.into())
}

/// A clock's time, ns. EINVAL for one that does not exist.
pub fn now(clock: u32) -> Result<u64> {
    match clock {
        linux::CLOCK_REALTIME | linux::CLOCK_REALTIME_COARSE | linux::CLOCK_TAI => {
            Ok(clock::realtime_ns())
        }
        linux::CLOCK_MONOTONIC
        | linux::CLOCK_MONOTONIC_RAW
        | linux::CLOCK_MONOTONIC_COARSE
        | linux::CLOCK_BOOTTIME
        | linux::CLOCK_PROCESS_CPUTIME_ID
        | linux::CLOCK_THREAD_CPUTIME_ID => Ok(clock::monotonic_ns()),
        _ => Err(Errno::INVAL),
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
