//! Things by name that are kept beside the messages: written to the queues' database first, read from memory.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::Mutex;

use super::commit::{Queue, QueueError};
use super::engine::{Durability, Engine, EngineError, Result as EngineResult};
use super::message::Document;

/// All things of a kind.
#[derive(Debug)]
pub struct Registry<T> {
    queue: Arc<Queue>,
    kind: &'static str,
    by_name: RwLock<BTreeMap<String, Arc<T>>>,
    /// Held by whoever changes one, until it is changed in memory, too.
    changing: Mutex<()>,
}

impl<T: Clone + PartialEq + Serialize + DeserializeOwned> Registry<T> {
    /// Those in the database.
    ///
    /// # Errors
    /// The database's.
    pub async fn load(queue: Arc<Queue>, kind: &'static str) -> Result<Registry<T>, QueueError> {
        let documents =
            queue.work(Durability::Process, move |engine| engine.documents(kind)).await?;
        let mut by_name = BTreeMap::new();
        for Document { name, text } in documents {
            let one = serde_json::from_str(&text)
                .map_err(|error| EngineError::Failed(format!("{kind} {name}: {error}")))?;
            by_name.insert(name, Arc::new(one));
        }
        let (by_name, changing) = (RwLock::new(by_name), Mutex::default());
        Ok(Registry { queue, kind, by_name, changing })
    }

    /// One of them.
    pub fn get(&self, name: &str) -> Option<Arc<T>> {
        self.by_name().get(name).cloned()
    }

    /// All of them, in the order of their names.
    pub fn list(&self) -> Vec<Arc<T>> {
        self.by_name().values().cloned().collect()
    }

    /// Puts what `change` makes of one, or of none, in its place.
    ///
    /// # Errors
    /// What `change` says, or the database.
    pub async fn change<E: From<QueueError>>(
        &self,
        name: &str,
        change: impl FnOnce(Option<&T>) -> Result<T, E>,
    ) -> Result<Arc<T>, E> {
        let _changing = self.changing.lock().await;
        let before = self.get(name);
        let after = Arc::new(change(before.as_deref())?);
        if before.as_ref() == Some(&after) {
            return Ok(after);
        }
        let text = serde_json::to_string(&*after).map_err(|error| failed(&error))?;
        let (kind, document) = (self.kind, Document { name: name.to_owned(), text });
        let put = move |engine: &mut dyn Engine| engine.put_document(kind, &document);
        self.queue.work(Durability::Power, put).await?;
        self.by_name_mut().insert(name.to_owned(), Arc::clone(&after));
        Ok(after)
    }

    /// Removes one, and does what else belongs to that in the same moment. Whether there was one.
    ///
    /// # Errors
    /// The database's.
    pub async fn remove(
        &self,
        name: &str,
        mut also: impl FnMut(&mut dyn Engine) -> EngineResult<()> + Send + 'static,
    ) -> Result<bool, QueueError> {
        let _changing = self.changing.lock().await;
        let (kind, gone) = (self.kind, name.to_owned());
        let removed = self.queue.work(Durability::Power, move |engine| {
            also(engine)?;
            engine.remove_document(kind, &gone)
        });
        let removed = removed.await?;
        self.by_name_mut().remove(name);
        Ok(removed)
    }

    // What these guard changes in one step: no panic leaves it half done.

    fn by_name(&self) -> RwLockReadGuard<'_, BTreeMap<String, Arc<T>>> {
        self.by_name.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn by_name_mut(&self) -> RwLockWriteGuard<'_, BTreeMap<String, Arc<T>>> {
        self.by_name.write().unwrap_or_else(PoisonError::into_inner)
    }
}

fn failed(error: &serde_json::Error) -> QueueError {
    EngineError::Failed(error.to_string()).into()
}
