//! Errors as Lambda's clients know them: a type, in a header and in the body, and a message.

use axum::Json;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::name::FunctionName;
use super::violations::Violations;
use crate::policy::POLICY_BYTES_MAX;
use crate::queue::QueueError;
use crate::service::Identity;
use crate::store::{CodeError, StoreError};

/// The type of what the front of AWS refuses by itself.
const VALIDATION: &str = "ValidationException";
const ENTITY_TOO_LARGE: &str = "RequestEntityTooLargeException";

/// What a client is told instead of a result.
#[derive(Debug)]
pub(super) struct ApiError {
    status: StatusCode,
    kind: &'static str,
    message: String,
    reason: Option<&'static str>,
    /// Whether the body says whose fault it is.
    is_typed: bool,
}

impl ApiError {
    fn new(status: StatusCode, kind: &'static str, message: impl Into<String>) -> ApiError {
        let is_typed = kind != VALIDATION && kind != ENTITY_TOO_LARGE;
        ApiError { status, kind, message: message.into(), reason: None, is_typed }
    }

    /// The same without a `Type` in its body, as AWS has it of some.
    pub(super) fn untyped(self) -> ApiError {
        ApiError { is_typed: false, ..self }
    }

    /// Its type, such as `ServiceException`.
    pub(super) fn kind(&self) -> &'static str {
        self.kind
    }

    pub(super) fn message(&self) -> &str {
        &self.message
    }

    pub(super) fn invalid(message: impl Into<String>) -> ApiError {
        Self::new(StatusCode::BAD_REQUEST, "InvalidParameterValueException", message)
    }

    pub(super) fn invalid_content(message: impl Into<String>) -> ApiError {
        Self::new(StatusCode::BAD_REQUEST, "InvalidRequestContentException", message)
    }

    /// One value outside of what the model allows.
    pub(super) fn constraint(value: &str, member: &str, must: &str) -> ApiError {
        Self::one(|wrong| wrong.add(value, member, must))
    }

    /// The same of a map: what its keys or its values must be.
    pub(super) fn map_constraint(value: &str, member: &str, must: &str) -> ApiError {
        Self::one(|wrong| wrong.add_map(value, member, must))
    }

    /// A member that the model wants is not there.
    pub(super) fn null(member: &str) -> ApiError {
        Self::one(|wrong| wrong.null(member))
    }

    fn one(find: impl FnOnce(&mut Violations)) -> ApiError {
        let mut wrong = Violations::default();
        find(&mut wrong);
        wrong.into()
    }

    pub(super) fn access_denied(message: impl Into<String>) -> ApiError {
        Self::new(StatusCode::FORBIDDEN, "AccessDeniedException", message)
    }

    /// What is to be used only by its alias's name has no such alias.
    pub(super) fn no_alias(identity: &Identity, function: &str, alias: &str) -> ApiError {
        let arn = identity.qualified_arn(function, Some(alias));
        Self::missing(format!("Cannot find alias arn: {arn}"))
    }

    pub(super) fn not_found(identity: &Identity, name: &FunctionName) -> ApiError {
        let mut arn = identity.function_arn(&name.name);
        if let Some(qualifier) = &name.qualifier {
            arn = format!("{arn}:{qualifier}");
        }
        let message = format!("Function not found: {arn}");
        Self::new(StatusCode::NOT_FOUND, "ResourceNotFoundException", message)
    }

    /// There is nothing of that name.
    pub(super) fn no_resource() -> ApiError {
        let message = "The resource you requested does not exist.";
        Self::new(StatusCode::NOT_FOUND, "ResourceNotFoundException", message)
    }

    /// Something is not there, in these words.
    pub(super) fn missing(message: impl Into<String>) -> ApiError {
        Self::new(StatusCode::NOT_FOUND, "ResourceNotFoundException", message)
    }

    pub(super) fn no_provisioned_concurrency() -> ApiError {
        let message = "No Provisioned Concurrency Config found for this function";
        Self::new(StatusCode::NOT_FOUND, "ProvisionedConcurrencyConfigNotFoundException", message)
    }

    pub(super) fn no_code_signing_config(arn: &str) -> ApiError {
        let message = format!(
            "The code signing configuration cannot be found. Check that the provided configuration is not \
             deleted: {arn}."
        );
        Self::new(StatusCode::NOT_FOUND, "CodeSigningConfigNotFoundException", message)
    }

    pub(super) fn exists(name: &str) -> ApiError {
        Self::conflict(format!("Function already exist: {name}"))
    }

    /// Something is in the way, in these words.
    pub(super) fn conflict(message: impl Into<String>) -> ApiError {
        Self::new(StatusCode::CONFLICT, "ResourceConflictException", message)
    }

    pub(super) fn precondition_failed() -> ApiError {
        let message = "The Revision Id provided does not match the latest Revision Id. Call the \
                       GetFunction/GetAlias API to retrieve the latest Revision Id";
        Self::new(StatusCode::PRECONDITION_FAILED, "PreconditionFailedException", message)
    }

    /// As [`ApiError::precondition_failed`], of a policy, which `call` tells.
    pub(super) fn policy_precondition_failed(call: &str) -> ApiError {
        let message = format!(
            "The Revision Id provided does not match the latest Revision Id. Call the {call} API to retrieve \
             the latest Revision Id"
        );
        Self::new(StatusCode::PRECONDITION_FAILED, "PreconditionFailedException", message)
    }

    pub(super) fn policy_too_long(bytes: usize) -> ApiError {
        let message = format!(
            "The final policy size ({bytes}) is bigger than the limit ({POLICY_BYTES_MAX})."
        );
        Self::new(StatusCode::BAD_REQUEST, "PolicyLengthExceededException", message)
    }

    /// A payload that is too large.
    pub(super) fn too_large(limit: usize) -> ApiError {
        let message =
            format!("Request must be smaller than {limit} bytes for the InvokeFunction operation");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "RequestTooLargeException", message)
    }

    /// An upload that is too large: the model does not name the type.
    pub(super) fn entity_too_large(message: impl Into<String>) -> ApiError {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, ENTITY_TOO_LARGE, message)
    }

    /// No environment is free, or can be made.
    pub(super) fn throttled() -> ApiError {
        Self::too_many("ConcurrentInvocationLimitExceeded")
    }

    /// The function's own bound is reached.
    pub(super) fn over_reserved() -> ApiError {
        Self::too_many("ReservedFunctionConcurrentInvocationLimitExceeded")
    }

    /// What has led to an invocation has invoked the function too often.
    pub(super) fn recursive() -> ApiError {
        let message = "Lambda has detected your function being invoked in a recursive loop with other resources and stopped \
                       your function's invocation.";
        Self::new(StatusCode::BAD_REQUEST, "RecursiveInvocationException", message)
    }

    fn too_many(reason: &'static str) -> ApiError {
        let (status, kind) = (StatusCode::TOO_MANY_REQUESTS, "TooManyRequestsException");
        ApiError { reason: Some(reason), ..Self::new(status, kind, "Rate Exceeded.") }
    }

    pub(super) fn service(message: impl Into<String>) -> ApiError {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "ServiceException", message)
    }

    /// The response itself, or, where it is a refusal in plain text, an error that says the same.
    pub(super) fn in_place_of(response: Response) -> Response {
        let kind = response.headers().get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
        if !response.status().is_client_error()
            || !kind.is_some_and(|kind| kind.starts_with(b"text/plain"))
        {
            return response;
        }
        Self::invalid("The path or the query has a value that can't be read.").into_response()
    }

    pub(super) fn unknown_operation() -> ApiError {
        let message = "This operation is not one of Mayfly's";
        Self::new(StatusCode::NOT_FOUND, "UnknownOperationException", message)
    }
}

impl From<Violations> for ApiError {
    fn from(wrong: Violations) -> ApiError {
        Self::new(StatusCode::BAD_REQUEST, VALIDATION, wrong.to_string())
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> ApiError {
        match error {
            StoreError::Missing => Self::new(
                StatusCode::NOT_FOUND,
                "ResourceNotFoundException",
                format!("Function not found: {error}"),
            ),
            error => ApiError::service(error.to_string()),
        }
    }
}

impl From<QueueError> for ApiError {
    fn from(error: QueueError) -> ApiError {
        ApiError::service(error.to_string())
    }
}

impl From<CodeError> for ApiError {
    fn from(error: CodeError) -> ApiError {
        match error {
            CodeError::Bundle(crate::bundle::BundleError::Io(_)) | CodeError::Io(_) => {
                ApiError::service(error.to_string())
            }
            CodeError::Bundle(error) => ApiError::invalid(error.to_string()),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let fault = if self.status.is_server_error() { "Service" } else { "User" };
        // The model spells the member differently, error by error.
        let message = match self.kind {
            "ResourceNotFoundException" | "ServiceException" | ENTITY_TOO_LARGE => "Message",
            _ => "message",
        };
        let mut body = json!({ message: self.message });
        if self.is_typed {
            body["Type"] = fault.into();
        }
        if let Some(reason) = self.reason {
            body["Reason"] = reason.into();
        }
        let mut response = (self.status, Json(body)).into_response();
        let headers = response.headers_mut();
        let name = HeaderName::from_static("x-amzn-errortype");
        headers.insert(name, HeaderValue::from_static(self.kind));
        if self.status == StatusCode::TOO_MANY_REQUESTS {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}
