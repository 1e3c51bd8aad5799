//! Which days of a month: one of a cron expression's two fields says so, the other one is `?`.
//!
//! | day-of-month | | day-of-week | |
//! | --- | --- | --- | --- |
//! | `1,15`, `*/2` | these days | `MON-FRI` | these days of each week |
//! | `L` | the last day | `L` | Saturday, the week's last day |
//! | `LW` | the last working day | `6L`, `FRIL` | the month's last Friday |
//! | `15W` | the working day nearest to the 15th, in the same month | `6#3`, `FRI#3` | the third Friday |
//!
//! A month that has no such day has none: `31W` is nothing in April, `MON#5` nothing where there are four.

use jiff::civil::{Date, Weekday};

use super::ExpressionError;
use super::field::{DAY_OF_MONTH, DAY_OF_WEEK, Field, Kind};

/// The days of any month.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Days {
    /// These, where the month has them.
    OfMonth(Field),
    Last,
    LastWorking,
    /// The working day nearest to this one.
    Nearest(u16),
    /// These days of each week; 1 is Sunday.
    OfWeek(Field),
    /// The last one of these in the month.
    LastOfWeek(u16),
    /// The nth one of these in the month.
    Nth(u16, u16),
}

impl Days {
    /// Reads both fields.
    ///
    /// # Errors
    /// [`ExpressionError::Days`], [`ExpressionError::Field`].
    pub(super) fn parse(of_month: &str, of_week: &str) -> Result<Days, ExpressionError> {
        match (of_month, of_week) {
            ("?", "?") => Err(ExpressionError::Days),
            (text, "?") => Self::of_month(text),
            ("?", text) => Self::of_week(text),
            _ => Err(ExpressionError::Days),
        }
    }

    fn of_month(text: &str) -> Result<Days, ExpressionError> {
        match text {
            "L" => return Ok(Days::Last),
            "LW" => return Ok(Days::LastWorking),
            _ => {}
        }
        match text.strip_suffix('W') {
            Some(day) => special(&DAY_OF_MONTH, text, day).map(Days::Nearest),
            None => Field::parse(&DAY_OF_MONTH, text).map(Days::OfMonth),
        }
    }

    fn of_week(text: &str) -> Result<Days, ExpressionError> {
        if text == "L" {
            return Field::parse(&DAY_OF_WEEK, "SAT").map(Days::OfWeek);
        }
        if let Some((day, nth)) = text.split_once('#') {
            let nth = match nth.as_bytes() {
                [digit @ b'1'..=b'5'] => u16::from(digit - b'0'),
                _ => return Err(DAY_OF_WEEK.error(text)),
            };
            return Ok(Days::Nth(special(&DAY_OF_WEEK, text, day)?, nth));
        }
        match text.strip_suffix('L') {
            Some(day) => special(&DAY_OF_WEEK, text, day).map(Days::LastOfWeek),
            None => Field::parse(&DAY_OF_WEEK, text).map(Days::OfWeek),
        }
    }

    /// The first day of the month of `from` that is one of these, and not before it.
    pub(super) fn at_least(&self, from: Date) -> Option<Date> {
        let last = from.last_of_month();
        match self {
            Days::OfMonth(field) => {
                let day = field.at_least(of(from.day()))?;
                with_day(from, day)
            }
            Days::OfWeek(field) => {
                let mut day = from;
                while !field.contains(number(day.weekday())) {
                    day = day.tomorrow().ok().filter(|day| *day <= last)?;
                }
                Some(day)
            }
            single => single.in_month(last).filter(|day| *day >= from),
        }
    }

    /// The one day of the month that ends so, of those that are one day of a month at most.
    fn in_month(&self, last: Date) -> Option<Date> {
        match *self {
            Days::OfMonth(_) | Days::OfWeek(_) => None,
            Days::Last => Some(last),
            Days::LastWorking => Some(nearest_working(last)),
            Days::Nearest(day) => with_day(last, day).map(nearest_working),
            Days::LastOfWeek(of_week) => {
                let back = (number(last.weekday()) + 7 - of_week) % 7;
                with_day(last, of(last.day()) - back)
            }
            Days::Nth(of_week, nth) => {
                let first = (of_week + 7 - number(last.first_of_month().weekday())) % 7 + 1;
                with_day(last, first + 7 * (nth - 1))
            }
        }
    }
}

/// The one day beside a letter.
fn special(kind: &Kind, text: &str, day: &str) -> Result<u16, ExpressionError> {
    kind.number(day).ok_or_else(|| kind.error(text))
}

/// The working day nearest to this one: never in another month.
fn nearest_working(day: Date) -> Date {
    let (is_first, is_last) = (day.day() == 1, day == day.last_of_month());
    let moved = match day.weekday() {
        Weekday::Saturday if is_first => 2,
        Weekday::Saturday => -1,
        Weekday::Sunday if is_last => -2,
        Weekday::Sunday => 1,
        _ => 0,
    };
    let moved = u16::try_from(i16::from(day.day()) + moved).ok();
    moved.and_then(|moved| with_day(day, moved)).unwrap_or(day)
}

/// Another day of the same month, where there is such a one.
fn with_day(of: Date, day: u16) -> Option<Date> {
    Date::new(of.year(), of.month(), i8::try_from(day).ok()?).ok()
}

/// A day of the month: from 1 on.
fn of(day: i8) -> u16 {
    u16::from(day.unsigned_abs())
}

/// 1 is Sunday.
fn number(weekday: Weekday) -> u16 {
    u16::from(weekday.to_sunday_one_offset().unsigned_abs())
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    /// The days of a month.
    fn days(of_month: &str, of_week: &str, year: i16, month: i8) -> Vec<i8> {
        let rule = Days::parse(of_month, of_week).unwrap();
        let mut found = Vec::new();
        let mut from = Some(date(year, month, 1));
        while let Some(day) = from.and_then(|from| rule.at_least(from)) {
            assert_eq!(day.first_of_month(), date(year, month, 1));
            found.push(day.day());
            from = day.tomorrow().ok().filter(|next| next.month() == month);
        }
        found
    }

    #[test]
    fn the_last_day_knows_leap_years() {
        let last = |year, month| days("L", "?", year, month);
        assert_eq!([last(2023, 2), last(2024, 2), last(2100, 2)], [[28], [29], [28]]);
        assert_eq!([last(2024, 4), last(2024, 12)], [[30], [31]]);
        // 2024-03-31 is a Sunday, 2024-08-31 a Saturday, 2024-09-30 a Monday.
        let working = [3, 8, 9].map(|month| days("LW", "?", 2024, month));
        assert_eq!(working, [[29], [30], [30]]);
    }

    #[test]
    fn days_that_a_month_does_not_have_are_left_out() {
        assert_eq!(days("31", "?", 2024, 4), [0; 0]);
        assert_eq!(days("31", "?", 2024, 5), [31]);
        assert_eq!(days("29-31", "?", 2023, 2), [0; 0]);
        assert_eq!(days("29-31", "?", 2024, 2), [29]);
        assert_eq!(days("31W", "?", 2024, 4), [0; 0]);
        assert_eq!(days("*/10", "?", 2024, 4), [1, 11, 21]);
    }

    #[test]
    fn the_nearest_working_day_stays_in_its_month() {
        // 2024-06-15 is a Saturday, 2024-09-15 a Sunday, 2024-07-15 a Monday.
        let fifteenth = [6, 9, 7].map(|month| days("15W", "?", 2024, month));
        assert_eq!(fifteenth, [[14], [16], [15]]);
        // 2024-06-01 is a Saturday, 2024-09-01 a Sunday.
        assert_eq!([6, 9].map(|month| days("1W", "?", 2024, month)), [[3], [2]]);
        // 2024-03-31 is a Sunday, 2024-08-31 a Saturday.
        assert_eq!([3, 8].map(|month| days("31W", "?", 2024, month)), [[29], [30]]);
    }

    #[test]
    fn days_of_the_week_begin_with_sunday() {
        // 2024-09-01 is a Sunday.
        assert_eq!(days("?", "1", 2024, 9), [1, 8, 15, 22, 29]);
        assert_eq!(days("?", "SAT", 2024, 9), [7, 14, 21, 28]);
        assert_eq!(days("?", "L", 2024, 9), [7, 14, 21, 28]);
        assert_eq!(days("?", "2-3", 2024, 9), [2, 3, 9, 10, 16, 17, 23, 24, 30]);
        assert_eq!(days("?", "*", 2024, 9).len(), 30);
    }

    #[test]
    fn the_nth_and_the_last_of_a_weekday() {
        assert_eq!(days("?", "MON#5", 2024, 9), [30]);
        assert_eq!(days("?", "MON#5", 2024, 10), [0; 0]);
        assert_eq!(days("?", "1#1", 2024, 9), [1]);
        assert_eq!(days("?", "7#1", 2024, 9), [7]);
        assert_eq!(days("?", "3#2", 2024, 9), [10]);
        assert_eq!(days("?", "2L", 2024, 9), [30]);
        assert_eq!(days("?", "FRIL", 2024, 9), [27]);
        assert_eq!(days("?", "7L", 2023, 2), [25]);
    }

    #[test]
    fn one_field_alone_says_which_days() {
        for (of_month, of_week) in [("?", "?"), ("*", "*"), ("1", "2"), ("*", "MON")] {
            assert_eq!(Days::parse(of_month, of_week), Err(ExpressionError::Days));
        }
        for bad in ["0W", "32W", "W", "WL", "L-3", "LL", "1,L", "15W,16", "1W-5", "#", "1#1"] {
            assert!(Days::parse(bad, "?").is_err(), "{bad}");
        }
        for bad in ["0#1", "8#1", "2#0", "2#6", "2#", "#2", "2#1,3#1", "8L", "2L,3", "LW", "2W"] {
            assert!(Days::parse("?", bad).is_err(), "{bad}");
        }
    }
}
