//! `cron(minutes hours day-of-month month day-of-week year)`: whenever the wall clock shows it.

use jiff::civil::{Date, DateTime};

use super::days::Days;
use super::field::{Field, HOURS, MINUTES, MONTH, YEAR};
use super::{ExpressionError, YEARS};

/// The minutes that the wall clock is to show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cron {
    minutes: Field,
    hours: Field,
    days: Days,
    months: Field,
    years: Field,
}

impl Cron {
    /// Reads the six fields, with white space between them.
    ///
    /// # Errors
    /// [`ExpressionError`], about the first thing that is wrong.
    pub(super) fn parse(text: &str) -> Result<Cron, ExpressionError> {
        let fields: Vec<&str> = text.split_ascii_whitespace().collect();
        let [minutes, hours, of_month, months, of_week, years] = fields[..] else {
            return Err(ExpressionError::Fields);
        };
        Ok(Cron {
            minutes: Field::parse(&MINUTES, minutes)?,
            hours: Field::parse(&HOURS, hours)?,
            days: Days::parse(of_month, of_week)?,
            months: Field::parse(&MONTH, months)?,
            years: Field::parse(&YEAR, years)?,
        })
    }

    /// The first minute that it names and that is not before `from`; `None` where there is none any more.
    pub(super) fn at_least(&self, from: DateTime) -> Option<DateTime> {
        let from = match from.second() == 0 && from.subsec_nanosecond() == 0 {
            true => from,
            false => minute_after(from)?,
        };
        let day = self.day_at_least(from.date())?;
        if day == from.date()
            && let Some(found) = self.minute_at_least(from)
        {
            return Some(found);
        }
        let day = if day == from.date() { self.day_at_least(day.tomorrow().ok()?)? } else { day };
        self.minute_at_least(day.at(0, 0, 0, 0))
    }

    /// The first one behind `at`.
    pub(super) fn after(&self, at: DateTime) -> Option<DateTime> {
        self.at_least(minute_after(at)?)
    }

    fn day_at_least(&self, from: Date) -> Option<Date> {
        let mut from = from.max(Date::new(year(*YEARS.start())?, 1, 1).ok()?);
        // Each turn is in a later month, and there is a last year.
        loop {
            let wanted = year(self.years.at_least(from.year().unsigned_abs())?)?;
            if wanted > from.year() {
                from = Date::new(wanted, 1, 1).ok()?;
            }
            let month = from.month();
            match self.months.at_least(u16::from(month.unsigned_abs())) {
                Some(wanted) if wanted == u16::from(month.unsigned_abs()) => {
                    if let Some(day) = self.days.at_least(from) {
                        return Some(day);
                    }
                    from = from.last_of_month().tomorrow().ok()?;
                }
                Some(wanted) => {
                    from = Date::new(from.year(), i8::try_from(wanted).ok()?, 1).ok()?
                }
                None => from = from.last_of_year().tomorrow().ok()?,
            }
        }
    }

    /// On the same day.
    fn minute_at_least(&self, from: DateTime) -> Option<DateTime> {
        let number = |clock: i8| u16::from(clock.unsigned_abs());
        let (hour, minute) = (number(from.hour()), number(from.minute()));
        let (hour, minute) =
            match self.minutes.at_least(minute).filter(|_| self.hours.contains(hour)) {
                Some(minute) => (hour, minute),
                None => (self.hours.at_least(hour + 1)?, self.minutes.at_least(0)?),
            };
        Some(from.date().at(i8::try_from(hour).ok()?, i8::try_from(minute).ok()?, 0, 0))
    }
}

fn year(number: u16) -> Option<i16> {
    i16::try_from(number).ok()
}

/// The whole minute behind a time; `None` at the end of the calendar.
fn minute_after(at: DateTime) -> Option<DateTime> {
    let start = at.date().at(at.hour(), at.minute(), 0, 0);
    start.checked_add(jiff::Span::new().minutes(1)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cron(text: &str) -> Cron {
        Cron::parse(text).unwrap()
    }

    /// The first times behind one.
    fn times(text: &str, after: &str, count: usize) -> Vec<String> {
        let cron = cron(text);
        let next = |at: &DateTime| cron.after(*at);
        std::iter::successors(cron.after(after.parse().unwrap()), next)
            .take(count)
            .map(|at| at.to_string())
            .collect()
    }

    #[test]
    fn times_follow_each_other() {
        assert_eq!(
            times("0/20 8-9 ? * MON-FRI *", "2024-09-06T08:30:00", 6),
            [
                "2024-09-06T08:40:00",
                "2024-09-06T09:00:00",
                "2024-09-06T09:20:00",
                "2024-09-06T09:40:00",
                "2024-09-09T08:00:00",
                "2024-09-09T08:20:00"
            ]
        );
        assert_eq!(
            times("59 23 31 * ? *", "2024-12-31T23:58:59", 3),
            ["2024-12-31T23:59:00", "2025-01-31T23:59:00", "2025-03-31T23:59:00"]
        );
        assert_eq!(
            times("0 0 29 2 ? *", "2096-02-29T00:00:00", 2),
            ["2104-02-29T00:00:00", "2108-02-29T00:00:00"],
            "2100 is no leap year"
        );
        assert_eq!(
            times("30 12 LW FEB,MAR ? 2024-2025", "1970-01-01T00:00:00", 9),
            [
                "2024-02-29T12:30:00",
                "2024-03-29T12:30:00",
                "2025-02-28T12:30:00",
                "2025-03-31T12:30:00"
            ]
        );
    }

    #[test]
    fn the_same_minute_is_not_behind_itself() {
        let every = cron("* * * * ? *");
        let at = |text: &str| text.parse::<DateTime>().unwrap();
        assert_eq!(every.at_least(at("2024-01-01T00:00:00")), Some(at("2024-01-01T00:00:00")));
        assert_eq!(every.at_least(at("2024-01-01T00:00:00.001")), Some(at("2024-01-01T00:01:00")));
        assert_eq!(every.after(at("2024-01-01T00:00:00")), Some(at("2024-01-01T00:01:00")));
        assert_eq!(every.after(at("2024-01-01T00:00:59")), Some(at("2024-01-01T00:01:00")));
    }

    #[test]
    fn what_never_comes_has_no_next_time() {
        assert_eq!(times("0 0 30 2 ? *", "2024-01-01T00:00:00", 1), [""; 0]);
        assert_eq!(times("0 0 31 4,6,9,11 ? *", "2024-01-01T00:00:00", 1), [""; 0]);
        assert_eq!(times("0 0 29 2 ? 2100", "1970-01-01T00:00:00", 1), [""; 0]);
        assert_eq!(times("0 0 1 1 ? 2020", "2024-01-01T00:00:00", 1), [""; 0]);
        assert_eq!(times("59 23 31 12 ? 2199", "2199-12-31T23:58:00", 2).len(), 1);
        assert_eq!(times("* * * * ? *", "2199-12-31T23:59:00", 1), [""; 0]);
        assert_eq!(times("* * * * ? *", "9999-12-31T23:59:59", 1), [""; 0]);
        assert_eq!(times("0 0 1 1 ? *", "-009999-01-01T00:00:00", 1), ["1970-01-01T00:00:00"]);
    }

    #[test]
    fn there_are_six_fields() {
        for bad in ["", "*", "* * * * ?", "* * * * ? * *"] {
            assert_eq!(Cron::parse(bad), Err(ExpressionError::Fields), "{bad}");
        }
        assert!(Cron::parse(" 0\t0 * *  ? * ").is_ok());
        let error = Cron::parse("60 0 * * ? *").unwrap_err();
        assert_eq!(error.to_string(), "\"60\" is nothing that minutes may be");
    }
}
