//! The control store's database: functions and layers.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::Connection;
use thiserror::Error;

use super::kind::Kind;
use super::schema::STEPS;
use super::sqlite;

/// The file, below the data directory.
const FILE: &str = "mayfly.db";
/// Marked "Mayf".
const KIND: Kind = Kind { application: 0x4d61_7966, steps: &STEPS };

/// Why the store does not do what it should.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The file is no sound SQLite database.
    #[error(
        "{path} is damaged ({detail}). Nothing was changed. Put a backup in its place, or move it and \
         the files beside it away to start without what it holds",
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
    /// SQLite can't use the file.
    #[error("{path}: {error}. {cure}", path = .path.display())]
    Unusable {
        /// Which file.
        path: PathBuf,
        /// What to do.
        cure: &'static str,
        /// What SQLite says.
        error: rusqlite::Error,
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
    sqlite::open(&data.join(FILE), &KIND)
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
        connection.pragma_update(None, "user_version", STEPS.len() as i64 + 1).unwrap();
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
