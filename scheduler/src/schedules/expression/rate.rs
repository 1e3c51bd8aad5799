//! `rate(value unit)`: a period, whatever the wall clock shows. A day is 24 hours.

use super::ExpressionError;

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const DAY_MS: i64 = 24 * HOUR_MS;
/// Longest period: from the first year that an expression may name to behind the last.
const DAYS_MAX: i64 = 84_000;

/// The period, ms.
pub(super) fn parse(text: &str) -> Result<i64, ExpressionError> {
    let period = || {
        let (value, unit) = text.split_once(' ')?;
        let unit_ms = match unit {
            "minute" | "minutes" => MINUTE_MS,
            "hour" | "hours" => HOUR_MS,
            "day" | "days" => DAY_MS,
            _ => return None,
        };
        let is_number = value.bytes().all(|byte| byte.is_ascii_digit());
        let value: i64 = value.parse().ok().filter(|value| is_number && *value > 0)?;
        value.checked_mul(unit_ms).filter(|period_ms| *period_ms <= DAYS_MAX * DAY_MS)
    };
    period().ok_or(ExpressionError::Rate(DAYS_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_is_a_number_and_a_unit() {
        for (text, ms) in [
            ("1 minute", 60_000),
            ("1 minutes", 60_000),
            ("5 minutes", 300_000),
            ("1 hour", 3_600_000),
            ("36 hours", 129_600_000),
            ("1 day", 86_400_000),
            ("84000 days", 84_000 * 86_400_000),
        ] {
            assert_eq!(parse(text), Ok(ms), "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for bad in [
            "",
            "5",
            "minutes",
            "0 minutes",
            "-1 minutes",
            "+1 minutes",
            "1.5 hours",
            "5 seconds",
            "5 weeks",
            "5  minutes",
            " 5 minutes",
            "5 minutes ",
            "84001 days",
            "9223372036854775807 days",
            "99999999999999999999 days",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
