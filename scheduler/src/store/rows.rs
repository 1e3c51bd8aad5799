//! Functions as rows: the SQL, and what is in each column.

use std::collections::BTreeMap;
use std::sync::Arc;

use rusqlite::types::Type;
use rusqlite::{Connection, ErrorCode, OptionalExtension, Row, params};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::database::StoreError;
use super::history;
use crate::function::{Entry, Function, Settings, Version};

/// Adds a function; its id.
pub(super) fn insert_function(
    connection: &Connection,
    name: &str,
    settings: &Settings,
) -> Result<u64, StoreError> {
    let inserted = connection.execute(
        "INSERT INTO functions (name, settings) VALUES (?1, ?2)",
        params![name, encode(settings)?],
    );
    match inserted {
        Ok(_) => Ok(connection.last_insert_rowid() as u64),
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => {
            Err(StoreError::Exists)
        }
        Err(error) => Err(error.into()),
    }
}

/// Puts a function's settings in the place of those that it had.
pub(super) fn update_settings(
    connection: &Connection,
    id: u64,
    settings: &Settings,
) -> Result<(), StoreError> {
    let row = params![id as i64, encode(settings)?];
    connection.execute("UPDATE functions SET settings = ?2 WHERE id = ?1", row)?;
    Ok(())
}

/// Keeps the revision of a deployment, which is what it was in all else.
pub(super) fn update_revision(
    connection: &Connection,
    function: &Function,
) -> Result<(), StoreError> {
    let row = params![function.deployment as i64, function.revision_id];
    connection.execute("UPDATE deployments SET revision_id = ?2 WHERE deployment = ?1", row)?;
    Ok(())
}

/// Removes a function with all its versions.
pub(super) fn delete_function(connection: &Connection, id: u64) -> Result<(), StoreError> {
    history::forget(connection, id)?;
    connection.execute("DELETE FROM deployments WHERE function = ?1", [id as i64])?;
    connection.execute("DELETE FROM functions WHERE id = ?1", [id as i64])?;
    Ok(())
}

/// Puts a deployment in the place of that version's one, if there is one; its number, which none had before.
pub(super) fn put(connection: &Connection, function: &Function) -> Result<u64, StoreError> {
    delete(connection, function.id, function.version)?;
    connection.execute(
        "INSERT INTO deployments
             (function, version, configuration, code_sha256, code_size, modified_ms, revision_id)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![
            function.id as i64,
            number(function.version),
            encode(&function.configuration)?,
            function.code_sha256,
            function.code_size as i64,
            function.modified_ms,
            function.revision_id
        ],
    )?;
    let deployment = connection.last_insert_rowid() as u64;
    history::keep(connection, function.id, deployment)?;
    Ok(deployment)
}

/// Removes a version's deployment.
pub(super) fn delete(connection: &Connection, id: u64, version: Version) -> Result<(), StoreError> {
    let row = params![id as i64, number(version)];
    connection.execute("DELETE FROM deployments WHERE function = ?1 AND version = ?2", row)?;
    Ok(())
}

/// All functions, by name.
pub(super) fn load(connection: &Connection) -> Result<BTreeMap<String, Arc<Entry>>, StoreError> {
    let mut functions = connection.prepare("SELECT id, name, settings FROM functions")?;
    let mut versions = connection.prepare(
        "SELECT deployment, function, version, configuration, code_sha256, code_size, modified_ms,
             revision_id
         FROM deployments WHERE function = ?1 AND version > 0",
    )?;
    let mut latest = connection.prepare(
        "SELECT deployment, function, version, configuration, code_sha256, code_size, modified_ms,
             revision_id
         FROM deployments WHERE function = ?1 AND version = 0",
    )?;
    let mut by_name = BTreeMap::new();
    let mut rows = functions.query([])?;
    while let Some(row) = rows.next()? {
        let (id, name): (i64, String) = (row.get(0)?, row.get(1)?);
        let published = versions
            .query_map([id], function)?
            .map(|row| row.map(|function| (number(function.version) as u64, Arc::new(function))));
        let entry = Entry {
            // One without is another's work.
            latest: latest
                .query_row([id], function)
                .map(Arc::new)
                .optional()?
                .ok_or(StoreError::Missing)?,
            versions: published.collect::<Result<_, _>>()?,
            settings: decode(row, 2)?,
        };
        by_name.insert(name, Arc::new(entry));
    }
    Ok(by_name)
}

pub(super) fn function(row: &Row<'_>) -> rusqlite::Result<Function> {
    let version = match row.get::<_, i64>(2)? as u64 {
        0 => Version::Latest,
        number => Version::Published(number),
    };
    Ok(Function {
        deployment: row.get::<_, i64>(0)? as u64,
        id: row.get::<_, i64>(1)? as u64,
        version,
        configuration: decode(row, 3)?,
        code_sha256: row.get(4)?,
        code_size: row.get::<_, i64>(5)? as u64,
        modified_ms: row.get(6)?,
        revision_id: row.get(7)?,
    })
}

fn number(version: Version) -> i64 {
    match version {
        Version::Latest => 0,
        Version::Published(number) => number as i64,
    }
}

fn encode(value: &impl Serialize) -> Result<String, StoreError> {
    let error = |error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)).into();
    serde_json::to_string(value).map_err(error)
}

fn decode<T: DeserializeOwned>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    let text: String = row.get(column)?;
    serde_json::from_str(&text).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error))
    })
}
