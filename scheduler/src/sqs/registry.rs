//! Which queues there are.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::attributes::Attributes;
use crate::clock;
use crate::queue::{Durability, Engine, Leased, Queue, QueueError, Registry, Wanted};
use crate::service::Identity;

/// Between two looks for messages that are too old.
const SWEEP: Duration = Duration::from_secs(60);

/// What a queue is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Definition {
    /// 1–80 of `[a-zA-Z0-9-_]`, and `.fifo` behind them where it is one.
    pub(crate) name: String,
    pub(crate) attributes: Attributes,
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) created_ms: i64,
    pub(crate) modified_ms: i64,
}

impl Definition {
    /// Where its messages are.
    pub(crate) fn lane(&self) -> String {
        lane(&self.name)
    }

    /// Its ARN.
    pub(crate) fn arn(&self, identity: &Identity) -> String {
        identity.queue_arn(&self.name)
    }
}

/// Where a queue's messages are.
pub(crate) fn lane(name: &str) -> String {
    format!("sqs/{name}")
}

/// All queues.
pub(crate) struct Queues {
    pub(crate) queue: Arc<Queue>,
    by_name: Registry<Definition>,
}

impl Queues {
    /// The queues in the database.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn load(queue: Arc<Queue>) -> Result<Queues, QueueError> {
        let by_name = Registry::load(Arc::clone(&queue), "sqs").await?;
        Ok(Queues { queue, by_name })
    }

    /// A queue.
    pub(crate) fn get(&self, name: &str) -> Option<Arc<Definition>> {
        self.by_name.get(name)
    }

    /// All of them, in the order of their names.
    pub(crate) fn list(&self) -> Vec<Arc<Definition>> {
        self.by_name.list()
    }

    /// Puts what `change` makes of a queue, or of none, in its place.
    ///
    /// # Errors
    /// What `change` says, or the database.
    pub(crate) async fn change<E: From<QueueError>>(
        &self,
        name: &str,
        change: impl FnOnce(Option<&Definition>) -> Result<Definition, E>,
    ) -> Result<Arc<Definition>, E> {
        self.by_name.change(name, change).await
    }

    /// Removes a queue with its messages. Whether there was one.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn remove(&self, name: &str) -> Result<bool, QueueError> {
        let lane = lane(name);
        self.queue.purge(&lane).await?;
        // What has come meanwhile goes with it.
        let messages = move |engine: &mut dyn Engine| {
            engine.purge(&lane, usize::MAX)?;
            engine.expire(&lane, 0, i64::MAX).map(drop)
        };
        self.by_name.remove(name, messages).await
    }

    /// Where messages of a queue go that have been received too often, if they go anywhere.
    pub(crate) fn dead_letters(&self, queue: &Definition) -> Option<(u32, String)> {
        let redrive = queue.attributes.redrive.as_ref()?;
        let name = redrive.target.rsplit(':').next()?;
        Some((redrive.receives_max, self.get(name)?.lane()))
    }

    /// Leases messages, and wakes who waits for dead letters: there may be some now.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn lease(&self, wanted: Wanted) -> Result<Vec<Leased>, QueueError> {
        let dead = wanted.leases_max.clone();
        let leased = self.queue.lease(wanted).await?;
        if let Some((_, lane)) = dead {
            self.queue.ring(&lane);
        }
        Ok(leased)
    }

    /// When the first message becomes visible that was not at `now_ms`, as long as that is soon; else, `longest` from now.
    /// What is sent, and what a group lets go, rings.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn visible(
        &self,
        queue: &Definition,
        now_ms: i64,
        longest: Duration,
    ) -> Result<Instant, QueueError> {
        let lane = queue.lane();
        let due =
            self.queue.work(Durability::Process, move |engine| engine.next_due(&lane, now_ms));
        let wait_ms = due.await?.map_or(i64::MAX, |due_ms| due_ms.saturating_sub(clock::unix_ms()));
        let wait = Duration::from_millis(wait_ms.max(0).unsigned_abs());
        Ok(Instant::now() + wait.min(longest))
    }

    /// Removes messages that have been there for longer than their queue keeps them, for ever.
    pub(crate) async fn sweep(self: Arc<Queues>) {
        let mut every = tokio::time::interval(SWEEP);
        loop {
            every.tick().await;
            for queue in self.list() {
                let now_ms = clock::unix_ms();
                let before_ms = now_ms - 1000 * i64::from(queue.attributes.retention_s);
                let lane = queue.lane();
                let expire = self.queue.work(Durability::Process, move |engine| {
                    engine.expire(&lane, before_ms, now_ms)
                });
                // What does not work now may in a minute.
                let _ = expire.await;
            }
        }
    }
}
