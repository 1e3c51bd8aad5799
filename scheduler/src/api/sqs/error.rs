//! Errors as SQS' clients know them: a type in the body, and in a header the name that it had in the older protocol.

use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::CONTENT;
use crate::api::query::QueryError;
use crate::queue::QueueError;
use crate::sqs::BadAttribute;

/// What a client is told instead of a result.
#[derive(Debug)]
pub(super) struct SqsError {
    status: StatusCode,
    kind: &'static str,
    /// Its older name.
    code: &'static str,
    message: String,
}

/// Names of the older protocol that most errors have in common.
macro_rules! simple {
    ($kind:literal) => {
        concat!("AWS.SimpleQueueService.", $kind)
    };
}

impl SqsError {
    fn new(kind: &'static str, code: &'static str, message: impl Into<String>) -> SqsError {
        SqsError { status: StatusCode::BAD_REQUEST, kind, code, message: message.into() }
    }

    pub(super) fn invalid(message: impl Into<String>) -> SqsError {
        Self::new("InvalidParameterValueException", "InvalidParameterValue", message)
    }

    /// A parameter has a value that makes no sense, for this reason.
    pub(super) fn value(value: &str, parameter: &str, reason: &str) -> SqsError {
        Self::invalid(format!(
            "Value {value} for parameter {parameter} is invalid. Reason: {reason}."
        ))
    }

    pub(super) fn missing(parameter: &str) -> SqsError {
        let message = format!("The request must contain the parameter {parameter}.");
        Self::new("MissingRequiredParameterException", "MissingParameter", message)
    }

    pub(super) fn malformed(error: &serde_json::Error) -> SqsError {
        let message = error.to_string();
        let absent = message.strip_prefix("missing field `").and_then(|rest| rest.split_once('`'));
        match absent {
            Some((parameter, _)) => Self::missing(parameter),
            None => Self::new("SerializationException", "MalformedInput", message),
        }
    }

    pub(super) fn unknown(call: &str) -> SqsError {
        let message = format!("The operation {call} is not one of Mayfly's.");
        Self::new("UnknownOperationException", "InvalidAction", message)
    }

    pub(super) fn no_queue() -> SqsError {
        let message = "The specified queue does not exist.";
        Self::new("QueueDoesNotExist", simple!("NonExistentQueue"), message)
    }

    pub(super) fn exists(attribute: &str) -> SqsError {
        let message = format!(
            "A queue already exists with the same name and a different value for attribute {attribute}"
        );
        Self::new("QueueNameExists", "QueueAlreadyExists", message)
    }

    pub(super) fn no_handle(handle: &str) -> SqsError {
        let message =
            format!("The input receipt handle \"{handle}\" is not a valid receipt handle.");
        let error = Self::new("ReceiptHandleIsInvalid", "ReceiptHandleIsInvalid", message);
        SqsError { status: StatusCode::NOT_FOUND, ..error }
    }

    /// Somebody else has received it since.
    pub(super) fn expired(handle: &str) -> SqsError {
        Self::value(handle, "ReceiptHandle", "The receipt handle has expired")
    }

    pub(super) fn not_in_flight() -> SqsError {
        let message = "The message referred to isn't in flight.";
        Self::new("MessageNotInflight", simple!("MessageNotInflight"), message)
    }

    pub(super) fn contents() -> SqsError {
        let message = "Invalid characters found. Valid unicode characters are #x9 | #xA | #xD | \
                       #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF";
        Self::new("InvalidMessageContents", "InvalidMessageContents", message)
    }

    pub(super) fn empty_batch(call: &str) -> SqsError {
        let message = format!("There should be at least one {call}RequestEntry in the request.");
        Self::new("EmptyBatchRequest", simple!("EmptyBatchRequest"), message)
    }

    pub(super) fn batch_count(count: usize) -> SqsError {
        let message =
            format!("Maximum number of entries per request are 10. You have sent {count}.");
        let code = simple!("TooManyEntriesInBatchRequest");
        Self::new("TooManyEntriesInBatchRequest", code, message)
    }

    pub(super) fn batch_bytes(limit: usize, bytes: usize) -> SqsError {
        let message = format!(
            "Batch requests cannot be longer than {limit} bytes. You have sent {bytes} bytes."
        );
        Self::new("BatchRequestTooLong", simple!("BatchRequestTooLong"), message)
    }

    pub(super) fn batch_ids(id: &str) -> SqsError {
        let message = format!("Id {id} repeated.");
        Self::new("BatchEntryIdsNotDistinct", simple!("BatchEntryIdsNotDistinct"), message)
    }

    pub(super) fn batch_id() -> SqsError {
        let message = "A batch entry id can only contain alphanumeric characters, hyphens and \
                       underscores. It can be at most 80 letters long.";
        Self::new("InvalidBatchEntryId", simple!("InvalidBatchEntryId"), message)
    }

    /// As the older protocol has it.
    pub(super) fn query(self) -> QueryError {
        QueryError { status: self.status, code: self.code, message: self.message }
    }

    /// As the entry of a batch that failed.
    pub(super) fn entry(&self, id: &str) -> Value {
        let is_senders = self.status.is_client_error();
        json!({ "Id": id, "SenderFault": is_senders, "Code": self.code, "Message": self.message })
    }
}

impl From<BadAttribute> for SqsError {
    fn from(bad: BadAttribute) -> SqsError {
        match bad {
            BadAttribute::Unknown(name) => {
                let message = format!("Unknown Attribute {name}.");
                Self::new("InvalidAttributeName", "InvalidAttributeName", message)
            }
            BadAttribute::Value(name) => {
                let message = format!("Invalid value for the parameter {name}.");
                Self::new("InvalidAttributeValue", "InvalidAttributeValue", message)
            }
        }
    }
}

impl From<QueueError> for SqsError {
    fn from(error: QueueError) -> SqsError {
        let status = StatusCode::INTERNAL_SERVER_ERROR;
        let error = Self::new("InternalFailure", "InternalFailure", error.to_string());
        SqsError { status, ..error }
    }
}

impl IntoResponse for SqsError {
    fn into_response(self) -> Response {
        let fault = if self.status.is_client_error() { "Sender" } else { "Receiver" };
        let kind = format!("com.amazonaws.sqs#{}", self.kind);
        let body = json!({ "__type": kind, "message": self.message });
        let head = [(CONTENT_TYPE, CONTENT)];
        let mut response = (self.status, head, body.to_string()).into_response();
        if let Ok(code) = HeaderValue::from_str(&format!("{};{fault}", self.code)) {
            response.headers_mut().insert(HeaderName::from_static("x-amzn-query-error"), code);
        }
        response
    }
}
