//! A queue's attributes: their ranges and defaults (SQS API reference, "SetQueueAttributes").

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

/// Largest message, and as large where nothing is said: 1 MiB, as SQS has it since 2025.
pub(crate) const MESSAGE_BYTES_MAX: u32 = 1 << 20;

const VISIBILITY_S: RangeInclusive<u32> = 0..=43_200;
const DELAY_S: RangeInclusive<u32> = 0..=900;
const MESSAGE_BYTES: RangeInclusive<u32> = 1024..=MESSAGE_BYTES_MAX;
const RETENTION_S: RangeInclusive<u32> = 60..=1_209_600;
const WAIT_S: RangeInclusive<u32> = 0..=20;
/// What one that is only kept may hold.
const TEXT_BYTES_MAX: usize = 20 << 10;

/// Attributes that are kept and shown, and change nothing here.
const KEPT: [&str; 6] = [
    "Policy",
    "RedriveAllowPolicy",
    "KmsMasterKeyId",
    "KmsDataKeyReusePeriodSeconds",
    "DeduplicationScope",
    "FifoThroughputLimit",
];

/// All that GetQueueAttributes may be asked for.
pub(crate) const NAMES: [&str; 22] = [
    "All",
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesDelayed",
    "ApproximateNumberOfMessagesNotVisible",
    "ContentBasedDeduplication",
    "CreatedTimestamp",
    "DeduplicationScope",
    "DelaySeconds",
    "FifoQueue",
    "FifoThroughputLimit",
    "KmsDataKeyReusePeriodSeconds",
    "KmsMasterKeyId",
    "LastModifiedTimestamp",
    "MaximumMessageSize",
    "MessageRetentionPeriod",
    "Policy",
    "QueueArn",
    "ReceiveMessageWaitTimeSeconds",
    "RedriveAllowPolicy",
    "RedrivePolicy",
    "SqsManagedSseEnabled",
    "VisibilityTimeout",
];

/// Where messages go that have been received too often.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Redrive {
    /// The queue's ARN.
    #[serde(rename = "deadLetterTargetArn")]
    pub(crate) target: String,
    #[serde(rename = "maxReceiveCount", deserialize_with = "count")]
    pub(crate) receives_max: u32,
}

/// What a queue is set to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Attributes {
    pub(crate) visibility_s: u32,
    pub(crate) delay_s: u32,
    pub(crate) message_bytes_max: u32,
    pub(crate) retention_s: u32,
    pub(crate) wait_s: u32,
    pub(crate) redrive: Option<Redrive>,
    pub(crate) is_fifo: bool,
    pub(crate) is_deduplicated_by_content: bool,
    /// Those that are only kept.
    pub(crate) kept: BTreeMap<String, String>,
}

/// An attribute that can't be set.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum BadAttribute {
    Unknown(String),
    Value(String),
}

impl Default for Attributes {
    fn default() -> Attributes {
        Attributes {
            visibility_s: 30,
            delay_s: 0,
            message_bytes_max: MESSAGE_BYTES_MAX,
            retention_s: 345_600,
            wait_s: 0,
            redrive: None,
            is_fifo: false,
            is_deduplicated_by_content: false,
            kept: BTreeMap::new(),
        }
    }
}

impl Attributes {
    /// Sets what `given` names. On an error some of it may be set.
    ///
    /// # Errors
    /// The first one that is none, or has a value that makes no sense.
    pub(crate) fn set(&mut self, given: &BTreeMap<String, String>) -> Result<(), BadAttribute> {
        for (name, value) in given {
            let bad = || BadAttribute::Value(name.clone());
            let number = |range: RangeInclusive<u32>| {
                value.parse().ok().filter(|number| range.contains(number)).ok_or_else(bad)
            };
            let truth = || value.parse().map_err(|_| bad());
            match name.as_str() {
                "VisibilityTimeout" => self.visibility_s = number(VISIBILITY_S)?,
                "DelaySeconds" => self.delay_s = number(DELAY_S)?,
                "MaximumMessageSize" => self.message_bytes_max = number(MESSAGE_BYTES)?,
                "MessageRetentionPeriod" => self.retention_s = number(RETENTION_S)?,
                "ReceiveMessageWaitTimeSeconds" => self.wait_s = number(WAIT_S)?,
                "RedrivePolicy" if value.is_empty() => self.redrive = None,
                "RedrivePolicy" => {
                    self.redrive = Some(serde_json::from_str(value).map_err(|_| bad())?);
                }
                "FifoQueue" => self.is_fifo = truth()?,
                "ContentBasedDeduplication" if self.is_fifo || value == "false" => {
                    self.is_deduplicated_by_content = truth()?;
                }
                "SqsManagedSseEnabled" => {
                    self.kept.insert(name.clone(), truth()?.to_string());
                }
                name if KEPT.contains(&name) && value.is_empty() => drop(self.kept.remove(name)),
                name if KEPT.contains(&name) && value.len() <= TEXT_BYTES_MAX => {
                    self.kept.insert(name.to_owned(), value.clone());
                }
                _ => return Err(BadAttribute::Unknown(name.clone())),
            }
        }
        Ok(())
    }

    /// All of them, as clients see them.
    pub(crate) fn show(&self) -> BTreeMap<String, String> {
        let mut shown = self.kept.clone();
        shown.entry("SqsManagedSseEnabled".to_owned()).or_insert_with(|| "false".into());
        let mut show = |name: &str, value: String| shown.insert(name.to_owned(), value);
        show("VisibilityTimeout", self.visibility_s.to_string());
        show("DelaySeconds", self.delay_s.to_string());
        show("MaximumMessageSize", self.message_bytes_max.to_string());
        show("MessageRetentionPeriod", self.retention_s.to_string());
        show("ReceiveMessageWaitTimeSeconds", self.wait_s.to_string());
        if let Some(redrive) = &self.redrive {
            show("RedrivePolicy", serde_json::to_string(redrive).unwrap_or_default());
        }
        if self.is_fifo {
            show("FifoQueue", "true".into());
            show("ContentBasedDeduplication", self.is_deduplicated_by_content.to_string());
        }
        shown
    }
}

/// A number, or one in quotes: clients send either. 1 to 1,000.
fn count<'a, D: serde::Deserializer<'a>>(from: D) -> Result<u32, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        Number(u32),
        Text(String),
    }
    let count = match Either::deserialize(from)? {
        Either::Number(number) => Some(number),
        Either::Text(text) => text.parse().ok(),
    };
    let count = count.filter(|count| (1..=1000).contains(count));
    count.ok_or_else(|| serde::de::Error::custom("it is from 1 to 1000"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(name: &str, value: &str) -> Result<Attributes, BadAttribute> {
        let mut attributes = Attributes::default();
        attributes.set(&BTreeMap::from([(name.into(), value.into())]))?;
        Ok(attributes)
    }

    #[test]
    fn attributes_are_within_their_ranges() {
        for (name, min, max) in [
            ("VisibilityTimeout", 0, 43_200),
            ("DelaySeconds", 0, 900),
            ("MaximumMessageSize", 1024, 1_048_576),
            ("MessageRetentionPeriod", 60, 1_209_600),
            ("ReceiveMessageWaitTimeSeconds", 0, 20),
        ] {
            for good in [min, max] {
                assert_eq!(set(name, &good.to_string()).unwrap().show()[name], good.to_string());
            }
            for bad in [min - 1, max + 1] {
                let bad = set(name, &bad.to_string());
                assert_eq!(bad.unwrap_err(), BadAttribute::Value(name.into()));
            }
        }
        assert_eq!(set("Color", "1"), Err(BadAttribute::Unknown("Color".into())));
    }

    #[test]
    fn a_redrive_policy_is_read_in_both_forms() {
        for count in ["3", "\"3\""] {
            let policy = format!(r#"{{"deadLetterTargetArn":"a","maxReceiveCount":{count}}}"#);
            let redrive = set("RedrivePolicy", &policy).unwrap().redrive.unwrap();
            assert_eq!((redrive.target.as_str(), redrive.receives_max), ("a", 3));
        }
        for bad in ["{}", "x", r#"{"deadLetterTargetArn":"a","maxReceiveCount":0}"#] {
            assert!(set("RedrivePolicy", bad).is_err(), "{bad}");
        }
        assert_eq!(set("RedrivePolicy", "").unwrap().redrive, None);
    }

    #[test]
    fn an_empty_text_takes_away_what_is_only_kept() {
        let mut attributes = set("Policy", "{}").unwrap();
        assert_eq!(attributes.show()["Policy"], "{}");
        attributes.set(&BTreeMap::from([("Policy".into(), String::new())])).unwrap();
        assert!(!attributes.show().contains_key("Policy"));
    }

    #[test]
    fn what_was_said_of_encryption_is_told() {
        for (said, told) in [(None, "false"), (Some("true"), "true"), (Some("false"), "false")] {
            let attributes = said.map_or_else(Attributes::default, |said| {
                set("SqsManagedSseEnabled", said).unwrap()
            });
            assert_eq!(attributes.show()["SqsManagedSseEnabled"], told);
        }
        assert!(set("SqsManagedSseEnabled", "perhaps").is_err());
    }
}
