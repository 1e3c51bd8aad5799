//! The layers: written to SQLite first, read from memory.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use rusqlite::{Connection, params};

use super::database::{Database, StoreError};
use crate::layer::LayerVersion;

/// The versions of a layer, by their numbers.
type Versions = BTreeMap<u64, Arc<LayerVersion>>;

/// All layers of a data directory.
#[derive(Debug)]
pub struct LayerStore {
    database: Arc<Database>,
    /// Changed only by whoever holds the database. None is empty.
    by_name: RwLock<BTreeMap<String, Versions>>,
}

impl LayerStore {
    /// The layers in the database.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn load(database: Arc<Database>) -> Result<LayerStore, StoreError> {
        let by_name = RwLock::new(load(&database.lock())?);
        Ok(LayerStore { database, by_name })
    }

    /// Keeps a new version; its number is given out here.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn publish(&self, mut layer: LayerVersion) -> Result<Arc<LayerVersion>, StoreError> {
        let mut connection = self.database.lock();
        let transaction = connection.transaction()?;
        let number: i64 = transaction.query_row(
            "INSERT INTO layers (name, version_max) VALUES (?1, 1)
             ON CONFLICT (name) DO UPDATE SET version_max = version_max + 1
             RETURNING version_max",
            [&layer.name],
            |row| row.get(0),
        )?;
        layer.version = number as u64;
        let document = encode(&layer)?;
        transaction.execute(
            "INSERT INTO layer_versions (name, version, document) VALUES (?1, ?2, ?3)",
            params![layer.name, number, document],
        )?;
        transaction.commit()?;
        let layer = Arc::new(layer);
        let mut by_name = self.by_name_mut();
        let versions = by_name.entry(layer.name.clone()).or_default();
        versions.insert(layer.version, Arc::clone(&layer));
        Ok(layer)
    }

    /// Forgets a version, if there is such a one.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn delete(&self, name: &str, version: u64) -> Result<(), StoreError> {
        let connection = self.database.lock();
        connection.execute(
            "DELETE FROM layer_versions WHERE name = ?1 AND version = ?2",
            params![name, version as i64],
        )?;
        let mut by_name = self.by_name_mut();
        if let Some(versions) = by_name.get_mut(name) {
            versions.remove(&version);
            if versions.is_empty() {
                by_name.remove(name);
            }
        }
        Ok(())
    }

    /// Puts what `change` makes of a version's policy and revision in their place.
    ///
    /// # Errors
    /// What `change` says, [`StoreError::Missing`], or what SQLite says; then nothing has changed.
    pub fn change<T, E: From<StoreError>>(
        &self,
        name: &str,
        version: u64,
        change: impl FnOnce(&mut LayerVersion) -> Result<T, E>,
    ) -> Result<T, E> {
        let connection = self.database.lock();
        let mut layer = (*self.get(name, version).ok_or(StoreError::Missing)?).clone();
        let result = change(&mut layer)?;
        let row = params![name, version as i64, encode(&layer)?];
        let sql = "UPDATE layer_versions SET document = ?3 WHERE name = ?1 AND version = ?2";
        connection.execute(sql, row).map_err(StoreError::from)?;
        let mut by_name = self.by_name_mut();
        let versions = by_name.entry(name.to_owned()).or_default();
        versions.insert(version, Arc::new(layer));
        Ok(result)
    }

    /// A version of a layer.
    pub fn get(&self, name: &str, version: u64) -> Option<Arc<LayerVersion>> {
        self.by_name().get(name)?.get(&version).cloned()
    }

    /// At most `count` versions of a layer for which `which` holds, the newest first, older than `before`.
    pub fn versions(
        &self,
        name: &str,
        before: Option<u64>,
        count: usize,
        which: impl Fn(&LayerVersion) -> bool,
    ) -> Vec<Arc<LayerVersion>> {
        let end = before.map_or(Bound::Unbounded, Bound::Excluded);
        let by_name = self.by_name();
        let versions = by_name.get(name).into_iter();
        let newest_first =
            versions.flat_map(|versions| versions.range((Bound::Unbounded, end)).rev());
        let chosen = newest_first.map(|(_, one)| one).filter(|one| which(one));
        chosen.take(count).cloned().collect()
    }

    /// Of at most `count` layers, in the order of their names, after the name `after`, the newest version for
    /// which `which` holds.
    pub fn list(
        &self,
        after: Option<&str>,
        count: usize,
        which: impl Fn(&LayerVersion) -> bool,
    ) -> Vec<Arc<LayerVersion>> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let by_name = self.by_name();
        let layers = by_name.range::<str, _>((start, Bound::Unbounded)).map(|(_, one)| one);
        let newest = layers.filter_map(|versions| versions.values().rev().find(|one| which(one)));
        newest.take(count).cloned().collect()
    }

    /// SHA-256 of all code that is in use here.
    pub fn code(&self) -> Vec<String> {
        let by_name = self.by_name();
        by_name.values().flat_map(BTreeMap::values).map(|one| one.code_sha256.clone()).collect()
    }

    // What these guard changes in one step, after the commit: no panic leaves it half done.

    fn by_name(&self) -> RwLockReadGuard<'_, BTreeMap<String, Versions>> {
        self.by_name.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Size of all uploads, each counted for each version that has it, bytes.
    pub fn code_bytes(&self) -> u64 {
        self.by_name().values().flat_map(BTreeMap::values).map(|layer| layer.code_size).sum()
    }

    fn by_name_mut(&self) -> RwLockWriteGuard<'_, BTreeMap<String, Versions>> {
        self.by_name.write().unwrap_or_else(PoisonError::into_inner)
    }
}

fn encode(layer: &LayerVersion) -> Result<String, StoreError> {
    let error = |error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)).into();
    serde_json::to_string(layer).map_err(error)
}

fn load(connection: &Connection) -> Result<BTreeMap<String, Versions>, StoreError> {
    let mut query = connection.prepare("SELECT document FROM layer_versions")?;
    let mut rows = query.query([])?;
    let mut by_name: BTreeMap<String, Versions> = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let text: String = row.get(0)?;
        let layer: LayerVersion = serde_json::from_str(&text).map_err(|error| {
            let kind = rusqlite::types::Type::Text;
            rusqlite::Error::FromSqlConversionFailure(0, kind, Box::new(error))
        })?;
        by_name.entry(layer.name.clone()).or_default().insert(layer.version, Arc::new(layer));
    }
    Ok(by_name)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::policy::Policy;

    fn open(data: &Path) -> LayerStore {
        LayerStore::load(Arc::new(Database::open(data).unwrap())).unwrap()
    }

    fn layer(name: &str) -> LayerVersion {
        LayerVersion {
            name: name.into(),
            version: 0,
            description: String::new(),
            license: None,
            runtimes: vec!["python3.11".into()],
            architectures: Vec::new(),
            created_ms: 1,
            code_sha256: "00".repeat(32),
            code_size: 17,
            policy: Policy::default(),
            revision_id: String::new(),
        }
    }

    #[test]
    fn versions_survive_a_restart_and_their_numbers_are_never_used_again() {
        let data = tempfile::tempdir().unwrap();
        let store = open(data.path());
        let first = store.publish(layer("l")).unwrap();
        assert_eq!(store.publish(layer("l")).unwrap().version, 2);
        assert_eq!(store.publish(layer("other")).unwrap().version, 1);
        store.delete("l", 2).unwrap();
        store.delete("l", 2).unwrap();
        drop(store);
        let store = open(data.path());
        assert_eq!((store.get("l", 1), store.get("l", 2)), (Some(first), None));
        assert_eq!(store.publish(layer("l")).unwrap().version, 3);
        assert_eq!(store.code().len(), 3);
    }

    #[test]
    fn lists_are_in_order() {
        let data = tempfile::tempdir().unwrap();
        let store = open(data.path());
        for name in ["b", "a", "b", "c"] {
            store.publish(layer(name)).unwrap();
        }
        let numbers = |before, count| -> Vec<u64> {
            store.versions("b", before, count, |_| true).iter().map(|one| one.version).collect()
        };
        assert_eq!((numbers(None, 9), numbers(Some(2), 9)), (vec![2, 1], vec![1]));
        assert_eq!(numbers(None, 1), [2]);
        let newest = store.list(Some("a"), 9, |one| one.version < 2);
        let newest: Vec<_> = newest.iter().map(|one| (&*one.name, one.version)).collect();
        assert_eq!(newest, [("b", 1), ("c", 1)]);
        store.delete("c", 1).unwrap();
        assert_eq!(store.list(None, 9, |_| true).len(), 2);
    }
}
