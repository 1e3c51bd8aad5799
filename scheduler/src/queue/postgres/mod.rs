//! The engine that machines can share: PostgreSQL.
//!
//! ```text
//!   server.rs      where it is                 lease.rs    who takes what (SKIP LOCKED)
//!   connection.rs  a session, statements       retry.rs    when to connect again
//!   schema.rs      the tables                   mod.rs      the transactions, and the rest of the engine
//!   owner.rs       whose they are
//! ```
//!
//! A session that is lost takes its transaction along. The next transaction finds a new one, or is refused.

mod connection;
mod lease;
mod owner;
mod retry;
mod schema;
mod server;

use std::error::Error;
use std::time::{Duration, Instant};

use thiserror::Error;
use tokio_postgres::Row;
use uuid::Uuid;

use super::engine::{Durability, Engine, EngineError, Result};
use super::message::{Appended, Depth, Document, Head, Lease, Leased, Message, New, Wanted};
use super::sql::{self, behind, limit};
use connection::{Connection, SESSION_MAX, Values};
use lease::{message, unreadable};
use owner::Owner;
use retry::Retry;
pub use server::Server;

/// Why there is no engine.
#[derive(Debug, Error)]
pub enum PostgresError {
    /// It can't be read.
    #[error("that is not the address of a PostgreSQL: {0}")]
    Address(String),
    /// It asks for what there is not.
    #[error(
        "connections are not encrypted (TLS), and sslmode=require asks for that: use the server's socket, loopback \
         or a tunnel (`ssh -L`), and leave sslmode out"
    )]
    Encrypted,
    /// It does not answer, or refuses.
    #[error("PostgreSQL at {server}: {why}")]
    Refused {
        /// Where.
        server: String,
        /// What was said.
        why: String,
    },
    /// Tables of another program, or of a later version of this one.
    #[error(
        "the schema `mayfly` of {server} is not one of this version of Mayfly (application \
         {application:#x}, schema {schema}). Use the version that made it, or another database"
    )]
    Foreign {
        /// Where.
        server: String,
        /// Whose.
        application: i64,
        /// How many steps led to it.
        schema: i64,
    },
    /// Some text would not be kept.
    #[error("the database at {0} is encoded in {1}: make one with ENCODING 'UTF8'")]
    Encoding(String, String),
    /// Two would give each other's leases back.
    #[error(
        "another platform uses the queues of {0}: give this one a database of its own, or stop that one"
    )]
    InUse(String),
    /// The events there are for functions that are elsewhere.
    #[error(
        "the queues of {0} belong to another data directory, where the functions of their events are: give this one a \
         database of its own. To take them over all the same, run TRUNCATE mayfly.platform there"
    )]
    Owned(String),
    /// Others have changed what this process remembers.
    #[error("{}", EngineError::Outdated)]
    Outdated,
}

/// Queues in a PostgreSQL database.
pub struct Postgres {
    server: Server,
    /// Who keeps others away.
    owner: Option<Owner>,
    /// How long a transaction may take to begin.
    begin_max: Duration,
    connection: Option<Connection>,
    retry: Retry,
    /// Why the transaction can't be committed: to COMMIT, the server would say a ROLLBACK, and no error.
    failed: Option<EngineError>,
}

impl Postgres {
    /// Connects, and makes the tables where there are none. Blocks: not for a thread of an asynchronous runtime.
    ///
    /// # Errors
    /// [`PostgresError`].
    pub fn connect(server: Server) -> std::result::Result<Postgres, PostgresError> {
        Self::open(server, None)
    }

    /// The same for the platform of the data directory with this id. It keeps others that say so away as long as it
    /// lives, also across lost connections, and other directories' for ever.
    ///
    /// # Errors
    /// [`PostgresError`].
    pub fn connect_alone(server: Server, id: Uuid) -> std::result::Result<Postgres, PostgresError> {
        Self::open(server, Some(Owner::new(id)))
    }

    fn open(
        server: Server,
        mut owner: Option<Owner>,
    ) -> std::result::Result<Postgres, PostgresError> {
        let connection = Some(session(&server, owner.as_mut(), Instant::now() + SESSION_MAX)?);
        Ok(Postgres {
            server,
            owner,
            begin_max: SESSION_MAX,
            connection,
            retry: Retry::default(),
            failed: None,
        })
    }

    /// Has it find, from now on, only a server there that never says a word, and wait for it so long.
    #[cfg(test)]
    pub(super) fn set_silent(&mut self, server: Server, begin_max: Duration) {
        (self.server, self.begin_max) = (server, begin_max);
    }

    /// Makes the session at hand, and none after it, wait for answers so long and no longer.
    #[cfg(test)]
    pub(super) fn set_patience(&mut self, patience: Duration) {
        self.connection.as_mut().unwrap().set_patience(patience);
    }

    /// The one value that a statement answers.
    #[cfg(test)]
    pub(super) fn shows(&mut self, sql: &'static str) -> String {
        self.rows(sql, &[], |row| column(row, 0)).unwrap().remove(0)
    }

    /// Has the session do something; one that is lost is given up.
    fn with<T>(&mut self, work: impl FnOnce(&mut Connection) -> Result<T>) -> Result<T> {
        let lost = || EngineError::Unavailable("the connection was lost".into());
        let done = self.connection.as_mut().ok_or_else(lost).and_then(work);
        if let Err(error) = &done {
            if matches!(error, EngineError::Unavailable(_)) {
                self.connection = None;
            }
            self.failed.get_or_insert_with(|| error.clone());
        }
        done
    }

    fn change(&mut self, sql: &'static str, values: Values<'_>) -> Result<u64> {
        self.with(|connection| connection.change(sql, values))
    }

    fn rows<T>(
        &mut self,
        sql: &'static str,
        values: Values<'_>,
        read: impl Fn(&Row) -> Result<T>,
    ) -> Result<Vec<T>> {
        self.with(|connection| connection.rows(sql, values)?.iter().map(read).collect())
    }
}

/// Has it answered by then.
fn run_until(connection: &mut Connection, sql: &str, end: Instant) -> Result<()> {
    connection.set_end(Some(end));
    let done = connection.run(sql);
    connection.set_end(None);
    done
}

/// A session that finds its tables until then.
fn session(
    server: &Server,
    owner: Option<&mut Owner>,
    end: Instant,
) -> std::result::Result<Connection, PostgresError> {
    let failed = |error| refused(server, error);
    let mut connection = Connection::open(server, schema::NAME, end).map_err(failed)?;
    schema::prepare(&mut connection, server)?;
    if let Some(owner) = owner {
        owner.take(&mut connection, server)?;
    }
    connection.set_end(None);
    Ok(connection)
}

fn refused(server: &Server, error: EngineError) -> PostgresError {
    let why = match error {
        EngineError::Unavailable(why)
        | EngineError::Unknown(why)
        | EngineError::Busy(why)
        | EngineError::Failed(why) => why,
        EngineError::Full | EngineError::Outdated => error.to_string(),
    };
    PostgresError::Refused { server: server.to_string(), why }
}

/// What an error says, and what is behind it.
fn chain(error: &dyn Error) -> String {
    let mut said = error.to_string();
    let mut behind = error.source();
    while let Some(error) = behind {
        said += &format!(": {error}");
        behind = error.source();
    }
    said
}

/// One column of a row.
fn column<'a, T: tokio_postgres::types::FromSql<'a>>(row: &'a Row, at: usize) -> Result<T> {
    row.try_get(at).map_err(unreadable)
}

/// Takes a name for a message, unless another one has it; the message's number then.
const CLAIM: &str = "INSERT INTO names VALUES (?1, ?2, ?3, nextval('messages_id_seq'), ?4)
     ON CONFLICT (lane, name) DO UPDATE
         SET until_ms = excluded.until_ms, message = excluded.message, head = excluded.head
         WHERE names.until_ms <= ?5
     RETURNING message";
/// Who has a name.
const OWNER: &str = "SELECT message, head FROM names WHERE lane = ?1 AND name = ?2";
/// A message and its body.
const APPEND: &str = "WITH new AS (
         INSERT INTO messages (id, lane, due_ms, sent_ms, grp, head)
         VALUES (coalesce(?1, nextval('messages_id_seq')), ?2, ?3, ?4, ?5, ?6) RETURNING id
     ), carried AS (INSERT INTO bodies SELECT id, ?7 FROM new)
     SELECT id FROM new";
/// One step down the index for each queue, however many messages they have.
const HEADS: &str = "WITH RECURSIVE heads AS (
         (SELECT lane, due_ms FROM messages WHERE lane >= ?1 AND lane < ?2
             ORDER BY lane, due_ms LIMIT 1)
         UNION ALL
         SELECT next.lane, next.due_ms FROM heads, LATERAL (
             SELECT m.lane, m.due_ms FROM messages m WHERE m.lane > heads.lane AND m.lane < ?2
             ORDER BY m.lane, m.due_ms LIMIT 1) next
     ) SELECT lane, due_ms FROM heads";

impl Engine for Postgres {
    fn begin(&mut self, durability: Durability) -> Result<()> {
        // Whatever the server's own default is.
        let begin = match durability {
            Durability::Power => "BEGIN; SET LOCAL synchronous_commit TO on",
            Durability::Process => "BEGIN; SET LOCAL synchronous_commit TO off",
        };
        self.failed = None;
        let end = Instant::now() + self.begin_max;
        let mut begun = self.with(|connection| run_until(connection, begin, end));
        // The session may have been lost long ago. Nothing has begun.
        if matches!(begun, Err(EngineError::Unavailable(_))) {
            self.failed = None;
            let (server, owner) = (&self.server, self.owner.as_mut());
            let opened = self.retry.attempt(|| session(server, owner, end));
            self.connection = Some(opened?);
            begun = self.with(|connection| run_until(connection, begin, end));
        }
        if begun.is_err() {
            // The first half may have been done, and would be in the way of whatever begins next.
            self.rollback();
        }
        begun
    }

    fn commit(&mut self) -> Result<()> {
        if let Some(error) = self.failed.clone() {
            return Err(error);
        }
        match self.with(|connection| connection.run("COMMIT")) {
            Err(EngineError::Unavailable(why)) => Err(EngineError::Unknown(why)),
            committed => committed,
        }
    }

    fn rollback(&mut self) {
        // Without a session, the server has done it.
        if self.connection.is_some() && self.with(|connection| connection.run("ROLLBACK")).is_err()
        {
            self.connection = None;
        }
    }

    fn append(&mut self, lane: &str, new: &New) -> Result<Appended> {
        let mut id: Option<i64> = None;
        if let Some((name, until_ms)) = &new.unique {
            let values: Values<'_> = &[&lane, name, until_ms, &new.head, &new.sent_ms];
            id = self.rows(CLAIM, values, |row| column(row, 0))?.pop();
            if id.is_none() {
                let same = |row: &Row| {
                    Ok(Appended { id: column::<i64>(row, 0)? as u64, same: column(row, 1)? })
                };
                let owner = self.rows(OWNER, &[&lane, name], same)?.pop();
                return owner.ok_or_else(|| EngineError::Failed("a name has no message".into()));
            }
        }
        let values: Values<'_> =
            &[&id, &lane, &new.due_ms, &new.sent_ms, &new.group, &new.head, &&new.body[..]];
        let id = self.rows(APPEND, values, |row| column::<i64>(row, 0))?.pop();
        let id = id.ok_or_else(|| EngineError::Failed("a message has no number".into()))?;
        Ok(Appended { id: id as u64, same: None })
    }

    fn lease(&mut self, wanted: &Wanted) -> Result<Vec<Leased>> {
        self.with(|connection| lease::lease(connection, wanted))
    }

    fn renew(&mut self, lease: Lease, now_ms: i64, until_ms: i64) -> Result<bool> {
        let (id, token) = (lease.id as i64, lease.token as i64);
        Ok(self.change(sql::RENEW, &[&id, &token, &until_ms, &now_ms])? > 0)
    }

    fn complete(&mut self, lease: Lease) -> Result<bool> {
        Ok(self.change(sql::COMPLETE, &[&(lease.id as i64), &(lease.token as i64)])? > 0)
    }

    fn contains(&mut self, id: u64) -> Result<bool> {
        Ok(!self.rows(sql::CONTAINS, &[&(id as i64)], |_| Ok(()))?.is_empty())
    }

    fn retry(&mut self, lease: Lease, due_ms: i64, head: &str) -> Result<bool> {
        let (id, token) = (lease.id as i64, lease.token as i64);
        Ok(self.change(sql::RETRY, &[&id, &token, &due_ms, &head])? > 0)
    }

    fn abandon(&mut self, prefix: &str, now_ms: i64) -> Result<u64> {
        self.change(sql::ABANDON, &[&prefix, &behind(prefix), &now_ms])
    }

    fn redrive(&mut self, from: &str, to: &str, count: usize, now_ms: i64) -> Result<u64> {
        let redrive = redrive!(" FOR UPDATE SKIP LOCKED");
        self.change(redrive, &[&from, &to, &now_ms, &limit(count)])
    }

    fn purge(&mut self, lane: &str, count: usize) -> Result<u64> {
        self.change(sql::PURGE, &[&lane, &limit(count)])
    }

    fn expire(&mut self, lane: &str, sent_before_ms: i64, now_ms: i64) -> Result<u64> {
        self.change(sql::EXPIRE_NAMES, &[&lane, &now_ms])?;
        self.change(sql::EXPIRE, &[&lane, &sent_before_ms])
    }

    fn depth(&mut self, lane: &str, now_ms: i64) -> Result<Depth> {
        let read = |row: &Row| {
            let count = |at| column::<i64>(row, at).map(|count| count as u64);
            let (due, leased, later, retried) = (count(0)?, count(1)?, count(2)?, count(3)?);
            Ok(Depth { due, leased, later, retried, oldest_ms: column(row, 4)? })
        };
        Ok(self.rows(sql::DEPTH, &[&lane, &now_ms], read)?.pop().unwrap_or_default())
    }

    fn heads(&mut self, prefix: &str) -> Result<Vec<Head>> {
        let head = |row: &Row| Ok(Head { lane: column(row, 0)?, due_ms: column(row, 1)? });
        self.rows(HEADS, &[&prefix, &behind(prefix)], head)
    }

    fn next_due(&mut self, lane: &str, now_ms: i64) -> Result<Option<i64>> {
        let due = self.rows(sql::NEXT_DUE, &[&lane, &now_ms], |row| column(row, 0))?;
        Ok(due.into_iter().next().flatten())
    }

    fn peek(&mut self, lane: &str, count: usize) -> Result<Vec<Message>> {
        self.rows(sql::PEEK, &[&lane, &limit(count)], message)
    }

    fn put_document(&mut self, kind: &str, document: &Document) -> Result<()> {
        self.change(sql::PUT_DOCUMENT, &[&kind, &document.name, &document.text]).map(drop)
    }

    fn remove_document(&mut self, kind: &str, name: &str) -> Result<bool> {
        Ok(self.change(sql::REMOVE_DOCUMENT, &[&kind, &name])? > 0)
    }

    fn documents(&mut self, kind: &str) -> Result<Vec<Document>> {
        let document = |row: &Row| Ok(Document { name: column(row, 0)?, text: column(row, 1)? });
        self.rows(sql::DOCUMENTS, &[&kind], document)
    }
}
