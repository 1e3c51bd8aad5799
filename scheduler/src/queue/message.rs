//! What is in a queue. All times are ms since 1970, on the clock of whoever asks.

use bytes::Bytes;

/// A message on its way in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct New {
    /// What its users must know of it: text of theirs, small.
    pub head: String,
    /// What it carries.
    pub body: Bytes,
    /// When it was sent.
    pub sent_ms: i64,
    /// When it may be leased first.
    pub due_ms: i64,
    /// Messages of a group are leased in the order of their coming, and none while an earlier one is leased.
    pub group: Option<String>,
    /// What it is told apart by: another one of that name, until that time, is taken for the same.
    pub unique: Option<(String, i64)>,
}

impl New {
    /// One that is due at once and has neither group nor name.
    pub fn now(head: String, body: Bytes, now_ms: i64) -> New {
        New { head, body, sent_ms: now_ms, due_ms: now_ms, group: None, unique: None }
    }
}

/// What became of one that was appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Its number, or that of the one it is taken for. Numbers grow, and none is given out twice.
    pub id: u64,
    /// The head of the one that it is taken for.
    pub same: Option<String>,
}

/// A message in a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its number.
    pub id: u64,
    /// As it was appended, or as its users changed it since.
    pub head: String,
    /// As it was appended.
    pub body: Bytes,
    /// When it was sent.
    pub sent_ms: i64,
    /// When it may be leased, or, where it is, when that ends.
    pub due_ms: i64,
    /// Whether somebody has a lease on it that has not been given back.
    pub is_leased: bool,
    /// How often it has been leased.
    pub leases: u32,
    /// When it was leased for the first time.
    pub first_leased_ms: Option<i64>,
    /// Its group.
    pub group: Option<String>,
}

/// The right to work on a message, for a time: it is void once the message is leased again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Lease {
    /// The message's number.
    pub id: u64,
    /// What makes it hard to guess: random bits of whoever leased it.
    pub token: u64,
}

/// Which messages somebody wants, and for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Of which queue.
    pub lane: String,
    /// So many at most.
    pub count: usize,
    /// The time.
    pub now_ms: i64,
    /// When the lease ends.
    pub until_ms: i64,
    /// The leases' token; random.
    pub token: u64,
    /// In the order of their coming, as groups want it, rather than of their being due.
    pub in_order: bool,
    /// One that has been leased so often already goes to the other queue instead.
    pub leases_max: Option<(u32, String)>,
}

/// A message, and the right to work on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leased {
    /// The right.
    pub lease: Lease,
    /// As it is now.
    pub message: Message,
}

/// How full a queue is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Depth {
    /// Messages that can be leased now.
    pub due: u64,
    /// Messages that are leased.
    pub leased: u64,
    /// Messages that nobody has a lease on and that are not due yet.
    pub later: u64,
    /// Messages that nobody has a lease on any more, and that are to be leased once more.
    pub retried: u64,
    /// When the one that has been there longest was sent.
    pub oldest_ms: Option<i64>,
}

/// When a queue has something next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The queue.
    pub lane: String,
    /// When its first message is due, or its lease ends.
    pub due_ms: i64,
}

/// Text that is kept beside the messages and changes with them: what a queue is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// Its name.
    pub name: String,
    /// What it says.
    pub text: String,
}
