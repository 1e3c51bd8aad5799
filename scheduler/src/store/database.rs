//! Opening the database: its settings, its schema, and when to refuse it.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, ErrorCode};
use thiserror::Error;

use super::schema::STEPS;

/// The file, below the data directory.
const FILE: &str = "mayfly.db";
/// Marks a database as ours ("Mayf"): SQLite's application_id.
const APPLICATION_ID: i64 = 0x4d61_7966;
/// Version of the schema, SQLite's user_version: how many steps have been taken.
const VERSION: usize = STEPS.len();
/// Why the store does not do what it should.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The file is no sound SQLite database.
    #[error(
        "{path} is damaged ({detail}). Nothing was changed. Put a backup in its place, or move it and \
         the files beside it away to start without functions",
        path = .0.display(), detail = .1
    )]
    Damaged(PathBuf, String),
    /// A sound database of another program, or of a later version of this one.
    #[error(
        "{path} is not a database of this version of Mayfly (application {application:#x}, schema \
         {schema}). Use the version that made it, or another data directory",
        path = .path.display()
    )]
    Foreign {
        /// Which file.
        path: PathBuf,
        /// Its application_id.
        application: i64,
        /// Its user_version.
        schema: i64,
    },
    /// The name is taken.
    #[error("a function of this name exists")]
    Exists,
    /// There is no function of this name.
    #[error("no function has this name")]
    Missing,
    /// SQLite failed.
    #[error("the database failed: {0}")]
    Database(#[from] rusqlite::Error),
    /// The file system failed.
    #[error("{path}: {error}", path = .0.display(), error = .1)]
    Io(PathBuf, #[source] std::io::Error),
}

/// A data directory's database. Whoever changes something holds it until what is in memory is changed, too.
#[derive(Debug)]
pub struct Database(Mutex<Connection>);

impl Database {
    /// Opens the database below `data`, or makes it; one of an earlier schema is brought up to date.
    ///
    /// # Errors
    /// [`StoreError`]: what is damaged or foreign is refused and left as it is.
    pub fn open(data: &Path) -> Result<Database, StoreError> {
        Ok(Database(Mutex::new(open(data)?)))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Connection> {
        // A transaction that a panic cuts off is rolled back.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn open(data: &Path) -> Result<Connection, StoreError> {
    let path = data.join(FILE);
    open_at(&path).map_err(|error| match error {
        StoreError::Database(error) if is_damage(&error) => {
            StoreError::Damaged(path, error.to_string())
        }
        error => error,
    })
}

fn open_at(path: &Path) -> Result<Connection, StoreError> {
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
    match (application, usize::try_from(schema)) {
        (APPLICATION_ID, Ok(done @ 1..=VERSION)) => advance(&mut connection, done)?,
        (0, Ok(0)) if is_empty => advance(&mut connection, 0)?,
        _ => return Err(StoreError::Foreign { path: path.to_owned(), application, schema }),
    }
    Ok(connection)
}

/// Takes the steps that are not `done`: all of them, or, if one fails, none.
fn advance(connection: &mut Connection, done: usize) -> Result<(), StoreError> {
    let transaction = connection.transaction()?;
    for step in STEPS.iter().skip(done) {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", VERSION as i64)?;
    Ok(transaction.commit()?)
}

fn is_damage(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error_code();
    matches!(code, Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_database_is_refused_and_left_alone() {
        let data = tempfile::tempdir().unwrap();
        let path = data.path().join(FILE);
        std::fs::write(&path, [0x5a; 8192]).unwrap();
        let error = open(data.path()).unwrap_err();
        assert!(matches!(error, StoreError::Damaged(..)), "{error}");
        assert!(error.to_string().contains("backup"), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), [0x5a; 8192]);
    }

    #[test]
    fn damage_inside_is_found_too() {
        let data = tempfile::tempdir().unwrap();
        let path = data.path().join(FILE);
        drop(open(data.path()).unwrap());
        let mut bytes = std::fs::read(&path).unwrap();
        let len = bytes.len();
        assert!(len > 4096, "more than the first page");
        bytes[4096..len].fill(0xff);
        std::fs::write(&path, bytes).unwrap();
        assert!(matches!(open(data.path()).unwrap_err(), StoreError::Damaged(..)));
    }

    #[test]
    fn a_later_schema_is_refused() {
        let data = tempfile::tempdir().unwrap();
        let connection = open(data.path()).unwrap();
        connection.pragma_update(None, "user_version", VERSION as i64 + 1).unwrap();
        drop(connection);
        assert!(matches!(open(data.path()).unwrap_err(), StoreError::Foreign { .. }));
    }

    #[test]
    fn anothers_database_is_refused() {
        let data = tempfile::tempdir().unwrap();
        let other = Connection::open(data.path().join(FILE)).unwrap();
        other.execute_batch("CREATE TABLE theirs (x)").unwrap();
        drop(other);
        assert!(matches!(open(data.path()).unwrap_err(), StoreError::Foreign { .. }));
    }
}
