//! What a destination is told of an event that has come to its end (Lambda developer guide, "Capturing records of Lambda
//! asynchronous invocations").

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value, json};

use super::event::Event;
use crate::clock;
use crate::function::{LATEST, Version};
use crate::service::Identity;
use crate::sqs::Attribute;

/// Largest record: what an asynchronous invocation or a queue takes. What does not fit is left out: first the response,
/// then the request.
pub(super) const RECORD_BYTES_MAX: usize = 1 << 20;

/// The part of an error's message that a dead letter has.
const MESSAGE_CHARS_MAX: usize = 1024;

/// How an event came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Condition {
    Success,
    RetriesExhausted,
    EventAgeExceeded,
    ZeroReservedConcurrency,
    /// What has led to it has invoked its function too often.
    RecursiveLoop,
}

impl Condition {
    pub(super) fn name(self) -> &'static str {
        match self {
            Condition::Success => "Success",
            Condition::RetriesExhausted => "RetriesExhausted",
            Condition::EventAgeExceeded => "EventAgeExceeded",
            Condition::ZeroReservedConcurrency => "ZeroReservedConcurrency",
            Condition::RecursiveLoop => "RecursiveInvocationException",
        }
    }
}

/// What the function's last run gave.
#[derive(Clone, Debug)]
pub(super) struct Response {
    pub(super) version: Version,
    pub(super) is_error: bool,
    pub(super) payload: Bytes,
}

/// An event at its end.
pub(super) struct Ended<'a> {
    pub(super) event: &'a Event,
    pub(super) condition: Condition,
    /// How often it was run.
    pub(super) runs: u32,
    pub(super) request: &'a Bytes,
    pub(super) response: Option<Response>,
}

impl Ended<'_> {
    /// The record: JSON of at most [`RECORD_BYTES_MAX`].
    pub(super) fn record(&self, identity: &Identity, now_ms: i64) -> Bytes {
        let choices = [(true, true), (true, false), (false, false)];
        let mut records = choices.into_iter().map(|(has_request, has_response)| {
            self.with(identity, now_ms, has_request, has_response)
        });
        let fits = |record: &Bytes| record.len() <= RECORD_BYTES_MAX;
        // Without either there is nothing of unknown length in it.
        records.find(fits).unwrap_or_default()
    }

    /// What a dead letter says besides its payload (Lambda developer guide, "Dead-letter queues").
    pub(super) fn attributes(&self) -> BTreeMap<String, Attribute> {
        let attribute = |kind: &str, value: String| Attribute {
            data_type: kind.into(),
            string: Some(value),
            binary: None,
        };
        let message = match &self.response {
            Some(response) => {
                let text = String::from_utf8_lossy(&response.payload);
                let parsed: Value = serde_json::from_str(&text).unwrap_or_default();
                parsed["errorMessage"]
                    .as_str()
                    .unwrap_or(&text)
                    .chars()
                    .take(MESSAGE_CHARS_MAX)
                    .collect()
            }
            None => self.condition.name().to_owned(),
        };
        BTreeMap::from([
            ("RequestID".to_owned(), attribute("String", self.event.request_id.clone())),
            ("ErrorCode".to_owned(), attribute("Number", "200".into())),
            ("ErrorMessage".to_owned(), attribute("String", message)),
        ])
    }

    fn with(
        &self,
        identity: &Identity,
        now_ms: i64,
        has_request: bool,
        has_response: bool,
    ) -> Bytes {
        let Ended { event, condition, runs, .. } = self;
        let qualifier = event.qualifier.as_deref().unwrap_or(LATEST);
        let mut record: Map<String, Value> = Map::new();
        record.insert("version".into(), "1.0".into());
        record.insert("timestamp".into(), clock::iso_time(now_ms).into());
        record.insert(
            "requestContext".into(),
            json!({
                "requestId": event.request_id,
                "functionArn": identity.qualified_arn(&event.function, Some(qualifier)),
                "condition": condition.name(),
                "approximateInvokeCount": runs,
            }),
        );
        if let Some(response) = &self.response {
            let mut context =
                json!({ "statusCode": 200, "executedVersion": response.version.to_string() });
            if response.is_error {
                context["functionError"] = "Unhandled".into();
            }
            record.insert("responseContext".into(), context);
        }
        let mut text = Value::Object(record).to_string();
        text.pop();
        let request = if has_request { &self.request[..] } else { b"null" };
        append(&mut text, "requestPayload", request);
        if let Some(response) = &self.response {
            let payload = if has_response { &response.payload[..] } else { b"null" };
            append(&mut text, "responsePayload", payload);
        }
        text.push('}');
        text.into()
    }
}

/// Adds a member that is JSON as it is, or else text.
fn append(record: &mut String, member: &str, payload: &[u8]) {
    let raw = serde_json::from_slice::<&RawValue>(payload).map(RawValue::to_owned);
    let raw = raw.or_else(|_| to_raw_value(&String::from_utf8_lossy(payload)));
    let raw = raw.map_or_else(|_| "null".to_owned(), |raw| raw.get().to_owned());
    record.push_str(&format!(",\"{member}\":{raw}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(request: &Bytes, response: Option<Response>) -> Bytes {
        let event = Event { request_id: "id".into(), function: "f".into(), ..Event::default() };
        let condition = Condition::RetriesExhausted;
        let ended = Ended { event: &event, condition, runs: 3, request, response };
        ended.record(&Identity::default(), 1_573_755_365_568)
    }

    #[test]
    fn a_record_is_as_lambda_writes_it() {
        let payload = Bytes::from_static(b"{\"errorType\":\"E\"}");
        let response = Response { version: Version::Latest, is_error: true, payload };
        let record = record(&Bytes::from_static(b"{\"a\": 1.0}"), Some(response));
        assert!(record.windows(8).any(|part| part == b"{\"a\": 1."), "the request as it came");
        let record: Value = serde_json::from_slice(&record).unwrap();
        assert_eq!(
            record,
            json!({
                "version": "1.0",
                "timestamp": "2019-11-14T18:16:05.568Z",
                "requestContext": {
                    "requestId": "id",
                    "functionArn": "arn:aws:lambda:us-east-1:000000000000:function:f:$LATEST",
                    "condition": "RetriesExhausted",
                    "approximateInvokeCount": 3,
                },
                "requestPayload": { "a": 1.0 },
                "responseContext": {
                    "statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled",
                },
                "responsePayload": { "errorType": "E" },
            })
        );
    }

    #[test]
    fn what_is_no_json_is_text_and_what_does_not_fit_is_left_out() {
        let response = |payload: Vec<u8>| {
            let payload = payload.into();
            Some(Response { version: Version::Published(1), is_error: false, payload })
        };
        let parsed = |record: Bytes| serde_json::from_slice::<Value>(&record).unwrap();
        let request = Bytes::from_static(b"1");
        let odd = parsed(record(&request, response(b"no \xff".to_vec())));
        assert_eq!(odd["responsePayload"], "no \u{fffd}");
        let big = parsed(record(&request, response(vec![b'1'; RECORD_BYTES_MAX])));
        assert_eq!((&big["requestPayload"], &big["responsePayload"]), (&json!(1), &Value::Null));
        let bigger = parsed(record(&vec![b'1'; RECORD_BYTES_MAX].into(), None));
        assert_eq!(
            (&bigger["requestPayload"], bigger.get("responsePayload")),
            (&Value::Null, None)
        );
    }
}
