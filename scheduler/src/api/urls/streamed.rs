//! Responses that are passed on while the function writes them.
//!
//! A response of type `application/vnd.awslambda.http-integration-response` begins with a head: JSON, then eight
//! NULs. Any other is the body alone.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes, HttpBody};
use axum::http::header::{CONTENT_TYPE, HeaderValue};
use axum::response::{IntoResponse, Response};
use bytes::BytesMut;
use hyper::body::Frame;

use super::answer::{BadAnswer, Head};
use crate::service::{Reply, Stream};

const WITH_HEAD: &str = "application/vnd.awslambda.http-integration-response";
const DEFAULT: &str = "application/octet-stream";
const END_OF_HEAD: [u8; 8] = [0; 8];
/// Largest head: far more than a client takes in headers.
const HEAD_BYTES_MAX: usize = 256 * 1024;

/// The response that a function writes.
pub(super) async fn response(mut stream: Stream) -> Result<Response, BadAnswer> {
    let kind = stream.content_type.take();
    if !kind.as_deref().is_some_and(|kind| kind.starts_with(WITH_HEAD)) {
        let kind = kind.and_then(|kind| HeaderValue::from_str(&kind).ok());
        let kind = kind.unwrap_or(HeaderValue::from_static(DEFAULT));
        let body = Body::new(Rest { begun: None, stream, is_ended: false });
        return Ok(([(CONTENT_TYPE, kind)], body).into_response());
    }
    let mut begun = BytesMut::new();
    let end = loop {
        let piece = stream.chunks.recv().await.ok_or(BadAnswer)?;
        let seen = begun.len().saturating_sub(END_OF_HEAD.len() - 1);
        begun.extend_from_slice(&piece);
        let found = begun[seen..].windows(END_OF_HEAD.len()).position(|part| part == END_OF_HEAD);
        if let Some(found) = found {
            break seen + found;
        }
        if begun.len() > HEAD_BYTES_MAX {
            return Err(BadAnswer);
        }
    };
    let head: Head = serde_json::from_slice(&begun[..end]).map_err(|_| BadAnswer)?;
    let begun = Some(begun.freeze().slice(end + END_OF_HEAD.len()..));
    head.response(Body::new(Rest { begun, stream, is_ended: false }), DEFAULT)
}

/// What follows the head. One that does not end well breaks the connection: a caller must not believe that it has
/// everything.
struct Rest {
    begun: Option<Bytes>,
    stream: Stream,
    is_ended: bool,
}

impl HttpBody for Rest {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if self.is_ended {
            return Poll::Ready(None);
        }
        if let Some(begun) = self.begun.take().filter(|begun| !begun.is_empty()) {
            return Poll::Ready(Some(Ok(Frame::data(begun))));
        }
        if let Some(piece) = ready!(self.stream.chunks.poll_recv(context)) {
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        let end = ready!(Pin::new(&mut self.stream.end).poll(context));
        self.is_ended = true;
        match end {
            Ok(Reply::Done { is_error: false, .. }) => Poll::Ready(None),
            _ => Poll::Ready(Some(Err(io::Error::other("the function failed")))),
        }
    }
}
