//! What any engine must do, one promise each.

use std::any::Any;

use bytes::Bytes;

use super::super::Sqlite;
use super::super::engine::{Durability, Engine};
use super::super::message::*;
use super::database::TestDatabase;
use super::model::Model;

/// An engine, by name, and what ends with it: its files, or its database.
type Named = (&'static str, Box<dyn Engine>, Box<dyn Any>);

/// One of each kind.
pub(super) fn engines() -> Vec<Named> {
    let dir = tempfile::tempdir().unwrap();
    let sqlite = Sqlite::open(dir.path()).unwrap();
    let mut engines: Vec<Named> = vec![("sqlite", Box::new(sqlite), Box::new(dir))];
    if let Some(database) = TestDatabase::new() {
        engines.push(("postgres", Box::new(database.engine()), Box::new(database)));
    }
    engines
}

pub(super) fn new(head: &str, due_ms: i64) -> New {
    New { due_ms, ..New::now(head.into(), Bytes::from_static(b"body"), 0) }
}

pub(super) fn wanted(lane: &str, now_ms: i64) -> Wanted {
    Wanted {
        lane: lane.into(),
        count: 10,
        now_ms,
        until_ms: now_ms + 10,
        token: u64::MAX - now_ms as u64,
        in_order: false,
        leases_max: None,
    }
}

/// Has `check` look at every engine, and at the model, within a transaction.
fn each(check: impl Fn(&mut dyn Engine)) {
    let model = ("model", Box::new(Model::default()) as _, Box::new(()) as _);
    for (name, mut engine, _place) in engines().into_iter().chain([model]) {
        println!("{name}");
        engine.begin(Durability::Power).unwrap();
        check(&mut *engine);
        engine.commit().unwrap();
    }
}

fn heads(leased: &[Leased]) -> Vec<&str> {
    leased.iter().map(|one| one.message.head.as_str()).collect()
}

#[test]
fn messages_come_when_they_are_due_the_longest_due_first() {
    each(|engine| {
        for (head, due_ms) in [("c", 3), ("a", 1), ("b", 1), ("d", 9)] {
            engine.append("q", &new(head, due_ms)).unwrap();
        }
        assert!(engine.lease(&wanted("other", 5)).unwrap().is_empty());
        assert!(engine.lease(&wanted("q", 0)).unwrap().is_empty());
        let leased = engine.lease(&wanted("q", 5)).unwrap();
        assert_eq!(heads(&leased), ["a", "b", "c"]);
        assert_eq!(&leased[0].message.body[..], b"body");
        assert!(engine.lease(&wanted("q", 5)).unwrap().is_empty());
        let depth = Depth { leased: 3, later: 1, oldest_ms: Some(0), ..Depth::default() };
        assert_eq!(engine.depth("q", 5).unwrap(), depth);
    });
}

#[test]
fn a_lease_that_ends_gives_its_message_to_the_next_and_is_void_then() {
    each(|engine| {
        engine.append("q", &new("a", 0)).unwrap();
        let first = engine.lease(&wanted("q", 0)).unwrap().remove(0);
        assert!(engine.renew(first.lease, 9, 20).unwrap());
        assert!(engine.lease(&wanted("q", 19)).unwrap().is_empty());
        assert!(!engine.renew(first.lease, 20, 30).unwrap(), "it has ended");
        let second = engine.lease(&wanted("q", 20)).unwrap().remove(0);
        assert_eq!((second.message.leases, second.message.first_leased_ms), (2, Some(0)));
        assert!(!engine.renew(first.lease, 21, 99).unwrap());
        assert!(!engine.complete(first.lease).unwrap());
        assert!(!engine.retry(first.lease, 0, "x").unwrap());
        assert!(engine.contains(second.lease.id).unwrap());
        assert!(engine.complete(second.lease).unwrap());
        assert!(!engine.contains(second.lease.id).unwrap());
        assert!(!engine.complete(second.lease).unwrap());
        assert_eq!(engine.depth("q", 99).unwrap(), Depth::default());
    });
}

#[test]
fn one_that_is_given_back_comes_again_when_that_was_asked_for() {
    each(|engine| {
        engine.append("q", &new("a", 0)).unwrap();
        let lease = engine.lease(&wanted("q", 0)).unwrap()[0].lease;
        assert!(engine.retry(lease, 50, "again").unwrap());
        assert!(!engine.complete(lease).unwrap());
        assert_eq!(engine.depth("q", 49).unwrap().later, 1);
        assert_eq!(engine.heads("").unwrap(), [Head { lane: "q".into(), due_ms: 50 }]);
        assert_eq!(heads(&engine.lease(&wanted("q", 50)).unwrap()), ["again"]);
    });
}

#[test]
fn groups_keep_their_order_and_hold_nobody_else() {
    each(|engine| {
        for (head, group) in [("a1", "a"), ("a2", "a"), ("b1", "b"), ("a3", "a")] {
            let new = New { group: Some(group.into()), ..new(head, 0) };
            engine.append("q", &new).unwrap();
        }
        let some = |count, now_ms| Wanted { count, in_order: true, ..wanted("q", now_ms) };
        let first = engine.lease(&some(2, 0)).unwrap();
        assert_eq!(heads(&first), ["a1", "a2"]);
        assert_eq!(heads(&engine.lease(&some(9, 1)).unwrap()), ["b1"]);
        assert!(engine.complete(first[1].lease).unwrap());
        assert!(engine.lease(&some(9, 2)).unwrap().is_empty(), "a1 is still leased");
        assert!(engine.retry(first[0].lease, 3, "a1 again").unwrap());
        assert!(engine.lease(&some(9, 2)).unwrap().is_empty(), "a3 would overtake it");
        assert_eq!(heads(&engine.lease(&some(9, 3)).unwrap()), ["a1 again", "a3"]);
    });
}

#[test]
fn one_of_the_same_name_is_the_same_for_a_while() {
    each(|engine| {
        let named =
            |sent_ms| New { sent_ms, unique: Some(("n".into(), sent_ms + 5)), ..new("first", 0) };
        let first = engine.append("q", &named(0)).unwrap();
        assert_eq!(first.same, None);
        let lease = engine.lease(&wanted("q", 0)).unwrap()[0].lease;
        assert!(engine.complete(lease).unwrap());
        let again = engine.append("q", &named(4)).unwrap();
        assert_eq!(again, Appended { id: first.id, same: Some("first".into()) });
        assert_eq!(engine.append("other", &named(4)).unwrap().same, None);
        assert_eq!(engine.append("q", &named(5)).unwrap().same, None);
        assert_eq!(engine.depth("q", 9).unwrap().due, 1);
    });
}

#[test]
fn one_leased_too_often_goes_elsewhere_and_does_not_stand_in_the_way() {
    each(|engine| {
        engine.append("q", &new("bad", 0)).unwrap();
        let limited = |now_ms| Wanted {
            count: 1,
            leases_max: Some((2, "dead".into())),
            ..wanted("q", now_ms)
        };
        for now_ms in [0, 10] {
            assert_eq!(heads(&engine.lease(&limited(now_ms)).unwrap()), ["bad"]);
        }
        engine.append("q", &new("good", 20)).unwrap();
        assert_eq!(heads(&engine.lease(&limited(20)).unwrap()), ["good"]);
        let dead = engine.peek("dead", 9).unwrap();
        assert_eq!((dead.len(), dead[0].head.as_str(), dead[0].leases), (1, "bad", 0));
        assert_eq!(engine.redrive("dead", "q", 9, 20).unwrap(), 1);
        assert_eq!(heads(&engine.lease(&limited(20)).unwrap()), ["bad"]);
    });
}

#[test]
fn what_is_abandoned_is_due_at_once() {
    each(|engine| {
        for lane in ["q/1", "q/2", "r/1"] {
            engine.append(lane, &new("a", 0)).unwrap();
            engine.lease(&wanted(lane, 0)).unwrap();
        }
        assert_eq!(engine.abandon("q/", 3).unwrap(), 2);
        let due: Vec<u64> =
            ["q/1", "q/2", "r/1"].map(|lane| engine.depth(lane, 3).unwrap().due).into();
        assert_eq!(due, [1, 1, 0]);
        let lanes: Vec<Head> = engine.heads("q/").unwrap();
        assert_eq!(lanes.iter().map(|head| head.due_ms).collect::<Vec<_>>(), [3, 3]);
    });
}

#[test]
fn what_is_due_next_is_of_that_queue_and_later_than_now() {
    each(|engine| {
        assert_eq!(engine.next_due("q", 0).unwrap(), None);
        for (lane, due_ms) in [("q", 5), ("q", 9), ("q-dlq", 6)] {
            engine.append(lane, &New { due_ms, ..new("a", 0) }).unwrap();
        }
        let due = [4, 5, 9].map(|now_ms| engine.next_due("q", now_ms).unwrap());
        assert_eq!(due, [Some(5), Some(9), None]);
    });
}

#[test]
fn what_is_purged_or_too_old_is_gone() {
    each(|engine| {
        for (head, sent_ms) in [("a", 1), ("b", 5)] {
            engine.append("q", &New { sent_ms, ..new(head, 0) }).unwrap();
        }
        engine.append("r", &new("a", 0)).unwrap();
        assert_eq!(engine.expire("q", 5, 9).unwrap(), 1);
        assert_eq!(engine.peek("q", 9).unwrap()[0].head, "b");
        for (head, due_ms) in [("c", 3), ("d", 2)] {
            engine.append("q", &New { due_ms, ..new(head, 0) }).unwrap();
        }
        // Those that have been due longest go first.
        assert_eq!(engine.purge("q", 2).unwrap(), 2);
        assert_eq!(engine.peek("q", 9).unwrap()[0].head, "c");
        assert_eq!(engine.purge("q", 2).unwrap(), 1);
        assert_eq!(engine.purge("q", 2).unwrap(), 0);
        assert_eq!(engine.heads("").unwrap().len(), 1);
    });
}

#[test]
fn what_is_rolled_back_has_not_happened() {
    each(|engine| {
        engine.append("q", &new("a", 0)).unwrap();
        engine.commit().unwrap();
        engine.begin(Durability::Process).unwrap();
        engine.append("q", &new("b", 0)).unwrap();
        engine.lease(&wanted("q", 0)).unwrap();
        engine.rollback();
        engine.begin(Durability::Power).unwrap();
        assert_eq!(engine.depth("q", 0).unwrap().due, 1);
    });
}

#[test]
fn documents_are_kept_by_kind_and_name() {
    each(|engine| {
        let document = |name: &str, text: &str| Document { name: name.into(), text: text.into() };
        for (kind, one) in
            [("a", document("2", "x")), ("a", document("1", "y")), ("b", document("1", "z"))]
        {
            engine.put_document(kind, &one).unwrap();
        }
        engine.put_document("a", &document("2", "new")).unwrap();
        assert_eq!(engine.documents("a").unwrap(), [document("1", "y"), document("2", "new")]);
        assert!(engine.remove_document("a", "1").unwrap());
        assert!(!engine.remove_document("a", "1").unwrap());
        assert_eq!(engine.documents("b").unwrap(), [document("1", "z")]);
    });
}
