//! Two engines on one database, as two machines have them.

use std::collections::BTreeSet;
use std::thread;
use std::time::Duration;

use super::super::engine::{Durability, Engine};
use super::super::message::*;
use super::database::TestDatabase;
use super::suite::{new, wanted};

/// How many of the database's sessions wait for another one.
const WAITING: &str = "SELECT count(*) FROM pg_stat_activity
     WHERE datname = current_database() AND wait_event_type = 'Lock'";

fn begin(engine: &mut dyn Engine) {
    engine.begin(Durability::Process).unwrap();
}

fn append(engine: &mut dyn Engine, new: &New, count: usize) {
    begin(engine);
    (0..count).for_each(|_| drop(engine.append("q", new).unwrap()));
    engine.commit().unwrap();
}

fn some(count: usize, now_ms: i64) -> Wanted {
    Wanted { count, until_ms: 1_000_000, ..wanted("q", now_ms) }
}

fn ids(leased: &[Leased]) -> Vec<u64> {
    leased.iter().map(|one| one.lease.id).collect()
}

/// Returns once a session waits for another.
fn until_one_waits(database: &TestDatabase) {
    while database.sql(WAITING) == "0" {
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn what_one_is_leasing_another_passes_by() {
    let Some(database) = TestDatabase::new() else { return };
    let (mut one, mut other) = (database.engine(), database.engine());
    append(&mut one, &new("a", 0), 10);
    begin(&mut one);
    begin(&mut other);
    let first = one.lease(&some(4, 0)).unwrap();
    // The first has not committed: it is not waited for.
    let second = other.lease(&some(4, 0)).unwrap();
    one.rollback();
    other.commit().unwrap();
    begin(&mut one);
    let third = one.lease(&some(9, 0)).unwrap();
    one.commit().unwrap();
    assert_eq!((first.len(), second.len(), third.len()), (4, 4, 6));
    let both: BTreeSet<u64> = ids(&second).into_iter().chain(ids(&third)).collect();
    assert_eq!(both.len(), 10, "none twice");
    assert!(ids(&first).iter().all(|id| ids(&third).contains(id)), "given back by the rollback");
}

#[test]
fn no_message_is_leased_twice_by_many_at_once() {
    const MACHINES: usize = 4;
    const MESSAGES: usize = 600;
    let Some(database) = TestDatabase::new() else { return };
    append(&mut database.engine(), &new("a", 0), MESSAGES);
    let lease_all = |machine: usize| {
        let (mut engine, mut taken) = (database.engine(), Vec::new());
        loop {
            begin(&mut engine);
            let leased = engine.lease(&some(1 + (taken.len() + machine) % 7, 1)).unwrap();
            engine.commit().unwrap();
            // Those that it passed by, others have.
            if leased.is_empty() {
                return taken;
            }
            taken.extend(ids(&leased));
        }
    };
    let mut taken: Vec<u64> = thread::scope(|scope| {
        let machines = (0..MACHINES).map(|machine| scope.spawn(move || lease_all(machine)));
        let machines: Vec<_> = machines.collect();
        machines.into_iter().flat_map(|machine| machine.join().unwrap()).collect()
    });
    taken.sort_unstable();
    let count = taken.len();
    taken.dedup();
    assert_eq!((count, taken.len()), (MESSAGES, MESSAGES));
}

#[test]
fn groups_keep_their_order_over_machines() {
    let Some(database) = TestDatabase::new() else { return };
    let (mut one, mut other) = (database.engine(), database.engine());
    for group in ["a", "a", "b"] {
        append(&mut one, &New { group: Some(group.into()), ..new(group, 0) }, 1);
    }
    begin(&mut one);
    let ordered = |count, now_ms| Wanted { in_order: true, ..some(count, now_ms) };
    let first = one.lease(&ordered(1, 0)).unwrap();
    assert_eq!(first[0].message.head, "a");
    let second = thread::scope(|scope| {
        let second = scope.spawn(|| {
            begin(&mut other);
            let second = other.lease(&ordered(9, 0)).unwrap();
            other.commit().unwrap();
            second
        });
        until_one_waits(&database);
        one.commit().unwrap();
        second.join().unwrap()
    });
    assert_eq!(second.len(), 1, "the other `a` is held by the first");
    assert_eq!(second[0].message.head, "b");
}

#[test]
fn a_retry_under_way_holds_its_group() {
    let Some(database) = TestDatabase::new() else { return };
    let (mut one, mut other) = (database.engine(), database.engine());
    append(&mut one, &New { group: Some("a".into()), ..new("a", 0) }, 2);
    let ordered = |now_ms, until_ms| Wanted { in_order: true, until_ms, ..some(9, now_ms) };
    begin(&mut one);
    let leased = one.lease(&Wanted { count: 1, ..ordered(0, 10) }).unwrap();
    one.commit().unwrap();
    // Its lease has ended, but nobody else has it yet.
    begin(&mut one);
    assert!(one.retry(leased[0].lease, 500, "later").unwrap());
    let second = thread::scope(|scope| {
        let second = scope.spawn(|| {
            begin(&mut other);
            let second = other.lease(&ordered(20, 90)).unwrap();
            other.commit().unwrap();
            second
        });
        until_one_waits(&database);
        one.commit().unwrap();
        second.join().unwrap()
    });
    assert!(second.is_empty(), "it would overtake the first: {second:?}");
}

#[test]
fn one_name_is_one_message_over_machines() {
    let Some(database) = TestDatabase::new() else { return };
    let (mut one, mut other) = (database.engine(), database.engine());
    let named = New { unique: Some(("n".into(), 9)), ..new("a", 0) };
    begin(&mut one);
    let first = one.append("q", &named).unwrap();
    let second = thread::scope(|scope| {
        let second = scope.spawn(|| {
            begin(&mut other);
            let second = other.append("q", &named).unwrap();
            other.commit().unwrap();
            second
        });
        until_one_waits(&database);
        one.commit().unwrap();
        second.join().unwrap()
    });
    assert_eq!(second, Appended { id: first.id, same: Some("a".into()) });
    begin(&mut one);
    assert_eq!(one.depth("q", 0).unwrap().due, 1);
}
