//! When a schedule's runs are: an expression in its place, between its dates.

use super::{Expression, Zone};

/// Where time ends for a rate: the year behind the last that an expression may name.
const END_MS: i64 = 7_258_118_400_000;

/// All that says when runs are. Times are ms since 1970.
#[derive(Clone, Debug)]
pub struct Timetable {
    /// What names the times.
    pub expression: Expression,
    /// Whose wall clock it is read on.
    pub zone: Zone,
    /// The first run of a rate.
    pub anchor_ms: i64,
    /// No run is before it; nothing to a schedule that runs once.
    pub start_ms: Option<i64>,
    /// No run is behind it; likewise.
    pub end_ms: Option<i64>,
}

impl Timetable {
    /// The first run behind `after_ms`; `None` where there is none any more.
    pub fn next(&self, after_ms: i64) -> Option<i64> {
        if let Expression::At(at) = &self.expression {
            return self.zone.moment(*at).filter(|at_ms| *at_ms > after_ms);
        }
        let after_ms =
            self.start_ms.map_or(after_ms, |start_ms| after_ms.max(start_ms.saturating_sub(1)));
        let next_ms = match &self.expression {
            Expression::At(_) => None,
            Expression::Rate(period_ms) => rate(self.anchor_ms, *period_ms, after_ms),
            Expression::Cron(cron) => {
                let clock = self.zone.wall_clock(after_ms)?;
                let clock = clock.date().at(clock.hour(), clock.minute(), 0, 0);
                let mut found = cron.at_least(clock);
                // Over what the clock never shows, and what it shows for the second time: hours, at most days.
                loop {
                    let at = found?;
                    match self.zone.moment(at).filter(|at_ms| *at_ms > after_ms) {
                        Some(at_ms) => break Some(at_ms),
                        None => found = cron.after(at),
                    }
                }
            }
        };
        next_ms.filter(|next_ms| self.end_ms.is_none_or(|end_ms| *next_ms <= end_ms))
    }
}

/// The first of `anchor`, `anchor + period`, … behind `after`, ms.
fn rate(anchor_ms: i64, period_ms: i64, after_ms: i64) -> Option<i64> {
    if after_ms < anchor_ms {
        return Some(anchor_ms);
    }
    let periods = after_ms.checked_sub(anchor_ms)?.checked_div(period_ms)?.checked_add(1)?;
    let next_ms = periods.checked_mul(period_ms)?.checked_add(anchor_ms)?;
    (next_ms < END_MS).then_some(next_ms)
}
