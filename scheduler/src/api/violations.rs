//! What the model does not allow, in the words that AWS' front has for it: it looks at every member, and tells all that is
//! wrong at once.

use std::fmt;
use std::ops::RangeInclusive;

use super::error::ApiError;

/// What has been found so far.
#[derive(Debug, Default)]
pub(super) struct Violations(Vec<String>);

impl Violations {
    /// Notes that a member has a value that it must not have.
    pub(super) fn add(&mut self, value: &str, member: &str, must: &str) {
        self.0.push(violation(value, member, must));
    }

    /// Notes that a map has one: what its keys or its values must be.
    pub(super) fn add_map(&mut self, value: &str, member: &str, must: &str) {
        self.0.push(format!(
            "Value '{value}' at '{member}' failed to satisfy constraint: Map {must}"
        ));
    }

    /// Notes that a member is not there.
    pub(super) fn null(&mut self, member: &str) {
        let must = "Member must not be null";
        self.0.push(format!("Value null at '{member}' failed to satisfy constraint: {must}"));
    }

    /// Looks at a text's length, in characters.
    pub(super) fn length(&mut self, text: &str, member: &str, chars: RangeInclusive<usize>) {
        let (count, min, max) = (text.chars().count(), chars.start(), chars.end());
        if count < *min {
            self.add(text, member, &format!("have length greater than or equal to {min}"));
        } else if count > *max {
            self.add(text, member, &format!("have length less than or equal to {max}"));
        }
    }

    /// Looks at a number; the nearest that is allowed.
    pub(super) fn within(&mut self, value: i64, member: &str, range: RangeInclusive<u32>) -> u32 {
        let (min, max) = (range.start(), range.end());
        if value < i64::from(*min) {
            let must = format!("have value greater than or equal to {min}");
            self.add(&value.to_string(), member, &must);
            *min
        } else {
            u32::try_from(value).ok().filter(|value| value <= max).unwrap_or_else(|| {
                let must = format!("have value less than or equal to {max}");
                self.add(&value.to_string(), member, &must);
                *max
            })
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// # Errors
    /// ValidationException: something was found.
    pub(super) fn check(self) -> Result<(), ApiError> {
        if self.is_empty() { Ok(()) } else { Err(self.into()) }
    }
}

impl fmt::Display for Violations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.0.len() == 1 { "" } else { "s" };
        write!(f, "{} validation error{plural} detected: {}", self.0.len(), self.0.join("; "))
    }
}

/// That a member has a value that it must not have.
pub(super) fn violation(value: &str, member: &str, must: &str) -> String {
    format!("Value '{value}' at '{member}' failed to satisfy constraint: Member must {must}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_wrong_is_no_error() {
        let mut none = Violations::default();
        none.length("ä", "text", 1..=1);
        assert_eq!((none.within(1, "n", 1..=2), none.within(2, "n", 1..=2)), (1, 2));
        assert!(none.is_empty());
        none.check().unwrap();
    }

    #[test]
    fn all_is_told_in_one_message() {
        let mut wrong = Violations::default();
        wrong.length("", "text", 1..=2);
        wrong.within(0, "small", 1..=2);
        wrong.within(i64::MAX, "great", 1..=2);
        wrong.null("role");
        let error = wrong.check().unwrap_err();
        assert_eq!(error.kind(), "ValidationException");
        assert_eq!(
            error.message(),
            "4 validation errors detected: \
             Value '' at 'text' failed to satisfy constraint: Member must have length greater than or equal to 1; \
             Value '0' at 'small' failed to satisfy constraint: Member must have value greater than or equal to 1; \
             Value '9223372036854775807' at 'great' failed to satisfy constraint: Member must have value less than or \
             equal to 2; \
             Value null at 'role' failed to satisfy constraint: Member must not be null"
        );
    }
}
