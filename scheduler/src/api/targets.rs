//! Services whose calls the path does not name. CloudWatch Logs and SQS have them in a header, X-Amz-Target; STS and older
//! clients of SQS in a parameter, Action, of the body or of the URL.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Extension, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, Method, Uri};
use axum::response::{IntoResponse, Response};

use super::error::ApiError;
use super::invoke::trace;
use super::{Platform, RequestId, logs, query, sqs};

/// Largest request of any of them.
pub(super) const BODY_BYTES_MAX: usize = sqs::BODY_BYTES_MAX;

const TARGET: &str = "x-amz-target";
const FORM: &[u8] = b"application/x-www-form-urlencoded";

pub(super) async fn call(
    State(platform): State<Arc<Platform>>,
    Extension(RequestId(id)): Extension<RequestId>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let target = headers.get(TARGET).and_then(|target| target.to_str().ok()).unwrap_or_default();
    if let Some(call) = target.strip_prefix(sqs::PREFIX) {
        return sqs::call(&platform, call, trace(&headers), body).await;
    }
    let is_form = headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(FORM));
    if target.is_empty() && (is_form || method == Method::GET) {
        let Ok(body) = body else { return query::too_large(&id) };
        let url = uri.query().unwrap_or_default().as_bytes();
        let form = if is_form { &*body } else { &[] };
        let pairs: Vec<_> = form_urlencoded::parse(url)
            .chain(form_urlencoded::parse(form))
            .map(|(name, value)| (name.into_owned(), value.into_owned()))
            .collect();
        if !pairs.iter().any(|(name, _)| name == "Action") {
            return ApiError::unknown_operation().into_response();
        }
        return query::call(&platform, pairs, uri.path(), trace(&headers), &id).await;
    }
    logs::call(&platform, target, body).await
}
