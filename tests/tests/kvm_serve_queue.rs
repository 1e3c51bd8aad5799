//! Accepted events survive the platform: it is killed at random moments, and each event that was answered with 202 is
//! found afterwards: succeeded, told of, or still queued.
//!
//! ```text
//!   clients ──▶ serve ✕ serve ✕ serve ✕ … serve ──▶ records of their ends, in queues
//!      └─ request ids of the accepted                   └─ request ids: none is missing
//! ```
//!
//! Both engines are tried: the file in the data directory, and a PostgreSQL.
//!
//! MAYFLY_KILLS says how often; by default a few times.
#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use mayfly_tests::events::{self, FUNCTIONS};
use mayfly_tests::in_lane;
use mayfly_tests::platform::Platform;
use mayfly_tests::random::random;

/// A hang guard, not a measurement.
const PATIENCE: Duration = Duration::from_secs(240);

fn kills() -> usize {
    let asked = std::env::var("MAYFLY_KILLS").ok().and_then(|count| count.parse().ok());
    asked.unwrap_or(if in_lane() { 2 } else { 6 })
}

#[test]
fn no_accepted_event_is_lost_by_kills_at_random_moments() {
    no_accepted_event_is_lost(&events::OPTIONS);
}

#[test]
fn nor_with_postgresql() {
    let Some(cluster) = mayfly_postgres::shared() else { return };
    let url = cluster.url(&cluster.database());
    no_accepted_event_is_lost(&[&events::OPTIONS[..], &["--queue", &url]].concat());
}

fn no_accepted_event_is_lost(options: &[&str]) {
    let seed = u64::from(std::process::id()) ^ Instant::now().elapsed().as_nanos() as u64;
    println!("seed {seed}, {} kills", kills());
    let mut state = seed;
    let mut platform = Platform::start_with(options);
    events::create(&platform);
    let accepted = Arc::new(Mutex::new(BTreeSet::new()));
    for kill in 0..kills() {
        let clients: Vec<_> =
            FUNCTIONS.map(|name| client(&platform, name, Arc::clone(&accepted))).into();
        let before = accepted.lock().unwrap().len();
        let start = Instant::now();
        while accepted.lock().unwrap().len() < before + 3 {
            assert!(start.elapsed() < PATIENCE, "nothing is accepted");
            thread::sleep(Duration::from_millis(1));
        }
        thread::sleep(Duration::from_micros(random(&mut state) % 200_000));
        let data = platform.kill();
        clients.into_iter().for_each(|client| client.join().unwrap());
        println!("kill {kill}: {} accepted", accepted.lock().unwrap().len());
        platform = Platform::start_in(data, options);
    }
    let mut missing = accepted.lock().unwrap().clone();
    let (count, mut told) = (missing.len(), 0);
    let start = Instant::now();
    while !missing.is_empty() {
        assert!(start.elapsed() < PATIENCE, "lost, of {count}: {missing:?}");
        for id in events::receive(&platform) {
            told += 1;
            missing.remove(&id);
        }
    }
    println!("{count} accepted, told of {told} ends");
    platform.stop();
}

/// Sends events until the platform is gone.
fn client(
    platform: &Platform,
    name: &'static str,
    accepted: Arc<Mutex<BTreeSet<String>>>,
) -> thread::JoinHandle<()> {
    let address = platform.address();
    thread::spawn(move || {
        events::send(address, name, |id| {
            accepted.lock().unwrap().insert(id);
        });
    })
}
