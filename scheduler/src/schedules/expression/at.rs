//! `at(yyyy-mm-ddThh:mm:ss)`: one moment on the wall clock.

use jiff::civil::DateTime;

use super::{ExpressionError, YEARS};

/// The form, digit by digit: `0` is any digit.
const FORM: &[u8] = b"0000-00-00T00:00:00";

pub(super) fn parse(text: &str) -> Result<DateTime, ExpressionError> {
    let fits = |(byte, form): (u8, &u8)| match form {
        b'0' => byte.is_ascii_digit(),
        form => byte == *form,
    };
    let has_form = text.len() == FORM.len() && text.bytes().zip(FORM).all(fits);
    let moment: Option<DateTime> = has_form.then(|| text.parse().ok()).flatten();
    let is_near =
        |moment: &DateTime| u16::try_from(moment.year()).is_ok_and(|year| YEARS.contains(&year));
    // A leap second has a form, and is read as the second before it: nobody can have meant that.
    let is_same = |moment: &DateTime| moment.strftime("%Y-%m-%dT%H:%M:%S").to_string() == text;
    moment.filter(is_near).filter(is_same).ok_or(ExpressionError::At)
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    #[test]
    fn a_moment_is_read_to_its_last_digit() {
        assert_eq!(parse("2024-02-29T23:59:59"), Ok(date(2024, 2, 29).at(23, 59, 59, 0)));
        assert_eq!(parse("1970-01-01T00:00:00"), Ok(date(1970, 1, 1).at(0, 0, 0, 0)));
        assert!(parse("2199-12-31T23:59:59").is_ok());
    }

    #[test]
    fn anything_else_is_refused() {
        for bad in [
            "",
            "2023-02-29T00:00:00",
            "2024-13-01T00:00:00",
            "2024-01-01T24:00:00",
            "2024-01-01T00:60:00",
            "2024-01-01T00:00:60",
            "1969-12-31T23:59:59",
            "2200-01-01T00:00:00",
            "2024-01-01T00:00",
            "2024-01-01 00:00:00",
            "2024-01-01T00:00:00Z",
            "2024-01-01T00:00:00.5",
            "+024-01-01T00:00:00",
            "2024-01-01T00:00:0é",
        ] {
            assert_eq!(parse(bad), Err(ExpressionError::At), "{bad}");
        }
    }
}
