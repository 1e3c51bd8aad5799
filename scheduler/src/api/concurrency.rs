//! PutFunctionConcurrency, GetFunctionConcurrency, DeleteFunctionConcurrency; GetAccountSettings, which tells
//! what is left.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use serde::Deserialize;
use serde_json::json;

use super::Platform;
use super::blocking::blocking;
use super::error::ApiError;
use super::find::{entry, unqualified};
use super::functions::{Answer, Shared, parse};
use crate::bundle::{UNPACKED_BYTES_MAX, ZIP_BYTES_MAX};
use crate::function::{Entry, LATEST};

/// What functions without a bound of their own must be left (Lambda developer guide, "Configuring reserved
/// concurrency").
const UNRESERVED_MIN: usize = 100;
/// Code of all functions and layers (Lambda quotas: 75 GB). It is told, and not insisted on.
const TOTAL_CODE_BYTES: u64 = 75 << 30;

/// PutFunctionConcurrencyRequest.
#[derive(Deserialize)]
struct PutFunctionConcurrency {
    #[serde(rename = "ReservedConcurrentExecutions")]
    limit: i64,
}

pub(super) async fn put(
    State(platform): Shared,
    Path(name): Path<String>,
    body: Result<Bytes, BytesRejection>,
) -> Answer {
    let PutFunctionConcurrency { limit } = parse(body)?;
    latest(&platform, &name)?;
    let limit = u32::try_from(limit).map_err(|_| {
        let must = "have value greater than or equal to 0";
        ApiError::constraint(&limit.to_string(), "reservedConcurrentExecutions", must)
    })?;
    set(platform, &name, Some(limit)).await?;
    Ok(Json(json!({ "ReservedConcurrentExecutions": limit })).into_response())
}

pub(super) async fn get(State(platform): Shared, Path(name): Path<String>) -> Answer {
    let entry = entry(&platform, &unqualified(&platform, &name)?)?;
    Ok(Json(match entry.settings.reserved_concurrency {
        Some(limit) => json!({ "ReservedConcurrentExecutions": limit }),
        None => json!({}),
    })
    .into_response())
}

pub(super) async fn delete(State(platform): Shared, Path(name): Path<String>) -> Answer {
    set(platform, &name, None).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

pub(super) async fn account(State(platform): Shared) -> Answer {
    let functions = platform.functions.list(None, usize::MAX);
    // AWS counts an upload for each version that has it; here it is kept once.
    let code = functions.iter().flat_map(|entry| entry.all()).map(|one| one.code_size);
    let used = code.sum::<u64>().saturating_add(platform.layers.code_bytes());
    let total = platform.service.concurrency_max();
    Ok(Json(json!({
        "AccountLimit": {
            "TotalCodeSize": TOTAL_CODE_BYTES,
            "CodeSizeUnzipped": UNPACKED_BYTES_MAX,
            "CodeSizeZipped": ZIP_BYTES_MAX,
            "ConcurrentExecutions": total,
            "UnreservedConcurrentExecutions": total.saturating_sub(reserved(&functions, |_| true)),
        },
        "AccountUsage": {
            "TotalCodeSize": used,
            "FunctionCount": functions.len(),
        },
    }))
    .into_response())
}

/// The name of a function that is there: what is missed is its $LATEST.
fn latest(platform: &Platform, form: &str) -> Result<String, ApiError> {
    let latest = unqualified(platform, form)?.at(Some(LATEST.into()));
    entry(platform, &latest).map(|_| latest.name)
}

async fn set(platform: Arc<Platform>, form: &str, limit: Option<u32>) -> Result<(), ApiError> {
    let name = latest(&platform, form)?;
    blocking(move || {
        let id = platform.functions.configure(&name, |entry, settings| {
            settings.reserved_concurrency = limit;
            let provisioned = entry.provisioned_total();
            if let Some(limit) = limit.filter(|limit| *limit < provisioned) {
                return Err(ApiError::invalid(format!(
                    " ReservedConcurrentExecutions  {limit} should not be lower than function's total \
                     provisioned concurrency [{provisioned}]."
                ))
                .untyped());
            }
            if limit.is_some() {
                let changed = Entry { settings: settings.clone(), ..entry.clone() };
                leaves_enough(&platform, &changed, "ReservedConcurrentExecutions")?;
            }
            Ok(entry.latest.id)
        })?;
        enforce(&platform, &name, id);
        Ok::<_, ApiError>(())
    })
    .await
}

/// Has the service keep the bound that is stored for this function, none if it is gone.
pub(super) fn enforce(platform: &Platform, name: &str, id: u64) {
    platform.service.reserve(id, || {
        let entry = platform.functions.get(name).filter(|entry| entry.latest.id == id)?;
        entry.settings.reserved_concurrency
    });
}

/// Refuses a function that leaves others too little, by what is `specified` for it.
///
/// # Errors
/// InvalidParameterValueException.
pub(super) fn leaves_enough(
    platform: &Platform,
    changed: &Entry,
    specified: &str,
) -> Result<(), ApiError> {
    if claimed(changed).saturating_add(UNRESERVED_MIN) > unreserved(platform, changed) {
        let message = format!(
            "Specified {specified} for function decreases account's UnreservedConcurrentExecution below its minimum \
             value of [{UNRESERVED_MIN}]."
        );
        return Err(ApiError::invalid(message).untyped());
    }
    Ok(())
}

/// What others leave of all there is.
pub(super) fn unreserved(platform: &Platform, of: &Entry) -> usize {
    let functions = platform.functions.list(None, usize::MAX);
    let others = reserved(&functions, |one| one.latest.id != of.latest.id);
    platform.service.concurrency_max().saturating_sub(others)
}

/// What is reserved for the functions for which `which` holds.
fn reserved(functions: &[Arc<Entry>], which: impl Fn(&Entry) -> bool) -> usize {
    functions.iter().filter(|entry| which(entry)).map(|entry| claimed(entry)).sum()
}

/// What a function takes of what all share: what is provisioned for it, where it has no bound of its own.
fn claimed(entry: &Entry) -> usize {
    let reserved = entry.settings.reserved_concurrency;
    reserved.unwrap_or_else(|| entry.provisioned_total()) as usize
}
