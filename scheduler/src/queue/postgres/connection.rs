//! One session with a server: statements that are prepared once, each with an end to how long it may take, and what goes
//! wrong, sorted by what is to be done about it.
//!
//! The client is asynchronous; its tasks run on this thread alone, while it waits for an answer.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Runtime};
use tokio_postgres::error::{Severity, SqlState};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Error, NoTls, Row, Statement};

use super::chain;
use super::server::Server;
use crate::queue::engine::{EngineError, Result};

/// How long the server may work on a statement; removing a million messages takes half of it.
const STATEMENT_MAX: &str = "60s";
/// How long to wait for an answer: a server that is there gives one by then.
const ANSWER_MAX: Duration = Duration::from_secs(70);

/// How long it may take to find out whether the server is there, and to have a session with it: longer than whoever is there
/// may wait for the lock.
pub(super) const SESSION_MAX: Duration = Duration::from_secs(20);

/// A statement's values.
pub(super) type Values<'a> = &'a [&'a (dyn ToSql + Sync)];

/// A session.
pub(super) struct Connection {
    runtime: Runtime,
    client: Client,
    patience: Duration,
    /// When all that is asked for now must have been answered.
    end: Option<Instant>,
    statements: HashMap<&'static str, Statement>,
}

impl Connection {
    /// Connects, and finds tables in `schema`, until `end`, which also holds for what is asked for afterwards.
    pub(super) fn open(server: &Server, schema: &str, end: Instant) -> Result<Connection> {
        let failed = |error: std::io::Error| EngineError::Failed(error.to_string());
        let runtime = Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let connecting = async {
            let (client, connection) = server.config().connect(NoTls).await?;
            // Its errors reach whoever asks the client for something.
            tokio::spawn(connection);
            Ok(client)
        };
        let (patience, statements) = (ANSWER_MAX, HashMap::new());
        let client = within(&runtime, left(patience, Some(end)), connecting)?;
        let mut connection = Connection { runtime, client, patience, end: Some(end), statements };
        // A client that is gone, or asleep, holds no lock for long.
        connection.run(&format!(
            "SET search_path TO {schema};
             SET statement_timeout TO '{STATEMENT_MAX}';
             SET idle_in_transaction_session_timeout TO '{STATEMENT_MAX}';
             SET tcp_keepalives_idle TO 10;
             SET tcp_keepalives_interval TO 5;
             SET tcp_keepalives_count TO 3;
             SET client_min_messages TO warning"
        ))?;
        Ok(connection)
    }

    /// Has all answers come until then, or each in its own time.
    pub(super) fn set_end(&mut self, end: Option<Instant>) {
        self.end = end;
    }

    fn left(&self) -> Duration {
        left(self.patience, self.end)
    }

    /// Makes it wait for answers so long and no longer.
    #[cfg(test)]
    pub(super) fn set_patience(&mut self, patience: Duration) {
        self.patience = patience;
    }

    /// Statements without values, one after the other.
    pub(super) fn run(&mut self, sql: &str) -> Result<()> {
        within(&self.runtime, self.left(), self.client.batch_execute(sql))
    }

    /// How many rows a statement changed. Values are `?1`, `?2`, ….
    pub(super) fn change(&mut self, sql: &'static str, values: Values<'_>) -> Result<u64> {
        let statement = self.statement(sql)?;
        within(&self.runtime, self.left(), self.client.execute(&statement, values))
    }

    /// What a statement answers.
    pub(super) fn rows(&mut self, sql: &'static str, values: Values<'_>) -> Result<Vec<Row>> {
        let statement = self.statement(sql)?;
        within(&self.runtime, self.left(), self.client.query(&statement, values))
    }

    fn statement(&mut self, sql: &'static str) -> Result<Statement> {
        if let Some(statement) = self.statements.get(sql) {
            return Ok(statement.clone());
        }
        let theirs = sql.replace('?', "$");
        let statement = within(&self.runtime, self.left(), self.client.prepare(&theirs))?;
        self.statements.insert(sql, statement.clone());
        Ok(statement)
    }
}

/// How long there is to wait.
fn left(patience: Duration, end: Option<Instant>) -> Duration {
    end.map_or(patience, |end| patience.min(end.saturating_duration_since(Instant::now())))
}

/// Waits for an answer, but not for ever.
fn within<T>(
    runtime: &Runtime,
    patience: Duration,
    work: impl Future<Output = std::result::Result<T, Error>>,
) -> Result<T> {
    let answer = runtime.block_on(async { tokio::time::timeout(patience, work).await });
    let silent = |_| EngineError::Unavailable(format!("no answer for {patience:?}"));
    answer.map_err(silent)?.map_err(sort)
}

fn sort(error: Error) -> EngineError {
    let Some(said) = error.as_db_error() else { return EngineError::Unavailable(chain(&error)) };
    let is_end = matches!(said.parsed_severity(), Some(Severity::Fatal | Severity::Panic));
    sort_said(is_end, said.code(), said.message())
}

/// What a server has said, and whether the session ends with it: during a commit nobody knows then what has happened,
/// whatever the reason.
fn sort_said(is_end: bool, code: &SqlState, message: &str) -> EngineError {
    let said = || format!("{message} (SQLSTATE {})", code.code());
    match code {
        _ if is_end => EngineError::Unavailable(message.to_owned()),
        &SqlState::DISK_FULL => EngineError::Full,
        &SqlState::QUERY_CANCELED | &SqlState::LOCK_NOT_AVAILABLE => EngineError::Busy(said()),
        _ => EngineError::Failed(said()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_session_is_more_than_its_reason() {
        let sorted = |is_end, code| sort_said(is_end, &code, "no room");
        assert_eq!(sorted(false, SqlState::DISK_FULL), EngineError::Full);
        let lost = EngineError::Unavailable("no room".into());
        assert_eq!(sorted(true, SqlState::DISK_FULL), lost);
        assert_eq!(sorted(true, SqlState::QUERY_CANCELED), lost);
    }
}
