//! SendMessage, SendMessageBatch.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use super::error::SqsError;
use super::{Answer, batch, queue};
use crate::api::Platform;
use crate::clock;
use crate::queue::{Appended, New};
use crate::service::Trace;
use crate::sqs::{
    Attribute, Definition, Envelope, MESSAGE_BYTES_MAX, is_id, is_sendable, name_of_content,
    of_attributes, of_body, sequence,
};

/// Attributes of a message, and their names.
const ATTRIBUTES_MAX: usize = 10;
const NAME_CHARS_MAX: usize = 256;
/// Group and deduplication ids.
const DELAY_S_MAX: u32 = 900;
const TRACE: &str = "AWSTraceHeader";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct SendMessage {
    queue_url: String,
    #[serde(flatten)]
    message: Message,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Message {
    message_body: String,
    delay_seconds: Option<u32>,
    #[serde(default)]
    message_attributes: BTreeMap<String, Attribute>,
    #[serde(default)]
    message_system_attributes: BTreeMap<String, Attribute>,
    message_deduplication_id: Option<String>,
    message_group_id: Option<String>,
}

pub(super) async fn one(platform: &Platform, request: SendMessage, trace: &Trace) -> Answer {
    let queue = queue(platform, &request.queue_url)?;
    let now_ms = clock::unix_ms();
    let envelope = request.message.envelope(&queue, trace)?;
    let new = request.message.to_append(&queue, &envelope, now_ms);
    let appended = platform.queues.queue.append(&queue.lane(), vec![new]).await?.remove(0);
    Ok(request.message.sent(&queue, envelope, &appended))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct SendMessageBatch {
    queue_url: String,
    entries: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    id: String,
    #[serde(flatten)]
    message: Message,
}

pub(super) async fn batch(platform: &Platform, request: SendMessageBatch, trace: &Trace) -> Answer {
    let queue = queue(platform, &request.queue_url)?;
    batch::check("SendMessageBatch", request.entries.iter().map(|entry| entry.id.as_str()))?;
    let bytes = request.entries.iter().map(|entry| entry.message.bytes()).sum();
    if bytes > MESSAGE_BYTES_MAX as usize {
        return Err(SqsError::batch_bytes(MESSAGE_BYTES_MAX as usize, bytes));
    }
    let now_ms = clock::unix_ms();
    let (mut ends, mut good) = (Vec::new(), Vec::new());
    for Entry { id, message } in request.entries {
        match message.envelope(&queue, trace) {
            Ok(envelope) => good.push((id, message, envelope)),
            Err(error) => ends.push((id, Err(error))),
        }
    }
    let new = good.iter().map(|(_, message, envelope)| message.to_append(&queue, envelope, now_ms));
    let appended = platform.queues.queue.append(&queue.lane(), new.collect()).await?;
    for ((id, message, envelope), appended) in good.into_iter().zip(appended) {
        ends.push((id, Ok(message.sent(&queue, envelope, &appended))));
    }
    Ok(batch::answer(ends))
}

impl Message {
    /// What counts against the limit: the body, and names, types and values of the attributes.
    fn bytes(&self) -> usize {
        let attributes = self.message_attributes.iter().map(|(name, attribute)| {
            let binary = attribute.binary.as_ref().map_or(0, |text| text.len() / 4 * 3);
            let string = attribute.string.as_ref().map_or(0, String::len);
            name.len() + attribute.data_type.len() + string + binary
        });
        self.message_body.len() + attributes.sum::<usize>()
    }

    /// Checks everything. A message has its own trace header, or else its request's.
    fn envelope(&self, queue: &Definition, trace: &Trace) -> Result<Envelope, SqsError> {
        if self.message_body.is_empty() {
            return Err(SqsError::missing("MessageBody"));
        }
        let limit = queue.attributes.message_bytes_max;
        if self.bytes() > limit as usize {
            return Err(SqsError::invalid(format!(
                "One or more parameters are invalid. Reason: Message must be shorter than {limit} bytes."
            )));
        }
        let texts = self.message_attributes.values().filter_map(|one| one.string.as_deref());
        if ![&*self.message_body].into_iter().chain(texts).all(is_sendable) {
            return Err(SqsError::contents());
        }
        check_attributes(&self.message_attributes)?;
        if let Some(delay_s) = self.delay_seconds.filter(|delay_s| *delay_s > DELAY_S_MAX) {
            let reason = "DelaySeconds must be >= 0 and <= 900";
            return Err(SqsError::value(&delay_s.to_string(), "DelaySeconds", reason));
        }
        let own = self.message_system_attributes.get(TRACE).and_then(|one| one.string.clone());
        let trace = own.or_else(|| Some(trace.to_string()).filter(|trace| !trace.is_empty()));
        let name = self.name(queue)?;
        Ok(Envelope { name, trace, ..Envelope::new(self.message_attributes.clone()) })
    }

    /// What a message of a FIFO queue is told apart by.
    fn name(&self, queue: &Definition) -> Result<Option<String>, SqsError> {
        let ids = [&self.message_group_id, &self.message_deduplication_id];
        if ids.into_iter().flatten().any(|id| !is_id(id)) {
            return Err(SqsError::invalid(
                "MessageGroupId and MessageDeduplicationId can only include alphanumeric and punctuation \
                 characters. 1 to 128 in length.",
            ));
        }
        if !queue.attributes.is_fifo {
            return match self.message_deduplication_id {
                None => Ok(None),
                Some(_) => Err(SqsError::invalid(
                    "The request include parameter that is not valid for this queue type",
                )),
            };
        }
        if self.message_group_id.is_none() {
            return Err(SqsError::missing("MessageGroupId"));
        }
        if let Some(delay_s) = self.delay_seconds.filter(|delay_s| *delay_s > 0) {
            let reason = "The request include parameter that is not valid for this queue type";
            return Err(SqsError::value(&delay_s.to_string(), "DelaySeconds", reason));
        }
        match &self.message_deduplication_id {
            Some(id) => Ok(Some(id.clone())),
            None if queue.attributes.is_deduplicated_by_content => {
                Ok(Some(name_of_content(self.message_body.as_bytes())))
            }
            None => Err(SqsError::invalid(
                "The queue should either have ContentBasedDeduplication enabled or \
                 MessageDeduplicationId provided explicitly",
            )),
        }
    }

    fn to_append(&self, queue: &Definition, envelope: &Envelope, now_ms: i64) -> New {
        let body = Bytes::copy_from_slice(self.message_body.as_bytes());
        // Groups of a standard queue say whose messages they are, and order nothing.
        let group = self.message_group_id.clone().filter(|_| queue.attributes.is_fifo);
        envelope.message(queue, body, group, self.delay_seconds, now_ms)
    }

    /// SendMessageResult.
    fn sent(&self, queue: &Definition, envelope: Envelope, appended: &Appended) -> Value {
        let envelope = appended.same.as_deref().map_or(envelope, Envelope::read);
        let mut sent = json!({
            "MessageId": envelope.id,
            "MD5OfMessageBody": of_body(self.message_body.as_bytes()),
        });
        if let Some(digest) = of_attributes(&self.message_attributes) {
            sent["MD5OfMessageAttributes"] = digest.into();
        }
        if let Some(digest) = of_attributes(&self.message_system_attributes) {
            sent["MD5OfMessageSystemAttributes"] = digest.into();
        }
        if queue.attributes.is_fifo {
            sent["SequenceNumber"] = sequence(appended.id).into();
        }
        sent
    }
}

fn check_attributes(attributes: &BTreeMap<String, Attribute>) -> Result<(), SqsError> {
    if attributes.len() > ATTRIBUTES_MAX {
        return Err(SqsError::invalid(
            "Number of message attributes exceeds the allowed maximum [10].",
        ));
    }
    for (name, attribute) in attributes {
        let bad =
            |why: &str| Err(SqsError::invalid(format!("The message attribute '{name}' {why}")));
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        if !(1..=NAME_CHARS_MAX).contains(&name.len()) || !name.bytes().all(fits) {
            return Err(SqsError::invalid(format!(
                "The message attribute name '{name}' is invalid. Attribute name can contain A-Z, a-z, 0-9, underscore \
                 (_), hyphen (-), and period (.) characters."
            )));
        }
        let kind = attribute.data_type.split('.').next().unwrap_or_default();
        match (kind, &attribute.string, &attribute.binary) {
            ("String" | "Number", Some(text), None) if !text.is_empty() => {}
            ("Binary", None, Some(bytes)) if !bytes.is_empty() => {}
            ("String" | "Number" | "Binary", ..) => {
                return bad("must contain a non-empty value of its type.");
            }
            _ => {
                return bad(
                    "has an invalid message attribute type, the set of supported type prefixes is Binary, Number, \
                     and String.",
                );
            }
        }
    }
    Ok(())
}
