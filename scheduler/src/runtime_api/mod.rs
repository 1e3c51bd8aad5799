//! The Runtime API: how the program in an execution environment gets its invocations and answers them
//! (Lambda developer guide, "Using the Lambda runtime API").
//!
//! ```text
//!   bootstrap                                  Session
//!     │ GET  …/runtime/invocation/next ─────────▶ │ Ready ─▶ scheduler
//!     │ ◀───────────── 200, headers, payload ──── │ ◀─ deliver(Work)
//!     │ POST …/invocation/ID/response ──────────▶ │ Answer ─▶ scheduler
//!     │ ◀───────────── 202 ────────────────────── │
//! ```
//!
//! It is spoken over byte streams that the guest opens, one HTTP connection each. The guest is hostile:
//! what it sends is bounded, and what it says in the wrong state is refused.

mod http;
mod session;
mod stream;

pub(crate) use http::too_large_message;
pub use http::{RESPONSE_BYTES_MAX, serve};
pub use session::{Answer, Fault, Refusal, Session, Watcher, Work};
pub use stream::{CHUNKS_MAX, STREAM_BYTES_MAX, Sink};
