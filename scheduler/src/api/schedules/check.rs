//! The model's bounds of texts and numbers, by the names of its shapes.

use std::ops::RangeInclusive;

use super::error::ScheduleError;
use crate::api::name::is_account;

type Checked = Result<(), ScheduleError>;

/// The part of a value that a message shows.
const SHOWN_CHARS: usize = 100;
const ARN_CHARS: RangeInclusive<usize> = 1..=1600;

/// So many characters.
pub(super) fn length(text: &str, member: &str, range: RangeInclusive<usize>) -> Checked {
    let count = text.chars().count();
    let must = if count < *range.start() {
        format!("have length greater than or equal to {}", range.start())
    } else if count > *range.end() {
        format!("have length less than or equal to {}", range.end())
    } else {
        return Ok(());
    };
    Err(refused(text, member, &must))
}

/// A number in a range.
pub(super) fn within(
    value: i64,
    member: &str,
    range: RangeInclusive<u32>,
) -> Result<u32, ScheduleError> {
    let number = u32::try_from(value).ok().filter(|number| range.contains(number));
    number.ok_or_else(|| {
        let must = match value < i64::from(*range.start()) {
            true => format!("have value greater than or equal to {}", range.start()),
            false => format!("have value less than or equal to {}", range.end()),
        };
        ScheduleError::constraint(&value.to_string(), member, &must)
    })
}

/// Name, ScheduleGroupName, and what they begin with.
pub(super) fn name(text: &str, member: &str) -> Checked {
    length(text, member, 1..=64)?;
    pattern(text, member, "[0-9a-zA-Z-_.]+", text.bytes().all(is_name_byte))
}

pub(super) fn client_token(text: &str) -> Checked {
    length(text, "clientToken", 1..=64)?;
    let fits = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    pattern(text, "clientToken", "[a-zA-Z0-9-_]+", fits)
}

/// A page's, which is a name of ours.
pub(super) fn next_token(text: &str) -> Checked {
    length(text, "nextToken", 1..=2048)
}

pub(super) fn role_arn(text: &str) -> Checked {
    length(text, "target.roleArn", ARN_CHARS)?;
    let is_role = arn(text).is_some_and(|[_, service, region, account, role]| {
        let name = role.strip_prefix("role/").unwrap_or_default();
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"_+=,.@/-".contains(&byte);
        service == "iam"
            && region.is_empty()
            && is_account(account)
            && !name.is_empty()
            && name.bytes().all(fits)
    });
    pattern(text, "target.roleArn", "arn:aws[a-z-]*:iam::\\d{12}:role\\/[\\w+=,.@\\/-]+", is_role)
}

pub(super) fn queue_arn(text: &str, member: &str) -> Checked {
    length(text, member, ARN_CHARS)?;
    let is_queue = arn(text).is_some_and(|[_, service, region, account, name]| {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        service == "sqs"
            && is_region(region)
            && is_account(account)
            && !name.is_empty()
            && name.bytes().all(fits)
    });
    let must = "arn:aws[a-z-]*:sqs:[a-z0-9\\-]+:\\d{12}:[a-zA-Z0-9\\-_]+";
    pattern(text, member, must, is_queue)
}

pub(super) fn key_arn(text: &str) -> Checked {
    length(text, "kmsKeyArn", 1..=2048)?;
    let is_key = arn(text).is_some_and(|[_, service, region, account, key]| {
        let name = key.strip_prefix("key/").or(key.strip_prefix("alias/"));
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        service == "kms"
            && is_region(region)
            && is_account(account)
            && name.is_some_and(|name| name.bytes().all(fits))
    });
    let must = "arn:aws[a-z-]*:kms:[a-z0-9\\-]+:\\d{12}:(key|alias)\\/[0-9a-zA-Z-_]*";
    pattern(text, "kmsKeyArn", must, is_key)
}

/// One of a few words.
pub(super) fn one_of<T: Copy>(
    text: &str,
    member: &str,
    words: [(&str, T); 2],
) -> Result<T, ScheduleError> {
    let found = words.iter().find(|(word, _)| *word == text);
    found.map(|(_, value)| *value).ok_or_else(|| {
        let names = words.map(|(word, _)| word).join(", ");
        refused(text, member, &format!("satisfy enum value set: [{names}]"))
    })
}

fn pattern(text: &str, member: &str, pattern: &str, fits: bool) -> Checked {
    match fits {
        true => Ok(()),
        false => {
            Err(refused(text, member, &format!("satisfy regular expression pattern: {pattern}")))
        }
    }
}

fn refused(text: &str, member: &str, must: &str) -> ScheduleError {
    let shown: String = text.chars().take(SHOWN_CHARS).collect();
    ScheduleError::constraint(&shown, member, must)
}

/// Partition, service, region, account and resource.
fn arn(text: &str) -> Option<[&str; 5]> {
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    let ["arn", partition, service, region, account, resource] = parts[..] else { return None };
    let more = partition.strip_prefix("aws")?;
    let fits = more.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
    fits.then_some([partition, service, region, account, resource])
}

fn is_region(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !text.is_empty() && text.bytes().all(fits)
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_hold_from_both_sides() {
        for (text, fits) in [("", false), ("a", true), ("äöü", true), ("four", false)] {
            assert_eq!(length(text, "m", 1..=3).is_ok(), fits, "{text}");
        }
        for (value, fits) in
            [(59, false), (60, true), (61, true), (62, false), (-1, false), (i64::MAX, false)]
        {
            assert_eq!(within(value, "m", 60..=61).is_ok(), fits, "{value}");
        }
        assert!(name(&"n".repeat(64), "m").is_ok() && name(&"n".repeat(65), "m").is_err());
        assert!(client_token(&"t".repeat(64)).is_ok() && client_token(&"t".repeat(65)).is_err());
        assert!(next_token(&"t".repeat(2048)).is_ok() && next_token(&"t".repeat(2049)).is_err());
        let role = |chars: usize| format!("arn:aws:iam::000000000000:role/{}", "r".repeat(chars));
        assert!(role_arn(&role(1600 - 31)).is_ok() && role_arn(&role(1600 - 30)).is_err());
        let key =
            |chars: usize| format!("arn:aws:kms:us-east-1:000000000000:key/{}", "k".repeat(chars));
        assert!(key_arn(&key(2048 - 39)).is_ok() && key_arn(&key(2048 - 38)).is_err());
        let queue =
            |chars: usize| format!("arn:aws:sqs:us-east-1:000000000000:{}", "q".repeat(chars));
        assert!(
            queue_arn(&queue(1600 - 35), "m").is_ok() && queue_arn(&queue(1600 - 34), "m").is_err()
        );
    }

    #[test]
    fn patterns_are_the_models() {
        assert!(name("a-Z_0.9", "m").is_ok());
        for bad in ["a b", "a/b", "ä", "a:b"] {
            assert!(name(bad, "m").is_err(), "{bad}");
        }
        assert!(client_token("a-Z_09").is_ok() && client_token("a.b").is_err());
        assert!(role_arn("arn:aws-cn:iam::000000000000:role/path/n+=,.@-_").is_ok());
        for bad in [
            "role",
            "arn:aws:iam::1:role/r",
            "arn:aws:iam::000000000000:role/",
            "arn:aws:iam:x:000000000000:role/r",
        ] {
            assert!(role_arn(bad).is_err(), "{bad}");
        }
        for bad in [
            "arn:aws:sqs:us-east-1:000000000000:q.fifo",
            "arn:aws:sns:us-east-1:000000000000:q",
            "q",
        ] {
            assert!(queue_arn(bad, "m").is_err(), "{bad}");
        }
        assert!(key_arn("arn:aws:kms:us-east-1:000000000000:alias/a").is_ok());
        for bad in ["arn:aws:kms:us-east-1:000000000000:other/a", "arn:aws:kms::000000000000:key/a"]
        {
            assert!(key_arn(bad).is_err(), "{bad}");
        }
        let words = [("ON", true), ("OFF", false)];
        assert!(one_of("ON", "m", words).unwrap() && !one_of("OFF", "m", words).unwrap());
        assert!(one_of("on", "m", words).is_err());
    }
}
