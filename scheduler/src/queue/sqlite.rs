//! The engine for one machine: SQLite, in a file of its own.

use std::fs::File;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use rusqlite::{
    CachedStatement, Connection, ErrorCode, OptionalExtension, Params, Row, ffi, params,
};

use super::engine::{Durability, Engine, EngineError, Flush, Result};
use super::message::{Appended, Depth, Document, Head, Lease, Leased, Message, New, Wanted};
use super::sql::{self, behind, limit};
use crate::store::StoreError;
use crate::store::kind::Kind;
use crate::store::sqlite;

/// The file, below the data directory.
const FILE: &str = "queue.db";
/// SQLite's page, where nothing else is said.
const PAGE_BYTES: u64 = 4096;
/// Pages in the log before they go to where they belong, which holds everybody up: 16 MiB, four times SQLite's own.
const LOG_PAGES: u32 = 4096;
/// Marked "Mayq". Bodies and names go with their message: triggers see to it.
const KIND: Kind = Kind {
    application: 0x4d61_7971,
    steps: &["
    CREATE TABLE messages (
        id       INTEGER PRIMARY KEY AUTOINCREMENT,
        lane     TEXT    NOT NULL,
        due_ms   INTEGER NOT NULL,
        sent_ms  INTEGER NOT NULL,
        token    INTEGER,
        leases   INTEGER NOT NULL DEFAULT 0,
        first_ms INTEGER,
        grp      TEXT,
        head     TEXT    NOT NULL
    ) STRICT;
    CREATE INDEX messages_due ON messages (lane, due_ms);
    CREATE INDEX messages_group ON messages (lane, grp, due_ms) WHERE grp IS NOT NULL;
    CREATE TABLE bodies (message INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT;
    CREATE TRIGGER bodies_go AFTER DELETE ON messages BEGIN
        DELETE FROM bodies WHERE message = old.id;
    END;
    CREATE TABLE names (
        lane     TEXT    NOT NULL,
        name     TEXT    NOT NULL,
        until_ms INTEGER NOT NULL,
        message  INTEGER NOT NULL,
        head     TEXT    NOT NULL,
        PRIMARY KEY (lane, name)
    ) STRICT;
    CREATE TABLE documents (
        kind TEXT NOT NULL,
        name TEXT NOT NULL,
        text TEXT NOT NULL,
        PRIMARY KEY (kind, name)
    ) STRICT;
"],
};

/// The next messages of a queue, as groups want them.
const NEXT: &str = messages!("AND ", is_next!(), " ORDER BY m.id LIMIT ?3");
/// The messages of a queue that have been due longest.
const DUE: &str = messages!("AND m.due_ms <= ?2 ORDER BY m.due_ms, m.id LIMIT ?3");

/// Queues in a SQLite file.
#[derive(Debug)]
pub struct Sqlite {
    connection: Connection,
    path: PathBuf,
    /// What a commit survives by itself.
    durability: Durability,
    /// Whether somebody else flushes.
    is_flushed: bool,
}

/// SQLite's log of what was committed. In it a commit is its frames, one behind the other: with them on the medium SQLite
/// finds them there, whoever brought them (SQLite, "Write-Ahead Logging"). What a checkpoint takes out of it, it has
/// flushed itself before, also where `synchronous` is NORMAL.
struct Log(File);

impl Sqlite {
    /// Opens the queues below `data`, or makes the file.
    ///
    /// # Errors
    /// [`StoreError`]: what is damaged, cut short or foreign is refused and left as it is.
    pub fn open(data: &Path) -> std::result::Result<Sqlite, StoreError> {
        let path = data.join(FILE);
        if path.exists() {
            refuse_torn(&path)?;
        } else {
            let fresh = data.join("queue.db.new");
            for stale in ["", "-wal", "-shm"] {
                let _ = std::fs::remove_file(data.join(format!("queue.db.new{stale}")));
            }
            let connection = sqlite::open(&fresh, &KIND)?;
            connection.pragma_update(None, "journal_mode", "DELETE")?;
            drop(connection);
            let io = |error| StoreError::Io(path.clone(), error);
            std::fs::rename(&fresh, &path).map_err(io)?;
            File::open(data).and_then(|dir| dir.sync_all()).map_err(io)?;
        }
        let connection = sqlite::open(&path, &KIND)?;
        connection.pragma_update(None, "wal_autocheckpoint", LOG_PAGES)?;
        Ok(Sqlite { connection, path, durability: Durability::Power, is_flushed: false })
    }

    /// Makes the disk look full once the file has so many pages.
    #[cfg(test)]
    pub(crate) fn limit_pages(&mut self, pages: Option<u32>) {
        if let Some(pages) = pages {
            self.connection.pragma_update(None, "max_page_count", pages).unwrap();
        }
    }

    fn statement(&self, sql: &str) -> Result<CachedStatement<'_>> {
        Ok(self.connection.prepare_cached(sql)?)
    }

    /// How many rows that changed.
    fn change(&self, sql: &str, values: impl Params) -> Result<u64> {
        Ok(self.statement(sql)?.execute(values)? as u64)
    }

    fn messages(&self, sql: &str, values: impl Params) -> Result<Vec<Message>> {
        Ok(self.statement(sql)?.query_map(values, message)?.collect::<rusqlite::Result<_>>()?)
    }

    fn begin_again(&self, id: u64, lane: &str, now_ms: i64) -> Result<u64> {
        self.change(begin_again!("= ?1"), params![id as i64, lane, now_ms])
    }
}

impl Flush for Log {
    fn flush(&mut self) -> Result<()> {
        self.0.sync_data().map_err(|error| EngineError::Unknown(error.to_string()))
    }
}

impl Engine for Sqlite {
    fn flusher(&mut self) -> Result<Option<Box<dyn Flush>>> {
        // Its name must be on the medium, too.
        let found = |path: &Path| File::open(path).and_then(|file| file.sync_all().map(|()| file));
        let log = found(&self.path.with_extension("db-wal"));
        let log = log.and_then(|log| found(self.path.parent().unwrap_or(&self.path)).map(|_| log));
        let log = log.map_err(|error| EngineError::Failed(error.to_string()))?;
        self.connection.pragma_update(None, "synchronous", "NORMAL")?;
        self.is_flushed = true;
        Ok(Some(Box::new(Log(log))))
    }

    fn begin(&mut self, durability: Durability) -> Result<()> {
        if self.durability != durability && !self.is_flushed {
            let level = if durability == Durability::Power { "FULL" } else { "NORMAL" };
            self.connection.pragma_update(None, "synchronous", level)?;
            self.durability = durability;
        }
        self.change("BEGIN", []).map(drop)
    }

    fn commit(&mut self) -> Result<()> {
        self.change("COMMIT", []).map(drop)
    }

    fn rollback(&mut self) {
        // SQLite may have rolled back by itself, where it found no room.
        let _ = self.change("ROLLBACK", []);
    }

    fn append(&mut self, lane: &str, new: &New) -> Result<Appended> {
        if let Some((name, _)) = &new.unique {
            let mut named = self.statement(
                "SELECT message, head FROM names WHERE lane = ?1 AND name = ?2 AND until_ms > ?3",
            )?;
            let found = named
                .query_row(params![lane, name, new.sent_ms], |row| {
                    Ok(Appended { id: row.get::<_, i64>(0)? as u64, same: Some(row.get(1)?) })
                })
                .optional()?;
            if let Some(found) = found {
                return Ok(found);
            }
        }
        self.change(
            "INSERT INTO messages (lane, due_ms, sent_ms, grp, head) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![lane, new.due_ms, new.sent_ms, new.group, new.head],
        )?;
        let id = self.connection.last_insert_rowid();
        self.change("INSERT INTO bodies VALUES (?1, ?2)", params![id, &new.body[..]])?;
        if let Some((name, until_ms)) = &new.unique {
            self.change(
                "INSERT OR REPLACE INTO names VALUES (?1, ?2, ?3, ?4, ?5)",
                params![lane, name, until_ms, id, new.head],
            )?;
        }
        Ok(Appended { id: id as u64, same: None })
    }

    fn lease(&mut self, wanted: &Wanted) -> Result<Vec<Leased>> {
        let mut leased = Vec::new();
        // Those that go to the other queue make room for others.
        while leased.len() < wanted.count {
            let next = if wanted.in_order { NEXT } else { DUE };
            let left = limit(wanted.count - leased.len());
            let found = self.messages(next, params![wanted.lane, wanted.now_ms, left])?;
            if found.is_empty() {
                break;
            }
            for mut message in found {
                match &wanted.leases_max {
                    Some((max, other)) if message.leases >= *max => {
                        self.begin_again(message.id, other, wanted.now_ms)?;
                        continue;
                    }
                    _ => {}
                }
                self.change(
                    "UPDATE messages SET due_ms = ?2, token = ?3, leases = leases + 1,
                         first_ms = coalesce(first_ms, ?4)
                     WHERE id = ?1",
                    params![message.id as i64, wanted.until_ms, wanted.token as i64, wanted.now_ms],
                )?;
                message.due_ms = wanted.until_ms;
                message.is_leased = true;
                message.leases += 1;
                message.first_leased_ms.get_or_insert(wanted.now_ms);
                let lease = Lease { id: message.id, token: wanted.token };
                leased.push(Leased { lease, message });
            }
        }
        Ok(leased)
    }

    fn renew(&mut self, lease: Lease, now_ms: i64, until_ms: i64) -> Result<bool> {
        let values = params![lease.id as i64, lease.token as i64, until_ms, now_ms];
        Ok(self.change(sql::RENEW, values)? > 0)
    }

    fn complete(&mut self, lease: Lease) -> Result<bool> {
        Ok(self.change(sql::COMPLETE, params![lease.id as i64, lease.token as i64])? > 0)
    }

    fn contains(&mut self, id: u64) -> Result<bool> {
        Ok(self.statement(sql::CONTAINS)?.exists([id as i64])?)
    }

    fn retry(&mut self, lease: Lease, due_ms: i64, head: &str) -> Result<bool> {
        let values = params![lease.id as i64, lease.token as i64, due_ms, head];
        Ok(self.change(sql::RETRY, values)? > 0)
    }

    fn abandon(&mut self, prefix: &str, now_ms: i64) -> Result<u64> {
        self.change(sql::ABANDON, params![prefix, behind(prefix), now_ms])
    }

    fn redrive(&mut self, from: &str, to: &str, count: usize, now_ms: i64) -> Result<u64> {
        self.change(redrive!(""), params![from, to, now_ms, limit(count)])
    }

    fn purge(&mut self, lane: &str, count: usize) -> Result<u64> {
        self.change(sql::PURGE, params![lane, limit(count)])
    }

    fn expire(&mut self, lane: &str, sent_before_ms: i64, now_ms: i64) -> Result<u64> {
        self.change(sql::EXPIRE_NAMES, params![lane, now_ms])?;
        self.change(sql::EXPIRE, params![lane, sent_before_ms])
    }

    fn depth(&mut self, lane: &str, now_ms: i64) -> Result<Depth> {
        let mut depth = self.statement(sql::DEPTH)?;
        Ok(depth.query_row(params![lane, now_ms], |row| {
            let count = |column| row.get::<_, i64>(column).map(|count| count as u64);
            let (due, leased, later, retried) = (count(0)?, count(1)?, count(2)?, count(3)?);
            Ok(Depth { due, leased, later, retried, oldest_ms: row.get(4)? })
        })?)
    }

    fn heads(&mut self, prefix: &str) -> Result<Vec<Head>> {
        // One step down the index for each queue, however many messages they have.
        let mut next = self.statement(
            "SELECT lane, due_ms FROM messages WHERE lane >= ?1 AND lane < ?2
             ORDER BY lane, due_ms LIMIT 1",
        )?;
        let (mut from, end, mut heads) = (prefix.to_owned(), behind(prefix), Vec::new());
        loop {
            let found = next.query_row(params![from, end], |row| {
                Ok(Head { lane: row.get(0)?, due_ms: row.get(1)? })
            });
            let Some(head) = found.optional()? else { return Ok(heads) };
            from = format!("{}\0", head.lane);
            heads.push(head);
        }
    }

    fn next_due(&mut self, lane: &str, now_ms: i64) -> Result<Option<i64>> {
        Ok(self.statement(sql::NEXT_DUE)?.query_row(params![lane, now_ms], |row| row.get(0))?)
    }

    fn peek(&mut self, lane: &str, count: usize) -> Result<Vec<Message>> {
        self.messages(sql::PEEK, params![lane, limit(count)])
    }

    fn put_document(&mut self, kind: &str, document: &Document) -> Result<()> {
        let values = params![kind, document.name, document.text];
        self.change(sql::PUT_DOCUMENT, values).map(drop)
    }

    fn remove_document(&mut self, kind: &str, name: &str) -> Result<bool> {
        Ok(self.change(sql::REMOVE_DOCUMENT, [kind, name])? > 0)
    }

    fn documents(&mut self, kind: &str) -> Result<Vec<Document>> {
        let document = |row: &Row<'_>| Ok(Document { name: row.get(0)?, text: row.get(1)? });
        let mut documents = self.statement(sql::DOCUMENTS)?;
        Ok(documents.query_map([kind], document)?.collect::<rusqlite::Result<_>>()?)
    }
}

/// Refuses a file that ends within a page, which SQLite would fill up with zeros. One shorter than a page it would
/// take for new: ours appears whole.
fn refuse_torn(path: &Path) -> std::result::Result<(), StoreError> {
    let len_of = |path: &Path| path.metadata().map_or(0, |found| found.len());
    let len = len_of(path);
    // A kill may tear the file, but then the log beside it still has the page.
    let has_log = len_of(&path.with_extension("db-wal")) > 0;
    if len < PAGE_BYTES || !len.is_multiple_of(PAGE_BYTES) && !has_log {
        return Err(StoreError::Damaged(
            path.to_owned(),
            format!("it is cut short at {len} bytes"),
        ));
    }
    Ok(())
}

fn message(row: &Row<'_>) -> rusqlite::Result<Message> {
    Ok(Message {
        id: row.get::<_, i64>(0)? as u64,
        head: row.get(1)?,
        body: Bytes::from(row.get::<_, Vec<u8>>(2)?),
        sent_ms: row.get(3)?,
        due_ms: row.get(4)?,
        is_leased: row.get(5)?,
        leases: row.get(6)?,
        first_leased_ms: row.get(7)?,
        group: row.get(8)?,
    })
}

impl From<rusqlite::Error> for EngineError {
    fn from(error: rusqlite::Error) -> EngineError {
        let extended = error.sqlite_error().map(|error| error.extended_code);
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => EngineError::Full,
            // The log's index, a file of shared memory beside it, finds no room to grow.
            _ if extended == Some(ffi::SQLITE_IOERR_SHMSIZE) => EngineError::Full,
            _ => EngineError::Failed(error.to_string()),
        }
    }
}
