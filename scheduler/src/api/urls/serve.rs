//! One request to a function URL.

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_TYPE, HeaderValue};
use axum::http::request::Parts;
use axum::http::{HeaderName, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::json;
use uuid::Uuid;

use super::address::{self, Address};
use super::event::{self, Context};
use super::{access, answer, cors, streamed};
use crate::api::Platform;
use crate::api::error::ApiError;
use crate::api::find::route;
use crate::api::invoke::{PAYLOAD_BYTES_MAX, done, trace};
use crate::function::{AuthType, FunctionUrl, InvokeMode};
use crate::service::{Begun, Invocation, Reply};

/// Where Lambda names its errors.
const FORBIDDEN: &str = "Forbidden. For troubleshooting Function URL authorization issues, see: \
    https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html";
const ERROR_TYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");

/// Answers what is for a function URL, and passes everything else on.
pub(in crate::api) async fn intercept(
    State(platform): State<Arc<Platform>>,
    request: Request,
    next: Next,
) -> Response {
    let Some(address) = address::of(request.uri(), request.headers()) else {
        return next.run(request).await;
    };
    let request_id = Uuid::new_v4().to_string();
    let value = HeaderValue::from_str(&request_id);
    let served = serve(&platform, address, request_id, request).await;
    let mut response = served.unwrap_or_else(IntoResponse::into_response);
    if let Ok(value) = value {
        response.headers_mut().insert(HeaderName::from_static("x-amzn-requestid"), value);
    }
    response
}

async fn serve(
    platform: &Platform,
    address: Address,
    request_id: String,
    request: Request,
) -> Result<Response, ApiError> {
    let Some((name, qualifier, url)) = platform.functions.find_url(&address.id) else {
        return Ok(forbidden(None));
    };
    let (parts, body) = request.into_parts();
    if let Some(cors) = &url.cors
        && let Some(response) = cors::preflight(cors, &parts.method, &parts.headers)
    {
        return Ok(response);
    }
    if !access::is_allowed(platform, &name, &qualifier, &url, &parts) {
        return Ok(forbidden(Some(FORBIDDEN)));
    }
    let qualifier = Some(qualifier).filter(|qualifier| !qualifier.is_empty());
    let target = route(platform, &name, qualifier)?;
    let Some(payload) = payload(platform, &url, &address, &request_id, &parts, body).await else {
        return Ok(message(StatusCode::PAYLOAD_TOO_LARGE, Some("Request Too Long")));
    };
    let invocation = Invocation {
        request_id,
        function_arn: target.arn(&platform.service.identity),
        function: target.function,
        payload: payload.into(),
        client_context: None,
        trace: trace(&parts.headers),
    };
    let mut response = match url.invoke_mode.unwrap_or_default() {
        InvokeMode::Buffered => whole(platform.service.invoke(invocation).await, answer::response)?,
        InvokeMode::ResponseStream => match platform.service.stream(invocation).await {
            Begun::Stream(stream) => {
                streamed::response(stream).await.unwrap_or_else(IntoResponse::into_response)
            }
            // A runtime that does not stream: its answer is the body.
            Begun::Whole(reply) => whole(reply, |payload| Ok(Body::from(payload).into_response()))?,
        },
    };
    if let Some(cors) = &url.cors {
        cors::apply(cors, &parts.headers, response.headers_mut());
    }
    Ok(response)
}

/// The response to a payload that came whole; a function's error is nobody's business.
fn whole(
    reply: Reply,
    read: impl FnOnce(bytes::Bytes) -> Result<Response, answer::BadAnswer>,
) -> Result<Response, ApiError> {
    let done = done(reply)?;
    let read = if done.is_error { Err(answer::BadAnswer) } else { read(done.payload) };
    Ok(read.unwrap_or_else(IntoResponse::into_response))
}

/// The event; `None` where it would be too large.
async fn payload(
    platform: &Platform,
    url: &FunctionUrl,
    address: &Address,
    request_id: &str,
    parts: &Parts,
    body: Body,
) -> Option<Vec<u8>> {
    let body = to_bytes(body, PAYLOAD_BYTES_MAX).await.ok()?;
    let identity = &platform.service.identity;
    let context = Context {
        request_id,
        id: &url.id,
        domain: &address::domain(identity, &url.id),
        path: &address.path,
        account: match url.auth_type {
            AuthType::None => "anonymous",
            AuthType::Iam => &identity.account,
        },
        // Whoever reaches the platform is on this host.
        source_ip: platform.address.ip().to_string(),
        port: platform.address.port(),
    };
    let event = event::event(&context, parts, &body).to_string().into_bytes();
    Some(event).filter(|event| event.len() <= PAYLOAD_BYTES_MAX)
}

/// What somebody gets who may not call, or calls what is not there.
fn forbidden(text: Option<&str>) -> Response {
    let mut refusal = message(StatusCode::FORBIDDEN, text);
    refusal.headers_mut().insert(ERROR_TYPE, HeaderValue::from_static("AccessDeniedException"));
    refusal
}

fn message(status: StatusCode, text: Option<&str>) -> Response {
    let kind = HeaderValue::from_static("application/json");
    (status, [(CONTENT_TYPE, kind)], json!({ "Message": text }).to_string()).into_response()
}
