//! Schedule expressions, from their text to the next time that they name (EventBridge Scheduler user guide, "Schedule
//! types in EventBridge Scheduler"). Pure.
//!
//! ```text
//!   at(2026-03-29T02:30:00)    at.rs ───┐
//!   rate(5 minutes)            rate.rs ─┼─▶ Expression ─▶ Timetable: next after T  (timetable.rs)
//!   cron(0 8 ? * MON-FRI *)    cron.rs ─┘                     │
//!          └─ field.rs, days.rs                             Zone: wall clocks  (zone.rs)
//! ```
//!
//! `at` and `cron` are in the time of a place, `rate` is in time as it passes. No expression names a time behind
//! [`YEAR_MAX`].

mod at;
mod cron;
mod days;
mod field;
mod rate;
#[cfg(test)]
mod tests;
mod timetable;
mod zone;

use std::ops::RangeInclusive;

use jiff::civil::DateTime;
use thiserror::Error;

use cron::Cron;
pub use timetable::Timetable;
pub use zone::Zone;

/// The years that an expression may name.
const YEARS: RangeInclusive<u16> = 1970..=YEAR_MAX;
/// The last of them.
const YEAR_MAX: u16 = 2199;

/// What a schedule's text says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expression {
    /// Once, on the wall clock.
    At(DateTime),
    /// Again and again after so many ms.
    Rate(i64),
    /// Whenever the wall clock shows it.
    Cron(Cron),
}

/// Why a text is no expression.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ExpressionError {
    /// None of the three.
    #[error("it is at(yyyy-mm-ddThh:mm:ss), rate(value unit) or cron(fields)")]
    Form,
    /// `at` has no such moment.
    #[error("at has a date and a time, yyyy-mm-ddThh:mm:ss, from 1970 to {YEAR_MAX}")]
    At,
    /// `rate` has no such period.
    #[error("rate has a whole number, from 1 on, and minutes, hours or days; at most {0} days")]
    Rate(i64),
    /// `cron` has another number of fields.
    #[error("cron has six fields: minutes hours day-of-month month day-of-week year")]
    Fields,
    /// A field can't be read.
    #[error("{value:?} is nothing that {field} may be")]
    Field {
        /// Its name.
        field: &'static str,
        /// What stands there.
        value: String,
    },
    /// Neither of the days' fields, or both, say which days.
    #[error("exactly one of day-of-month and day-of-week is ?")]
    Days,
}

impl Expression {
    /// Reads any of the three.
    ///
    /// # Errors
    /// [`ExpressionError`].
    pub fn parse(text: &str) -> Result<Expression, ExpressionError> {
        let inner = |name: &str| {
            let rest = text.strip_prefix(name)?.strip_prefix('(')?;
            rest.strip_suffix(')')
        };
        if let Some(moment) = inner("at") {
            at::parse(moment).map(Expression::At)
        } else if let Some(period) = inner("rate") {
            rate::parse(period).map(Expression::Rate)
        } else if let Some(fields) = inner("cron") {
            Cron::parse(fields).map(Expression::Cron)
        } else {
            Err(ExpressionError::Form)
        }
    }

    /// Whether it names one time alone.
    pub fn is_once(&self) -> bool {
        matches!(self, Expression::At(_))
    }
}
