//! Errors as clients of AWS JSON 1.1 know them: a type and a message, both in the body.

use std::io;

use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::CONTENT;

/// What a client is told instead of a result.
#[derive(Debug)]
pub(super) struct LogsError {
    status: StatusCode,
    kind: &'static str,
    message: String,
}

impl LogsError {
    fn new(status: StatusCode, kind: &'static str, message: impl Into<String>) -> LogsError {
        LogsError { status, kind, message: message.into() }
    }

    pub(super) fn invalid(message: impl Into<String>) -> LogsError {
        Self::new(StatusCode::BAD_REQUEST, "InvalidParameterException", message)
    }

    pub(super) fn malformed(error: &serde_json::Error) -> LogsError {
        Self::new(StatusCode::BAD_REQUEST, "SerializationException", error.to_string())
    }

    pub(super) fn no_group() -> LogsError {
        let message = "The specified log group does not exist.";
        Self::new(StatusCode::BAD_REQUEST, "ResourceNotFoundException", message)
    }

    pub(super) fn no_stream() -> LogsError {
        let message = "The specified log stream does not exist.";
        Self::new(StatusCode::BAD_REQUEST, "ResourceNotFoundException", message)
    }

    pub(super) fn unknown(target: &str) -> LogsError {
        let message = match target {
            "" => "A request to this path names its operation in X-Amz-Target.".into(),
            target => format!("The operation {target} is not one of Mayfly's."),
        };
        Self::new(StatusCode::BAD_REQUEST, "UnknownOperationException", message)
    }
}

impl From<io::Error> for LogsError {
    fn from(error: io::Error) -> LogsError {
        let message = format!("the log can't be read: {error}");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailableException", message)
    }
}

impl IntoResponse for LogsError {
    fn into_response(self) -> Response {
        let body = json!({ "__type": self.kind, "message": self.message });
        (self.status, [(CONTENT_TYPE, CONTENT)], body.to_string()).into_response()
    }
}
