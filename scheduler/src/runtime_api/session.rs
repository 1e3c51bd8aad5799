//! What the runtime in one environment may say now.
//!
//! ```text
//!                                                 ┌▶ Streaming ── its end ────────┐
//!   Initialising ── next ──▶ Waiting ── deliver ──▶ Running ── response, error ──▶ Answered
//!        │                     ▲ │                    ▲                               │
//!        │ init/error          │ ▼ the guest hung up  │ next                          │
//!        ▼                     │ Undelivered ─────────┘                               │
//!      Failed                  └────────────────────── next ──────────────────────────┘
//! ```

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::oneshot;

use super::stream::Sink;

/// One invocation, as the runtime gets it.
#[derive(Clone, Debug)]
pub struct Work {
    /// The request id that clients see.
    pub request_id: String,
    /// The event.
    pub payload: Bytes,
    /// When the environment will be killed, ms since 1970.
    pub deadline_ms: i64,
    /// ARN of the function, as it was invoked.
    pub function_arn: String,
    /// X-Ray's header.
    pub trace_id: String,
    /// JSON about the client, where it sent some.
    pub client_context: Option<String>,
}

/// What the runtime made of an invocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Its result.
    Response(Bytes),
    /// Its error: a JSON document of its own making.
    Error(Bytes),
    /// A result of which the client has got every piece.
    Streamed,
    /// A response of more than [`super::RESPONSE_BYTES_MAX`] bytes.
    TooLarge,
}

/// Why a runtime can't be initialised: its JSON document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault(pub Bytes);

/// Why a request of the runtime is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Not in this state: 403 InvalidStateTransition.
    State,
    /// Not this invocation: 400 InvalidRequestID.
    RequestId,
    /// The environment ends, or another request took this one's place.
    Gone,
}

/// Who is told what the runtime did. Called without any lock of the session's.
pub trait Watcher: Send + Sync {
    /// It asks for its next invocation.
    fn ready(&self);
    /// It begins to answer this invocation, with content of this type. Where the pieces are to go; nowhere, if the
    /// client wants it whole.
    fn opened(&self, _request_id: &str, _content_type: Option<&str>) -> Option<Sink> {
        None
    }
    /// It answered this invocation.
    fn answered(&self, request_id: &str, answer: Answer);
    /// It can't be initialised.
    fn init_failed(&self, fault: Fault);
}

enum State {
    Initialising,
    Waiting(oneshot::Sender<Arc<Work>>),
    Undelivered(Arc<Work>),
    Running(Arc<Work>),
    Streaming(Arc<Work>),
    Answered,
    Failed,
}

/// What became of a `next`.
enum Asked {
    /// An invocation was there already.
    Delivered(Arc<Work>),
    /// It waits, which is news.
    First(oneshot::Receiver<Arc<Work>>),
    /// It waits in another one's place.
    Again(oneshot::Receiver<Arc<Work>>),
}

/// The conversation with one environment's runtime.
pub struct Session {
    state: Mutex<State>,
    watcher: Box<dyn Watcher>,
}

impl Session {
    /// A session whose runtime has not asked for anything yet.
    pub fn new(watcher: Box<dyn Watcher>) -> Session {
        Session { state: Mutex::new(State::Initialising), watcher }
    }

    /// Hands an invocation to the runtime, which waits for one or will ask again.
    pub fn deliver(&self, work: Arc<Work>) {
        let mut state = self.lock();
        let kept = Arc::clone(&work);
        *state = match std::mem::replace(&mut *state, State::Failed) {
            State::Waiting(waiter) => match waiter.send(work) {
                Ok(()) => State::Running(kept),
                Err(work) => State::Undelivered(work),
            },
            // The scheduler delivers only to those who asked.
            state => state,
        };
    }

    /// `invocation/next`: waits, for as long as it takes.
    ///
    /// # Errors
    /// [`Refusal::State`] while an invocation is running, [`Refusal::Gone`] at the environment's end.
    pub async fn next(&self) -> Result<Arc<Work>, Refusal> {
        let waiter = match self.ask()? {
            Asked::Delivered(work) => return Ok(work),
            Asked::Again(waiter) => waiter,
            Asked::First(waiter) => {
                self.watcher.ready();
                waiter
            }
        };
        waiter.await.map_err(|_| Refusal::Gone)
    }

    fn ask(&self) -> Result<Asked, Refusal> {
        let mut state = self.lock();
        let (sender, waiter) = oneshot::channel();
        let (after, asked) = match std::mem::replace(&mut *state, State::Failed) {
            State::Undelivered(work) => {
                (State::Running(Arc::clone(&work)), Ok(Asked::Delivered(work)))
            }
            // Whoever waits already is replaced: the guest's connection may be dead without a sign.
            State::Waiting(_) => (State::Waiting(sender), Ok(Asked::Again(waiter))),
            State::Initialising | State::Answered => {
                (State::Waiting(sender), Ok(Asked::First(waiter)))
            }
            before @ (State::Running(_) | State::Streaming(_) | State::Failed) => {
                (before, Err(Refusal::State))
            }
        };
        *state = after;
        asked
    }

    /// `invocation/ID/response` and `invocation/ID/error`.
    ///
    /// # Errors
    /// [`Refusal::RequestId`] for another invocation's id, [`Refusal::State`] while none is running.
    pub fn answer(&self, request_id: &str, answer: Answer) -> Result<(), Refusal> {
        self.advance(request_id, |state| match state {
            State::Running(work) => Some((work, State::Answered)),
            _ => None,
        })?;
        self.watcher.answered(request_id, answer);
        Ok(())
    }

    /// The beginning of `invocation/ID/response`, where the response is to be passed on as it comes: where to.
    ///
    /// # Errors
    /// As [`Session::answer`].
    pub fn open(
        &self,
        request_id: &str,
        content_type: Option<&str>,
    ) -> Result<Option<Sink>, Refusal> {
        self.advance(request_id, |state| match state {
            State::Running(work) => Some((work, State::Streaming(Arc::clone(work)))),
            _ => None,
        })?;
        Ok(self.watcher.opened(request_id, content_type))
    }

    /// The end of such a response.
    ///
    /// # Errors
    /// As [`Session::answer`]: the environment may have ended meanwhile.
    pub fn finish(&self, request_id: &str, answer: Answer) -> Result<(), Refusal> {
        self.advance(request_id, |state| match state {
            State::Streaming(work) => Some((work, State::Answered)),
            _ => None,
        })?;
        self.watcher.answered(request_id, answer);
        Ok(())
    }

    /// Goes on to what comes after the state, where that is one in which this invocation runs.
    fn advance(
        &self,
        request_id: &str,
        after: impl FnOnce(&State) -> Option<(&Arc<Work>, State)>,
    ) -> Result<(), Refusal> {
        let mut state = self.lock();
        let (work, next) = after(&state).ok_or(Refusal::State)?;
        if work.request_id != request_id {
            return Err(Refusal::RequestId);
        }
        *state = next;
        Ok(())
    }

    /// `init/error`.
    ///
    /// # Errors
    /// [`Refusal::State`] after the first `next`.
    pub fn init_failed(&self, fault: Fault) -> Result<(), Refusal> {
        {
            let mut state = self.lock();
            if !matches!(*state, State::Initialising) {
                return Err(Refusal::State);
            }
            *state = State::Failed;
        }
        self.watcher.init_failed(fault);
        Ok(())
    }

    /// Lets go of whoever waits: the environment ends.
    pub fn close(&self) {
        *self.lock() = State::Failed;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change is one assignment.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
