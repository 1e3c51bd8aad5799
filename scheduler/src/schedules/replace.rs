//! A schedule that comes new, or in the place of one that there was.

use super::expression::Expression;
use super::schedule::{Run, Schedule};

/// What a StartDate that was now when the request was made may be in the past (ms).
pub(crate) const START_PAST_MAX_MS: i64 = 300_000;

impl Schedule {
    /// This schedule with its times, in the place of `before`, if that is given; `None` where it would never run.
    ///
    /// Where expression, zone and StartDate are the same, what has been run stays run and what is due stays due. Else it
    /// begins anew: a rate at once, or at its StartDate.
    pub(crate) fn in_place_of(
        mut self,
        before: Option<&Schedule>,
        now_ms: i64,
    ) -> Option<Schedule> {
        self.modified_ms = now_ms;
        self.created_ms = before.map_or(now_ms, |before| before.created_ms);
        let same = before.filter(|before| before.times() == self.times());
        self.last_ms = same.and_then(|before| before.last_ms);
        self.anchor_ms = same.map_or(self.start_ms.unwrap_or(now_ms), |before| before.anchor_ms);
        self.next = self.first(same, now_ms);
        if self.next.is_none() && same.is_none() {
            return None;
        }
        self.next = self.next.filter(|_| self.is_enabled);
        Some(self)
    }

    /// What says when it runs.
    fn times(&self) -> (&str, &str, Option<i64>) {
        (&self.expression, &self.zone, self.start_ms)
    }

    fn first(&self, same: Option<&Schedule>, now_ms: i64) -> Option<Run> {
        let table = self.timetable()?;
        let from_ms = match same {
            Some(Schedule { is_enabled: true, next: Some(run), .. }) => run.scheduled_ms,
            Some(before) => now_ms.max(before.last_ms.map_or(i64::MIN, |ms| ms.saturating_add(1))),
            None => match (&table.expression, self.start_ms) {
                // A rate begins at its StartDate, also where that was now when the request was made.
                (Expression::Rate(_), Some(start_ms)) if now_ms - start_ms <= START_PAST_MAX_MS => {
                    start_ms
                }
                _ => now_ms,
            },
        };
        self.run_after(&table, from_ms.saturating_sub(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE_MS: i64 = 60_000;
    /// 2026-01-01T00:00:00Z
    const NOW_MS: i64 = 1_767_225_600_000;

    fn schedule(expression: &str) -> Schedule {
        Schedule {
            expression: expression.into(),
            zone: "UTC".into(),
            is_enabled: true,
            ..Schedule::default()
        }
    }

    fn next_ms(schedule: &Schedule) -> Option<i64> {
        schedule.next.map(|run| run.scheduled_ms)
    }

    #[test]
    fn a_rate_begins_at_once_or_at_its_start() {
        let rate = schedule("rate(5 minutes)").in_place_of(None, NOW_MS).unwrap();
        assert_eq!((next_ms(&rate), rate.anchor_ms), (Some(NOW_MS), NOW_MS));
        assert_eq!((rate.created_ms, rate.modified_ms), (NOW_MS, NOW_MS));
        for start_ms in [NOW_MS - MINUTE_MS, NOW_MS + 1] {
            let dated = Schedule { start_ms: Some(start_ms), ..schedule("rate(5 minutes)") };
            assert_eq!(next_ms(&dated.in_place_of(None, NOW_MS).unwrap()), Some(start_ms));
        }
    }

    #[test]
    fn nothing_runs_for_a_time_before_it_was_asked_for() {
        let dated =
            |expression, start_ms| Schedule { start_ms: Some(start_ms), ..schedule(expression) };
        // Every half hour, asked for at two minutes past.
        let (now_ms, start_ms) = (NOW_MS + 2 * MINUTE_MS, NOW_MS - 3 * MINUTE_MS);
        let cron = dated("cron(0/30 * * * ? *)", start_ms).in_place_of(None, now_ms).unwrap();
        assert_eq!(next_ms(&cron), Some(NOW_MS + 30 * MINUTE_MS));
        // Another expression on the dates that a schedule has had for long.
        let start_ms = NOW_MS - 7 * 24 * 60 * MINUTE_MS;
        let before = dated("cron(0 12 * * ? *)", start_ms).in_place_of(None, start_ms).unwrap();
        for (expression, minute) in [("cron(0/30 * * * ? *)", 30), ("rate(20 minutes)", 20)] {
            let after = dated(expression, start_ms).in_place_of(Some(&before), now_ms).unwrap();
            assert_eq!(next_ms(&after), Some(NOW_MS + minute * MINUTE_MS), "{expression}");
        }
    }

    #[test]
    fn what_would_never_run_is_none() {
        for never in ["at(2025-12-31T23:59:59)", "cron(0 0 30 2 ? *)", "cron(0 0 1 1 ? 2025)"] {
            assert_eq!(schedule(never).in_place_of(None, NOW_MS), None, "{never}");
        }
        let ended = Schedule { end_ms: Some(NOW_MS - 1), ..schedule("rate(1 minute)") };
        assert_eq!(ended.in_place_of(None, NOW_MS), None);
        let disabled = Schedule { is_enabled: false, ..schedule("at(2025-12-31T23:59:59)") };
        assert_eq!(disabled.in_place_of(None, NOW_MS), None);
        assert!(schedule("at(2026-01-01T00:00:00)").in_place_of(None, NOW_MS).is_some());
    }

    #[test]
    fn the_same_times_run_on_as_they_did() {
        let mut before = schedule("rate(5 minutes)").in_place_of(None, NOW_MS).unwrap();
        before.last_ms = Some(NOW_MS);
        before.next =
            Some(Run { scheduled_ms: NOW_MS + 5 * MINUTE_MS, due_ms: NOW_MS + 5 * MINUTE_MS });
        let after = |change: Schedule, now_ms| change.in_place_of(Some(&before), now_ms).unwrap();
        let later_ms = NOW_MS + 7 * MINUTE_MS;
        let described = Schedule { description: Some("d".into()), ..schedule("rate(5 minutes)") };
        let described = after(described, later_ms);
        assert_eq!(next_ms(&described), next_ms(&before), "what is due stays due");
        assert_eq!((described.created_ms, described.modified_ms), (NOW_MS, later_ms));
        // Another rate is another.
        assert_eq!(next_ms(&after(schedule("rate(6 minutes)"), later_ms)), Some(later_ms));
        // On a clock that was set back nothing runs again.
        let back = Schedule { next: None, is_enabled: false, ..before.clone() };
        let enabled = schedule("rate(5 minutes)").in_place_of(Some(&back), NOW_MS - MINUTE_MS);
        assert_eq!(next_ms(&enabled.unwrap()), Some(NOW_MS + 5 * MINUTE_MS));
    }

    #[test]
    fn one_that_is_disabled_misses_nothing_and_one_that_is_done_stays_done() {
        let rate = schedule("rate(5 minutes)").in_place_of(None, NOW_MS).unwrap();
        let disabled = Schedule { is_enabled: false, ..schedule("rate(5 minutes)") };
        let disabled = disabled.in_place_of(Some(&rate), NOW_MS).unwrap();
        assert_eq!(disabled.next, None);
        let again =
            schedule("rate(5 minutes)").in_place_of(Some(&disabled), NOW_MS + 12 * MINUTE_MS);
        assert_eq!(next_ms(&again.unwrap()), Some(NOW_MS + 15 * MINUTE_MS));

        let once = schedule("at(2026-01-01T00:00:00)");
        let done = Schedule { last_ms: Some(NOW_MS), ..once.clone() };
        let still = once.clone().in_place_of(Some(&done), NOW_MS + 1).unwrap();
        assert_eq!(still.next, None);
        assert_eq!(once.in_place_of(Some(&still), NOW_MS - MINUTE_MS).unwrap().next, None);
        // A later end has room for more.
        let ended = Schedule { end_ms: Some(NOW_MS), last_ms: Some(NOW_MS), next: None, ..rate };
        let longer =
            Schedule { end_ms: Some(NOW_MS + 60 * MINUTE_MS), ..schedule("rate(5 minutes)") };
        let longer = longer.in_place_of(Some(&ended), NOW_MS + 6 * MINUTE_MS).unwrap();
        assert_eq!(next_ms(&longer), Some(NOW_MS + 10 * MINUTE_MS));
    }
}
