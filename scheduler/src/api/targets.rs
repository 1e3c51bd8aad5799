//! Services whose calls are named in a header, X-Amz-Target: CloudWatch Logs and SQS.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::HeaderMap;
use axum::response::Response;

use super::invoke::trace;
use super::{Platform, logs, sqs};

/// Largest request of any of them.
pub(super) const BODY_BYTES_MAX: usize = sqs::BODY_BYTES_MAX;

const TARGET: &str = "x-amz-target";

pub(super) async fn call(
    State(platform): State<Arc<Platform>>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let target = headers.get(TARGET).and_then(|target| target.to_str().ok()).unwrap_or_default();
    match target.strip_prefix(sqs::PREFIX) {
        Some(call) => sqs::call(&platform, call, trace(&headers), body).await,
        None => logs::call(&platform, target, body).await,
    }
}
