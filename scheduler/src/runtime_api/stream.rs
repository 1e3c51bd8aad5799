//! Responses that are passed on while the function still writes them (Lambda developer guide, "Building a custom
//! runtime", response streaming).
//!
//! ```text
//!   POST …/invocation/ID/response                    Sink: CHUNKS_MAX frames, then the runtime waits
//!   Lambda-Runtime-Function-Response-Mode: streaming    │
//!   Transfer-Encoding: chunked                          ▼
//!     frame, frame, … ──────────────────────────────▶ the client
//!   trailers: Lambda-Runtime-Function-Error-Type, -Error-Body
//! ```
//!
//! A client that has gone away does not stop its function: what comes is thrown away.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::CONTENT_TYPE;
use hyper::{HeaderMap, Request, Response};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::http::{self, Body, DISCARDED_BYTES_MAX, RESPONSE_BYTES_MAX};
use super::session::{Answer, Session};

/// Where the pieces of a response go.
pub type Sink = mpsc::Sender<Bytes>;

/// Pieces on their way to one client; each is at most what one read of a connection gives, 64 KiB.
pub const CHUNKS_MAX: usize = 16;
/// Largest streamed response: 20 MB (Lambda quotas, where it may be raised).
pub const STREAM_BYTES_MAX: usize = 20 * 1024 * 1024;

const MODE: &str = "lambda-runtime-function-response-mode";
const ERROR_TYPE: &str = "lambda-runtime-function-error-type";
const ERROR_BODY: &str = "lambda-runtime-function-error-body";

/// Whether a response is one that is to be passed on as it comes.
pub(super) fn is_streaming(headers: &HeaderMap) -> bool {
    headers.get(MODE).is_some_and(|mode| mode.as_bytes().eq_ignore_ascii_case(b"streaming"))
}

/// Takes such a response, from its first byte to its trailers.
pub(super) async fn respond(
    session: &Session,
    id: &str,
    request: Request<Incoming>,
) -> Response<Full<Bytes>> {
    let content_type = request.headers().get(CONTENT_TYPE).and_then(|text| text.to_str().ok());
    let sink = match session.open(id, content_type) {
        Ok(sink) => sink,
        Err(refusal) => return http::refused(refusal),
    };
    let limit = if sink.is_some() { STREAM_BYTES_MAX } else { RESPONSE_BYTES_MAX };
    let (answer, is_too_large) = match sink {
        Some(sink) => forward(request.into_body(), sink).await,
        None => collect(request.into_body()).await,
    };
    match session.finish(id, answer) {
        Ok(()) if is_too_large => http::too_large(limit),
        taken => http::taken(taken),
    }
}

const TOO_LARGE: &str = "Function.ResponseSizeTooLarge";

/// Passes on what comes, at the pace of the client; what came of it, and whether it was too much.
async fn forward(mut body: Incoming, sink: Sink) -> (Answer, bool) {
    let mut seen = 0usize;
    let mut answer = Answer::Streamed;
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return (truncated(), false) };
        match frame.into_data() {
            Ok(data) => {
                seen = seen.saturating_add(data.len());
                if seen <= STREAM_BYTES_MAX {
                    // A client that has gone away does not want it.
                    let _ = sink.send(data).await;
                } else if seen > DISCARDED_BYTES_MAX {
                    break;
                }
            }
            Err(frame) => {
                let error = frame.trailers_ref().and_then(reported);
                answer = error.map_or(answer, Answer::Error);
            }
        }
    }
    if seen <= STREAM_BYTES_MAX {
        return (answer, false);
    }
    let message = format!(
        "Response payload size exceeded maximum allowed payload size ({STREAM_BYTES_MAX} bytes)."
    );
    (Answer::Error(document(TOO_LARGE, &message)), true)
}

/// Keeps what comes, for a client that wants it whole.
async fn collect(body: Incoming) -> (Answer, bool) {
    let (body, trailers) = http::read_with_trailers(body, RESPONSE_BYTES_MAX).await;
    match (body, trailers.as_ref().and_then(reported)) {
        (Body::Broken, _) => (truncated(), false),
        (_, Some(error)) => (Answer::Error(error), false),
        (Body::Whole(body), None) => (Answer::Response(body), false),
        (Body::TooLarge, None) => (Answer::TooLarge, true),
    }
}

/// The error that trailers report: a document of the runtime's own in base64, or else one with its type.
fn reported(trailers: &HeaderMap) -> Option<Bytes> {
    let kind = trailers.get(ERROR_TYPE)?.to_str().unwrap_or("Unhandled");
    let body = trailers.get(ERROR_BODY).map(|text| STANDARD.decode(text.as_bytes()));
    let body = body.and_then(Result::ok).unwrap_or_default();
    match serde_json::from_slice::<Value>(&body) {
        Ok(Value::Object(_)) => Some(body.into()),
        _ => Some(document(kind, &String::from_utf8_lossy(&body))),
    }
}

/// The connection ended in the middle.
fn truncated() -> Answer {
    Answer::Error(document("Runtime.TruncatedResponse", "Response truncated"))
}

fn document(kind: &str, message: &str) -> Bytes {
    json!({ "errorType": kind, "errorMessage": message }).to_string().into()
}
