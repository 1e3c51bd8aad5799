//! What a queue is made on: the one interface that SQLite and PostgreSQL fill.
//!
//! ```text
//!            append                lease                    complete
//!     ── ─────────▶  later ─▶ due ───────▶ leased ─────────────────────▶ gone
//!                      ▲                   │ │ └ transfer ─▶ due, in another queue
//!                      └────── retry ──────┘ └ the lease ends ─▶ due
//! ```
//!
//! A queue is a name; it begins with its first message. Everything between [`Engine::begin`] and
//! [`Engine::commit`] happens or does not, as one.

use thiserror::Error;

use super::message::{Appended, Depth, Document, Head, Lease, Leased, Message, New, Wanted};

/// What a commit must survive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Durability {
    /// The end of the process. A loss of power may forget it, but nothing before the last [`Durability::Power`].
    Process,
    /// A loss of power.
    Power,
}

/// Why an engine does nothing. What was begun has not happened, unless it says [`EngineError::Unknown`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum EngineError {
    /// There is no room. It may work again when there is.
    #[error("the disk is full: nothing more is taken until there is room")]
    Full,
    /// Its server can't be reached. It is tried again by itself.
    #[error("the queue's database can't be reached: {0}. Nothing is taken until it can be")]
    Unavailable(String),
    /// The connection broke during the commit: what was begun has happened, or has not.
    #[error(
        "the queue's database was lost during a commit ({0}): what was asked for may have happened"
    )]
    Unknown(String),
    /// Something took too long, or was in somebody's way for too long. It may work when asked again.
    #[error("the queue's database is busy: {0}")]
    Busy(String),
    /// Others have changed what this process remembers of it, for good.
    #[error(
        "another platform has used the queue's database meanwhile: nothing more is taken until this one is started again"
    )]
    Outdated,
    /// Anything else.
    #[error("the queue's database failed: {0}")]
    Failed(String),
}

/// What an engine answers.
pub type Result<T> = std::result::Result<T, EngineError>;

/// Brings what has been committed to the medium, from another thread than that of the commits.
pub trait Flush: Send {
    /// Everything that was committed before this was called is on the medium when it returns.
    ///
    /// # Errors
    /// [`EngineError`]: nobody knows then what is on the medium, and no later flush helps.
    fn flush(&mut self) -> Result<()>;
}

/// A database of queues, used by one thread at a time. Where a method takes a [`Lease`], `false` says that it is
/// void: the message is gone, or somebody else's.
pub trait Engine: Send {
    /// Lets go of flushing: from now on a commit returns before it is on the medium, whatever it must survive, and this
    /// brings it there. `None` where the engine does both as one.
    ///
    /// # Errors
    /// [`EngineError`].
    fn flusher(&mut self) -> Result<Option<Box<dyn Flush>>> {
        Ok(None)
    }

    /// Begins a transaction; everything else happens inside of one.
    ///
    /// # Errors
    /// [`EngineError`], as of every method. Nothing has begun then, and there is nothing to roll back.
    fn begin(&mut self, durability: Durability) -> Result<()>;
    /// Makes what happened since the beginning true.
    fn commit(&mut self) -> Result<()>;
    /// Forgets what happened since the beginning.
    fn rollback(&mut self);

    /// Adds a message.
    fn append(&mut self, lane: &str, new: &New) -> Result<Appended>;
    /// Leases messages that are due.
    fn lease(&mut self, wanted: &Wanted) -> Result<Vec<Leased>>;
    /// Moves the end of a lease that has not ended.
    fn renew(&mut self, lease: Lease, now_ms: i64, until_ms: i64) -> Result<bool>;
    /// Removes a message.
    fn complete(&mut self, lease: Lease) -> Result<bool>;
    /// Whether a message is there, leased or not.
    fn contains(&mut self, id: u64) -> Result<bool>;
    /// Gives a message back, to be due then, with another head.
    fn retry(&mut self, lease: Lease, due_ms: i64, head: &str) -> Result<bool>;
    /// Gives back what is leased in queues whose names begin so: whoever leased it is gone. How many.
    fn abandon(&mut self, prefix: &str, now_ms: i64) -> Result<u64>;
    /// Moves messages of one queue, so many at most, to another, as if they had never been leased. How many. Leased
    /// ones stay.
    fn redrive(&mut self, from: &str, to: &str, count: usize, now_ms: i64) -> Result<u64>;
    /// Removes messages of a queue, so many at most, those that have been due longest first. How many.
    fn purge(&mut self, lane: &str, count: usize) -> Result<u64>;
    /// Removes messages of a queue that were sent before, and names that are not needed any more. How many.
    fn expire(&mut self, lane: &str, sent_before_ms: i64, now_ms: i64) -> Result<u64>;

    /// How full a queue is.
    fn depth(&mut self, lane: &str, now_ms: i64) -> Result<Depth>;
    /// The queues whose names begin so and which have messages, in the order of their names.
    fn heads(&mut self, prefix: &str) -> Result<Vec<Head>>;
    /// When the first of those messages of a queue becomes due that are not at `now_ms`.
    fn next_due(&mut self, lane: &str, now_ms: i64) -> Result<Option<i64>>;
    /// The first messages of a queue, in the order of their coming, as they are.
    fn peek(&mut self, lane: &str, count: usize) -> Result<Vec<Message>>;

    /// Keeps a document in the place of the one of that kind and name, if there is one.
    fn put_document(&mut self, kind: &str, document: &Document) -> Result<()>;
    /// Removes a document. Whether there was one.
    fn remove_document(&mut self, kind: &str, name: &str) -> Result<bool>;
    /// The documents of a kind, in the order of their names.
    fn documents(&mut self, kind: &str) -> Result<Vec<Document>>;
}
