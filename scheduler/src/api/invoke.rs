//! Invoke: RequestResponse and DryRun; Event is `event.rs`'s, and so is InvokeAsync.

use std::sync::Arc;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, Query, State};
use axum::http::header::{CONTENT_TYPE, HeaderName};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::value::RawValue;

use super::error::ApiError;
use super::find::route;
use super::functions::Qualified;
use super::{Id, Platform, RequestId, event};
use crate::function::Version;
use crate::service::{Invocation, Reply, Trace};

/// Largest payload: 6 MB (Lambda quotas, synchronous invocation).
pub(super) const PAYLOAD_BYTES_MAX: usize = 6 * 1024 * 1024;
/// Largest client context, in base64 (Invoke's documentation).
const CONTEXT_CHARS_MAX: usize = 3583;

const INVOCATION_TYPE: &str = "x-amz-invocation-type";
const LOG_TYPE: &str = "x-amz-log-type";
const TRACE: &str = "x-amzn-trace-id";
const CLIENT_CONTEXT: &str = "x-amz-client-context";
pub(super) const EXECUTED_VERSION: HeaderName = HeaderName::from_static("x-amz-executed-version");
const FUNCTION_ERROR: HeaderName = HeaderName::from_static("x-amz-function-error");
const LOG_RESULT: HeaderName = HeaderName::from_static("x-amz-log-result");

pub(super) async fn invoke(
    State(platform): State<Arc<Platform>>,
    Extension(id): Id,
    Path(name): Path<String>,
    Query(query): Query<Qualified>,
    headers: HeaderMap,
    payload: Result<Bytes, BytesRejection>,
) -> Result<Response, ApiError> {
    let request = request(&platform, id, &name, query, &headers, payload)?;
    match request.kind {
        "RequestResponse" => {}
        "Event" => return event::accept(&platform, request).await,
        "DryRun" => return Ok(StatusCode::NO_CONTENT.into_response()),
        other => {
            let must = "satisfy enum value set: [Event, RequestResponse, DryRun]";
            return Err(ApiError::constraint(other, "invocationType", must));
        }
    }
    let Request { invocation, version, is_tail_wanted, .. } = request;
    Ok(answer(done(platform.service.invoke(invocation).await)?, version, is_tail_wanted))
}

/// InvokeAsync, which Invoke has replaced: always an event, of the newest code.
pub(super) async fn invoke_async(
    State(platform): State<Arc<Platform>>,
    Extension(id): Id,
    Path(name): Path<String>,
    mut headers: HeaderMap,
    payload: Result<Bytes, BytesRejection>,
) -> Result<Response, ApiError> {
    headers.insert(INVOCATION_TYPE, HeaderValue::from_static("Event"));
    let newest = Qualified { qualifier: None };
    event::accept(&platform, request(&platform, id, &name, newest, &headers, payload)?).await
}

/// What a client wants to have run, checked.
pub(super) struct Request<'a> {
    /// X-Amz-Invocation-Type.
    pub(super) kind: &'a str,
    pub(super) invocation: Invocation,
    pub(super) qualifier: Option<String>,
    pub(super) version: Version,
    pub(super) is_tail_wanted: bool,
}

/// Reads a request of Invoke's kind.
///
/// # Errors
/// What the model does not allow, or a function that is not there.
pub(super) fn request<'a>(
    platform: &Platform,
    id: RequestId,
    name: &str,
    query: Qualified,
    headers: &'a HeaderMap,
    payload: Result<Bytes, BytesRejection>,
) -> Result<Request<'a>, ApiError> {
    let payload = payload.map_err(|_| ApiError::too_large(PAYLOAD_BYTES_MAX))?;
    let target = route(platform, name, query.qualifier)?;
    let is_tail_wanted = is_tail_wanted(headers)?;
    let kind = text(headers, INVOCATION_TYPE)?.unwrap_or("RequestResponse");
    let payload = if payload.is_empty() { Bytes::from_static(b"{}") } else { payload };
    serde_json::from_slice::<&RawValue>(&payload).map_err(|error| {
        ApiError::invalid_content(format!("Could not parse request body into json: {error}"))
    })?;
    let client_context = client_context(headers)?;
    let trace = trace(headers);
    // An event is accepted, and ends where failed ones do.
    if kind != "Event" && trace.ends_at(target.function.id, target.settings.recursive_loop) {
        return Err(ApiError::recursive());
    }
    let request_id = id.0;
    let function_arn = target.arn(&platform.service.identity);
    let (function, qualifier) = (target.function, target.qualifier);
    let version = function.version;
    let invocation =
        Invocation { request_id, function, function_arn, payload, client_context, trace };
    Ok(Request { kind, invocation, qualifier, version, is_tail_wanted })
}

/// What a function that has run leaves.
pub(super) struct Done {
    /// Its result, or an error document.
    pub(super) payload: Bytes,
    pub(super) is_error: bool,
    /// The last 4 KB of the log.
    pub(super) tail: Vec<u8>,
}

/// # Errors
/// The function did not run.
pub(super) fn done(reply: Reply) -> Result<Done, ApiError> {
    match reply {
        Reply::Done { payload, is_error, tail } => Ok(Done { payload, is_error, tail }),
        Reply::Throttled => Err(ApiError::throttled()),
        Reply::OverReserved => Err(ApiError::over_reserved()),
        Reply::Stopping => Err(ApiError::service("The service is going down.")),
        Reply::HostFailed(detail) => Err(ApiError::service(detail)),
    }
}

fn answer(done: Done, version: Version, is_tail_wanted: bool) -> Response {
    let Done { payload, is_error, tail } = done;
    let mut response = payload.into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Ok(version) = HeaderValue::from_str(&version.to_string()) {
        headers.insert(EXECUTED_VERSION, version);
    }
    if is_error {
        headers.insert(FUNCTION_ERROR, HeaderValue::from_static("Unhandled"));
    }
    if is_tail_wanted && let Ok(tail) = HeaderValue::from_str(&STANDARD.encode(tail)) {
        headers.insert(LOG_RESULT, tail);
    }
    response
}

fn is_tail_wanted(headers: &HeaderMap) -> Result<bool, ApiError> {
    match text(headers, LOG_TYPE)? {
        None | Some("None") => Ok(false),
        Some("Tail") => Ok(true),
        Some(other) => {
            Err(ApiError::constraint(other, "logType", "satisfy enum value set: [None, Tail]"))
        }
    }
}

/// The client's context: JSON in base64.
fn client_context(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    let Some(text) = text(headers, CLIENT_CONTEXT)? else { return Ok(None) };
    let invalid =
        || ApiError::invalid_content("Client context must be a valid Base64-encoded JSON object.");
    if text.len() > CONTEXT_CHARS_MAX {
        return Err(invalid());
    }
    let json = STANDARD.decode(text).map_err(|_| invalid())?;
    serde_json::from_slice::<&RawValue>(&json).map_err(|_| invalid())?;
    String::from_utf8(json).map(Some).map_err(|_| invalid())
}

/// What has led to a request: its client's SDK says so, inside a function.
pub(super) fn trace(headers: &HeaderMap) -> Trace {
    let header = headers.get(TRACE).and_then(|header| header.to_str().ok());
    header.map(Trace::read).unwrap_or_default()
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, ApiError> {
    let value = headers.get(name).map(|value| value.to_str());
    value.transpose().map_err(|_| ApiError::invalid(format!("{name} is not text")))
}
