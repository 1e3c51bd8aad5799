//! The functions: written to SQLite first, read from memory.
//!
//! Every change is committed before it can be seen, so what a client was told survives any crash.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use rusqlite::{Connection, ErrorCode, Row, params};

use super::database::{Database, StoreError};
use crate::function::Function;

/// All functions of a data directory.
#[derive(Debug)]
pub struct FunctionStore {
    database: Arc<Database>,
    /// Changed only by whoever holds the database. Readers never wait for a disk.
    by_name: RwLock<BTreeMap<String, Arc<Function>>>,
}

impl FunctionStore {
    /// The functions in the database.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn load(database: Arc<Database>) -> Result<FunctionStore, StoreError> {
        let by_name = RwLock::new(load(&database.lock())?);
        Ok(FunctionStore { database, by_name })
    }

    /// Keeps a new function; its `deployment` is given out here.
    ///
    /// # Errors
    /// [`StoreError::Exists`], or what SQLite says.
    pub fn create(&self, mut function: Function) -> Result<Arc<Function>, StoreError> {
        let connection = self.database.lock();
        function.deployment = insert(&connection, &function)?;
        let function = Arc::new(function);
        self.by_name_mut().insert(function.configuration.name.clone(), Arc::clone(&function));
        Ok(function)
    }

    /// Puts what `change` makes of a function in its place, as another deployment. Returns the one that was
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
        let before = self.get(name).ok_or(StoreError::Missing)?;
        let mut after = change(&before)?;
        after.deployment = renew(&mut connection, &after)?;
        let after = Arc::new(after);
        self.by_name_mut().insert(name.to_owned(), Arc::clone(&after));
        Ok((before, after))
    }

    /// The function of this name.
    pub fn get(&self, name: &str) -> Option<Arc<Function>> {
        self.by_name().get(name).cloned()
    }

    /// At most `count` functions in the order of their names, after the name `after`.
    pub fn list(&self, after: Option<&str>, count: usize) -> Vec<Arc<Function>> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let by_name = self.by_name();
        by_name
            .range::<str, _>((start, Bound::Unbounded))
            .map(|(_, one)| Arc::clone(one))
            .take(count)
            .collect()
    }

    /// Forgets a function.
    ///
    /// # Errors
    /// [`StoreError::Missing`], or what SQLite says.
    pub fn delete(&self, name: &str) -> Result<Arc<Function>, StoreError> {
        let connection = self.database.lock();
        let rows = connection.execute("DELETE FROM functions WHERE name = ?1", [name])?;
        match (rows, self.by_name_mut().remove(name)) {
            (1, Some(function)) => Ok(function),
            _ => Err(StoreError::Missing),
        }
    }

    /// SHA-256 of all code that is in use here, that of layers among it.
    pub fn code(&self) -> Vec<String> {
        let by_name = self.by_name();
        by_name.values().flat_map(|function| code_of(function)).collect()
    }

    // What these guard changes in one step, after the commit: no panic leaves it half done.

    fn by_name(&self) -> RwLockReadGuard<'_, BTreeMap<String, Arc<Function>>> {
        self.by_name.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn by_name_mut(&self) -> RwLockWriteGuard<'_, BTreeMap<String, Arc<Function>>> {
        self.by_name.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a function is made of.
fn code_of(function: &Function) -> impl Iterator<Item = String> {
    let layers = function.configuration.layers.iter().map(|layer| layer.code_sha256.clone());
    layers.chain([function.code_sha256.clone()])
}

/// Adds a row; the number that it got.
fn insert(connection: &Connection, function: &Function) -> Result<u64, StoreError> {
    let configuration = encode(function)?;
    let inserted = connection.execute(
        "INSERT INTO functions
             (name, configuration, code_sha256, code_size, modified_ms, revision_id)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![
            function.configuration.name,
            configuration,
            function.code_sha256,
            function.code_size as i64,
            function.modified_ms,
            function.revision_id
        ],
    );
    match inserted {
        Ok(_) => Ok(connection.last_insert_rowid() as u64),
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => {
            Err(StoreError::Exists)
        }
        Err(error) => Err(error.into()),
    }
}

/// Puts another row in a function's place, so that it gets a number that no deployment had.
fn renew(connection: &mut Connection, function: &Function) -> Result<u64, StoreError> {
    let transaction = connection.transaction()?;
    transaction.execute("DELETE FROM functions WHERE name = ?1", [&function.configuration.name])?;
    let number = insert(&transaction, function)?;
    transaction.commit()?;
    Ok(number)
}

fn load(connection: &Connection) -> Result<BTreeMap<String, Arc<Function>>, StoreError> {
    let mut query = connection.prepare(
        "SELECT deployment, configuration, code_sha256, code_size, modified_ms, revision_id
         FROM functions",
    )?;
    let rows = query.query_map([], decode)?;
    rows.map(|row| row.map(|function| (function.configuration.name.clone(), Arc::new(function))))
        .collect::<Result<_, _>>()
        .map_err(StoreError::Database)
}

fn encode(function: &Function) -> Result<String, StoreError> {
    let error = |error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)).into();
    serde_json::to_string(&function.configuration).map_err(error)
}

fn decode(row: &Row<'_>) -> rusqlite::Result<Function> {
    let text: String = row.get(1)?;
    let configuration = serde_json::from_str(&text).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(1, rusqlite::types::Type::Text, Box::new(error))
    })?;
    Ok(Function {
        deployment: row.get::<_, i64>(0)? as u64,
        configuration,
        code_sha256: row.get(2)?,
        code_size: row.get::<_, i64>(3)? as u64,
        modified_ms: row.get(4)?,
        revision_id: row.get(5)?,
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::function::Configuration;

    fn open(data: &Path) -> FunctionStore {
        FunctionStore::load(Arc::new(Database::open(data).unwrap())).unwrap()
    }

    fn function(name: &str) -> Function {
        let configuration = Configuration {
            name: name.into(),
            runtime: "provided.al2023".into(),
            role: "arn:aws:iam::000000000000:role/x".into(),
            handler: "h".into(),
            description: String::new(),
            timeout_s: 3,
            memory_mib: 128,
            tmp_mib: 512,
            variables: [("K".to_owned(), "V".to_owned())].into(),
            layers: Vec::new(),
        };
        Function {
            deployment: 0,
            configuration,
            code_sha256: "00".repeat(32),
            code_size: 17,
            modified_ms: 1,
            revision_id: "r".into(),
        }
    }

    #[test]
    fn functions_survive_a_restart() {
        let data = tempfile::tempdir().unwrap();
        let created = {
            let store = open(data.path());
            store.create(function("gone")).unwrap();
            store.delete("gone").unwrap();
            store.create(function("kept")).unwrap()
        };
        let store = open(data.path());
        assert_eq!(store.get("kept"), Some(created));
        assert_eq!(store.get("gone"), None);
    }

    #[test]
    fn a_data_directory_of_the_first_schema_keeps_its_functions() {
        let data = tempfile::tempdir().unwrap();
        let first = Connection::open(data.path().join("mayfly.db")).unwrap();
        first.execute_batch(crate::store::schema::STEPS[0]).unwrap();
        first
            .execute_batch(
                r#"INSERT INTO functions VALUES (7, 'f', '{"name":"f","runtime":"provided.al2023",
                       "role":"arn:aws:iam::000000000000:role/x","handler":"h","description":"",
                       "timeout_s":3,"memory_mib":128,"tmp_mib":512,"variables":{"K":"V"}}',
                       'ab', 17, 1, 'r');
                   INSERT INTO functions VALUES (9, 'gone', '{}', 'ab', 17, 1, 'r');
                   DELETE FROM functions WHERE name = 'gone';
                   PRAGMA application_id = 0x4d617966;
                   PRAGMA user_version = 1;"#,
            )
            .unwrap();
        drop(first);
        for _ in 0..2 {
            let store = open(data.path());
            let kept = store.get("f").unwrap();
            let wanted = Function { deployment: 7, code_sha256: "ab".into(), ..function("f") };
            assert_eq!(*kept, wanted);
        }
        assert_eq!(open(data.path()).create(function("new")).unwrap().deployment, 10);
    }

    #[test]
    fn a_deployments_number_is_never_used_again() {
        let data = tempfile::tempdir().unwrap();
        let store = open(data.path());
        let first = store.create(function("f")).unwrap().deployment;
        store.delete("f").unwrap();
        drop(store);
        let store = open(data.path());
        assert!(store.create(function("f")).unwrap().deployment > first);
    }

    #[test]
    fn a_replaced_function_is_another_deployment_and_survives_a_restart() {
        let data = tempfile::tempdir().unwrap();
        let store = open(data.path());
        let first = store.create(function("f")).unwrap();
        let change = |before: &Function| {
            Ok::<_, StoreError>(Function { revision_id: "new".into(), ..before.clone() })
        };
        let (before, after) = store.replace("f", change).unwrap();
        assert_eq!(before, first);
        assert_eq!(after.revision_id, "new");
        assert!(after.deployment > before.deployment);
        assert!(matches!(store.replace("g", change), Err(StoreError::Missing)));
        let refusal = store.replace("f", |_| Err(StoreError::Exists));
        assert!(matches!(refusal, Err(StoreError::Exists)));
        drop(store);
        assert_eq!(open(data.path()).get("f"), Some(after));
    }

    #[test]
    fn names_are_taken_once_and_listed_in_order() {
        let data = tempfile::tempdir().unwrap();
        let store = open(data.path());
        for name in ["b", "c", "a"] {
            store.create(function(name)).unwrap();
        }
        assert!(matches!(store.create(function("b")), Err(StoreError::Exists)));
        assert!(matches!(store.delete("z"), Err(StoreError::Missing)));
        let names = |after, count| -> Vec<String> {
            store.list(after, count).iter().map(|one| one.configuration.name.clone()).collect()
        };
        assert_eq!(names(None, 2), ["a", "b"]);
        assert_eq!(names(Some("b"), 2), ["c"]);
    }
}
