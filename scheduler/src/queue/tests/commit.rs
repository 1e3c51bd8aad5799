//! Many clients, few flushes; and a disk without room.

use std::sync::Arc;

use bytes::Bytes;

use super::super::{Durability, Engine, EngineError, New, Queue, QueueError, Sqlite, Wanted};
use super::suite::wanted;

fn queue(data: &std::path::Path, limit_pages: Option<u32>) -> Queue {
    let mut engine = Sqlite::open(data).unwrap();
    engine.limit_pages(limit_pages);
    Queue::start(Box::new(engine)).unwrap()
}

fn message(bytes: usize) -> Vec<New> {
    vec![New::now("h".into(), Bytes::from(vec![7; bytes]), 0)]
}

#[tokio::test]
async fn what_many_append_is_there_after_a_restart() {
    let data = tempfile::tempdir().unwrap();
    let queue_before = Arc::new(queue(data.path(), None));
    let clients = (0..32).map(|_| {
        let queue = Arc::clone(&queue_before);
        tokio::spawn(async move {
            for _ in 0..8 {
                queue.append("q", message(10)).await.unwrap();
            }
        })
    });
    for client in clients.collect::<Vec<_>>() {
        client.await.unwrap();
    }
    drop(queue_before);
    let mut engine = Sqlite::open(data.path()).unwrap();
    assert_eq!(engine.depth("q", 0).unwrap().due, 32 * 8);
}

#[tokio::test]
async fn what_follows_from_a_message_comes_with_its_end_and_only_once() {
    let data = tempfile::tempdir().unwrap();
    let queue = queue(data.path(), None);
    queue.append("q", message(1)).await.unwrap();
    let lease = queue.lease(wanted("q", 0)).await.unwrap()[0].lease;
    let follows = || vec![("next".to_owned(), message(1).remove(0))];
    assert!(queue.settle(lease, follows()).await.unwrap());
    assert!(!queue.settle(lease, follows()).await.unwrap());
    let depth = |lane| queue.work(Durability::Process, move |engine| engine.depth(lane, 0));
    assert_eq!((depth("q").await.unwrap().due, depth("next").await.unwrap().due), (0, 1));
}

#[tokio::test]
async fn a_full_disk_refuses_what_needs_room_loses_nothing_and_recovers() {
    let data = tempfile::tempdir().unwrap();
    let full = Arc::new(queue(data.path(), Some(100)));
    let mut accepted = 0;
    let error = loop {
        match full.append("q", message(30_000)).await {
            Ok(_) => accepted += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(error, QueueError::Engine(EngineError::Full));
    assert!(accepted > 2, "{accepted}");
    // Beside one that is too big, those go through that fit.
    let (big, small) =
        tokio::join!(full.append("q", message(30_000)), full.append("q", message(10)));
    assert_eq!(big, Err(QueueError::Engine(EngineError::Full)));
    assert!(small.is_ok());
    let all = Wanted { count: usize::MAX, ..wanted("q", 0) };
    let leased = full.lease(all).await.unwrap();
    assert_eq!(leased.len(), accepted + 1);
    assert!(leased.iter().all(|one| one.message.body.iter().all(|byte| *byte == 7)));
    for one in &leased {
        assert!(full.settle(one.lease, Vec::new()).await.unwrap());
    }
    assert!(full.append("q", message(30_000)).await.is_ok());
}

#[tokio::test]
async fn a_purge_takes_all_of_one_queue_in_portions() {
    let data = tempfile::tempdir().unwrap();
    let queue = queue(data.path(), None);
    let many: Vec<New> = (0..2500).flat_map(|_| message(1)).collect();
    queue.append("q", many).await.unwrap();
    queue.append("r", message(1)).await.unwrap();
    assert_eq!(queue.purge("q").await, Ok(2500));
    assert_eq!(queue.purge("q").await, Ok(0));
    let left = queue.work(Durability::Process, |engine| engine.depth("r", 0)).await.unwrap();
    assert_eq!(left.due, 1);
}
