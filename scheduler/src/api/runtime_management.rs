//! GetRuntimeManagementConfig, PutRuntimeManagementConfig: of $LATEST or of a version, which an alias may name.

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, Query, State};
use axum::response::IntoResponse;
use serde::Deserialize;
use serde_json::{Value, json};

use super::blocking::blocking;
use super::error::ApiError;
use super::find::find;
use super::functions::{Answer, Qualified, Shared, parse};
use crate::function::{RuntimeUpdates, UpdateRuntimeOn};

/// Length of the model's RuntimeVersionArn.
const ARN_CHARS: std::ops::RangeInclusive<usize> = 26..=2048;

/// PutRuntimeManagementConfigRequest.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PutRuntimeManagementConfig {
    update_runtime_on: String,
    runtime_version_arn: Option<String>,
}

pub(super) async fn get(
    State(platform): Shared,
    Path(name): Path<String>,
    Query(query): Query<Qualified>,
) -> Answer {
    let target = find(&platform, &name, query.qualifier)?;
    let version = target.function.version.to_string();
    let kept = target.settings.runtime_updates.get(&version).cloned().unwrap_or_default();
    Ok(Json(show(&kept, &target.arn(&platform.service.identity))).into_response())
}

pub(super) async fn put(
    State(platform): Shared,
    Path(name): Path<String>,
    Query(query): Query<Qualified>,
    body: Result<Bytes, BytesRejection>,
) -> Answer {
    let target = find(&platform, &name, query.qualifier)?;
    let wanted = checked(parse(body)?)?;
    let shown = show(&wanted, &target.arn(&platform.service.identity));
    blocking(move || {
        let function = &target.function;
        platform.functions.configure(&function.configuration.name, |entry, settings| {
            let version = function.version;
            entry.get(version).ok_or_else(ApiError::no_resource)?;
            settings.runtime_updates.insert(version.to_string(), wanted);
            Ok::<_, ApiError>(())
        })
    })
    .await?;
    Ok(Json(shown).into_response())
}

fn checked(request: PutRuntimeManagementConfig) -> Result<RuntimeUpdates, ApiError> {
    let on = match request.update_runtime_on.as_str() {
        "Auto" => UpdateRuntimeOn::Auto,
        "Manual" => UpdateRuntimeOn::Manual,
        "FunctionUpdate" => UpdateRuntimeOn::FunctionUpdate,
        other => {
            let must = "satisfy enum value set: [Auto, Manual, FunctionUpdate]";
            return Err(ApiError::constraint(other, "updateRuntimeOn", must));
        }
    };
    match (&request.runtime_version_arn, on) {
        (Some(arn), UpdateRuntimeOn::Manual) if is_runtime_version(arn) => {}
        (Some(arn), UpdateRuntimeOn::Manual) => {
            let must =
                "satisfy regular expression pattern: arn:(aws[a-zA-Z-]*):lambda:REGION::runtime:.+";
            return Err(ApiError::constraint(arn, "runtimeVersionArn", must));
        }
        (None, UpdateRuntimeOn::Manual) => {
            return Err(ApiError::invalid(
                "RuntimeVersionArn is needed where UpdateRuntimeOn is Manual.",
            ));
        }
        (Some(_), _) => {
            return Err(ApiError::invalid(
                "RuntimeVersionArn goes with an UpdateRuntimeOn of Manual alone.",
            ));
        }
        (None, _) => {}
    }
    Ok(RuntimeUpdates { on, runtime_version_arn: request.runtime_version_arn })
}

fn is_runtime_version(arn: &str) -> bool {
    let parts: Vec<&str> = arn.splitn(7, ':').collect();
    ARN_CHARS.contains(&arn.len())
        && matches!(parts[..], ["arn", partition, "lambda", region, "", "runtime", version]
            if partition.starts_with("aws") && !region.is_empty() && !version.is_empty())
}

fn show(updates: &RuntimeUpdates, arn: &str) -> Value {
    json!({
        "UpdateRuntimeOn": updates.on,
        "FunctionArn": arn,
        "RuntimeVersionArn": updates.runtime_version_arn,
    })
}
