//! What waits for a flush, and what does not.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

use bytes::Bytes;

use super::super::commit::JOBS_MAX;
use super::super::engine::Result as EngineResult;
use super::super::{
    Durability, Engine, EngineError, Flush, New, Queue, QueueError, Registry, Sqlite,
};
use super::suite::wanted;

/// A medium that takes its time: each flush ends when the test says how.
struct Medium {
    flushes: Arc<AtomicUsize>,
    verdicts: Receiver<EngineResult<()>>,
}

impl Flush for Medium {
    fn flush(&mut self) -> EngineResult<()> {
        self.flushes.fetch_add(1, Ordering::SeqCst);
        self.verdicts.recv().expect("the test goes on")
    }
}

struct Rig {
    queue: Arc<Queue>,
    flushes: Arc<AtomicUsize>,
    verdicts: Sender<EngineResult<()>>,
    _data: tempfile::TempDir,
}

impl Rig {
    fn new() -> Rig {
        let data = tempfile::tempdir().unwrap();
        let (flushes, (verdicts, heard)) = (Arc::default(), channel());
        let medium = Medium { flushes: Arc::clone(&flushes), verdicts: heard };
        let mut engine = Sqlite::open(data.path()).unwrap();
        // This one flushes really, and is not used.
        engine.flusher().unwrap().unwrap();
        let queue = Queue::start_with(Box::new(engine), Some(Box::new(medium))).unwrap();
        Rig { queue: Arc::new(queue), flushes, verdicts, _data: data }
    }

    fn append(&self) -> tokio::task::JoinHandle<Result<(), QueueError>> {
        let queue = Arc::clone(&self.queue);
        let message = New::now("h".into(), Bytes::from_static(b"x"), 0);
        tokio::spawn(async move { queue.append("q", vec![message]).await.map(drop) })
    }

    /// Numbers that are kept by their names: read while the medium is well.
    async fn numbers(&self) -> Arc<Registry<u32>> {
        self.verdicts.send(Ok(())).unwrap();
        Arc::new(Registry::load(Arc::clone(&self.queue), "number").await.unwrap())
    }

    async fn due(&self) -> u64 {
        let depth = |engine: &mut dyn Engine| engine.depth("q", 0);
        self.queue.work(Durability::Process, depth).await.unwrap().due
    }

    /// Waits until so many flushes have begun.
    async fn flushing(&self, count: usize) {
        while self.flushes.load(Ordering::SeqCst) < count {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn those_that_come_during_a_flush_share_the_next_and_those_that_need_none_wait_for_none() {
    let rig = Rig::new();
    let first = rig.append();
    rig.flushing(1).await;
    assert_eq!(rig.due().await, 1);
    assert_eq!(rig.queue.lease(wanted("q", 0)).await.unwrap().len(), 1);
    let others: Vec<_> = (0..8).map(|_| rig.append()).collect();
    // On one thread each of them sends its job before it is this one's turn again.
    tokio::task::yield_now().await;
    assert_eq!(rig.due().await, 0);
    assert!(!first.is_finished() && !others.iter().any(|other| other.is_finished()));
    rig.verdicts.send(Ok(())).unwrap();
    first.await.unwrap().unwrap();
    rig.flushing(2).await;
    assert_eq!(rig.due().await, 8);
    assert!(!others.iter().any(|other| other.is_finished()));
    rig.verdicts.send(Ok(())).unwrap();
    for other in others {
        other.await.unwrap().unwrap();
    }
    assert_eq!(rig.flushes.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn after_a_flush_that_failed_nothing_more_is_promised() {
    let rig = Rig::new();
    let (lost, failed) = (rig.append(), EngineError::Unknown("the disk is gone".into()));
    rig.verdicts.send(Err(failed.clone())).unwrap();
    assert_eq!(lost.await.unwrap(), Err(QueueError::Engine(failed.clone())));
    // The medium would say that all is well now.
    rig.verdicts.send(Ok(())).unwrap();
    assert_eq!(rig.append().await.unwrap(), Err(QueueError::Engine(failed)));
    assert_eq!(rig.flushes.load(Ordering::SeqCst), 1);
    // What needs no flush goes on; those that were refused may have happened.
    assert_eq!(rig.due().await, 2);
}

#[tokio::test]
async fn a_change_that_was_not_flushed_is_refused_again_and_again() {
    let rig = Rig::new();
    let numbers = rig.numbers().await;
    let failed = EngineError::Unknown("the disk is gone".into());
    rig.verdicts.send(Err(failed.clone())).unwrap();
    for _ in 0..3 {
        let changed = numbers.change("a", |_| Ok::<_, QueueError>(1)).await;
        assert_eq!(changed, Err(QueueError::Engine(failed.clone())));
        let removed = numbers.remove("a", |_| Ok(())).await;
        assert_eq!(removed, Err(QueueError::Engine(failed.clone())));
    }
    assert_eq!(numbers.get("a"), None);
}

#[tokio::test]
async fn a_change_that_was_left_alone_is_not_answered_before_it_is_flushed() {
    let rig = Rig::new();
    let numbers = rig.numbers().await;
    let change = || {
        let numbers = Arc::clone(&numbers);
        tokio::spawn(async move { numbers.change("a", |_| Ok::<_, QueueError>(1)).await })
    };
    let left = change();
    rig.flushing(2).await;
    left.abort();
    assert!(left.await.unwrap_err().is_cancelled());
    let again = change();
    tokio::task::yield_now().await;
    // It is behind the other in the queue, which has done what needs no flush.
    assert_eq!(rig.due().await, 0);
    tokio::task::yield_now().await;
    assert!(!again.is_finished());
    rig.verdicts.send(Ok(())).unwrap();
    rig.flushing(3).await;
    assert!(!again.is_finished());
    rig.verdicts.send(Ok(())).unwrap();
    assert_eq!(*again.await.unwrap().unwrap(), 1);
}

#[tokio::test]
async fn what_clients_leave_behind_is_bounded_and_done() {
    let rig = Rig::new();
    let kept = Arc::new(());
    for _ in 0..3 * JOBS_MAX {
        let held = Arc::clone(&kept);
        let work = rig.queue.work(Durability::Power, move |engine| {
            let _held = &held;
            engine.append("q", &New::now("h".into(), Bytes::new(), 0)).map(drop)
        });
        // Its client goes away at once. Where the queue does not hear it, its job goes, too.
        tokio::select! {
            biased;
            answer = work => panic!("no flush has ended: {answer:?}"),
            () = std::future::ready(()) => std::thread::yield_now(),
        }
        assert!(Arc::strong_count(&kept) - 1 <= JOBS_MAX);
    }
    let left = Arc::strong_count(&kept) - 1;
    (0..=left).for_each(|_| rig.verdicts.send(Ok(())).unwrap());
    rig.append().await.unwrap().unwrap();
    assert_eq!(rig.due().await, left as u64 + 1);
}
