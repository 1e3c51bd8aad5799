//! Whose the tables are: one platform's at a time, and the same one's each time.
//!
//! ```text
//!   lock    a session's: nobody else is here now         (pg_advisory_lock)
//!   id      a data directory's: the functions that the events are for are there
//!   start   of a process, drawn anew: whoever comes back after a lost session sees whether another was here
//! ```

use tokio_postgres::Row;
use uuid::Uuid;

use super::connection::Connection;
use super::schema::KIND;
use super::server::Server;
use super::{PostgresError, column, refused};
use crate::queue::engine::{EngineError, Result};

/// Gives tables that are nobody's to a data directory ?1, and says who begins; nothing where they are another's.
const ENTER: &str = "INSERT INTO platform VALUES (TRUE, ?1, ?2)
     ON CONFLICT (one) DO UPDATE SET start = excluded.start WHERE platform.id = excluded.id
     RETURNING start";
/// Who has begun last.
const LAST: &str = "SELECT id, start FROM platform";
/// The code of a lock that was not got in time (PostgreSQL, appendix A).
const LOCK_NOT_AVAILABLE: &str = "55P03";

/// A platform that has the tables for itself.
#[derive(Debug)]
pub(super) struct Owner {
    /// The data directory's.
    id: String,
    /// This process's. What it remembers holds for as long as nobody else has begun.
    start: String,
    has_begun: bool,
}

impl Owner {
    /// The platform of the data directory with this id.
    pub(super) fn new(id: Uuid) -> Owner {
        Owner { id: id.to_string(), start: Uuid::new_v4().to_string(), has_begun: false }
    }

    /// Takes the tables for this session alone, until it ends, however that comes.
    ///
    /// # Errors
    /// [`PostgresError::InUse`], [`PostgresError::Owned`], [`PostgresError::Outdated`].
    pub(super) fn take(
        &mut self,
        connection: &mut Connection,
        server: &Server,
    ) -> std::result::Result<(), PostgresError> {
        let failed = |error| refused(server, error);
        if !lock(connection).map_err(failed)? {
            return Err(PostgresError::InUse(server.to_string()));
        }
        if self.has_begun {
            let last = connection.rows(LAST, &[]).map_err(failed)?;
            let read = |row: &Row| Ok((column::<String>(row, 0)?, column::<String>(row, 1)?));
            let last = last.first().map(read).transpose().map_err(failed)?;
            let is_ours = last.is_some_and(|(id, start)| id == self.id && start == self.start);
            return is_ours.then_some(()).ok_or(PostgresError::Outdated);
        }
        // It may be of a database that does not wait for its disk.
        connection.run("BEGIN; SET LOCAL synchronous_commit TO on").map_err(failed)?;
        let entered = connection.rows(ENTER, &[&self.id, &self.start]).map_err(failed)?;
        connection.run("COMMIT").map_err(failed)?;
        self.has_begun = !entered.is_empty();
        self.has_begun.then_some(()).ok_or_else(|| PostgresError::Owned(server.to_string()))
    }
}

/// Whether nobody else has the lock.
fn lock(connection: &mut Connection) -> Result<bool> {
    // The session of one that was killed a moment ago may still be going down.
    let taken = connection.run(&format!(
        "BEGIN; SET LOCAL lock_timeout TO '5s';
         SELECT pg_advisory_lock({}, 'messages'::regclass::oid::int); COMMIT",
        KIND.application
    ));
    match taken {
        Err(EngineError::Busy(why)) if why.contains(LOCK_NOT_AVAILABLE) => {
            connection.run("ROLLBACK").map(|()| false)
        }
        taken => taken.map(|()| true),
    }
}
