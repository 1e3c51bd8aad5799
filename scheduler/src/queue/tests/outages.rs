//! A server that goes away and comes back, under load.

use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use bytes::Bytes;
use mayfly_postgres::Cluster;
use tokio::sync::oneshot;
use tokio::task::spawn_blocking;

use super::super::engine::{Durability, Engine, EngineError};
use super::super::{New, Postgres, Queue, QueueError, Server};

/// Between two tries of a client that is refused.
const AGAIN: Duration = Duration::from_millis(20);

struct Place {
    cluster: Arc<Cluster>,
    server: Server,
}

impl Place {
    fn new() -> Option<Place> {
        let cluster = Arc::new(mayfly_postgres::own()?);
        let server = Server::parse(&cluster.url(&cluster.database())).unwrap();
        Some(Place { cluster, server })
    }

    async fn queue(&self) -> Arc<Queue> {
        let server = self.server.clone();
        let connect = || Postgres::connect_alone(server, uuid::Uuid::nil()).unwrap();
        let engine = spawn_blocking(connect).await.unwrap();
        Arc::new(Queue::start(Box::new(engine)).unwrap())
    }

    async fn tell(&self, order: fn(&Cluster)) {
        let cluster = Arc::clone(&self.cluster);
        spawn_blocking(move || order(&cluster)).await.unwrap();
    }
}

async fn send(queue: &Queue, name: &str) -> Result<(), QueueError> {
    queue.append("q", vec![New::now(name.into(), Bytes::new(), 0)]).await.map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_away_is_said_and_found_again() {
    let Some(place) = spawn_blocking(Place::new).await.unwrap() else { return };
    let queue = place.queue().await;
    send(&queue, "a").await.unwrap();
    // While nobody asks for anything, nothing is noticed, and nothing is lost.
    place.tell(Cluster::stop).await;
    place.tell(Cluster::start_again).await;
    send(&queue, "b").await.unwrap();
    place.tell(Cluster::stop).await;
    for _ in 0..3 {
        let error = send(&queue, "c").await.unwrap_err();
        assert!(matches!(error, QueueError::Engine(EngineError::Unavailable(_))), "{error}");
        assert!(error.to_string().contains("Nothing is taken until it can be"), "{error}");
    }
    place.tell(Cluster::start_again).await;
    while send(&queue, "d").await.is_err() {
        tokio::time::sleep(AGAIN).await;
    }
    assert_eq!(ask(&queue, due).await, 3, "a, b and d");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_have_happened_is_said_so_and_not_done_again() {
    let Some(place) = spawn_blocking(Place::new).await.unwrap() else { return };
    let queue = place.queue().await;
    // From now on a commit waits for a second server, which never comes: it is on the disk, and not answered.
    place.tell(|cluster| configure(cluster, "SET synchronous_standby_names TO 'nobody'")).await;
    place.tell(|cluster| drop(cluster.sql("postgres", "SELECT pg_reload_conf()"))).await;
    // Two come into one transaction, for the queue is busy when they do.
    let (begun, begins) = oneshot::channel();
    let (go, gone) = mpsc::channel::<()>();
    let mut begun = Some(begun);
    let busy = Arc::clone(&queue);
    let busy = tokio::spawn(async move {
        let work = move |_: &mut dyn Engine| {
            begun.take().map(|begun| begun.send(()));
            let _ = gone.recv();
            Ok(())
        };
        busy.work(Durability::Process, work).await
    });
    begins.await.unwrap();
    let mut both = pin!(async { tokio::join!(send(&queue, "a"), send(&queue, "b")) });
    tokio::select! {
        biased;
        _ = &mut both => panic!("the queue is busy"),
        () = std::future::ready(()) => {}
    }
    go.send(()).unwrap();
    busy.await.unwrap().unwrap();
    place.tell(until_a_commit_waits).await;
    place.tell(|cluster| configure(cluster, "RESET synchronous_standby_names")).await;
    place.tell(Cluster::crash).await;
    place.tell(Cluster::start_again).await;
    let (a, b) = both.await;
    for error in [a.unwrap_err(), b.unwrap_err()] {
        assert!(matches!(error, QueueError::Engine(EngineError::Unknown(_))), "{error}");
    }
    assert_eq!(ask(&queue, due).await, 2, "each of them once");
}

fn configure(cluster: &Cluster, setting: &str) {
    cluster.sql("postgres", &format!("ALTER SYSTEM {setting}"));
}

fn until_a_commit_waits(cluster: &Cluster) {
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
    while cluster.sql("postgres", waiting) == "0" {
        std::thread::sleep(AGAIN);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn crashes_lose_nothing_that_was_accepted_and_make_nothing_twice() {
    const CLIENTS: usize = 8;
    const CRASHES: usize = 4;
    let Some(place) = spawn_blocking(Place::new).await.unwrap() else { return };
    let queue = place.queue().await;
    let is_over = Arc::new(AtomicBool::new(false));
    let client = async |client: usize, queue: Arc<Queue>, is_over: Arc<AtomicBool>| {
        let (mut accepted, mut unknown) = (BTreeSet::new(), BTreeSet::new());
        for turn in 0.. {
            let name = format!("{client}/{turn}");
            match send(&queue, &name).await {
                Ok(()) => drop(accepted.insert(name)),
                Err(QueueError::Engine(EngineError::Unknown(_))) => drop(unknown.insert(name)),
                Err(_) => tokio::time::sleep(AGAIN).await,
            }
            if is_over.load(Ordering::Relaxed) {
                break;
            }
        }
        (accepted, unknown)
    };
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| tokio::spawn(client(number, Arc::clone(&queue), Arc::clone(&is_over))))
        .collect();
    for _ in 0..CRASHES {
        // Some are accepted between two crashes.
        let before = ask(&queue, due).await;
        while ask(&queue, due).await < before + 20 {
            tokio::time::sleep(AGAIN).await;
        }
        place.tell(Cluster::crash).await;
        place.tell(Cluster::start_again).await;
    }
    is_over.store(true, Ordering::Relaxed);
    let (mut accepted, mut unknown) = (BTreeSet::new(), BTreeSet::new());
    for client in clients {
        let (yes, perhaps) = client.await.unwrap();
        accepted.extend(yes);
        unknown.extend(perhaps);
    }
    let there = ask(&queue, |engine| engine.peek("q", usize::MAX)).await;
    let count = there.len();
    let there: BTreeSet<String> = there.into_iter().map(|message| message.head).collect();
    assert_eq!(there.len(), count, "none twice");
    assert!(accepted.is_subset(&there), "lost: {:?}", accepted.difference(&there));
    let extra: Vec<_> = there.difference(&accepted).filter(|one| !unknown.contains(*one)).collect();
    assert!(extra.is_empty(), "refused, and there: {extra:?}");
}

/// What the engine says, as soon as it can say it.
async fn ask<T: Send + 'static>(
    queue: &Queue,
    question: fn(&mut dyn Engine) -> Result<T, EngineError>,
) -> T {
    loop {
        match queue.work(Durability::Process, question).await {
            Ok(answer) => return answer,
            Err(_) => tokio::time::sleep(AGAIN).await,
        }
    }
}

fn due(engine: &mut dyn Engine) -> Result<u64, EngineError> {
    Ok(engine.depth("q", 0)?.due)
}
