//! Leasing where others lease too.
//!
//! ```text
//!   any order    pick due rows, past those that another has locked  ─▶ take them
//!   in order     one at a time for each queue; pick and lock the next rows, waiting for whoever changes one
//!                ─▶ take those that are still next
//! ```
//!
//! A statement sees what was committed when it began (READ COMMITTED). For one row that is enough: once it is locked, it is
//! looked at anew. Groups need others' rows too, so these are looked at again by the statement that takes.

use bytes::Bytes;
use tokio_postgres::Row;

use super::connection::Connection;
use crate::queue::engine::{EngineError, Result};
use crate::queue::message::{Lease, Leased, Message, Wanted};
use crate::queue::sql::limit;

/// Keeps others from leasing messages of queue ?1 in order, until the end of the transaction.
const ONE_AT_A_TIME: &str = "SELECT pg_advisory_xact_lock(1, hashtext(?1))";
const PICK_NEXT: &str = concat!(
    "SELECT m.id, m.leases FROM messages m WHERE m.lane = ?1 AND ",
    is_next!(),
    " ORDER BY m.id LIMIT ?3 FOR UPDATE OF m"
);
const PICK_DUE: &str = "SELECT m.id, m.leases FROM messages m WHERE m.lane = ?1 AND m.due_ms <= ?2
     ORDER BY m.due_ms, m.id LIMIT ?3 FOR UPDATE OF m SKIP LOCKED";
const MOVE: &str = begin_again!("= ANY(?1)");
/// Leases messages ?5, until ?3 with the token ?4.
macro_rules! take {
    ($($also:expr),*) => {
        concat!(
            "UPDATE messages m SET due_ms = ?3, token = ?4, leases = m.leases + 1,
                 first_ms = coalesce(m.first_ms, ?2)
             FROM bodies WHERE bodies.message = m.id AND m.lane = ?1 AND m.id = ANY(?5)",
            $($also,)*
            " RETURNING ",
            columns!()
        )
    };
}
const TAKE_DUE: &str = take!(" AND m.due_ms <= ?2");
const TAKE_NEXT: &str = take!(" AND ", is_next!());

pub(super) fn lease(connection: &mut Connection, wanted: &Wanted) -> Result<Vec<Leased>> {
    let (pick, take) = if wanted.in_order { (PICK_NEXT, TAKE_NEXT) } else { (PICK_DUE, TAKE_DUE) };
    if wanted.in_order {
        connection.rows(ONE_AT_A_TIME, &[&wanted.lane])?;
    }
    let mut leased: Vec<Leased> = Vec::new();
    // Those that go to the other queue make room for others.
    while leased.len() < wanted.count {
        let left = limit(wanted.count - leased.len());
        let picked = connection.rows(pick, &[&wanted.lane, &wanted.now_ms, &left])?;
        let (ids, spent) = sort(&picked, wanted)?;
        if let (Some((_, other)), false) = (&wanted.leases_max, spent.is_empty()) {
            connection.change(MOVE, &[&spent, other, &wanted.now_ms])?;
        }
        let (until_ms, token) = (wanted.until_ms, wanted.token as i64);
        let taken = match ids.is_empty() {
            true => Vec::new(),
            false => {
                connection.rows(take, &[&wanted.lane, &wanted.now_ms, &until_ms, &token, &ids])?
            }
        };
        if taken.is_empty() && spent.is_empty() {
            break;
        }
        let mut messages = taken.iter().map(message).collect::<Result<Vec<_>>>()?;
        messages.sort_by_key(|message| ids.iter().position(|id| *id == message.id as i64));
        leased.extend(messages.into_iter().map(|message| Leased {
            lease: Lease { id: message.id, token: wanted.token },
            message,
        }));
    }
    Ok(leased)
}

/// The numbers of those to lease, and of those that have been leased too often.
fn sort(picked: &[Row], wanted: &Wanted) -> Result<(Vec<i64>, Vec<i64>)> {
    let leases_max = wanted.leases_max.as_ref().map_or(i64::MAX, |(max, _)| i64::from(*max));
    let (mut ids, mut spent) = (Vec::new(), Vec::new());
    for row in picked {
        let leases: i64 = row.try_get(1).map_err(unreadable)?;
        let to = if leases < leases_max { &mut ids } else { &mut spent };
        to.push(row.try_get(0).map_err(unreadable)?);
    }
    Ok((ids, spent))
}

/// A message, from the columns that both engines read.
pub(super) fn message(row: &Row) -> Result<Message> {
    let read = || -> std::result::Result<Message, tokio_postgres::Error> {
        Ok(Message {
            id: row.try_get::<_, i64>(0)? as u64,
            head: row.try_get(1)?,
            body: Bytes::from(row.try_get::<_, Vec<u8>>(2)?),
            sent_ms: row.try_get(3)?,
            due_ms: row.try_get(4)?,
            is_leased: row.try_get(5)?,
            leases: u32::try_from(row.try_get::<_, i64>(6)?).unwrap_or(u32::MAX),
            first_leased_ms: row.try_get(7)?,
            group: row.try_get(8)?,
        })
    };
    read().map_err(unreadable)
}

/// A row is not what its table says.
pub(super) fn unreadable(error: tokio_postgres::Error) -> EngineError {
    EngineError::Failed(super::chain(&error))
}
