//! The event that a batch of messages becomes, and what the function says of it.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::queue::Leased;
use crate::service::Identity;
use crate::sqs::{Attribute, Definition, Envelope, Receipt, of_body, sequence};

/// A record of the event (Lambda developer guide, "Using Lambda with Amazon SQS").
pub(super) fn record(identity: &Identity, queue: &Definition, leased: &Leased) -> Value {
    let message = &leased.message;
    let envelope = Envelope::of(message);
    let receipt = Receipt { lane: queue.lane(), lease: leased.lease };
    let first_ms = message.first_leased_ms.unwrap_or(message.sent_ms);
    let mut attributes = json!({
        "ApproximateReceiveCount": message.leases.to_string(),
        "SentTimestamp": message.sent_ms.to_string(),
        "SenderId": identity.account,
        "ApproximateFirstReceiveTimestamp": first_ms.to_string(),
    });
    if queue.attributes.is_fifo {
        attributes["SequenceNumber"] = sequence(message.id).into();
        attributes["MessageGroupId"] = message.group.clone().into();
        attributes["MessageDeduplicationId"] = envelope.name.clone().into();
    }
    if let Some(trace) = &envelope.trace {
        attributes["AWSTraceHeader"] = trace.as_str().into();
    }
    let shown = envelope.attributes.iter();
    let shown: Map<String, Value> =
        shown.map(|(name, attribute)| (name.clone(), show(attribute))).collect();
    json!({
        "messageId": envelope.id,
        "receiptHandle": receipt.handle(),
        "body": String::from_utf8_lossy(&message.body),
        "attributes": attributes,
        "messageAttributes": shown,
        "md5OfBody": of_body(&message.body),
        "eventSource": "aws:sqs",
        "eventSourceARN": queue.arn(identity),
        "awsRegion": identity.region,
    })
}

fn show(attribute: &Attribute) -> Value {
    let mut shown = json!({
        "stringListValues": [], "binaryListValues": [], "dataType": attribute.data_type,
    });
    if let Some(text) = &attribute.string {
        shown["stringValue"] = text.as_str().into();
    }
    if let Some(bytes) = &attribute.binary {
        shown["binaryValue"] = bytes.as_str().into();
    }
    shown
}

/// The messages that a function reports as failed, by id; `None` where what it says makes no sense, which fails all of
/// the `batch`.
pub(super) fn failures(response: &[u8], batch: &BTreeSet<&str>) -> Option<BTreeSet<String>> {
    let response: Value =
        if response.is_empty() { Value::Null } else { serde_json::from_slice(response).ok()? };
    let failures = match response.get("batchItemFailures") {
        None | Some(Value::Null) => return Some(BTreeSet::new()),
        Some(failures) => failures.as_array()?,
    };
    let ids = failures.iter().map(|one| one["itemIdentifier"].as_str());
    ids.map(|id| id.filter(|id| batch.contains(id)).map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_says_what_failed() {
        let batch = BTreeSet::from(["a", "b"]);
        let said = |text: &str| failures(text.as_bytes(), &batch).map(|ids| ids.len());
        for none in
            ["", "null", "{}", "[]", r#"{"batchItemFailures":null}"#, r#"{"batchItemFailures":[]}"#]
        {
            assert_eq!(said(none), Some(0), "{none}");
        }
        assert_eq!(said(r#"{"batchItemFailures":[{"itemIdentifier":"b"}]}"#), Some(1));
        for bad in [
            "{",
            r#"{"batchItemFailures":[{"itemIdentifier":""}]}"#,
            r#"{"batchItemFailures":[{"itemIdentifier":"c"}]}"#,
            r#"{"batchItemFailures":[{}]}"#,
            r#"{"batchItemFailures":7}"#,
        ] {
            assert_eq!(said(bad), None, "{bad}");
        }
    }
}
