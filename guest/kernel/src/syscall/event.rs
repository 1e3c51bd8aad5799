//! Counters and timers: eventfd(2), timerfd_create(2), setitimer(2), alarm(2).

use alloc::rc::Rc;

use linux_raw_sys::general as linux;

use super::poll::timeval_ns;
use super::target::{check_flags, opened};
use super::time::timespec;
use super::{Call, CallResult};
use crate::clock::{self, SECOND};
use crate::errno::{Errno, Result};
use crate::event::{Alarm, Clock, EventFd, Setting, TimerFd};
use crate::fs::{File, FileType, OpenFile, OpenFlags};

/// EFD_… and TFD_… flags that are open(2)'s (eventfd(2)).
const FILE_FLAGS: u32 = linux::O_NONBLOCK | linux::O_CLOEXEC;
/// Nanoseconds in a microsecond.
const MICROSECOND: u64 = 1_000;

/// eventfd(2), as it was before it had flags. EMFILE.
pub fn eventfd(call: &mut Call<'_>) -> CallResult {
    make_eventfd(call, 0)
}

/// eventfd2, the call behind eventfd(2). EINVAL, EMFILE.
pub fn eventfd2(call: &mut Call<'_>) -> CallResult {
    check_flags(call.uint(1), FILE_FLAGS | linux::EFD_SEMAPHORE)?;
    make_eventfd(call, call.uint(1))
}

fn make_eventfd(call: &Call<'_>, flags: u32) -> CallResult {
    let file = EventFd::new(call.uint(0), flags & linux::EFD_SEMAPHORE != 0);
    add(call, Rc::new(file), "anon_inode:[eventfd]", flags)
}

/// A new descriptor of a file that has no name. EMFILE.
pub(super) fn add(call: &Call<'_>, file: Rc<dyn File>, name: &str, flags: u32) -> CallResult {
    let flags = OpenFlags::from_bits_truncate(flags & FILE_FLAGS);
    let kept = OpenFlags::RDWR | flags & OpenFlags::NONBLOCK;
    let file = call.kernel.vfs.anonymous(file, FileType::Regular, name, kept);
    Ok(call.process.files.add(file, 0, flags.contains(OpenFlags::CLOEXEC))?.into())
}

/// timerfd_create(2). EINVAL, EMFILE, ENFILE.
pub fn timerfd_create(call: &mut Call<'_>) -> CallResult {
    check_flags(call.uint(1), FILE_FLAGS)?;
    let clock = match call.uint(0) {
        linux::CLOCK_REALTIME | linux::CLOCK_REALTIME_ALARM => Clock::Realtime,
        linux::CLOCK_MONOTONIC | linux::CLOCK_BOOTTIME | linux::CLOCK_BOOTTIME_ALARM => {
            Clock::Monotonic
        }
        _ => return Err(Errno::INVAL.into()),
    };
    let timer = call.kernel.timers.add(clock)?;
    add(call, Rc::new(TimerFd(timer)), "anon_inode:[timerfd]", call.uint(1))
}

/// timerfd_settime(2). EBADF, EFAULT, EINVAL.
pub fn timerfd_settime(call: &mut Call<'_>) -> CallResult {
    let [_, _, new, old, ..] = call.args;
    check_flags(call.uint(1), linux::TFD_TIMER_ABSTIME | linux::TFD_TIMER_CANCEL_ON_SET)?;
    let absolute = call.uint(1) & linux::TFD_TIMER_ABSTIME != 0;
    let interval_ns = timespec(call, new)?;
    let value_ns = timespec(call, new.checked_add(16).ok_or(Errno::FAULT)?)?;
    let file = opened(call, 0)?;
    let timer = timer_of(&file)?;
    let before = timer.set(Setting { value_ns, interval_ns }, absolute, &clock::now());
    if old != 0 {
        put_timespecs(call, old, before)?;
    }
    // A moment that has passed is seen by the very next read.
    call.kernel.expire_timers(Some(call.thread));
    Ok(0)
}

/// timerfd_gettime(2). EBADF, EFAULT, EINVAL.
pub fn timerfd_gettime(call: &mut Call<'_>) -> CallResult {
    let file = opened(call, 0)?;
    let setting = timer_of(&file)?.get(&clock::now());
    put_timespecs(call, call.args[1], setting)?;
    Ok(0)
}

fn timer_of(file: &OpenFile) -> Result<&crate::event::Timer> {
    file.file().and_then(|file| file.timer()).ok_or(Errno::INVAL)
}

/// A struct itimerspec: interval, value.
pub(super) fn put_timespecs(call: &Call<'_>, to: u64, setting: Setting) -> Result<()> {
    let Setting { value_ns, interval_ns } = setting;
    let words = [interval_ns / SECOND, interval_ns % SECOND, value_ns / SECOND, value_ns % SECOND];
    call.put_words(to, &words)
}

/// setitimer(2). EFAULT, EINVAL.
pub fn setitimer(call: &mut Call<'_>) -> CallResult {
    let [_, new, old, ..] = call.args;
    let alarm = itimer(call)?;
    let setting = match new {
        0 => Setting::default(),
        new => {
            let [interval_s, interval_us, value_s, value_us] = call.get_words(new)?;
            if interval_us.max(value_us) >= SECOND / MICROSECOND {
                return Err(Errno::INVAL.into());
            }
            Setting {
                value_ns: timeval_ns([value_s, value_us])?,
                interval_ns: timeval_ns([interval_s, interval_us])?,
            }
        }
    };
    let before = set_alarm(call, alarm, setting);
    if old != 0 {
        put_timevals(call, old, before)?;
    }
    Ok(0)
}

/// getitimer(2). EFAULT, EINVAL.
pub fn getitimer(call: &mut Call<'_>) -> CallResult {
    let (kernel, now) = (call.kernel, call.kernel.moment(Some(call.thread)));
    let setting =
        kernel.timers.with_alarm(call.process.pid, itimer(call)?, |alarm| alarm.get(&now));
    put_timevals(call, call.args[1], setting)?;
    Ok(0)
}

/// Sets an alarm of the calling process; what it was set to before.
fn set_alarm(call: &Call<'_>, alarm: Alarm, setting: Setting) -> Setting {
    let now = call.kernel.moment(Some(call.thread));
    call.kernel.timers.with_alarm(call.process.pid, alarm, |timer| timer.set(setting, false, &now))
}

/// The interval timer that argument 0 names. EINVAL.
fn itimer(call: &Call<'_>) -> Result<Alarm> {
    match call.uint(0) {
        linux::ITIMER_REAL => Ok(Alarm::Real),
        linux::ITIMER_VIRTUAL => Ok(Alarm::Virtual),
        linux::ITIMER_PROF => Ok(Alarm::Profile),
        _ => Err(Errno::INVAL),
    }
}

/// A struct itimerval: interval, value.
fn put_timevals(call: &Call<'_>, to: u64, setting: Setting) -> Result<()> {
    let pair = |ns: u64| [ns / SECOND, ns % SECOND / MICROSECOND];
    let ([a, b], [c, d]) = (pair(setting.interval_ns), pair(setting.value_ns));
    call.put_words(to, &[a, b, c, d])
}

/// alarm(2): the seconds that were left, rounded to the nearest, but never to 0.
pub fn alarm(call: &mut Call<'_>) -> CallResult {
    let setting = Setting { value_ns: u64::from(call.uint(0)) * SECOND, interval_ns: 0 };
    let left = set_alarm(call, Alarm::Real, setting).value_ns;
    let rounded = left.saturating_add(SECOND / 2) / SECOND;
    Ok(if left > 0 { rounded.max(1) } else { 0 })
}
