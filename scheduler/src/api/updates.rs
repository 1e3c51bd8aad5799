//! UpdateFunctionCode, UpdateFunctionConfiguration.
//!
//! Either makes another deployment: what runs finishes on the old one, the next invocation starts fresh.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use axum::response::IntoResponse;
use serde_json::Value;
use uuid::Uuid;

use super::blocking::blocking;
use super::error::ApiError;
use super::find::{find, named};
use super::functions::{Answer, Shared, keep, parse, parse_upload, prepare};
use super::shapes::{self, UpdateFunctionCode, UpdateFunctionConfiguration};
use super::versions::{self, PublishVersion};
use super::{Platform, attach, dead_letter, validate};
use crate::clock;
use crate::function::{Function, LATEST};

pub(super) async fn code(
    State(platform): Shared,
    Path(name): Path<String>,
    body: Result<Bytes, BytesRejection>,
) -> Answer {
    let request: UpdateFunctionCode = parse_upload(body, "UpdateFunctionCode")?;
    let zip = validate::code_update(&request)?.to_owned();
    in_place(platform, name, move |platform, name| {
        let code = keep(platform, &zip)?;
        let change = |before: &Function| {
            is_revision(before, request.revision_id.as_deref())?;
            attach::fits(platform, &code.sha256, &before.configuration.layers)?;
            let (code_sha256, code_size) = (code.sha256, code.size);
            Ok(changed(Function { code_sha256, code_size, ..before.clone() }))
        };
        if request.dry_run {
            let after = change(&find(platform, name, None)?.function)?;
            return Ok(shapes::configuration(&platform.service.identity, &after, None));
        }
        let after = replace(platform, name, change)?;
        let identity = &platform.service.identity;
        match request.publish {
            true => {
                let version = versions::publish(platform, name, &PublishVersion::default())?;
                let qualifier = version.version.to_string();
                Ok(shapes::created(identity, &version, Some(&qualifier)))
            }
            false => Ok(shapes::updated(identity, &after)),
        }
    })
    .await
}

pub(super) async fn configuration(
    State(platform): Shared,
    Path(name): Path<String>,
    body: Result<Bytes, BytesRejection>,
) -> Answer {
    let request: UpdateFunctionConfiguration = parse(body)?;
    in_place(platform, name, move |platform, name| {
        let after = replace(platform, name, |before| {
            is_revision(before, request.revision_id.as_deref())?;
            let mut configuration =
                validate::configuration_update(&request, &before.configuration)?;
            if let Some(arns) = &request.layers {
                configuration.layers = attach::layers(platform, arns)?;
                attach::fits(platform, &before.code_sha256, &configuration.layers)?;
            }
            if let Some(config) = &request.dead_letter_config {
                configuration.dead_letter = dead_letter::target(platform, config)?;
            }
            if configuration.runtime != before.configuration.runtime {
                prepare(platform, &configuration.runtime)?;
            }
            Ok(changed(Function { configuration, ..before.clone() }))
        })?;
        Ok(shapes::updated(&platform.service.identity, &after))
    })
    .await
}

/// Has `update` work on the function that `form` names, on a thread that may block.
async fn in_place(
    platform: Arc<Platform>,
    form: String,
    update: impl FnOnce(&Platform, &str) -> Result<Value, ApiError> + Send + 'static,
) -> Answer {
    let name = named(&platform, &form, None)?;
    if name.qualifier.as_deref().is_some_and(|qualifier| qualifier != LATEST) {
        return Err(ApiError::invalid("Only the version $LATEST can be updated."));
    }
    find(&platform, &form, None)?;
    let updated = blocking(move || update(&platform, &name.name)).await?;
    Ok(Json(updated).into_response())
}

fn replace(
    platform: &Platform,
    name: &str,
    change: impl FnOnce(&Function) -> Result<Function, ApiError>,
) -> Result<Arc<Function>, ApiError> {
    let (before, after) = platform.functions.replace(name, change)?;
    platform.service.retire(before.deployment);
    Ok(after)
}

/// Refuses to change another revision than the one that the client knows, where it names one.
fn is_revision(function: &Function, wanted: Option<&str>) -> Result<(), ApiError> {
    match wanted {
        Some(wanted) if wanted != function.revision_id => Err(ApiError::precondition_failed()),
        _ => Ok(()),
    }
}

fn changed(function: Function) -> Function {
    let revision_id = Uuid::new_v4().to_string();
    Function { modified_ms: clock::unix_ms(), revision_id, ..function }
}
