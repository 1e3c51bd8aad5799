//! An asynchronous invocation as its queue keeps it: the payload is the message's body, the rest its head.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Error;

use crate::function::Function;
use crate::queue::{Message, New};
use crate::service::Trace;

/// The queues of events; what follows is the function's number.
pub(crate) const LANES: &str = "event/";
/// Largest payload of an event: 1 MB (Lambda quotas, asynchronous invocation).
pub(crate) const EVENT_BYTES_MAX: usize = 1 << 20;

/// What is known of an event besides its payload.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Event {
    pub(crate) request_id: String,
    /// The function's name.
    pub(crate) function: String,
    /// As the client gave it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) qualifier: Option<String>,
    /// JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) client_context: Option<String>,
    /// X-Amzn-Trace-Id of what led to it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) trace: String,
    /// How often its function has failed on it.
    pub(crate) failures: u32,
    /// How often it was taken and could not be run.
    pub(crate) refusals: u32,
}

impl Event {
    /// The queue of a function's events, in all its versions.
    pub(crate) fn lane(function: &Function) -> String {
        format!("{LANES}{}", function.id)
    }

    pub(crate) fn read(message: &Message) -> Result<Event, Error> {
        serde_json::from_str(&message.head)
    }

    pub(crate) fn head(&self) -> String {
        serde_json::to_string(self).expect("text and numbers are JSON")
    }

    /// What has led to it.
    pub(crate) fn trace(&self) -> Trace {
        Trace::read(&self.trace)
    }

    /// As a message that is due at once.
    pub(crate) fn message(&self, payload: Bytes, now_ms: i64) -> New {
        New::now(self.head(), payload, now_ms)
    }

    /// How often its function has been run, or begun to be, when the message has been leased so often.
    pub(crate) fn runs(&self, leases: u32) -> u32 {
        leases.saturating_sub(self.refusals)
    }
}
