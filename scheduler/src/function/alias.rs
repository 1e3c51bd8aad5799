//! Aliases: names for versions, two of which may share a name's invocations.

use serde::{Deserialize, Serialize};

use super::Version;

/// A name for a version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Alias {
    /// Which version it names.
    #[serde(with = "super::version::text")]
    pub version: Version,
    /// At most 256 characters.
    pub description: String,
    /// A published version that takes a part of the invocations: its number, and the part from 0 to 1.
    pub additional: Option<(u64, f64)>,
    /// A UUID for optimistic locking by clients.
    pub revision_id: String,
}

impl Alias {
    /// The version that runs an invocation, by 32 bits that are random for each.
    pub fn route(&self, random: u32) -> Version {
        match self.additional {
            Some((number, weight)) if f64::from(random) < weight * 2f64.powi(32) => {
                Version::Published(number)
            }
            _ => self.version,
        }
    }

    /// Whether it leads to this version.
    pub fn names(&self, number: u64) -> bool {
        self.version == Version::Published(number)
            || self.additional.is_some_and(|(additional, _)| additional == number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alias(additional: Option<(u64, f64)>) -> Alias {
        let (description, revision_id) = (String::new(), "r".into());
        Alias { version: Version::Published(1), description, additional, revision_id }
    }

    #[test]
    fn a_weight_is_a_part_of_the_random_numbers() {
        let routed = |weight: f64, random: u32| match alias(Some((2, weight))).route(random) {
            Version::Published(number) => number,
            Version::Latest => 0,
        };
        assert_eq!((routed(0.0, 0), routed(0.0, u32::MAX)), (1, 1));
        assert_eq!((routed(1.0, 0), routed(1.0, u32::MAX)), (2, 2));
        assert_eq!((routed(0.25, (1 << 30) - 1), routed(0.25, 1 << 30)), (2, 1));
        assert_eq!(alias(None).route(0), Version::Published(1));
    }

    #[test]
    fn it_is_stored_as_it_is() {
        for additional in [None, Some((7, 0.1))] {
            let alias = Alias { version: Version::Latest, ..alias(additional) };
            let text = serde_json::to_string(&alias).unwrap();
            assert_eq!(serde_json::from_str::<Alias>(&text).unwrap(), alias);
        }
        assert!(alias(Some((7, 0.0))).names(7) && alias(None).names(1) && !alias(None).names(7));
    }
}
