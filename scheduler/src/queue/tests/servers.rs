//! Databases that are not as they should be, and who may use them.

use std::net::TcpListener;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::super::engine::{Durability, Engine, EngineError};
use super::super::{New, Postgres, PostgresError, Queue, QueueError, Server, Wanted};
use super::database::TestDatabase;
use super::suite::{new, wanted};

/// Room that an administrator finds: 4 MiB of what can't be pressed.
const BALLAST: &str = "CREATE TABLE ballast AS
     SELECT gen_random_uuid() AS one, gen_random_uuid() AS two FROM generate_series(1, 64 * 1024)";

fn refusal(server: Server) -> PostgresError {
    Postgres::connect(server).err().expect("a refusal")
}

#[test]
fn what_is_there_is_found_again() {
    let Some(database) = TestDatabase::new() else { return };
    let mut engine = database.engine();
    engine.begin(Durability::Power).unwrap();
    engine.append("q", &new("a", 0)).unwrap();
    engine.commit().unwrap();
    drop(engine);
    let mut engine = database.engine();
    engine.begin(Durability::Power).unwrap();
    assert_eq!(engine.depth("q", 0).unwrap().due, 1);
}

#[test]
fn a_power_proof_commit_waits_for_the_disk_and_another_does_not() {
    let Some(database) = TestDatabase::new() else { return };
    let mut engine = database.engine();
    // Whatever the database's own default is.
    database.sql(&format!("ALTER DATABASE {} SET synchronous_commit TO off", database.name));
    for (durability, setting) in [(Durability::Power, "on"), (Durability::Process, "off")] {
        engine.begin(durability).unwrap();
        assert_eq!(engine.shows("SHOW synchronous_commit"), setting);
        engine.commit().unwrap();
    }
}

#[test]
fn tables_of_others_and_of_later_versions_are_refused() {
    let Some(database) = TestDatabase::new() else { return };
    drop(database.engine());
    database.sql("UPDATE mayfly.mark SET schema = schema + 1");
    let error = refusal(database.server());
    assert!(matches!(error, PostgresError::Foreign { .. }), "{error}");
    assert!(error.to_string().contains("Use the version that made it"), "{error}");
    database.sql("DROP SCHEMA mayfly CASCADE; CREATE SCHEMA mayfly; CREATE TABLE mayfly.x (y INT)");
    let error = refusal(database.server());
    assert!(matches!(error, PostgresError::Foreign { .. }), "{error}");
    assert_eq!(database.sql("SELECT count(*) FROM mayfly.x"), "0", "it is as it was");
    // An empty schema is a place that an administrator has made.
    database.sql("DROP TABLE mayfly.x");
    drop(database.engine());
}

#[test]
fn a_database_that_does_not_keep_all_texts_is_refused() {
    let Some(cluster) = mayfly_postgres::shared() else { return };
    let name = cluster.database_with("ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0");
    let error = refusal(Server::parse(&cluster.url(&name)).unwrap());
    assert!(matches!(error, PostgresError::Encoding(..)), "{error}");
}

#[test]
fn a_text_that_it_does_not_take_fails_alone() {
    let Some(database) = TestDatabase::new() else { return };
    let mut engine = database.engine();
    engine.begin(Durability::Power).unwrap();
    let refused = engine.append("q", &new("a\0b", 0));
    assert!(matches!(refused, Err(EngineError::Failed(_))), "{refused:?}");
    assert!(engine.commit().is_err(), "the server would say nothing, and keep nothing");
    engine.rollback();
    engine.begin(Durability::Power).unwrap();
    engine.append("q", &new("ab", 0)).unwrap();
    engine.commit().unwrap();
}

#[test]
fn a_beginning_that_fails_is_not_in_the_way_of_the_next() {
    let Some(database) = TestDatabase::new() else { return };
    let mut engine = database.engine();
    engine.begin(Durability::Power).unwrap();
    engine.append("q", &new("a\0b", 0)).unwrap_err();
    // What a cancelled SET leaves behind, too: a transaction that takes nothing more, and no other one in its place.
    let error = engine.begin(Durability::Power).unwrap_err();
    assert!(matches!(error, EngineError::Failed(_)), "{error}");
    engine.begin(Durability::Power).unwrap();
    engine.append("q", &new("ab", 0)).unwrap();
    engine.commit().unwrap();
}

#[test]
fn a_batch_for_which_time_ran_out_is_not_taken_apart() {
    let Some(database) = TestDatabase::new() else { return };
    let (mut holder, mut engine) = (database.engine(), database.engine());
    let named = New { unique: Some(("n".into(), 9)), ..new("a", 0) };
    holder.begin(Durability::Power).unwrap();
    holder.append("q", &named).unwrap();
    engine.shows("SELECT set_config('lock_timeout', '100ms', false)");
    let queue = Queue::start(Box::new(engine)).unwrap();
    let tries = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&tries);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (busy, (waits, other, ())) = runtime.block_on(async {
        // Both come into one transaction, for the queue is busy with another when they do.
        let (begin, begun) = tokio::sync::oneshot::channel();
        let (go, gone) = mpsc::channel::<()>();
        let mut begin = Some(begin);
        let busy = queue.work(Durability::Process, move |_| {
            begin.take().map(|begin| begin.send(()));
            Ok(gone.recv().is_ok())
        });
        let waits = queue.work(Durability::Power, move |engine| {
            counted.fetch_add(1, Ordering::SeqCst);
            engine.append("q", &named).map(drop)
        });
        let other = queue.append("q", vec![new("b", 0)]);
        tokio::join!(busy, async {
            begun.await.unwrap();
            tokio::join!(biased; waits, other, async { go.send(()).unwrap() })
        })
    });
    assert!(busy.unwrap());
    for error in [waits.unwrap_err(), other.unwrap_err()] {
        assert!(matches!(error, QueueError::Engine(EngineError::Busy(_))), "{error}");
    }
    assert_eq!(tries.load(Ordering::SeqCst), 1);
    holder.rollback();
    runtime.block_on(queue.append("q", vec![new("c", 0)])).unwrap();
}

#[test]
fn a_password_is_asked_for_over_tcp() {
    let Some(database) = TestDatabase::new() else { return };
    let (url, password) = database.cluster.tcp(&database.name);
    let server = Server::parse(&url).unwrap();
    for wrong in [server.clone(), server.clone().with_password("wrong")] {
        let error = refusal(wrong);
        assert!(matches!(error, PostgresError::Refused { .. }), "{error}");
        assert!(error.to_string().contains("password"), "{error}");
    }
    drop(Postgres::connect(server.with_password(password)).unwrap());
}

#[test]
fn one_that_does_not_answer_is_given_up_for_another_session() {
    let Some(database) = TestDatabase::new() else { return };
    let mut engine = database.engine();
    engine.begin(Durability::Power).unwrap();
    let session = engine.shows("SELECT pg_backend_pid()::text");
    engine.append("q", &new("lost with its transaction", 0)).unwrap();
    let signal = |name: &str| {
        let sent = Command::new("kill").args([name, &session]).status();
        assert!(sent.unwrap().success());
    };
    signal("-STOP");
    engine.set_patience(Duration::from_millis(100));
    let error = engine.append("q", &new("refused", 0)).unwrap_err();
    assert!(matches!(error, EngineError::Unavailable(_)), "{error}");
    engine.rollback();
    engine.begin(Durability::Power).unwrap();
    engine.append("q", &new("kept", 0)).unwrap();
    engine.commit().unwrap();
    signal("-CONT");
    engine.begin(Durability::Power).unwrap();
    let there = engine.peek("q", 9).unwrap();
    assert_eq!(there.iter().map(|one| &*one.head).collect::<Vec<_>>(), ["kept"]);
}

#[test]
fn one_that_is_silent_is_given_up_long_before_a_statement_would_be() {
    /// A hang guard: a BEGIN that waits as any statement does takes as long.
    const HANGS: Duration = Duration::from_secs(60);
    let Some(database) = TestDatabase::new() else { return };
    let mut engine = database.engine();
    let session = engine.shows("SELECT pg_backend_pid()::text");
    let signal = |name: &str| Command::new("kill").args([name, &session]).status().unwrap();
    // Connections to it are made, and nothing comes from them.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("postgres://ada@{}/events", silent.local_addr().unwrap());
    engine.set_silent(Server::parse(&url).unwrap(), Duration::from_millis(200));
    assert!(signal("-STOP").success());
    let start = Instant::now();
    let begun = engine.begin(Durability::Power);
    assert!(signal("-CONT").success());
    assert!(matches!(begun, Err(EngineError::Unavailable(_))), "{begun:?}");
    assert!(start.elapsed() < HANGS);
}

#[test]
fn nobody_there_is_said_with_the_address() {
    let error = refusal(Server::parse("postgres://ada:s3cret@127.0.0.1:1/events").unwrap());
    let said = error.to_string();
    assert!(said.contains("127.0.0.1:1/events") && said.contains("refused"), "{said}");
    assert!(!said.contains("s3cret"), "{said}");
}

#[tokio::test]
async fn a_full_disk_refuses_what_needs_room_loses_nothing_and_recovers() {
    let Some(cluster) = mayfly_postgres::own_with_small_disk(24) else { return };
    let name = cluster.database_with("TABLESPACE small");
    let server = Server::parse(&cluster.url(&name)).unwrap();
    let connect = move || Postgres::connect(server).unwrap();
    let engine = tokio::task::spawn_blocking(connect).await.unwrap();
    let queue = Arc::new(Queue::start(Box::new(engine)).unwrap());
    // Random bytes: the server would press others.
    let body: Vec<u8> = (0..10_000).flat_map(|_| *uuid::Uuid::new_v4().as_bytes()).collect();
    let body = Bytes::from(body);
    let big = || vec![New::now("big".into(), body.clone(), 0)];
    cluster.sql(&name, BALLAST);
    let mut accepted = 0;
    let error = loop {
        match queue.append("q", big()).await {
            Ok(_) => accepted += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(error, QueueError::Engine(EngineError::Full));
    assert!(accepted > 2, "{accepted}");
    // It works again once there is room. Until then, a lease may find none for the row that it writes anew.
    cluster.sql(&name, "DROP TABLE ballast");
    let all = Wanted { count: usize::MAX, ..wanted("q", 0) };
    let leased = queue.lease(all).await.unwrap();
    assert_eq!(leased.len(), accepted);
    assert!(leased.iter().all(|one| one.message.body == body));
    for one in &leased {
        assert!(queue.settle(one.lease, Vec::new()).await.unwrap());
    }
    assert!(queue.append("q", big()).await.is_ok());
}
