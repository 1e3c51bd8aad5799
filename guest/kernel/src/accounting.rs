//! Processor time: who has run for how long, and what that brings about.
//!
//! ```text
//!   a turn ──▶ charge: the thread's time, its process's ──▶ clocks of processor time, times(2), getrusage(2)
//!                                      └ alarms: SIGVTALRM, SIGPROF; SIGXCPU and SIGKILL at RLIMIT_CPU
//! ```
//!
//! A turn counts as a whole: the time in the kernel is the program's.

use linux_raw_sys::general as linux;

use crate::clock::{self, SECOND};
use crate::event::{Alarm, Clock, Now, Setting, Subject, Timer};
use crate::family::Pid;
use crate::kernel::Kernel;
use crate::limits::{INFINITY, PROCESSOR_TIME};
use crate::process::Process;
use crate::signal::Info;
use crate::thread::Thread;

impl Kernel {
    /// This moment. `current` is the thread that runs.
    pub fn moment(&self, current: Option<&Thread>) -> Now {
        let mut now = clock::now();
        if let Some(thread) = current {
            let turn_ns = self.slice.ran_ns();
            let process = &thread.process;
            now.running = [
                Some((Subject::Process(process.pid), process.ran_ns.get() + turn_ns)),
                Some((Subject::Thread(thread.tid), thread.ran_ns + turn_ns)),
            ];
        }
        now
    }

    /// This moment, as one who sets or asks a timer on this clock wants to know it: the clock does not stand still.
    pub fn moment_on(&self, clock: Clock, current: &Thread) -> Now {
        let now = self.moment(Some(current));
        match clock {
            Clock::Processor(subject)
                if now.running.iter().flatten().all(|(of, _)| *of != subject) =>
            {
                let ran_ns = self.ran_ns(subject, current).unwrap_or(0);
                Now { running: [Some((subject, ran_ns)), None], ..now }
            }
            _ => now,
        }
    }

    /// How long somebody has run, ns; `None` where there is nobody of that number. `current` is the thread that runs.
    pub fn ran_ns(&self, subject: Subject, current: &Thread) -> Option<u64> {
        let turn_ns = |is_current: bool| if is_current { self.slice.ran_ns() } else { 0 };
        match subject {
            Subject::Process(pid) => {
                let process = self.processes.get(pid)?;
                Some(process.ran_ns.get() + turn_ns(current.process.pid == pid))
            }
            Subject::Thread(tid) if tid == current.tid => Some(current.ran_ns + turn_ns(true)),
            Subject::Thread(tid) => self.threads.with(tid, |thread| thread.ran_ns),
        }
    }

    /// Notes how long a thread has run, at the end of its turn.
    pub fn charge(&self, thread: &mut Thread) {
        let ran_ns = self.slice.end();
        thread.ran_ns += ran_ns;
        thread.process.ran_ns.update(|before| before + ran_ns);
    }

    /// Sends the signals of alarms.
    pub fn ring(&self, alarms: &[(Pid, Alarm)], current: Option<&Thread>) {
        for (pid, alarm) in alarms {
            let Some(process) = self.processes.get(*pid) else { continue };
            let signal = match alarm {
                Alarm::Real => linux::SIGALRM,
                Alarm::Virtual => linux::SIGVTALRM,
                Alarm::Profile => linux::SIGPROF,
                Alarm::SoftLimit => linux::SIGXCPU,
                Alarm::HardLimit => linux::SIGKILL,
            };
            // One that waits already is not sent again.
            let _ = self.send(&process, Info::from_kernel(signal as u8), current);
        }
    }

    /// Arms the alarms of a process's RLIMIT_CPU.
    pub fn limit_processor_time(&self, process: &Process) {
        let limit = process.limits.borrow().get(PROCESSOR_TIME);
        let (soft, hard) = limit.unwrap_or((INFINITY, INFINITY));
        let alarms = [(Alarm::SoftLimit, soft, SECOND), (Alarm::HardLimit, hard, 0)];
        for (alarm, seconds, interval_ns) in alarms {
            if seconds == INFINITY {
                self.timers.forget_alarm(process.pid, alarm);
                continue;
            }
            // A limit of 0 is over at once.
            let value_ns = seconds.saturating_mul(SECOND).max(1);
            let setting = Setting { value_ns, interval_ns };
            let set = |timer: &Timer| timer.set(setting, true, &clock::now());
            self.timers.with_alarm(process.pid, alarm, set);
        }
    }
}
