//! Durable queues: what is appended is there until it is completed, whatever happens to the process or the machine.
//!
//! ```text
//!   API, pollers ── work ──▶ Queue (commit.rs): one thread, many clients' work in one commit, and
//!                              │             flush.rs: one flush for all of it
//!                              ▼
//!                            Engine (engine.rs): sqlite.rs, or postgres/; sql.rs is what both say
//!
//!   arrivals.rs  who waits for a message      fair.rs   whose turn it is      retry.rs  when to try again
//! ```
//!
//! A message is delivered at least once: whoever has leased it and says nothing loses it to the next one.

#[macro_use]
mod sql;

mod arrivals;
mod commit;
mod engine;
pub mod fair;
mod flush;
mod message;
mod postgres;
mod registry;
pub mod retry;
mod sqlite;
#[cfg(test)]
mod tests;

pub use commit::{Queue, QueueError};
pub use engine::{Durability, Engine, EngineError, Flush};
pub use message::{Appended, Depth, Document, Head, Lease, Leased, Message, New, Wanted};
pub use postgres::{Postgres, PostgresError, Server};
pub use registry::{Registry, Step};
pub use sqlite::Sqlite;
