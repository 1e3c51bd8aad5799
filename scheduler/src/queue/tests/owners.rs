//! Whose a database is: now, and each time.

use uuid::Uuid;

use super::super::engine::{Durability, Engine, EngineError};
use super::super::{Postgres, PostgresError};
use super::database::TestDatabase;

/// Two data directories.
const ONE: Uuid = Uuid::from_u128(1);
const OTHER: Uuid = Uuid::from_u128(2);

fn alone(database: &TestDatabase, id: Uuid) -> Result<Postgres, PostgresError> {
    Postgres::connect_alone(database.server(), id)
}

fn refusal(database: &TestDatabase, id: Uuid) -> PostgresError {
    alone(database, id).err().expect("a refusal")
}

/// Ends an engine's session under its feet, and returns when its lock is gone.
fn end_session(database: &TestDatabase, engine: &mut Postgres) {
    let session = engine.shows("SELECT pg_backend_pid()::text");
    assert_eq!(database.sql(&format!("SELECT pg_terminate_backend({session}, 60000)")), "t");
}

#[test]
fn one_platform_at_a_time_and_the_next_as_soon_as_it_is_gone() {
    let Some(database) = TestDatabase::new() else { return };
    let one = alone(&database, ONE).unwrap();
    let error = refusal(&database, ONE);
    assert!(matches!(error, PostgresError::InUse(_)), "{error}");
    // It is a lock among platforms, not against everybody.
    drop(database.engine());
    drop(one);
    drop(alone(&database, ONE).unwrap());
}

#[test]
fn what_is_one_directorys_is_no_others_until_somebody_says_so() {
    let Some(database) = TestDatabase::new() else { return };
    drop(alone(&database, ONE).unwrap());
    let error = refusal(&database, OTHER);
    assert!(matches!(error, PostgresError::Owned(_)), "{error}");
    assert!(error.to_string().contains("TRUNCATE mayfly.platform"), "{error}");
    drop(alone(&database, ONE).unwrap());
    database.sql("TRUNCATE mayfly.platform");
    drop(alone(&database, OTHER).unwrap());
    let error = refusal(&database, ONE);
    assert!(matches!(error, PostgresError::Owned(_)), "{error}");
}

#[test]
fn tables_of_an_earlier_version_belong_to_who_comes_first() {
    let Some(database) = TestDatabase::new() else { return };
    drop(database.engine());
    database.sql("DROP TABLE mayfly.platform; UPDATE mayfly.mark SET schema = 1");
    drop(alone(&database, ONE).unwrap());
    assert!(matches!(refusal(&database, OTHER), PostgresError::Owned(_)));
}

#[test]
fn one_that_comes_back_goes_on_only_where_nobody_else_has_been() {
    let Some(database) = TestDatabase::new() else { return };
    let mut first = alone(&database, ONE).unwrap();
    end_session(&database, &mut first);
    first.begin(Durability::Power).unwrap();
    first.commit().unwrap();
    end_session(&database, &mut first);
    drop(alone(&database, ONE).unwrap());
    for _ in 0..2 {
        assert_eq!(first.begin(Durability::Power), Err(EngineError::Outdated));
    }
    // It is not in the way of those that know better.
    drop(alone(&database, ONE).unwrap());
}
