//! Opening a SQLite file of the platform's: its settings, its schema, and when to refuse it.

use std::path::Path;

use rusqlite::{Connection, ErrorCode};

use super::database::StoreError;
use super::kind::Kind;

/// Opens the file at `path`, or makes it; one of an earlier schema is brought up to date. Commits are on the medium
/// when they return.
///
/// # Errors
/// [`StoreError`]: what is damaged or foreign is refused and left as it is.
pub(crate) fn open(path: &Path, kind: &Kind) -> Result<Connection, StoreError> {
    open_at(path, kind).map_err(|error| match error {
        StoreError::Database(error) if is_damage(&error) => {
            StoreError::Damaged(path.to_owned(), error.to_string())
        }
        StoreError::Database(error) => {
            StoreError::Unusable { path: path.to_owned(), cure: cure(&error), error }
        }
        error => error,
    })
}

/// What to do about a file that can't be opened.
fn cure(error: &rusqlite::Error) -> &'static str {
    match error.sqlite_error_code() {
        // Beside a file SQLite makes one of shared memory, and says no more than that it could not.
        Some(ErrorCode::DiskFull | ErrorCode::SystemIoFailure) => {
            "Is its disk full? Make room and start again: nothing is lost"
        }
        Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
            "Give this user the right to write it and its directory, or use another data directory"
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            "Another program uses it: end that one first"
        }
        _ => "Nothing was changed",
    }
}

fn open_at(path: &Path, kind: &Kind) -> Result<Connection, StoreError> {
    let mut connection = Connection::open(path)?;
    let verdict: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if verdict != "ok" {
        return Err(StoreError::Damaged(path.to_owned(), verdict));
    }
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // An answer to a client is a promise: it must survive a loss of power.
    connection.pragma_update(None, "synchronous", "FULL")?;
    let number = |name: &str| connection.pragma_query_value(None, name, |row| row.get(0));
    let (application, schema): (i64, i64) = (number("application_id")?, number("user_version")?);
    let is_empty =
        connection.query_row("SELECT count(*) = 0 FROM sqlite_schema", [], |row| row.get(0))?;
    let Some(steps) = kind.lacks(application, schema, is_empty) else {
        return Err(StoreError::Foreign { path: path.to_owned(), application, schema });
    };
    advance(&mut connection, kind, steps)?;
    Ok(connection)
}

/// Takes the steps: all of them, or, if one fails, none. Where there are none it writes nothing: a full disk has no room.
fn advance(connection: &mut Connection, kind: &Kind, steps: &[&str]) -> Result<(), StoreError> {
    if steps.is_empty() {
        return Ok(());
    }
    let transaction = connection.transaction()?;
    for step in steps {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "application_id", kind.application)?;
    transaction.pragma_update(None, "user_version", kind.steps.len() as i64)?;
    Ok(transaction.commit()?)
}

fn is_damage(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error_code();
    matches!(code, Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}
