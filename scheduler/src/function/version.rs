//! Versions: $LATEST, and the numbers of those that were published.

use std::fmt;
use std::str::FromStr;

/// The version that can be changed.
pub const LATEST: &str = "$LATEST";

/// Which version of a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// The one that can be changed.
    Latest,
    /// A published one, by its number: from 1 on, never given out twice.
    Published(u64),
}

/// It is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAVersion;

impl fmt::Display for Version {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Version::Latest => formatter.write_str(LATEST),
            Version::Published(number) => write!(formatter, "{number}"),
        }
    }
}

impl FromStr for Version {
    type Err = NotAVersion;

    fn from_str(text: &str) -> Result<Version, NotAVersion> {
        let is_number = !text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit());
        match text.parse() {
            _ if text == LATEST => Ok(Version::Latest),
            // What a database can hold.
            Ok(number) if is_number && i64::try_from(number).is_ok() => {
                Ok(Version::Published(number))
            }
            _ => Err(NotAVersion),
        }
    }
}

/// A version as text.
pub(super) mod text {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    use super::Version;

    pub fn serialize<S: Serializer>(version: &Version, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(version)
    }

    pub fn deserialize<'a, D: Deserializer<'a>>(from: D) -> Result<Version, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map_err(|_| D::Error::custom("it is no version"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_they_are_written() {
        for version in [Version::Latest, Version::Published(1), Version::Published(120)] {
            assert_eq!(version.to_string().parse(), Ok(version));
        }
        for bad in ["", "0", "01", "+1", "-1", "LATEST", "1a", "9223372036854775808"] {
            assert_eq!(bad.parse::<Version>(), Err(NotAVersion), "{bad}");
        }
        assert!(Version::Latest < Version::Published(1));
    }
}
