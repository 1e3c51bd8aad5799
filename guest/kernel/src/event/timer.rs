//! A timer: when it expires next, and how often it has (timerfd_create(2), setitimer(2)).
//!
//! ```text
//!          ┌───────── interval ──────────┬───────── interval ──────────┐
//!   ───────●─────────────────────────────●─────────────────────────────●────▶ its clock's time
//!        next                          expired counts those that have passed
//! ```
//!
//! Nothing ticks here: [`Timer::expire`] is told the time. A timer keeps its next expiry in its own
//! clock's time, so that a realtime clock which is set takes its timers along.

use core::cell::Cell;

use crate::agenda::Tid;
use crate::family::Pid;

/// The clocks that a timer can run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// CLOCK_MONOTONIC, and CLOCK_BOOTTIME, which here is the same.
    Monotonic,
    /// CLOCK_REALTIME.
    Realtime,
    /// The time that somebody has run, while others do not: it stands still.
    Processor(Subject),
}

/// Whose processor time it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// All threads of a process.
    Process(Pid),
    /// One thread.
    Thread(Tid),
}

/// One moment, by all clocks, ns.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// CLOCK_MONOTONIC.
    pub monotonic_ns: u64,
    /// CLOCK_REALTIME.
    pub realtime_ns: u64,
    /// How long who runs has run: a process, and its thread. The processor time of all others stands still.
    pub running: [Option<(Subject, u64)>; 2],
}

impl Now {
    /// The time on a clock; `None` where that stands still.
    fn on(&self, clock: Clock) -> Option<u64> {
        match clock {
            Clock::Monotonic => Some(self.monotonic_ns),
            Clock::Realtime => Some(self.realtime_ns),
            Clock::Processor(subject) => {
                let running = self.running.iter().flatten().find(|(of, _)| *of == subject);
                running.map(|(_, ran_ns)| *ran_ns)
            }
        }
    }
}

/// What a timer is set to (struct itimerspec), ns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Setting {
    /// Until it expires, or the moment at which it does; 0: it is disarmed.
    pub value_ns: u64,
    /// From one expiry to the next; 0: there is just one.
    pub interval_ns: u64,
}

/// A timer.
pub struct Timer {
    clock: Clock,
    /// The moment of the next expiry on its clock.
    next_ns: Cell<Option<u64>>,
    interval_ns: Cell<u64>,
    expired: Cell<u64>,
    ever_expired: Cell<u64>,
}

impl Timer {
    /// A timer that is disarmed.
    pub fn new(clock: Clock) -> Timer {
        Timer {
            clock,
            next_ns: Cell::new(None),
            interval_ns: Cell::new(0),
            expired: Cell::new(0),
            ever_expired: Cell::new(0),
        }
    }

    /// What it runs on.
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// Sets the timer, and forgets what has expired; what it was set to before. `absolute`: the value is
    /// a moment of the timer's clock, else that must not stand still.
    pub fn set(&self, to: Setting, absolute: bool, now: &Now) -> Setting {
        let before = self.get(now);
        let base = if absolute { 0 } else { now.on(self.clock).unwrap_or(0) };
        self.next_ns.set((to.value_ns > 0).then(|| base.saturating_add(to.value_ns)));
        self.interval_ns.set(to.interval_ns);
        self.expired.set(0);
        before
    }

    /// How long until it expires, and its interval.
    pub fn get(&self, now: &Now) -> Setting {
        // A timer that is armed is never said to have no time left: that would mean disarmed.
        let left = |next: u64| next.saturating_sub(now.on(self.clock).unwrap_or(0)).max(1);
        let value_ns = self.next_ns.get().map_or(0, left);
        Setting { value_ns, interval_ns: self.interval_ns.get() }
    }

    /// Counts what has expired by now; whether there was something.
    pub fn expire(&self, now: &Now) -> bool {
        let Some(now_ns) = now.on(self.clock) else { return false };
        let Some(next) = self.next_ns.get().filter(|next| *next <= now_ns) else { return false };
        let interval = self.interval_ns.get();
        let times = (now_ns - next).checked_div(interval).map_or(1, |more| more + 1);
        let after = next.checked_add(interval.saturating_mul(times)).filter(|_| interval > 0);
        self.next_ns.set(after);
        self.expired.update(|expired| expired.saturating_add(times));
        self.ever_expired.update(|ever| ever.wrapping_add(times));
        true
    }

    /// Whether it is to expire.
    pub fn is_armed(&self) -> bool {
        self.next_ns.get().is_some()
    }

    /// CLOCK_MONOTONIC of the next expiry, ns; `None` where it is disarmed, or its clock stands still.
    pub fn deadline_ns(&self, now: &Now) -> Option<u64> {
        let left = self.next_ns.get()?.saturating_sub(now.on(self.clock)?);
        Some(now.monotonic_ns.saturating_add(left))
    }

    /// How often it has expired since that was asked last, or it was set.
    pub fn take_expired(&self) -> u64 {
        self.expired.take()
    }

    /// How often [`Self::take_expired`] would say.
    pub fn expired(&self) -> u64 {
        self.expired.get()
    }

    /// How often it has expired since it was made.
    pub fn ever_expired(&self) -> u64 {
        self.ever_expired.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ns: u64) -> Now {
        Now { monotonic_ns: ns, realtime_ns: ns.saturating_add(1_000_000), running: [None; 2] }
    }

    #[test]
    fn one_shot_expires_once() {
        let timer = Timer::new(Clock::Monotonic);
        let once = Setting { value_ns: 10, interval_ns: 0 };
        assert_eq!(timer.set(once, false, &at(5)), Setting::default());
        timer.expire(&at(14));
        assert_eq!((timer.expired(), timer.deadline_ns(&at(14))), (0, Some(15)));
        timer.expire(&at(100));
        assert_eq!((timer.take_expired(), timer.take_expired()), (1, 0));
        assert_eq!((timer.deadline_ns(&at(100)), timer.get(&at(100))), (None, Setting::default()));
    }

    #[test]
    fn intervals_that_were_slept_through_are_counted() {
        let timer = Timer::new(Clock::Monotonic);
        timer.set(Setting { value_ns: 10, interval_ns: 7 }, true, &at(0));
        timer.expire(&at(10 + 7 * 3 + 2));
        assert_eq!(timer.take_expired(), 4);
        assert_eq!(timer.deadline_ns(&at(33)), Some(10 + 7 * 4));
        assert_eq!(timer.get(&at(33)), Setting { value_ns: 5, interval_ns: 7 });
    }

    #[test]
    fn a_realtime_moment_follows_its_clock() {
        let timer = Timer::new(Clock::Realtime);
        timer.set(Setting { value_ns: 1_000_050, interval_ns: 0 }, true, &at(0));
        assert_eq!(timer.deadline_ns(&at(20)), Some(50));
        let after_a_step = Now { realtime_ns: 1_000_060, ..at(21) };
        assert_eq!(timer.deadline_ns(&after_a_step), Some(21));
        timer.expire(&after_a_step);
        assert_eq!(timer.expired(), 1);
    }

    #[test]
    fn processor_time_passes_for_who_runs() {
        let of =
            |tid, ran_ns| Now { running: [None, Some((Subject::Thread(tid), ran_ns))], ..at(100) };
        let timer = Timer::new(Clock::Processor(Subject::Thread(7)));
        timer.set(Setting { value_ns: 5, interval_ns: 0 }, false, &of(7, 20));
        for now in [at(1000), of(8, 1000)] {
            assert!(!timer.expire(&now));
            assert_eq!(timer.deadline_ns(&now), None, "no sleep ends for it");
        }
        assert_eq!((timer.deadline_ns(&of(7, 22)), timer.get(&of(7, 22)).value_ns), (Some(103), 3));
        assert!(timer.expire(&of(7, 25)) && !timer.is_armed());
    }

    #[test]
    fn extremes_neither_overflow_nor_repeat() {
        let timer = Timer::new(Clock::Monotonic);
        timer.set(Setting { value_ns: u64::MAX, interval_ns: u64::MAX }, false, &at(9));
        assert_eq!(timer.deadline_ns(&at(9)), Some(u64::MAX));
        timer.expire(&at(u64::MAX));
        assert_eq!((timer.take_expired(), timer.deadline_ns(&at(0))), (1, None));
        timer.set(Setting { value_ns: 1, interval_ns: 1 }, true, &at(0));
        timer.expire(&at(u64::MAX));
        assert_eq!((timer.expired(), timer.deadline_ns(&at(0))), (u64::MAX, None));
    }
}
