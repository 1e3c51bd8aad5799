//! Things by name that are kept beside the messages: written to the queues' database first, read from memory.
//!
//! Whoever asks for a change may go away before he hears of it, a server may be lost while it commits, and a flush may fail:
//! then memory is in doubt, and is read anew before the next change. So memory never says what is not on the medium.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::{Mutex, MutexGuard};

use super::commit::{Queue, QueueError};
use super::engine::{Durability, Engine, EngineError, Result as EngineResult};
use super::message::{Document, New};

/// All things of a kind.
#[derive(Debug)]
pub struct Registry<T> {
    queue: Arc<Queue>,
    kind: &'static str,
    contents: RwLock<Contents<T>>,
    /// Held by whoever changes one, until it is changed in memory, too. Whether the database may say something else.
    changing: Mutex<bool>,
}

/// Those that there are, as they are in the database.
#[derive(Debug)]
struct Contents<T> {
    /// Each with the bytes of its text.
    by_name: BTreeMap<String, (Arc<T>, usize)>,
    /// The bytes of all texts.
    bytes: usize,
}

impl<T> Default for Contents<T> {
    fn default() -> Contents<T> {
        Contents { by_name: BTreeMap::new(), bytes: 0 }
    }
}

impl<T> Contents<T> {
    fn insert(&mut self, name: String, one: Arc<T>, bytes: usize) {
        self.bytes += bytes;
        if let Some((_, before)) = self.by_name.insert(name, (one, bytes)) {
            self.bytes -= before;
        }
    }

    fn remove(&mut self, name: &str) {
        self.bytes -= self.by_name.remove(name).map_or(0, |(_, bytes)| bytes);
    }
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
        let (contents, changing) = (RwLock::default(), Mutex::default());
        let registry = Registry { queue, kind, contents, changing };
        registry.read().await?;
        Ok(registry)
    }

    /// One of them.
    pub fn get(&self, name: &str) -> Option<Arc<T>> {
        self.contents().by_name.get(name).map(|(one, _)| Arc::clone(one))
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.contents().by_name.len()
    }

    /// The bytes that all of them take, as they are stored.
    pub fn bytes(&self) -> usize {
        self.contents().bytes
    }

    /// All of them, in the order of their names.
    pub fn list(&self) -> Vec<Arc<T>> {
        self.contents().by_name.values().map(|(one, _)| Arc::clone(one)).collect()
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
        let mut changing = self.change_one().await?;
        let before = self.get(name);
        let after = Arc::new(change(before.as_deref())?);
        if before.as_ref() == Some(&after) {
            return Ok(after);
        }
        let change = (name.to_owned(), Some(Arc::clone(&after)));
        self.write(&mut changing, vec![change], Vec::new()).await?;
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
        let mut changing = self.change_one().await?;
        let (mut changes, mut follows) = (Vec::new(), Vec::new());
        for name in names {
            let before = self.get(name);
            let step = decide(before.as_deref());
            if step.after.as_ref() != before.as_deref() {
                changes.push((name.clone(), step.after.map(Arc::new)));
            }
            follows.extend(step.follows);
        }
        if changes.is_empty() && follows.is_empty() {
            return Ok(());
        }
        self.write(&mut changing, changes, follows).await
    }

    /// Waits until nobody else changes one, and until memory says what the database does.
    async fn change_one(&self) -> Result<MutexGuard<'_, bool>, QueueError> {
        let mut is_doubtful = self.changing.lock().await;
        if *is_doubtful {
            self.read().await?;
            *is_doubtful = false;
        }
        Ok(is_doubtful)
    }

    async fn read(&self) -> Result<(), QueueError> {
        let kind = self.kind;
        // What it sees may be committed and not flushed: it waits for a flush, and hears if that fails.
        let documents = self.queue.work(Durability::Power, move |engine| engine.documents(kind));
        let mut contents = Contents::default();
        for Document { name, text } in documents.await? {
            let one = serde_json::from_str(&text)
                .map_err(|error| EngineError::Failed(format!("{kind} {name}: {error}")))?;
            contents.insert(name, Arc::new(one), text.len());
        }
        *self.contents_mut() = contents;
        Ok(())
    }

    /// Writes what has changed, with what follows from it, and then reads so from memory.
    async fn write(
        &self,
        is_doubtful: &mut bool,
        changes: Vec<(String, Option<Arc<T>>)>,
        follows: Vec<(String, New)>,
    ) -> Result<(), QueueError> {
        let (mut documents, mut sizes) = (Vec::new(), Vec::new());
        for (name, after) in &changes {
            let text = after.as_ref().map(|after| serde_json::to_string(&**after)).transpose();
            let text = text.map_err(|error| failed(&error))?;
            sizes.push(text.as_ref().map_or(0, String::len));
            documents.push((name.clone(), text));
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
        certain(is_doubtful, written).await?;
        let mut contents = self.contents_mut();
        for ((name, after), bytes) in changes.into_iter().zip(sizes) {
            match after {
                Some(after) => contents.insert(name, after, bytes),
                None => contents.remove(&name),
            }
        }
        drop(contents);
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
        let mut changing = self.change_one().await?;
        let (kind, gone) = (self.kind, name.to_owned());
        let removed = self.queue.work(Durability::Power, move |engine| {
            also(engine)?;
            engine.remove_document(kind, &gone)
        });
        let removed = certain(&mut changing, removed).await?;
        self.contents_mut().remove(name);
        Ok(removed)
    }

    // What these guard changes in one step: no panic leaves it half done.

    fn contents(&self) -> RwLockReadGuard<'_, Contents<T>> {
        self.contents.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn contents_mut(&self) -> RwLockWriteGuard<'_, Contents<T>> {
        self.contents.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits for what is written. It is in doubt for as long as that takes, and from then on where nobody knows.
async fn certain<R>(
    is_doubtful: &mut bool,
    written: impl Future<Output = Result<R, QueueError>>,
) -> Result<R, QueueError> {
    *is_doubtful = true;
    let written = written.await;
    let unknown = |error: &QueueError| {
        matches!(error, QueueError::Engine(EngineError::Unknown(_)) | QueueError::Stopped)
    };
    *is_doubtful = written.as_ref().is_err_and(unknown);
    written
}

fn failed(error: &serde_json::Error) -> QueueError {
    EngineError::Failed(error.to_string()).into()
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::queue::Sqlite;

    #[tokio::test]
    async fn a_change_that_nobody_waits_for_is_seen_by_the_next_one() {
        let data = tempfile::tempdir().unwrap();
        let queue = Arc::new(Queue::start(Box::new(Sqlite::open(data.path()).unwrap())).unwrap());
        let numbers: Registry<u32> = Registry::load(Arc::clone(&queue), "number").await.unwrap();
        // The database is busy, so that the change is on its way when its client goes.
        let (go, gone) = mpsc::channel::<()>();
        let busy = Arc::clone(&queue);
        let busy = tokio::spawn(async move {
            busy.work(Durability::Process, move |_| Ok(gone.recv().is_ok())).await
        });
        tokio::task::yield_now().await;
        tokio::select! {
            biased;
            _ = numbers.change("a", |_| Ok::<_, QueueError>(1)) => panic!("the database is busy"),
            () = std::future::ready(()) => {}
        }
        go.send(()).unwrap();
        assert!(busy.await.unwrap().unwrap());
        let seen =
            numbers.change("a", |before| Ok::<_, QueueError>(before.copied().unwrap_or(0) + 1));
        assert_eq!(*seen.await.unwrap(), 2);
        let again: Registry<u32> = Registry::load(queue, "number").await.unwrap();
        assert_eq!((again.get("a"), numbers.get("a")), (Some(2.into()), Some(2.into())));
    }

    #[tokio::test]
    async fn bytes_are_those_of_what_is_there() {
        let data = tempfile::tempdir().unwrap();
        let queue = Arc::new(Queue::start(Box::new(Sqlite::open(data.path()).unwrap())).unwrap());
        let texts: Registry<String> = Registry::load(Arc::clone(&queue), "text").await.unwrap();
        let put = async |name, text: &str| {
            texts.change(name, |_| Ok::<_, QueueError>(text.to_owned())).await.unwrap();
        };
        put("a", "123").await;
        put("b", "12345").await;
        assert_eq!(texts.bytes(), 5 + 7, "with their quotation marks");
        put("b", "1").await;
        assert_eq!(texts.bytes(), 5 + 3);
        assert!(texts.remove("a", |_| Ok(())).await.unwrap());
        assert_eq!(texts.bytes(), 3);
        let again: Registry<String> = Registry::load(queue, "text").await.unwrap();
        assert_eq!(again.bytes(), 3);
    }

    #[tokio::test]
    async fn only_what_may_have_happened_is_in_doubt() {
        let lost = EngineError::Unknown("lost".into());
        for (result, wanted) in [
            (Ok(()), false),
            (Err(EngineError::Full.into()), false),
            (Err(EngineError::Failed("no".into()).into()), false),
            (Err(lost.into()), true),
            (Err(QueueError::Stopped), true),
        ] {
            let mut is_doubtful = false;
            let written = certain(&mut is_doubtful, std::future::ready(result.clone())).await;
            assert_eq!((written, is_doubtful), (result, wanted));
        }
    }
}
