//! The functions: written to SQLite first, read from memory.
//!
//! Every change is committed before it can be seen, so what a client was told survives any crash.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::database::{Database, StoreError};
use super::{history, rows};
use crate::function::{Entry, Function, FunctionUrl, Settings, Version};

/// All functions of a data directory.
#[derive(Debug)]
pub struct FunctionStore {
    database: Arc<Database>,
    /// Changed only by whoever holds the database. Readers never wait for a disk.
    by_name: RwLock<BTreeMap<String, Arc<Entry>>>,
}

impl FunctionStore {
    /// The functions in the database.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn load(database: Arc<Database>) -> Result<FunctionStore, StoreError> {
        let by_name = RwLock::new(rows::load(&database.lock())?);
        Ok(FunctionStore { database, by_name })
    }

    /// Keeps a new function; its `id` and `deployment` are given out here.
    ///
    /// # Errors
    /// [`StoreError::Exists`], or what SQLite says.
    pub fn create(
        &self,
        mut function: Function,
        settings: Settings,
    ) -> Result<Arc<Function>, StoreError> {
        let mut connection = self.database.lock();
        let transaction = connection.transaction()?;
        let name = function.configuration.name.clone();
        function.id = rows::insert_function(&transaction, &name, &settings)?;
        function.deployment = rows::put(&transaction, &function)?;
        transaction.commit()?;
        let latest = Arc::new(function);
        let entry = Entry { latest: Arc::clone(&latest), versions: BTreeMap::new(), settings };
        self.by_name_mut().insert(name, Arc::new(entry));
        Ok(latest)
    }

    /// Puts what `change` makes of $LATEST in its place, as another deployment. Returns the one that was
    /// there and the one that is.
    ///
    /// # Errors
    /// What `change` says, [`StoreError::Missing`], or what SQLite says; then nothing has changed.
    pub fn replace<E: From<StoreError>>(
        &self,
        name: &str,
        change: impl FnOnce(&Function) -> Result<Function, E>,
    ) -> Result<(Arc<Function>, Arc<Function>), E> {
        let mut connection = self.database.lock();
        let entry = self.existing(name)?;
        let mut after = change(&entry.latest)?;
        let transaction = connection.transaction().map_err(StoreError::from)?;
        after.deployment = rows::put(&transaction, &after)?;
        transaction.commit().map_err(StoreError::from)?;
        let after = Arc::new(after);
        self.put(name, Entry { latest: Arc::clone(&after), ..(*entry).clone() });
        Ok((Arc::clone(&entry.latest), after))
    }

    /// Keeps what `copy` makes of a function as its next version; the number is given out here. Where that is
    /// nothing, it is [`Entry::unchanged`]. $LATEST gets another revision.
    ///
    /// # Errors
    /// What `copy` says, [`StoreError::Missing`], or what SQLite says; then nothing has changed.
    pub fn publish<E: From<StoreError>>(
        &self,
        name: &str,
        revision_id: String,
        copy: impl FnOnce(&Entry) -> Result<Option<Function>, E>,
    ) -> Result<Arc<Function>, E> {
        let mut connection = self.database.lock();
        let mut entry = (*self.existing(name)?).clone();
        let Some(mut function) = copy(&entry)? else {
            return Ok(entry.unchanged().cloned().ok_or(StoreError::Missing)?);
        };
        entry.settings.version_max += 1;
        let number = entry.settings.version_max;
        function.version = Version::Published(number);
        let transaction = connection.transaction().map_err(StoreError::from)?;
        rows::update_settings(&transaction, function.id, &entry.settings)?;
        function.deployment = rows::put(&transaction, &function)?;
        if let Some(latest) = entry.set_revision_id(None, revision_id) {
            rows::update_revision(&transaction, &latest)?;
        }
        transaction.commit().map_err(StoreError::from)?;
        let function = Arc::new(function);
        entry.versions.insert(number, Arc::clone(&function));
        self.put(name, entry);
        Ok(function)
    }

    /// Puts what `change` makes of a function's settings in their place.
    ///
    /// # Errors
    /// What `change` says, [`StoreError::Missing`], or what SQLite says; then nothing has changed.
    pub fn configure<T, E: From<StoreError>>(
        &self,
        name: &str,
        change: impl FnOnce(&Entry, &mut Settings) -> Result<T, E>,
    ) -> Result<T, E> {
        let connection = self.database.lock();
        let entry = self.existing(name)?;
        let mut settings = entry.settings.clone();
        let result = change(&entry, &mut settings)?;
        rows::update_settings(&connection, entry.latest.id, &settings)?;
        self.put(name, Entry { settings, ..(*entry).clone() });
        Ok(result)
    }

    /// Like [`FunctionStore::configure`], and gives what `qualifier` names another revision: clients that wait for
    /// a change of it see this one, too.
    ///
    /// # Errors
    /// As [`FunctionStore::configure`].
    pub fn revise<T, E: From<StoreError>>(
        &self,
        name: &str,
        qualifier: Option<&str>,
        revision_id: String,
        change: impl FnOnce(&Entry, &mut Settings) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut connection = self.database.lock();
        let before = self.existing(name)?;
        let mut entry = (*before).clone();
        let result = change(&before, &mut entry.settings)?;
        let transaction = connection.transaction().map_err(StoreError::from)?;
        if let Some(function) = entry.set_revision_id(qualifier, revision_id) {
            rows::update_revision(&transaction, &function)?;
        }
        rows::update_settings(&transaction, entry.latest.id, &entry.settings)?;
        transaction.commit().map_err(StoreError::from)?;
        self.put(name, entry);
        Ok(result)
    }

    /// A function.
    pub fn get(&self, name: &str) -> Option<Arc<Entry>> {
        self.by_name().get(name).cloned()
    }

    /// The name of a function's log: where it is gone, that which it had without a word on it.
    pub fn log_of(&self, name: &str) -> String {
        self.get(name).map_or_else(|| name.to_owned(), |entry| entry.latest.configuration.log())
    }

    /// At most `count` functions in the order of their names, after the name `after`.
    pub fn list(&self, after: Option<&str>, count: usize) -> Vec<Arc<Entry>> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let by_name = self.by_name();
        by_name
            .range::<str, _>((start, Bound::Unbounded))
            .map(|(_, one)| Arc::clone(one))
            .take(count)
            .collect()
    }

    /// At most `count` deployments that a function has had, the newest first, older than `before`.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn history(
        &self,
        id: u64,
        before: Option<u64>,
        count: usize,
    ) -> Result<Vec<Function>, StoreError> {
        history::list(&self.database.lock(), id, before, count)
    }

    /// The function URL of this id: its function's name, its alias or nothing, and itself.
    pub fn find_url(&self, id: &str) -> Option<(String, String, FunctionUrl)> {
        self.by_name().iter().find_map(|(name, entry)| {
            let mut urls = entry.settings.urls.iter();
            let (qualifier, url) = urls.find(|(_, url)| url.id == id)?;
            Some((name.clone(), qualifier.clone(), url.clone()))
        })
    }

    /// Forgets a function.
    ///
    /// # Errors
    /// [`StoreError::Missing`], or what SQLite says.
    pub fn delete(&self, name: &str) -> Result<Arc<Entry>, StoreError> {
        let mut connection = self.database.lock();
        let entry = self.existing(name)?;
        let transaction = connection.transaction()?;
        rows::delete_function(&transaction, entry.latest.id)?;
        transaction.commit()?;
        self.by_name_mut().remove(name);
        Ok(entry)
    }

    /// Forgets a published version, if `check` lets it.
    ///
    /// # Errors
    /// What `check` says, [`StoreError::Missing`], or what SQLite says.
    pub fn delete_version<E: From<StoreError>>(
        &self,
        name: &str,
        number: u64,
        check: impl FnOnce(&Entry) -> Result<(), E>,
    ) -> Result<Arc<Function>, E> {
        let mut connection = self.database.lock();
        let mut entry = (*self.existing(name)?).clone();
        let function = entry.versions.remove(&number).ok_or(StoreError::Missing)?;
        check(&entry)?;
        entry.settings.forget(&number.to_string());
        let transaction = connection.transaction().map_err(StoreError::from)?;
        rows::delete(&transaction, function.id, function.version)?;
        rows::update_settings(&transaction, function.id, &entry.settings)?;
        transaction.commit().map_err(StoreError::from)?;
        self.put(name, entry);
        Ok(function)
    }

    /// SHA-256 of all code that is in use here, that of layers among it.
    pub fn code(&self) -> Vec<String> {
        let by_name = self.by_name();
        by_name.values().flat_map(|entry| entry.all()).flat_map(|one| code_of(one)).collect()
    }

    fn existing(&self, name: &str) -> Result<Arc<Entry>, StoreError> {
        self.get(name).ok_or(StoreError::Missing)
    }

    // What these guard changes in one step, after the commit: no panic leaves it half done.

    fn put(&self, name: &str, entry: Entry) {
        self.by_name_mut().insert(name.to_owned(), Arc::new(entry));
    }

    fn by_name(&self) -> RwLockReadGuard<'_, BTreeMap<String, Arc<Entry>>> {
        self.by_name.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn by_name_mut(&self) -> RwLockWriteGuard<'_, BTreeMap<String, Arc<Entry>>> {
        self.by_name.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a function is made of.
fn code_of(function: &Function) -> impl Iterator<Item = String> {
    let layers = function.configuration.layers.iter().map(|layer| layer.code_sha256.clone());
    layers.chain([function.code_sha256.clone()])
}

#[cfg(test)]
mod tests;
