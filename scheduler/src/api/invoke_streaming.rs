//! InvokeWithResponseStream: the function's response as an event stream, whose events reach the client while the
//! function still writes.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::Extension;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, Query, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::body::Frame;
use serde_json::{Map, Value};

use super::error::ApiError;
use super::event_stream::{self, event, events};
use super::functions::Qualified;
use super::invoke::{self, EXECUTED_VERSION, Request};
use super::{Id, Platform};
use crate::service::{Begun, Reply, Stream};

pub(super) async fn invoke(
    State(platform): State<Arc<Platform>>,
    Extension(id): Id,
    Path(name): Path<String>,
    Query(query): Query<Qualified>,
    headers: HeaderMap,
    payload: Result<Bytes, BytesRejection>,
) -> Result<Response, ApiError> {
    let request = invoke::request(&platform, id, &name, query, &headers, payload)?;
    match request.kind {
        "RequestResponse" => {}
        "DryRun" => return Ok(StatusCode::NO_CONTENT.into_response()),
        other => {
            let must = "satisfy enum value set: [RequestResponse, DryRun]";
            return Err(ApiError::constraint(other, "invocationType", must));
        }
    }
    let Request { invocation, version, is_tail_wanted, .. } = request;
    let body = match platform.service.stream(invocation).await {
        Begun::Stream(stream) => Body::new(Events { stream, is_tail_wanted, is_ended: false }),
        Begun::Whole(reply) => whole(invoke::done(reply)?, is_tail_wanted),
    };
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(event_stream::CONTENT_TYPE));
    if let Ok(version) = HeaderValue::from_str(&version.to_string()) {
        headers.insert(EXECUTED_VERSION, version);
    }
    Ok(response)
}

/// A response that came whole, or an error.
fn whole(done: invoke::Done, is_tail_wanted: bool) -> Body {
    let events = if done.is_error { Bytes::new() } else { chunks(&done.payload) };
    Body::from([events, complete(&done, is_tail_wanted)].concat())
}

/// A response as it comes, and how it ended.
struct Events {
    stream: Stream,
    is_tail_wanted: bool,
    is_ended: bool,
}

impl HttpBody for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.is_ended {
            return Poll::Ready(None);
        }
        if let Some(piece) = ready!(self.stream.chunks.poll_recv(context)) {
            return Poll::Ready(Some(Ok(Frame::data(chunks(&piece)))));
        }
        let reply = ready!(Pin::new(&mut self.stream.end).poll(context));
        self.is_ended = true;
        // Too late for an error of HTTP's.
        let last = match invoke::done(reply.unwrap_or(Reply::Stopping)) {
            Ok(done) => complete(&done, self.is_tail_wanted),
            Err(error) => completed(Some((error.kind(), error.message())), None),
        };
        Poll::Ready(Some(Ok(Frame::data(last))))
    }
}

fn chunks(payload: &[u8]) -> Bytes {
    events("PayloadChunk", "application/octet-stream", payload)
}

/// InvokeComplete of a function that has run: with its error's type and document, where it has one.
fn complete(done: &invoke::Done, is_tail_wanted: bool) -> Bytes {
    let details = String::from_utf8_lossy(&done.payload);
    let document = serde_json::from_slice::<Value>(&done.payload).unwrap_or_default();
    let kind = document["errorType"].as_str().unwrap_or("Unhandled");
    let tail = is_tail_wanted.then_some(&*done.tail);
    completed(done.is_error.then_some((kind, &details)), tail)
}

/// InvokeWithResponseStreamCompleteEvent.
fn completed(error: Option<(&str, &str)>, tail: Option<&[u8]>) -> Bytes {
    let mut members = Map::new();
    if let Some((kind, details)) = error {
        members.insert("ErrorCode".into(), kind.into());
        members.insert("ErrorDetails".into(), details.into());
    }
    if let Some(tail) = tail {
        members.insert("LogResult".into(), STANDARD.encode(tail).into());
    }
    let document = Value::Object(members).to_string();
    event("InvokeComplete", "application/json", document.as_bytes())
}
