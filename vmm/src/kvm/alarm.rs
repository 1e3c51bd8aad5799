//! A kick at a moment: a POSIX timer of the host that sends the kick's signal to the thread of the vCPU.

use std::io;

use super::kick::SIGNAL;

/// The timer. It belongs to the thread that made it, and to its process.
#[derive(Debug)]
pub struct Alarm {
    timer: libc::timer_t,
}

const SECOND: u64 = 1_000_000_000;

impl Alarm {
    /// A timer that kicks this thread; it is not set.
    ///
    /// # Errors
    /// What the host says.
    pub fn new() -> io::Result<Alarm> {
        Self::on(libc::CLOCK_MONOTONIC)
    }

    /// Kicks this thread each time that it has run for `period_ns`. One that waits costs nothing.
    ///
    /// # Errors
    /// What the host says.
    pub fn ticking(period_ns: u64) -> io::Result<Alarm> {
        let mut alarm = Self::on(libc::CLOCK_THREAD_CPUTIME_ID)?;
        alarm.start(0, period_ns, period_ns)?;
        Ok(alarm)
    }

    fn on(clock: libc::clockid_t) -> io::Result<Alarm> {
        // SAFETY: all-zero is a valid sigevent.
        let mut event: libc::sigevent = unsafe { std::mem::zeroed() };
        event.sigev_notify = libc::SIGEV_THREAD_ID;
        event.sigev_signo = SIGNAL;
        // SAFETY: gettid has no preconditions.
        event.sigev_notify_thread_id = unsafe { libc::gettid() };
        let mut timer = std::ptr::null_mut();
        // SAFETY: both structures are valid for the call.
        match unsafe { libc::timer_create(clock, &mut event, &mut timer) } {
            0 => Ok(Alarm { timer }),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// Kicks at `moment_ns` of CLOCK_MONOTONIC, once: at once where that has passed.
    ///
    /// # Errors
    /// What the host says.
    pub fn set(&mut self, moment_ns: u64) -> io::Result<()> {
        self.start(libc::TIMER_ABSTIME, moment_ns, 0)
    }

    fn start(&mut self, flags: libc::c_int, first_ns: u64, period_ns: u64) -> io::Result<()> {
        let time = |ns: u64| libc::timespec {
            tv_sec: (ns / SECOND) as libc::time_t,
            tv_nsec: (ns % SECOND) as libc::c_long,
        };
        // A moment of 0 would switch the timer off.
        let (it_value, it_interval) = (time(first_ns.max(1)), time(period_ns));
        let setting = libc::itimerspec { it_interval, it_value };
        // SAFETY: the timer is ours, and the structure is valid for the call.
        match unsafe { libc::timer_settime(self.timer, flags, &setting, std::ptr::null_mut()) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        // SAFETY: the timer is ours, and nobody uses it from here on.
        unsafe { libc::timer_delete(self.timer) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kvm::Kick;
    use crate::time;

    #[test]
    fn it_kicks_this_thread_once_and_not_before() {
        let kick = Kick::new().unwrap();
        let mut alarm = Alarm::new().unwrap();
        let moment_ns = time::monotonic_ns() + 2_000_000;
        alarm.set(moment_ns).unwrap();
        while !kick.clear() {
            std::thread::yield_now();
        }
        assert!(time::monotonic_ns() >= moment_ns);
        assert!(!kick.clear(), "once");
        alarm.set(0).unwrap();
        while !kick.clear() {
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_thread_that_runs_is_kicked_again_and_again() {
        let kick = Kick::new().unwrap();
        let _tick = Alarm::ticking(1_000_000).unwrap();
        for _ in 0..3 {
            while !kick.clear() {
                std::hint::spin_loop();
            }
        }
    }
}
