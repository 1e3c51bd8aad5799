//! Every configuration that a function ever had: each deployment as it was made, also when another is in its place.

use rusqlite::{Connection, params};

use super::database::StoreError;
use super::rows;
use crate::function::Function;

/// So many deployments of a function are remembered, the newest: a year of one change every nine hours.
pub const HISTORY_MAX: usize = 1000;

/// Remembers a deployment, which is there, and forgets the oldest of its function's if those are too many.
pub(super) fn keep(connection: &Connection, id: u64, deployment: u64) -> Result<(), StoreError> {
    let sql = "INSERT INTO history SELECT * FROM deployments WHERE deployment = ?1";
    connection.execute(sql, [deployment as i64])?;
    connection.execute(
        "DELETE FROM history WHERE function = ?1 AND deployment <=
             (SELECT deployment FROM history WHERE function = ?1
              ORDER BY deployment DESC LIMIT 1 OFFSET ?2)",
        params![id as i64, HISTORY_MAX as i64],
    )?;
    Ok(())
}

/// At most `count` deployments of a function, the newest first, older than `before`.
pub(super) fn list(
    connection: &Connection,
    id: u64,
    before: Option<u64>,
    count: usize,
) -> Result<Vec<Function>, StoreError> {
    let mut query = connection.prepare(
        "SELECT deployment, function, version, configuration, code_sha256, code_size, modified_ms,
             revision_id
         FROM history WHERE function = ?1 AND deployment < ?2 ORDER BY deployment DESC LIMIT ?3",
    )?;
    let before = before.and_then(|before| i64::try_from(before).ok()).unwrap_or(i64::MAX);
    let rows = query.query_map(params![id as i64, before, count as i64], rows::function)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Forgets all of a function's.
pub(super) fn forget(connection: &Connection, id: u64) -> Result<(), StoreError> {
    connection.execute("DELETE FROM history WHERE function = ?1", [id as i64])?;
    Ok(())
}
