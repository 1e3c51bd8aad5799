//! Things by name that are kept beside the messages: written to the queues' database first, read from memory.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::Mutex;

use super::commit::{Queue, QueueError};
use super::engine::{Durability, Engine, EngineError, Result as EngineResult};
use super::message::{Document, New};

/// All things of a kind.
#[derive(Debug)]
pub struct Registry<T> {
    queue: Arc<Queue>,
    kind: &'static str,
    by_name: RwLock<BTreeMap<String, Arc<T>>>,
    /// Held by whoever changes one, until it is changed in memory, too.
    changing: Mutex<()>,
}

/// What becomes of a thing, and what follows from that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step<T> {
    /// What is in its place from now on.
    pub after: Option<T>,
    /// Messages, and the queues that they are for.
    pub follows: Vec<(String, New)>,
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

    /// How many there are.
    pub fn count(&self) -> usize {
        self.by_name().len()
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
        self.write(vec![(name.to_owned(), Some(Arc::clone(&after)))], Vec::new()).await?;
        Ok(after)
    }

    /// Takes each of these one step further, and adds what follows from it to the queues: all of it in one moment, or
    /// nothing.
    ///
    /// # Errors
    /// The database's.
    pub async fn step(
        &self,
        names: &[String],
        mut decide: impl FnMut(Option<&T>) -> Step<T>,
    ) -> Result<(), QueueError> {
        let _changing = self.changing.lock().await;
        let (mut changes, mut follows) = (Vec::new(), Vec::new());
        for name in names {
            let before = self.get(name);
            let step = decide(before.as_deref());
            if step.after.as_ref() != before.as_deref() {
                changes.push((name.clone(), step.after.map(Arc::new)));
            }
            follows.extend(step.follows);
        }
        self.write(changes, follows).await
    }

    /// Writes what has changed, with what follows from it, and then reads so from memory.
    async fn write(
        &self,
        changes: Vec<(String, Option<Arc<T>>)>,
        follows: Vec<(String, New)>,
    ) -> Result<(), QueueError> {
        let mut documents = Vec::new();
        for (name, after) in &changes {
            let text = after.as_ref().map(|after| serde_json::to_string(&**after)).transpose();
            documents.push((name.clone(), text.map_err(|error| failed(&error))?));
        }
        let lanes: Vec<String> = follows.iter().map(|(lane, _)| lane.clone()).collect();
        let kind = self.kind;
        let written = self.queue.work(Durability::Power, move |engine| {
            for (name, text) in &documents {
                match text.clone() {
                    Some(text) => {
                        engine.put_document(kind, &Document { name: name.clone(), text })?;
                    }
                    None => drop(engine.remove_document(kind, name)?),
                }
            }
            follows.iter().try_for_each(|(lane, new)| engine.append(lane, new).map(drop))
        });
        written.await?;
        let mut by_name = self.by_name_mut();
        for (name, after) in changes {
            match after {
                Some(after) => by_name.insert(name, after),
                None => by_name.remove(&name),
            };
        }
        drop(by_name);
        lanes.iter().for_each(|lane| self.queue.ring(lane));
        Ok(())
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
