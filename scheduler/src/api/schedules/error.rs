//! Errors as EventBridge Scheduler's clients know them: a type in a header, and a message.

use axum::Json;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::api::violations::Violations;
use crate::queue::QueueError;

/// What a client is told instead of a result.
#[derive(Debug)]
pub(super) struct ScheduleError {
    status: StatusCode,
    kind: &'static str,
    message: String,
}

impl ScheduleError {
    fn new(status: StatusCode, kind: &'static str, message: impl Into<String>) -> ScheduleError {
        ScheduleError { status, kind, message: message.into() }
    }

    pub(super) fn invalid(message: impl Into<String>) -> ScheduleError {
        Self::new(StatusCode::BAD_REQUEST, "ValidationException", message)
    }

    /// A value outside of what the model allows.
    pub(super) fn constraint(value: &str, member: &str, must: &str) -> ScheduleError {
        let mut wrong = Violations::default();
        wrong.add(value, member, must);
        Self::invalid(wrong.to_string())
    }

    /// A member that has to be there.
    pub(super) fn missing(member: &str) -> ScheduleError {
        Self::constraint("null", member, "not be null")
    }

    pub(super) fn no_schedule(name: &str) -> ScheduleError {
        let message = format!("Schedule {name} does not exist.");
        Self::new(StatusCode::NOT_FOUND, "ResourceNotFoundException", message)
    }

    pub(super) fn no_group(name: &str) -> ScheduleError {
        let message = format!("Schedule group {name} does not exist.");
        Self::new(StatusCode::NOT_FOUND, "ResourceNotFoundException", message)
    }

    /// There is such a one.
    pub(super) fn exists(what: &str, name: &str) -> ScheduleError {
        let message = format!("{what} {name} already exists.");
        Self::new(StatusCode::CONFLICT, "ConflictException", message)
    }

    pub(super) fn too_many(what: &str, most: usize) -> ScheduleError {
        let message = format!("There are {most} {what} at most.");
        Self::new(StatusCode::PAYMENT_REQUIRED, "ServiceQuotaExceededException", message)
    }
}

impl From<QueueError> for ScheduleError {
    fn from(error: QueueError) -> ScheduleError {
        let (status, kind) = (StatusCode::INTERNAL_SERVER_ERROR, "InternalServerException");
        Self::new(status, kind, error.to_string())
    }
}

impl IntoResponse for ScheduleError {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(json!({ "Message": self.message }))).into_response();
        let name = HeaderName::from_static("x-amzn-errortype");
        response.headers_mut().insert(name, HeaderValue::from_static(self.kind));
        response
    }
}
