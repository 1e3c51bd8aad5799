//! Asynchronous invocations: accepted once they are on the medium. `crate::poller` sees them through.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::Platform;
use super::error::ApiError;
use super::invoke::Request;
use crate::clock;
use crate::poller::{EVENT_BYTES_MAX, Event};

/// Takes an event, whether or not its function may run now.
///
/// # Errors
/// A payload that is too large, or a queue that can't take it: then it will not be run.
pub(super) async fn accept(
    platform: &Platform,
    request: Request<'_>,
) -> Result<Response, ApiError> {
    let Request { invocation, qualifier, .. } = request;
    if invocation.payload.len() > EVENT_BYTES_MAX {
        return Err(ApiError::too_large(EVENT_BYTES_MAX));
    }
    let event = Event {
        request_id: invocation.request_id,
        function: invocation.function.configuration.name.clone(),
        qualifier,
        client_context: invocation.client_context,
        trace: invocation.trace.to_string(),
        ..Event::default()
    };
    let message = event.message(invocation.payload, clock::unix_ms());
    let lane = Event::lane(&invocation.function);
    platform.pollers.queue.append(&lane, vec![message]).await?;
    Ok(StatusCode::ACCEPTED.into_response())
}
