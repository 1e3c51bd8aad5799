//! The Runtime API's requests and answers in HTTP/1.1. Answers have a Content-Length and are never chunked:
//! many small runtimes can't read chunks. A connection is kept alive, and may be silent for ever.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body as _, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use super::session::{Answer, Fault, Refusal, Session, Work};
use super::stream;

/// Largest response: 6 MB and, as AWS has it, 100 bytes.
pub const RESPONSE_BYTES_MAX: usize = 6 * 1024 * 1024 + 100;
/// Largest error document; a longer one is dropped.
const ERROR_BYTES_MAX: usize = 256 * 1024;
/// What is read of a body that is too large, so that its sender gets to read the answer.
pub(super) const DISCARDED_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Memory for one request's head.
const HEAD_BYTES_MAX: usize = 64 * 1024;

const PREFIX: &str = "/2018-06-01/runtime/";

/// Speaks HTTP on one stream of an environment until the guest closes it, or breaks the protocol.
pub async fn serve<S>(stream: S, session: Arc<Session>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let service = service_fn(|request| {
        let session = Arc::clone(&session);
        async move { Ok::<_, Infallible>(answer(request, &session).await) }
    });
    // An error is the guest's, and ends this stream alone: its environment is judged by what it answers.
    let _ = http1::Builder::new()
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

async fn answer(request: Request<Incoming>, session: &Session) -> Response<Full<Bytes>> {
    let path = request.uri().path().to_owned();
    let Some(route) = path.strip_prefix(PREFIX) else { return not_found() };
    let steps: Vec<&str> = route.split('/').collect();
    match (request.method(), &steps[..]) {
        (&Method::GET, ["invocation", "next"]) => next(session).await,
        (&Method::POST, ["invocation", id, "response"])
            if stream::is_streaming(request.headers()) =>
        {
            stream::respond(session, id, request).await
        }
        (&Method::POST, ["invocation", id, "response"]) => respond(session, id, request).await,
        (&Method::POST, ["invocation", id, "error"]) => {
            let document = read(request.into_body(), ERROR_BYTES_MAX).await;
            taken(session.answer(id, Answer::Error(document.or_empty())))
        }
        (&Method::POST, ["init", "error"]) => {
            let document = read(request.into_body(), ERROR_BYTES_MAX).await;
            taken(session.init_failed(Fault(document.or_empty())))
        }
        (_, ["invocation", "next"]) => not_allowed("GET"),
        (_, ["invocation", _, "response" | "error"] | ["init", "error"]) => not_allowed("POST"),
        _ => not_found(),
    }
}

async fn next(session: &Session) -> Response<Full<Bytes>> {
    match session.next().await {
        Ok(work) => invocation(&work),
        Err(refusal) => refused(refusal),
    }
}

fn invocation(work: &Work) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(work.payload.clone()));
    let mut set = |name: &'static str, value: &str| {
        // What can't be a header is left out: a client's context may hold any bytes.
        if let Ok(value) = HeaderValue::from_str(value) {
            response.headers_mut().insert(HeaderName::from_static(name), value);
        }
    };
    set("content-type", "application/json");
    set("lambda-runtime-aws-request-id", &work.request_id);
    set("lambda-runtime-deadline-ms", &work.deadline_ms.to_string());
    set("lambda-runtime-invoked-function-arn", &work.function_arn);
    set("lambda-runtime-trace-id", &work.trace_id);
    if let Some(context) = &work.client_context {
        set("lambda-runtime-client-context", context);
    }
    response
}

async fn respond(session: &Session, id: &str, request: Request<Incoming>) -> Response<Full<Bytes>> {
    match read(request.into_body(), RESPONSE_BYTES_MAX).await {
        Body::Whole(body) => {
            let response = taken(session.answer(id, Answer::Response(body)));
            // The client first: this wakes the VM, which would take its processor while it waits.
            tokio::task::yield_now().await;
            response
        }
        Body::TooLarge => match session.answer(id, Answer::TooLarge) {
            Ok(()) => too_large(RESPONSE_BYTES_MAX),
            Err(refusal) => refused(refusal),
        },
        // Nobody is there to read this: the invocation goes on until the runtime answers or its time is up.
        Body::Broken => error(StatusCode::BAD_REQUEST, "InvalidRequest", "The body ends too early"),
    }
}

/// What a runtime is told of a response that is too large.
pub(super) fn too_large(limit: usize) -> Response<Full<Bytes>> {
    let message = format!("Exceeded maximum allowed payload size ({limit} bytes).");
    error(StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge", &message)
}

/// What the client is told of a response that is too large.
pub(crate) fn too_large_message() -> String {
    format!(
        "Response payload size exceeded maximum allowed payload size ({RESPONSE_BYTES_MAX} bytes)."
    )
}

/// What came of a request's body.
pub(super) enum Body {
    Whole(Bytes),
    TooLarge,
    /// The connection ended in the middle.
    Broken,
}

impl Body {
    fn or_empty(self) -> Bytes {
        match self {
            Body::Whole(bytes) => bytes,
            Body::TooLarge | Body::Broken => Bytes::new(),
        }
    }
}

/// A body of at most `limit` bytes.
async fn read(body: Incoming, limit: usize) -> Body {
    read_with_trailers(body, limit).await.0
}

/// A body of at most `limit` bytes, and what follows it.
pub(super) async fn read_with_trailers(
    mut body: Incoming,
    limit: usize,
) -> (Body, Option<HeaderMap>) {
    let mut trailers = None;
    let expected = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    let mut whole = BytesMut::with_capacity(expected.min(limit));
    let mut seen = 0usize;
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return (Body::Broken, None) };
        let data = match frame.into_data() {
            Ok(data) => data,
            Err(frame) => {
                trailers = frame.into_trailers().ok();
                continue;
            }
        };
        seen = seen.saturating_add(data.len());
        if seen <= limit {
            whole.extend_from_slice(&data);
        } else if seen > DISCARDED_BYTES_MAX {
            break;
        }
    }
    let body = if seen <= limit { Body::Whole(whole.freeze()) } else { Body::TooLarge };
    (body, trailers)
}

pub(super) fn taken(result: Result<(), Refusal>) -> Response<Full<Bytes>> {
    match result {
        Ok(()) => json(StatusCode::ACCEPTED, Bytes::from_static(b"{\"status\":\"OK\"}\n")),
        Err(refusal) => refused(refusal),
    }
}

pub(super) fn refused(refusal: Refusal) -> Response<Full<Bytes>> {
    let (status, kind, message) = match refusal {
        Refusal::State => {
            (StatusCode::FORBIDDEN, "InvalidStateTransition", "Transition is not allowed")
        }
        Refusal::RequestId => (StatusCode::BAD_REQUEST, "InvalidRequestID", "Invalid request ID"),
        Refusal::Gone => (StatusCode::GONE, "EnvironmentGone", "The environment ends"),
    };
    error(status, kind, message)
}

fn error(status: StatusCode, kind: &str, message: &str) -> Response<Full<Bytes>> {
    let document = serde_json::json!({ "errorType": kind, "errorMessage": message });
    json(status, document.to_string().into())
}

fn not_found() -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(b"404 page not found\n")));
    *response.status_mut() = StatusCode::NOT_FOUND;
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

/// The path is there, the method is not.
fn not_allowed(instead: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::new()));
    *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(instead));
    response
}

fn json(status: StatusCode, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

#[cfg(test)]
mod tests;
