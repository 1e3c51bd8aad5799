//! A field of a cron expression that is a set of numbers: `*`, `5`, `1-5`, `*/15`, `3/10`, `1-31/2`, and lists of these.

use std::ops::RangeInclusive;

use super::{ExpressionError, YEARS};

/// What a field may be.
#[derive(Debug)]
pub(super) struct Kind {
    /// As messages call it.
    pub(super) name: &'static str,
    pub(super) range: RangeInclusive<u16>,
    /// Names of the first numbers, in their order.
    pub(super) names: &'static [&'static str],
    /// Whether it has steps.
    pub(super) has_steps: bool,
}

pub(super) const MINUTES: Kind =
    Kind { name: "minutes", range: 0..=59, names: &[], has_steps: true };
pub(super) const HOURS: Kind = Kind { name: "hours", range: 0..=23, names: &[], has_steps: true };
pub(super) const DAY_OF_MONTH: Kind =
    Kind { name: "day-of-month", range: 1..=31, names: &[], has_steps: true };
pub(super) const MONTH: Kind = Kind {
    name: "month",
    range: 1..=12,
    names: &["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"],
    has_steps: true,
};
/// 1 is Sunday.
pub(super) const DAY_OF_WEEK: Kind = Kind {
    name: "day-of-week",
    range: 1..=7,
    names: &["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"],
    has_steps: false,
};
pub(super) const YEAR: Kind = Kind { name: "year", range: YEARS, names: &[], has_steps: true };

/// Numbers of a kind, at least one, in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Field(Vec<u16>);

impl Field {
    /// Reads a list.
    ///
    /// # Errors
    /// [`ExpressionError::Field`].
    pub(super) fn parse(kind: &Kind, text: &str) -> Result<Field, ExpressionError> {
        let mut numbers = Vec::new();
        for part in text.split(',') {
            numbers.extend(kind.part(part).ok_or_else(|| kind.error(text))?);
        }
        numbers.sort_unstable();
        numbers.dedup();
        Ok(Field(numbers))
    }

    pub(super) fn contains(&self, number: u16) -> bool {
        self.0.binary_search(&number).is_ok()
    }

    /// The first number that is not below this one.
    pub(super) fn at_least(&self, number: u16) -> Option<u16> {
        self.0.get(self.0.partition_point(|one| *one < number)).copied()
    }
}

impl Kind {
    pub(super) fn error(&self, value: &str) -> ExpressionError {
        ExpressionError::Field { field: self.name, value: value.into() }
    }

    /// A number or a name, in either case.
    pub(super) fn number(&self, text: &str) -> Option<u16> {
        let named = self.names.iter().position(|name| name.eq_ignore_ascii_case(text));
        let number = match named {
            Some(place) => self.range.start() + u16::try_from(place).ok()?,
            None => digits(text)?,
        };
        self.range.contains(&number).then_some(number)
    }

    /// One of a list.
    fn part(&self, text: &str) -> Option<impl Iterator<Item = u16> + use<>> {
        let (range, step) = match text.split_once('/') {
            None => (text, None),
            Some((range, step)) => (range, Some(self.step(step)?)),
        };
        let (from, to) = match range.split_once('-') {
            _ if range == "*" => (*self.range.start(), *self.range.end()),
            Some((from, to)) => (self.number(from)?, self.number(to)?),
            // From there on, where there is a step.
            None if step.is_some() => (self.number(range)?, *self.range.end()),
            None => (self.number(range)?, self.number(range)?),
        };
        (from <= to).then(|| (from..=to).step_by(step.unwrap_or(1)))
    }

    /// From 1 to as many numbers as there are.
    fn step(&self, text: &str) -> Option<usize> {
        let count = self.range.end() - self.range.start() + 1;
        let step = digits(text).filter(|step| (1..=count).contains(step))?;
        self.has_steps.then_some(usize::from(step))
    }
}

/// Decimal digits alone.
fn digits(text: &str) -> Option<u16> {
    text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(kind: &Kind, text: &str) -> Option<Vec<u16>> {
        Field::parse(kind, text).ok().map(|field| field.0)
    }

    #[test]
    fn the_bounds_of_every_field_hold_from_both_sides() {
        for kind in [MINUTES, HOURS, DAY_OF_MONTH, MONTH, DAY_OF_WEEK, YEAR] {
            let (min, max) = (*kind.range.start(), *kind.range.end());
            for number in [min, max] {
                assert_eq!(numbers(&kind, &number.to_string()), Some(vec![number]), "{kind:?}");
            }
            assert_eq!(numbers(&kind, &(max + 1).to_string()), None, "{kind:?}");
            if min > 0 {
                assert_eq!(numbers(&kind, &(min - 1).to_string()), None, "{kind:?}");
            }
            assert_eq!(numbers(&kind, "*"), Some((min..=max).collect()), "{kind:?}");
            assert_eq!(numbers(&kind, &format!("{min}-{max}")), Some((min..=max).collect()));
            assert_eq!(numbers(&kind, &format!("{min}-{}", max + 1)), None);
            let count = max - min + 1;
            let steps = [count, count + 1, 0].map(|step| numbers(&kind, &format!("*/{step}")));
            let widest = kind.has_steps.then(|| vec![min]);
            assert_eq!(steps, [widest, None, None], "{kind:?}");
        }
    }

    #[test]
    fn lists_ranges_steps_and_names_are_sets() {
        assert_eq!(numbers(&MINUTES, "1/10"), Some(vec![1, 11, 21, 31, 41, 51]));
        assert_eq!(numbers(&MINUTES, "*/25"), Some(vec![0, 25, 50]));
        assert_eq!(numbers(&MINUTES, "5-9/2,7,0"), Some(vec![0, 5, 7, 9]));
        assert_eq!(numbers(&MINUTES, "0-15/1"), Some((0..=15).collect()));
        assert_eq!(numbers(&HOURS, "8-8"), Some(vec![8]));
        assert_eq!(numbers(&MONTH, "jan,Dec"), Some(vec![1, 12]));
        assert_eq!(numbers(&MONTH, "FEB-APR"), Some(vec![2, 3, 4]));
        assert_eq!(numbers(&MONTH, "FEB/5"), Some(vec![2, 7, 12]));
        assert_eq!(numbers(&DAY_OF_WEEK, "MON-FRI"), Some(vec![2, 3, 4, 5, 6]));
        assert_eq!(numbers(&DAY_OF_WEEK, "SUN,7"), Some(vec![1, 7]));
        assert_eq!(numbers(&YEAR, "2024,2199"), Some(vec![2024, 2199]));
    }

    #[test]
    fn anything_else_is_refused() {
        for bad in [
            "", " ", ",", "1,", ",1", "-", "1-", "-1", "2-1", "1-2-3", "/", "/5", "5/", "*/",
            "*/x", "1/2/3", "+1", "1.0", "x", "*,x", "**", "*-5", "?", "L", "99999999", "JAN", "٣",
        ] {
            assert_eq!(numbers(&MINUTES, bad), None, "{bad}");
        }
        assert_eq!(numbers(&MONTH, "DEC-JAN"), None);
        assert_eq!(numbers(&MONTH, "JANUARY"), None);
        assert_eq!(numbers(&DAY_OF_WEEK, "2/2"), None);
        assert_eq!(numbers(&DAY_OF_WEEK, "JAN"), None);
    }

    #[test]
    fn the_next_number_is_the_first_that_is_not_below() {
        let field = Field::parse(&MINUTES, "5,10").unwrap();
        assert_eq!(
            [0, 5, 6, 10, 11].map(|number| field.at_least(number)),
            [Some(5), Some(5), Some(10), Some(10), None]
        );
        assert_eq!([5, 6].map(|number| field.contains(number)), [true, false]);
    }
}
