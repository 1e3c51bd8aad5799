//! The tables, in a schema of their own, and the steps that led to them.

use super::connection::Connection;
use super::server::Server;
use super::{PostgresError, refused};
use crate::queue::engine::{EngineError, Result};
use crate::store::kind::Kind;

/// The schema, in PostgreSQL's sense.
pub(super) const NAME: &str = "mayfly";
/// The only encoding that keeps any text, in the order of its characters.
const ENCODING: &str = "UTF8";

/// Marked "Mayq". Names are compared as bytes (COLLATE "C"), as SQLite does. Bodies go with their message.
pub(super) const KIND: Kind = Kind {
    application: 0x4d61_7971,
    steps: &[
        r#"
    CREATE TABLE messages (
        id       BIGSERIAL PRIMARY KEY,
        lane     TEXT      COLLATE "C" NOT NULL,
        due_ms   BIGINT    NOT NULL,
        sent_ms  BIGINT    NOT NULL,
        token    BIGINT,
        leases   BIGINT    NOT NULL DEFAULT 0,
        first_ms BIGINT,
        grp      TEXT      COLLATE "C",
        head     TEXT      NOT NULL
    );
    CREATE INDEX messages_due ON messages (lane, due_ms);
    CREATE INDEX messages_group ON messages (lane, grp, due_ms) WHERE grp IS NOT NULL;
    CREATE TABLE bodies (
        message BIGINT PRIMARY KEY REFERENCES messages ON DELETE CASCADE,
        body    BYTEA  NOT NULL
    );
    CREATE TABLE names (
        lane     TEXT   COLLATE "C",
        name     TEXT   COLLATE "C",
        until_ms BIGINT NOT NULL,
        message  BIGINT NOT NULL,
        head     TEXT   NOT NULL,
        PRIMARY KEY (lane, name)
    );
    CREATE TABLE documents (
        kind TEXT COLLATE "C",
        name TEXT COLLATE "C",
        text TEXT NOT NULL,
        PRIMARY KEY (kind, name)
    );
"#,
        // Whose they are (owner.rs): one row, or none.
        "CREATE TABLE platform (
        one   BOOLEAN PRIMARY KEY CHECK (one),
        id    TEXT NOT NULL,
        start TEXT NOT NULL
    )",
    ],
};

/// What a database is: its encoding, whether the schema is there, whether it has a mark, whether it is empty.
const LOOK: &str = "SELECT current_setting('server_encoding'),
         to_regnamespace('mayfly') IS NOT NULL, to_regclass('mayfly.mark') IS NOT NULL,
         NOT EXISTS (SELECT FROM pg_class WHERE relnamespace = to_regnamespace('mayfly'))";

/// Makes the tables where there are none, and brings those of an earlier version up to date: all steps or none.
///
/// # Errors
/// [`PostgresError`]: what is foreign is left as it is.
pub(super) fn prepare(
    connection: &mut Connection,
    server: &Server,
) -> std::result::Result<(), PostgresError> {
    let failed = |error| refused(server, error);
    // Two that begin at once do so one after the other.
    let begin = format!("BEGIN; SELECT pg_advisory_xact_lock({})", KIND.application);
    connection.run(&begin).map_err(failed)?;
    let rows = connection.rows(LOOK, &[]).map_err(failed)?;
    let [look] = &rows[..] else { return Err(failed(EngineError::Failed("no answer".into()))) };
    let encoding: String = look.get(0);
    if encoding != ENCODING {
        return Err(PostgresError::Encoding(server.to_string(), encoding));
    }
    let (has_schema, has_mark, is_empty) = (look.get(1), look.get(2), look.get(3));
    let (application, schema) = if has_mark { mark(connection).map_err(failed)? } else { (0, 0) };
    let Some(steps) = KIND.lacks(application, schema, is_empty) else {
        return Err(PostgresError::Foreign { server: server.to_string(), application, schema });
    };
    advance(connection, has_schema, steps).map_err(failed)
}

fn mark(connection: &mut Connection) -> Result<(i64, i64)> {
    let rows = connection.rows("SELECT application, schema FROM mark", &[])?;
    let read = |row: &tokio_postgres::Row| Some((row.try_get(0).ok()?, row.try_get(1).ok()?));
    // Not ours: no number is.
    Ok(rows.first().and_then(read).unwrap_or((-1, -1)))
}

fn advance(connection: &mut Connection, has_schema: bool, steps: &[&str]) -> Result<()> {
    if !steps.is_empty() {
        if !has_schema {
            connection.run(&format!("CREATE SCHEMA {NAME}"))?;
        }
        steps.iter().try_for_each(|step| connection.run(step))?;
        connection.run(&format!(
            "CREATE TABLE IF NOT EXISTS mark (application BIGINT NOT NULL, schema BIGINT NOT NULL);
             DELETE FROM mark;
             INSERT INTO mark VALUES ({}, {})",
            KIND.application,
            KIND.steps.len()
        ))?;
    }
    connection.run("COMMIT")
}
