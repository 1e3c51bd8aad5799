//! All timers of the program, and the alarm that setitimer(2) sets.

use alloc::rc::{Rc, Weak};
use alloc::vec::Vec;
use core::cell::RefCell;

use super::{Clock, Now, Timer};
use crate::errno::{Errno, Result};

/// Most timers at a time: each is looked at before every wait.
pub const TIMERS_MAX: usize = 1024;

/// What has expired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expired {
    /// Some timer: its descriptor may be readable now.
    pub any: bool,
    /// The alarm: SIGALRM is due.
    pub alarm: bool,
}

/// The timers.
pub struct Timers {
    alarm: Timer,
    /// Timers of descriptors; those that are gone stay until the next is made.
    of_files: RefCell<Vec<Weak<Timer>>>,
}

impl Default for Timers {
    fn default() -> Timers {
        Timers { alarm: Timer::new(Clock::Monotonic), of_files: RefCell::default() }
    }
}

impl Timers {
    /// ITIMER_REAL (setitimer(2)).
    pub fn alarm(&self) -> &Timer {
        &self.alarm
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
        let mut any = false;
        self.look(now, |timer, now| any |= timer.expire(now));
        Expired { any, alarm: self.alarm.take_expired() > 0 }
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
        let of_files = self.of_files.borrow();
        if of_files.is_empty() && !self.alarm.is_armed() {
            return;
        }
        let now = now();
        look(&self.alarm, &now);
        of_files.iter().filter_map(Weak::upgrade).for_each(|timer| look(&timer, &now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Setting;

    fn at(ns: u64) -> impl Fn() -> Now {
        move || Now { monotonic_ns: ns, realtime_ns: ns }
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
        assert_eq!(timers.expire(at(30)), Expired { any: true, alarm: false });
        assert_eq!((near.expired(), timers.deadline_ns(at(30))), (1, Some(50)));
        drop(far);
        assert_eq!(timers.deadline_ns(at(30)), None);
    }

    #[test]
    fn the_alarm_rings_once() {
        let timers = Timers::default();
        timers.alarm().set(once(5), false, &at(0)());
        assert_eq!(timers.deadline_ns(at(0)), Some(5));
        assert_eq!(timers.expire(at(4)), Expired { any: false, alarm: false });
        assert_eq!(timers.expire(at(5)), Expired { any: true, alarm: true });
        assert_eq!(timers.expire(at(6)), Expired { any: false, alarm: false });
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
