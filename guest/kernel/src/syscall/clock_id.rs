//! Which clock a number means (clock_getcpuclockid(3), pthread_getcpuclockid(3)).
//!
//! ```text
//!    0, 1, 4, 7 …         the wall's
//!    2, 3                 the caller's processor time: its process's, its thread's
//!   31 ──────── 3 2 1 0   negative numbers: of others
//!   │ ~number    │ │ └─┴─ 0 to 2: which time; 3: a device's clock, of which there are none
//!   └────────────┘ └───── a thread's
//! ```

use linux_raw_sys::general as linux;

use super::Call;
use crate::errno::{Errno, Result};
use crate::event::{Clock, Subject};

/// The bits of a negative number that are no process's or thread's.
const KIND_BITS: u32 = 3;
/// It is a thread's (CPUCLOCK_PERTHREAD_MASK).
const IS_THREADS: u32 = 4;
/// Which time (CPUCLOCK_CLOCK_MASK): profiling, virtual and scheduled are the same here …
const KIND: u32 = 3;
/// … and this is no processor time (CLOCKFD).
const DEVICE: u32 = 3;

/// The clock of a number. EINVAL where there is none, nor such a process, nor a thread of the caller's process.
pub fn clock(call: &Call<'_>, number: u32) -> Result<Clock> {
    match number {
        linux::CLOCK_REALTIME
        | linux::CLOCK_REALTIME_COARSE
        | linux::CLOCK_REALTIME_ALARM
        | linux::CLOCK_TAI => Ok(Clock::Realtime),
        linux::CLOCK_MONOTONIC
        | linux::CLOCK_MONOTONIC_RAW
        | linux::CLOCK_MONOTONIC_COARSE
        | linux::CLOCK_BOOTTIME
        | linux::CLOCK_BOOTTIME_ALARM => Ok(Clock::Monotonic),
        linux::CLOCK_PROCESS_CPUTIME_ID => Ok(Clock::Processor(Subject::Process(call.process.pid))),
        linux::CLOCK_THREAD_CPUTIME_ID => Ok(Clock::Processor(Subject::Thread(call.thread.tid))),
        number if (number as i32) < 0 && number & KIND != DEVICE => {
            let of = !((number as i32) >> KIND_BITS) as u32;
            Ok(Clock::Processor(subject(call, of, number & IS_THREADS != 0)?))
        }
        _ => Err(Errno::INVAL),
    }
}

/// Whose number it is; 0: the caller's own.
fn subject(call: &Call<'_>, number: u32, is_threads: bool) -> Result<Subject> {
    let (own, of_own) = match is_threads {
        true => (call.thread.tid, call.process.threads.borrow().contains(&number)),
        false => (call.process.pid, call.kernel.processes.get(number).is_some()),
    };
    let number = match number {
        0 => own,
        number if of_own => number,
        _ => return Err(Errno::INVAL),
    };
    Ok(if is_threads { Subject::Thread(number) } else { Subject::Process(number) })
}

/// A clock's time, ns. EINVAL where whose it is has ended.
pub fn now(call: &Call<'_>, clock: Clock) -> Result<u64> {
    match clock {
        Clock::Monotonic => Ok(crate::clock::monotonic_ns()),
        Clock::Realtime => Ok(crate::clock::realtime_ns()),
        Clock::Processor(subject) => call.kernel.ran_ns(subject, call.thread).ok_or(Errno::INVAL),
    }
}
