//! What both engines say in the same words. Values are `?1`, `?2`, …, as SQLite has them.
//!
//! ```text
//!   messages   small rows: every lease and retry writes one anew     (id, lane, due_ms, sent_ms, token, …)
//!   bodies     what they carry, written once                         (message, body)
//!   names      of messages that are told apart by name               (lane, name, until_ms, message, head)
//!   documents  what queues are                                       (kind, name, text)
//! ```

/// The columns of a message `m` and its body.
macro_rules! columns {
    () => {
        "m.id, m.head, bodies.body, m.sent_ms, m.due_ms, m.token IS NOT NULL, m.leases,
             m.first_ms, m.grp"
    };
}

/// Messages of queue ?1, as they are.
macro_rules! messages {
    ($($rest:expr),+) => {
        concat!(
            "SELECT ",
            columns!(),
            " FROM messages m JOIN bodies ON bodies.message = m.id WHERE m.lane = ?1 ",
            $($rest),+
        )
    };
}

/// Of queue ?1 and at the time ?2: due, no one of the group leased, no earlier one of it waiting.
macro_rules! is_next {
    () => {
        "m.due_ms <= ?2 AND (m.grp IS NULL OR NOT EXISTS (
             SELECT 1 FROM messages o WHERE o.lane = ?1 AND o.grp = m.grp AND o.due_ms > ?2
                 AND (o.token IS NOT NULL OR o.id < m.id)))"
    };
}

/// Moves those with such an id to queue ?2, due at ?3, as if they had never been leased.
macro_rules! begin_again {
    ($ids:expr) => {
        concat!(
            "UPDATE messages SET lane = ?2, due_ms = ?3, token = NULL, leases = 0, first_ms = NULL
             WHERE id ",
            $ids
        )
    };
}

/// Moves ?4 messages of queue ?1. `lock` is how the engine takes rows that only it shall move.
macro_rules! redrive {
    ($lock:literal) => {
        begin_again!(concat!(
            "IN (SELECT id FROM messages WHERE lane = ?1 AND (token IS NULL OR due_ms <= ?3)
                 ORDER BY id LIMIT ?4",
            $lock,
            ")"
        ))
    };
}

pub(super) const RENEW: &str =
    "UPDATE messages SET due_ms = ?3 WHERE id = ?1 AND token = ?2 AND due_ms > ?4";
pub(super) const COMPLETE: &str = "DELETE FROM messages WHERE id = ?1 AND token = ?2";
pub(super) const CONTAINS: &str = "SELECT 1 FROM messages WHERE id = ?1";
pub(super) const RETRY: &str =
    "UPDATE messages SET due_ms = ?3, head = ?4, token = NULL WHERE id = ?1 AND token = ?2";
pub(super) const ABANDON: &str = "UPDATE messages SET due_ms = ?3, token = NULL
     WHERE lane >= ?1 AND lane < ?2 AND token IS NOT NULL";
pub(super) const PURGE: &str = "DELETE FROM messages WHERE id IN
         (SELECT id FROM messages WHERE lane = ?1 ORDER BY due_ms, id LIMIT ?2)";
pub(super) const EXPIRE: &str = "DELETE FROM messages WHERE lane = ?1 AND sent_ms < ?2";
pub(super) const EXPIRE_NAMES: &str = "DELETE FROM names WHERE lane = ?1 AND until_ms <= ?2";
pub(super) const DEPTH: &str = "SELECT count(*) FILTER (WHERE due_ms <= ?2),
         count(*) FILTER (WHERE due_ms > ?2 AND token IS NOT NULL),
         count(*) FILTER (WHERE due_ms > ?2 AND token IS NULL),
         count(*) FILTER (WHERE leases > 0 AND (due_ms <= ?2 OR token IS NULL)),
         min(sent_ms)
     FROM messages WHERE lane = ?1";
pub(super) const NEXT_DUE: &str =
    "SELECT min(due_ms) FROM messages WHERE lane = ?1 AND due_ms > ?2";
pub(super) const PEEK: &str = messages!("ORDER BY m.id LIMIT ?2");
pub(super) const PUT_DOCUMENT: &str = "INSERT INTO documents VALUES (?1, ?2, ?3)
     ON CONFLICT (kind, name) DO UPDATE SET text = excluded.text";
pub(super) const REMOVE_DOCUMENT: &str = "DELETE FROM documents WHERE kind = ?1 AND name = ?2";
pub(super) const DOCUMENTS: &str = "SELECT name, text FROM documents WHERE kind = ?1 ORDER BY name";

/// The first name behind all that begin so: no character of a name is the last one that there is.
pub(super) fn behind(prefix: &str) -> String {
    format!("{prefix}{}", char::MAX)
}

/// How many, as a database counts.
pub(super) fn limit(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
