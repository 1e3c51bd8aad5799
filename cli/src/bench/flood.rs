//! Clients on a thread of their own that send one request after the other for as long as something else is measured.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::load::{self, Client};
use crate::failure::Failure;

/// Requests between two looks at whether it is over.
const TURN: usize = 64;
/// Between two looks at how many have been answered.
const LOOK: Duration = Duration::from_millis(5);
/// How long the first ones may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A flood.
pub struct Flood {
    is_over: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    clients: JoinHandle<Result<(), Failure>>,
    start: Instant,
}

impl Flood {
    /// Has so many clients post `body` to `path` as events.
    pub fn start(address: SocketAddr, clients: usize, path: String, body: Bytes) -> Flood {
        let (is_over, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (stop, count) = (Arc::clone(&is_over), Arc::clone(&answered));
        let send = async move || {
            let mut crowd = Vec::new();
            for _ in 0..clients {
                let client = Client::connect(address).await?;
                crowd.push(client.saying("x-amz-invocation-type", "Event"));
            }
            while !stop.load(Ordering::Relaxed) {
                let seen = load::run(&mut crowd, &path, &body, TURN).await?;
                count.fetch_add(seen.latencies_ns.len() as u64, Ordering::Relaxed);
            }
            Ok(())
        };
        let clients = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(send())
        });
        Flood { is_over, answered, clients, start: Instant::now() }
    }

    /// Waits until so many have been answered.
    ///
    /// # Errors
    /// They are not.
    pub async fn has_risen(&self, count: u64) -> Result<(), Failure> {
        while self.answered.load(Ordering::Relaxed) < count {
            if self.clients.is_finished() || self.start.elapsed() > PATIENCE {
                return Err(Failure::new("a flood of events does not come"));
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    /// Ends it: how many requests it sent in a second.
    ///
    /// # Errors
    /// The first that failed.
    pub fn stop(self) -> Result<f64, Failure> {
        self.is_over.store(true, Ordering::Relaxed);
        self.clients.join().map_err(|_| Failure::new("a client broke down"))??;
        let seconds = self.start.elapsed().as_secs_f64();
        Ok(self.answered.load(Ordering::Relaxed) as f64 / seconds)
    }
}
