//! Which run is next, and which of those that are due is done.
//!
//! ```text
//!   time named   10:00     11:00     12:00     13:00     14:00
//!   platform     ────────✕                         ┌──────────────
//!   runs         10:00                        13:40: that of 13:00, late        14:00
//! ```
//!
//! Of runs that were missed (the platform was down, the clock jumped) the last one is done, where it is not older than its
//! target's MaximumEventAgeInSeconds; those before it are left out. A clock that is set back makes nothing run twice:
//! the next run is kept, and is always behind the last one.

use sha2::{Digest, Sha256};

use super::expression::Timetable;
use super::schedule::{Run, Schedule};

const MINUTE_MS: i64 = 60_000;

/// A schedule's step: what to do now, and when it is due again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fired {
    /// The run that is due.
    pub(super) run: Run,
    /// Whether it is too late for it.
    pub(super) is_too_old: bool,
    /// The one behind it.
    pub(super) next: Option<Run>,
}

impl Schedule {
    /// The first run behind `after_ms`.
    pub(super) fn run_after(&self, table: &Timetable, after_ms: i64) -> Option<Run> {
        let scheduled_ms = table.next(after_ms)?;
        let window_ms = i64::from(self.window_min.unwrap_or(0)) * MINUTE_MS;
        // A run does not wait behind the next one's time: they stay in their order.
        let room_ms = match window_ms {
            0 => return Some(Run { scheduled_ms, due_ms: scheduled_ms }),
            _ => table.next(scheduled_ms).map_or(window_ms, |ms| window_ms.min(ms - scheduled_ms)),
        };
        let delay_ms = i64::try_from(self.number("window", scheduled_ms) % room_ms.max(1) as u64);
        Some(Run { scheduled_ms, due_ms: scheduled_ms.saturating_add(delay_ms.unwrap_or(0)) })
    }

    /// What is to be done at `now_ms`; `None` where nothing is due.
    pub(super) fn fire(&self, now_ms: i64) -> Option<Fired> {
        let first = self.next.filter(|run| self.is_enabled && run.due_ms <= now_ms)?;
        let Some(table) = self.timetable() else {
            return Some(Fired { run: first, is_too_old: true, next: None });
        };
        let age_max_ms = i64::from(self.target.age_max_s) * 1000;
        let window_ms = i64::from(self.window_min.unwrap_or(0)) * MINUTE_MS;
        // What is older would be left out in any case: from here on there are two days of minutes at most.
        let oldest_ms = now_ms.saturating_sub(age_max_ms).saturating_sub(window_ms);
        let (mut due, mut next) = (first, Some(first));
        if first.scheduled_ms < oldest_ms {
            next = self.run_after(&table, oldest_ms.saturating_sub(1));
        }
        while let Some(run) = next.filter(|run| run.due_ms <= now_ms) {
            due = run;
            next = self.run_after(&table, run.scheduled_ms);
        }
        let is_too_old = due.due_ms < now_ms.saturating_sub(age_max_ms);
        Some(Fired { run: due, is_too_old, next })
    }

    /// Whether it should have gone with its last run: what was asked of it behind that one leaves it none.
    pub(super) fn is_over(&self) -> bool {
        self.is_enabled && self.goes_when_done && self.next.is_none()
    }

    /// The id of a run: 16 hexadecimal digits, always the same for the same run.
    pub(super) fn execution_id(&self, run: Run) -> String {
        format!("{:016x}", self.number("execution", run.scheduled_ms))
    }

    /// A number that looks random, and is always the same for the same run.
    fn number(&self, what: &str, scheduled_ms: i64) -> u64 {
        let digest = Sha256::digest(format!("{what} {} {scheduled_ms}", self.id));
        digest.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::schedules::schedule::Target;

    fn ms(text: &str) -> i64 {
        text.parse::<Timestamp>().unwrap().as_millisecond()
    }

    /// A schedule that is about to run behind this time.
    fn schedule(expression: &str, after: &str) -> Schedule {
        let mut schedule = Schedule {
            id: "id".into(),
            expression: expression.into(),
            zone: "UTC".into(),
            is_enabled: true,
            target: Target { age_max_s: 86_400, ..Target::default() },
            ..Schedule::default()
        };
        schedule.next = schedule.run_after(&schedule.timetable().unwrap(), ms(after));
        schedule
    }

    fn at(text: &str) -> Run {
        Run { scheduled_ms: ms(text), due_ms: ms(text) }
    }

    #[test]
    fn a_run_is_due_at_its_time_and_then_the_next_one_is() {
        let hourly = schedule("cron(0 * * * ? *)", "2026-01-01T09:30:00Z");
        assert_eq!(hourly.fire(ms("2026-01-01T09:59:59.999Z")), None);
        let fired = hourly.fire(ms("2026-01-01T10:00:00Z")).unwrap();
        let next = Some(at("2026-01-01T11:00:00Z"));
        assert_eq!(fired, Fired { run: at("2026-01-01T10:00:00Z"), is_too_old: false, next });
        let disabled = Schedule { is_enabled: false, ..hourly };
        assert_eq!(disabled.fire(ms("2026-01-01T10:00:00Z")), None);
    }

    #[test]
    fn of_missed_runs_the_last_one_is_done() {
        let hourly = schedule("rate(1 hour)", "2026-01-01T09:30:00Z");
        let fired = hourly.fire(ms("2026-01-01T13:40:00Z")).unwrap();
        let next = Some(at("2026-01-01T14:00:00Z"));
        assert_eq!(fired, Fired { run: at("2026-01-01T13:00:00Z"), is_too_old: false, next });
        // Years later, every minute: no burst, and no walk through all of them.
        let often = schedule("cron(* * * * ? *)", "1970-01-01T00:00:00Z");
        let fired = often.fire(ms("2026-01-01T13:40:30Z")).unwrap();
        assert_eq!(fired.run, at("2026-01-01T13:40:00Z"));
        assert_eq!((fired.is_too_old, fired.next), (false, Some(at("2026-01-01T13:41:00Z"))));
    }

    #[test]
    fn what_is_older_than_it_may_be_is_not_run() {
        let mut once = schedule("at(2026-01-01T12:00:00)", "2025-01-01T00:00:00Z");
        let fired = |schedule: &Schedule, now: &str| schedule.fire(ms(now)).unwrap();
        let run = at("2026-01-01T12:00:00Z");
        for (now, is_too_old) in
            [("2026-01-02T12:00:00Z", false), ("2026-01-02T12:00:00.001Z", true)]
        {
            assert_eq!(fired(&once, now), Fired { run, is_too_old, next: None }, "{now}");
        }
        once.target.age_max_s = 60;
        assert!(fired(&once, "2026-01-01T12:01:00.001Z").is_too_old);
        assert!(!fired(&once, "2026-01-01T12:01:00Z").is_too_old);
        // All that were missed are too old: the first of them says so.
        let mut daily = schedule("cron(0 0 * * ? *)", "2025-12-31T12:00:00Z");
        daily.target.age_max_s = 3600;
        let late = fired(&daily, "2026-02-01T12:00:00Z");
        let next = Some(at("2026-02-02T00:00:00Z"));
        assert_eq!(late, Fired { run: at("2026-01-01T00:00:00Z"), is_too_old: true, next });
    }

    #[test]
    fn the_last_run_has_none_behind_it() {
        let bounded = Schedule {
            end_ms: Some(ms("2026-01-01T11:00:00Z")),
            ..schedule("cron(0 * * * ? *)", "2026-01-01T10:30:00Z")
        };
        assert_eq!(bounded.fire(ms("2026-01-01T11:00:00Z")).unwrap().next, None);
    }

    #[test]
    fn a_flexible_run_is_within_its_window_always_at_the_same_place() {
        let flexible = |id: &str, window_min| {
            let daily = schedule("cron(0 0 * * ? *)", "2026-01-01T00:00:00Z");
            Schedule { id: id.into(), window_min: Some(window_min), ..daily }
        };
        let delays = |schedule: &Schedule| -> Vec<i64> {
            let table = schedule.timetable().unwrap();
            let first = schedule.run_after(&table, ms("2026-01-01T00:00:00Z"));
            std::iter::successors(first, |run| schedule.run_after(&table, run.scheduled_ms))
                .map(|run| run.due_ms - run.scheduled_ms)
                .take(100)
                .collect()
        };
        let found = delays(&flexible("a", 15));
        assert!(found.iter().all(|delay| (0..15 * MINUTE_MS).contains(delay)), "{found:?}");
        assert!(found.iter().max() > found.iter().min());
        assert_eq!(found, delays(&flexible("a", 15)));
        assert_ne!(found, delays(&flexible("b", 15)));
        // A window that is longer than the pause keeps the runs in their order.
        let hourly =
            Schedule { window_min: Some(1440), ..schedule("rate(1 hour)", "2026-01-01T00:00:00Z") };
        assert!(delays(&hourly).iter().all(|delay| (0..60 * MINUTE_MS).contains(delay)));
        let run = hourly.next.unwrap();
        assert_eq!(hourly.fire(run.due_ms - 1), None);
        let now_ms = ms("2026-01-01T03:00:00Z") + 1;
        let fired = Schedule { next: Some(run), ..hourly.clone() }.fire(now_ms).unwrap();
        assert!(fired.run.due_ms <= now_ms && fired.next.unwrap().due_ms > now_ms);
    }

    #[test]
    fn a_runs_id_is_its_own() {
        let hourly = schedule("rate(1 hour)", "2026-01-01T00:00:00Z");
        let run = hourly.next.unwrap();
        let id = hourly.execution_id(run);
        assert!(id.len() == 16 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
        assert_eq!(id, hourly.execution_id(run));
        assert_ne!(id, hourly.execution_id(at("2026-01-01T00:00:00Z")));
        assert_ne!(id, Schedule { id: "other".into(), ..hourly.clone() }.execution_id(run));
    }
}
