//! Which queues there are: written to the queues' database first, read from memory.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use super::attributes::Attributes;
use crate::clock;
use crate::queue::{Document, Durability, EngineError, Queue, QueueError};
use crate::service::Identity;

/// The kind of their documents.
const KIND: &str = "sqs";
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
    by_name: RwLock<BTreeMap<String, Arc<Definition>>>,
    /// Held by whoever changes one, until it is changed in memory, too.
    changing: Mutex<()>,
}

impl Queues {
    /// The queues in the database.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn load(queue: Arc<Queue>) -> Result<Queues, QueueError> {
        let documents = queue.work(Durability::Process, |engine| engine.documents(KIND)).await?;
        let mut by_name = BTreeMap::new();
        for Document { name, text } in documents {
            let definition = serde_json::from_str(&text)
                .map_err(|error| EngineError::Failed(format!("queue {name}: {error}")))?;
            by_name.insert(name, Arc::new(definition));
        }
        Ok(Queues { queue, by_name: RwLock::new(by_name), changing: Mutex::default() })
    }

    /// A queue.
    pub(crate) fn get(&self, name: &str) -> Option<Arc<Definition>> {
        self.by_name().get(name).cloned()
    }

    /// All of them, in the order of their names.
    pub(crate) fn list(&self) -> Vec<Arc<Definition>> {
        self.by_name().values().cloned().collect()
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
        let _changing = self.changing.lock().await;
        let before = self.get(name);
        let after = change(before.as_deref())?;
        if before.as_deref() == Some(&after) {
            return Ok(Arc::new(after));
        }
        let text = serde_json::to_string(&after).expect("text and numbers are JSON");
        let document = Document { name: name.to_owned(), text };
        let put = move |engine: &mut dyn crate::queue::Engine| engine.put_document(KIND, &document);
        self.queue.work(Durability::Power, put).await?;
        let after = Arc::new(after);
        let mut by_name = self.by_name.write().unwrap_or_else(PoisonError::into_inner);
        by_name.insert(name.to_owned(), Arc::clone(&after));
        Ok(after)
    }

    /// Removes a queue with its messages. Whether there was one.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn remove(&self, name: &str) -> Result<bool, QueueError> {
        let _changing = self.changing.lock().await;
        let gone = name.to_owned();
        let removed = self.queue.work(Durability::Power, move |engine| {
            engine.purge(&lane(&gone))?;
            engine.expire(&lane(&gone), 0, i64::MAX)?;
            engine.remove_document(KIND, &gone)
        });
        let removed = removed.await?;
        self.by_name.write().unwrap_or_else(PoisonError::into_inner).remove(name);
        Ok(removed)
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

    fn by_name(&self) -> RwLockReadGuard<'_, BTreeMap<String, Arc<Definition>>> {
        self.by_name.read().unwrap_or_else(PoisonError::into_inner)
    }
}
