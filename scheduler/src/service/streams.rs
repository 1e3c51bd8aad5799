//! Responses that reach the client while the function still writes them.
//!
//! ```text
//!   runtime ── response begins ──▶ opened ── Opened ─▶ the client's task
//!      │  pieces ───────────────── Sink ─────────────▶   │ chunks
//!      ▼  the end ──▶ answered ──▶ complete ── Reply ─▶  ▼ end
//! ```
//!
//! Sixteen pieces may be on their way; then the runtime waits for the client, until its function's time is up.

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use super::Service;
use super::calls::{Invocation, Reply, running};
use crate::core::EnvironmentId;
use crate::runtime_api::{CHUNKS_MAX, Sink};

/// Who is told that a response begins.
pub(super) type Opening = oneshot::Sender<Opened>;

/// The beginning of a response.
pub(super) struct Opened {
    content_type: Option<String>,
    chunks: mpsc::Receiver<Bytes>,
}

/// A response that has begun.
#[derive(Debug)]
pub(crate) struct Stream {
    /// What the runtime says of it.
    pub(crate) content_type: Option<String>,
    /// Its pieces, until it ends or breaks off.
    pub(crate) chunks: mpsc::Receiver<Bytes>,
    /// How it ended: a good one has no payload any more. Comes when there is no other piece.
    pub(crate) end: oneshot::Receiver<Reply>,
}

/// What became of an invocation whose client takes a response bit by bit.
#[derive(Debug)]
pub(crate) enum Begun {
    /// A response that is being written.
    Stream(Stream),
    /// All there will be.
    Whole(Reply),
}

impl Service {
    /// Runs a function once; comes back when its response begins, or when it has ended otherwise.
    pub(crate) async fn stream(&self, invocation: Invocation) -> Begun {
        let (opening, opened) = oneshot::channel();
        let end = self.begin(invocation, Some(opening));
        // Whoever completes an invocation drops what was to open its response.
        match opened.await {
            Ok(Opened { content_type, chunks }) => {
                Begun::Stream(Stream { content_type, chunks, end })
            }
            Err(_) => Begun::Whole(end.await.unwrap_or(Reply::Stopping)),
        }
    }

    /// The runtime of an environment begins to answer; where the pieces go.
    pub(super) fn opened(
        &self,
        environment: EnvironmentId,
        request_id: &str,
        content_type: Option<&str>,
    ) -> Option<Sink> {
        let mut state = self.lock();
        let (_, call) = running(&mut state, environment, request_id)?;
        let opening = call.opening.take()?;
        let (sink, chunks) = mpsc::channel(CHUNKS_MAX);
        // A client that has gone away leaves a sink that nobody empties, and that takes everything.
        let _ = opening.send(Opened { content_type: content_type.map(Into::into), chunks });
        Some(sink)
    }
}
