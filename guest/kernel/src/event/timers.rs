//! All timers: each process's alarms, which setitimer(2) and RLIMIT_CPU set, those of timer_create(2), and those of
//! descriptors, which may outlive the process that made them.

use alloc::collections::BTreeMap;
use alloc::rc::{Rc, Weak};
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};

use super::{Clock, Now, Subject, Timer};
use crate::errno::{Errno, Result};
use crate::family::Pid;

/// Most timers at a time: each is looked at before every wait.
pub const TIMERS_MAX: usize = 1024;

/// What has expired.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expired {
    /// Some timer: its descriptor may be readable now.
    pub any: bool,
    /// Alarms of these processes.
    pub alarms: Vec<(Pid, Alarm)>,
    /// Timers of timer_create(2): their signals are due.
    pub due: Vec<Due>,
}

/// What a process's own timers are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Alarm {
    /// ITIMER_REAL: SIGALRM.
    Real,
    /// ITIMER_VIRTUAL: SIGVTALRM. The time in the kernel counts as the program's.
    Virtual,
    /// ITIMER_PROF: SIGPROF.
    Profile,
    /// The soft RLIMIT_CPU, and every second after it: SIGXCPU.
    SoftLimit,
    /// The hard one: SIGKILL.
    HardLimit,
}

impl Alarm {
    fn clock(self, pid: Pid) -> Clock {
        match self {
            Alarm::Real => Clock::Monotonic,
            _ => Clock::Processor(Subject::Process(pid)),
        }
    }
}

/// A signal that a timer sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// The process whose timer it is.
    pub pid: Pid,
    /// The timer's number.
    pub id: u32,
    /// What to send.
    pub notice: Notice,
    /// How often it has expired besides (timer_getoverrun(2)).
    pub overrun: u32,
}

/// Whom a timer tells, and how (struct sigevent).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The signal.
    pub signal: u8,
    /// The thread that it goes to; `None`: any of the process's.
    pub tid: Option<u32>,
    /// sigev_value.
    pub value: u64,
}

/// A timer of timer_create(2).
struct Notifier {
    timer: Timer,
    notice: Option<Notice>,
    overrun: Cell<u32>,
}

/// The timers.
#[derive(Default)]
pub struct Timers {
    /// Alarms that have ever been set.
    alarms: RefCell<BTreeMap<(Pid, Alarm), Timer>>,
    /// Timers of descriptors; those that are gone stay until the next is made.
    of_files: RefCell<Vec<Weak<Timer>>>,
    /// Timers of timer_create(2), by their processes and numbers.
    notifiers: RefCell<BTreeMap<(Pid, u32), Notifier>>,
}

impl Timers {
    /// Gives `work` an alarm of a process.
    pub fn with_alarm<R>(&self, pid: Pid, alarm: Alarm, work: impl FnOnce(&Timer) -> R) -> R {
        let mut alarms = self.alarms.borrow_mut();
        work(alarms.entry((pid, alarm)).or_insert_with(|| Timer::new(alarm.clock(pid))))
    }

    /// Disarms an alarm of a process.
    pub fn forget_alarm(&self, pid: Pid, alarm: Alarm) {
        self.alarms.borrow_mut().remove(&(pid, alarm));
    }

    /// A new timer. ENFILE beyond [`TIMERS_MAX`].
    pub fn add(&self, clock: Clock) -> Result<Rc<Timer>> {
        let mut timers = self.of_files.borrow_mut();
        timers.retain(|timer| timer.strong_count() > 0);
        if timers.len() >= TIMERS_MAX {
            return Err(Errno::NFILE);
        }
        let timer = Rc::new(Timer::new(clock));
        timers.push(Rc::downgrade(&timer));
        Ok(timer)
    }

    /// Counts what has expired by now, asking for the time only where a timer may be armed.
    pub fn expire(&self, now: impl Fn() -> Now) -> Expired {
        let mut expired = Expired::default();
        self.look(now, |timer, now| expired.any |= timer.expire(now));
        if expired.any {
            let alarms = self.alarms.borrow();
            let rang = alarms.iter().filter(|(_, alarm)| alarm.take_expired() > 0);
            expired.alarms = rang.map(|(of, _)| *of).collect();
            for ((pid, id), notifier) in &*self.notifiers.borrow() {
                expired.due.extend(notifier.due(*pid, *id));
            }
        }
        expired
    }

    /// timer_create(2): a timer, and its number, which decides how it tells of its expiry, if at all. EAGAIN beyond
    /// [`TIMERS_MAX`].
    pub fn create(
        &self,
        pid: Pid,
        clock: Clock,
        notice: impl FnOnce(u32) -> Option<Notice>,
    ) -> Result<u32> {
        let mut notifiers = self.notifiers.borrow_mut();
        if notifiers.len() >= TIMERS_MAX {
            return Err(Errno::AGAIN);
        }
        let id = (0..).find(|id| !notifiers.contains_key(&(pid, *id))).ok_or(Errno::AGAIN)?;
        let (timer, notice) = (Timer::new(clock), notice(id));
        notifiers.insert((pid, id), Notifier { timer, notice, overrun: Cell::new(0) });
        Ok(id)
    }

    /// Gives `work` a process's timer of timer_create(2), and how often it had expired besides when it told last. EINVAL
    /// where there is none.
    pub fn with<R>(&self, pid: Pid, id: u32, work: impl FnOnce(&Timer, u32) -> R) -> Result<R> {
        let notifiers = self.notifiers.borrow();
        let notifier = notifiers.get(&(pid, id)).ok_or(Errno::INVAL)?;
        Ok(work(&notifier.timer, notifier.overrun.get()))
    }

    /// timer_delete(2). EINVAL where there is none.
    pub fn delete(&self, pid: Pid, id: u32) -> Result<()> {
        self.notifiers.borrow_mut().remove(&(pid, id)).map(drop).ok_or(Errno::INVAL)
    }

    /// Forgets a process's timers that do not survive execve(2).
    pub fn reset_for_exec(&self, pid: Pid) {
        self.notifiers.borrow_mut().retain(|(owner, _), _| *owner != pid);
    }

    /// Forgets all timers of a process that has ended.
    pub fn forget(&self, pid: Pid) {
        self.reset_for_exec(pid);
        self.alarms.borrow_mut().retain(|(owner, _), _| *owner != pid);
    }

    /// CLOCK_MONOTONIC at which the next signal is due, ns.
    pub fn signal_deadline_ns(&self, now: impl Fn() -> Now) -> Option<u64> {
        let (alarms, notifiers) = (self.alarms.borrow(), self.notifiers.borrow());
        if notifiers.is_empty() && !alarms.values().any(Timer::is_armed) {
            return None;
        }
        let now = now();
        let timers = notifiers.values().map(|notifier| &notifier.timer).chain(alarms.values());
        timers.filter_map(|timer| timer.deadline_ns(&now)).min()
    }

    /// CLOCK_MONOTONIC at which the next timer expires, ns.
    pub fn deadline_ns(&self, now: impl Fn() -> Now) -> Option<u64> {
        let mut first = None::<u64>;
        self.look(now, |timer, now| {
            if let Some(deadline) = timer.deadline_ns(now) {
                first = Some(first.map_or(deadline, |first| first.min(deadline)));
            }
        });
        first
    }

    fn look(&self, now: impl Fn() -> Now, mut look: impl FnMut(&Timer, &Now)) {
        let (of_files, notifiers) = (self.of_files.borrow(), self.notifiers.borrow());
        let alarms = self.alarms.borrow();
        let rests = || !alarms.values().any(Timer::is_armed);
        if of_files.is_empty() && notifiers.is_empty() && rests() {
            return;
        }
        let now = now();
        alarms.values().for_each(|alarm| look(alarm, &now));
        notifiers.values().for_each(|notifier| look(&notifier.timer, &now));
        of_files.iter().filter_map(Weak::upgrade).for_each(|timer| look(&timer, &now));
    }
}

impl Notifier {
    /// The signal that is due, if it has expired.
    fn due(&self, pid: Pid, id: u32) -> Option<Due> {
        let more = self.timer.take_expired().checked_sub(1)?;
        let overrun = u32::try_from(more).unwrap_or(i32::MAX as u32).min(i32::MAX as u32);
        self.overrun.set(overrun);
        self.notice.map(|notice| Due { pid, id, notice, overrun })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Setting;

    fn at(ns: u64) -> impl Fn() -> Now {
        move || Now { monotonic_ns: ns, realtime_ns: ns, running: [None; 2] }
    }

    fn once(value_ns: u64) -> Setting {
        Setting { value_ns, interval_ns: 0 }
    }

    #[test]
    fn the_nearest_deadline_counts_until_it_was_seen_to_expire() {
        let timers = Timers::default();
        assert_eq!(timers.deadline_ns(|| panic!("no timer, no clock")), None);
        let far = timers.add(Clock::Monotonic).unwrap();
        let near = timers.add(Clock::Realtime).unwrap();
        far.set(once(50), false, &at(0)());
        near.set(once(20), false, &at(0)());
        assert_eq!(timers.deadline_ns(at(1)), Some(20));
        assert_eq!(timers.deadline_ns(at(30)), Some(30), "late, and still owed");
        assert_eq!(timers.expire(at(30)), Expired { any: true, ..Expired::default() });
        assert_eq!((near.expired(), timers.deadline_ns(at(30))), (1, Some(50)));
        drop(far);
        assert_eq!(timers.deadline_ns(at(30)), None);
    }

    #[test]
    fn the_alarm_rings_once() {
        let timers = Timers::default();
        timers.with_alarm(7, Alarm::Real, |alarm| alarm.set(once(5), false, &at(0)()));
        assert_eq!(timers.deadline_ns(at(0)), Some(5));
        assert_eq!(timers.expire(at(4)), Expired::default());
        assert_eq!(
            timers.expire(at(5)),
            Expired { any: true, alarms: [(7, Alarm::Real)].into(), due: Vec::new() }
        );
        assert_eq!(timers.expire(at(6)), Expired::default());
    }

    #[test]
    fn an_alarm_of_processor_time_waits_for_its_process() {
        let timers = Timers::default();
        let ran = |pid, ran_ns| {
            move || Now { running: [Some((Subject::Process(pid), ran_ns)), None], ..at(99)() }
        };
        timers.with_alarm(7, Alarm::Profile, |alarm| alarm.set(once(5), false, &ran(7, 10)()));
        assert_eq!((timers.deadline_ns(at(50)), timers.deadline_ns(ran(7, 12))), (None, Some(102)));
        assert_eq!(timers.expire(ran(8, 50)), Expired::default());
        assert_eq!(timers.expire(ran(7, 15)).alarms, [(7, Alarm::Profile)]);
        timers.with_alarm(7, Alarm::SoftLimit, |alarm| alarm.set(once(20), true, &at(0)()));
        timers.forget(7);
        assert_eq!(timers.expire(ran(7, 30)), Expired::default());
    }

    #[test]
    fn a_notifier_tells_once_and_counts_what_it_missed() {
        let timers = Timers::default();
        let notice = Notice { signal: 40, tid: Some(7), value: 9 };
        let quiet = timers.create(2, Clock::Monotonic, |_| None).unwrap();
        let id = timers.create(2, Clock::Monotonic, |_| Some(notice)).unwrap();
        let every_ten = Setting { value_ns: 10, interval_ns: 10 };
        for id in [quiet, id] {
            timers.with(2, id, |timer, _| timer.set(every_ten, false, &at(0)())).unwrap();
        }
        assert_eq!(
            (timers.signal_deadline_ns(at(1)), timers.deadline_ns(at(1))),
            (Some(10), Some(10))
        );
        assert_eq!(timers.expire(at(35)).due, [Due { pid: 2, id, notice, overrun: 2 }]);
        assert_eq!(timers.expire(at(36)).due, []);
        assert_eq!(timers.with(2, id, |_, overrun| overrun), Ok(2));
        timers.delete(2, id).unwrap();
        assert_eq!(timers.delete(2, id), Err(Errno::INVAL));
        timers.reset_for_exec(3);
        assert!(timers.signal_deadline_ns(at(50)).is_some(), "another's timers stay");
        timers.forget(2);
        assert_eq!(timers.signal_deadline_ns(at(50)), None);
    }

    #[test]
    fn timers_are_bounded_by_those_that_live() {
        let timers = Timers::default();
        let held: Vec<_> = (0..TIMERS_MAX).map(|_| timers.add(Clock::Monotonic).unwrap()).collect();
        assert_eq!(timers.add(Clock::Monotonic).err(), Some(Errno::NFILE));
        drop(held);
        assert!(timers.add(Clock::Monotonic).is_ok());
    }
}
