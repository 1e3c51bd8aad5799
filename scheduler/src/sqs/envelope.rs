//! What a queue keeps of a message besides its body.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::registry::Definition;
use crate::queue::{Message, New};

/// How long messages of the same name are the same (SQS developer guide, "Using the message deduplication ID").
const SAME_MS: i64 = 300_000;

/// MessageAttributeValue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Attribute {
    #[serde(rename = "DataType")]
    pub(crate) data_type: String,
    #[serde(rename = "StringValue", skip_serializing_if = "Option::is_none")]
    pub(crate) string: Option<String>,
    /// Base64.
    #[serde(rename = "BinaryValue", skip_serializing_if = "Option::is_none")]
    pub(crate) binary: Option<String>,
}

/// A message's head.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Envelope {
    /// MessageId: a UUID.
    pub(crate) id: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) attributes: BTreeMap<String, Attribute>,
    /// MessageDeduplicationId.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    /// AWSTraceHeader.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) trace: Option<String>,
}

impl Envelope {
    pub(crate) fn new(attributes: BTreeMap<String, Attribute>) -> Envelope {
        Envelope { id: Uuid::new_v4().to_string(), attributes, name: None, trace: None }
    }

    /// What was written by [`Self::head`]; anything else is an envelope that says nothing.
    pub(crate) fn of(message: &Message) -> Envelope {
        Self::read(&message.head)
    }

    pub(crate) fn read(head: &str) -> Envelope {
        serde_json::from_str(head).unwrap_or_default()
    }

    fn head(&self) -> String {
        serde_json::to_string(self).expect("text is JSON")
    }

    /// As a message for a queue, due after its delay.
    pub(crate) fn message(
        &self,
        queue: &Definition,
        body: Bytes,
        group: Option<String>,
        delay_s: Option<u32>,
        now_ms: i64,
    ) -> New {
        let delay_ms = 1000 * i64::from(delay_s.unwrap_or(queue.attributes.delay_s));
        New {
            due_ms: now_ms + delay_ms,
            group,
            unique: self.name.clone().map(|name| (name, now_ms + SAME_MS)),
            ..New::now(self.head(), body, now_ms)
        }
    }
}

/// A message's place among all that its queue ever had: 20 digits.
pub(crate) fn sequence(id: u64) -> String {
    format!("{id:020}")
}
