//! PublishVersion, ListVersionsByFunction.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

use super::blocking::blocking;
use super::error::ApiError;
use super::find::{entry, named};
use super::functions::{Answer, Shared, parse};
use super::page::{self, Page};
use super::{Platform, shapes, validate};
use crate::clock;
use crate::function::{Entry, Function, Version};
use crate::service::Identity;

/// PublishVersionRequest.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct PublishVersion {
    /// Base64.
    code_sha256: Option<String>,
    description: Option<String>,
    revision_id: Option<String>,
}

pub(super) async fn create(
    State(platform): Shared,
    Path(name): Path<String>,
    body: Result<Bytes, BytesRejection>,
) -> Answer {
    let name = named(&platform, &name, None)?;
    if name.qualifier.is_some() {
        return Err(ApiError::invalid("A version is published of a function without a qualifier."));
    }
    entry(&platform, &name)?;
    let request: PublishVersion = parse(body)?;
    let published = blocking(move || {
        let function = publish(&platform, &name.name, &request)?;
        Ok(show(&platform.service.identity, &function))
    });
    Ok((StatusCode::CREATED, Json(published.await?)).into_response())
}

/// Publishes $LATEST as it is; the version. Where it is the last version still, it stays that.
///
/// # Errors
/// $LATEST is not what the client believes, or what the store says.
pub(super) fn publish(
    platform: &Platform,
    name: &str,
    request: &PublishVersion,
) -> Result<Arc<Function>, ApiError> {
    let description = request.description.clone().filter(|text| !text.is_empty());
    let description = description.map(validate::description).transpose()?;
    platform.functions.publish(name, Uuid::new_v4().to_string(), |entry: &Entry| {
        is_as_believed(&entry.latest, request)?;
        if entry.unchanged().is_some() {
            return Ok(None);
        }
        let mut copy = Function {
            modified_ms: clock::unix_ms(),
            revision_id: Uuid::new_v4().to_string(),
            ..(*entry.latest).clone()
        };
        if let Some(description) = description {
            copy.configuration.description = description;
        }
        Ok::<_, ApiError>(Some(copy))
    })
}

pub(super) async fn list(
    State(platform): Shared,
    Path(name): Path<String>,
    Query(page): Query<Page>,
) -> Answer {
    let entry = entry(&platform, &named(&platform, &name, None)?)?;
    let count = page.count(page::ITEMS)?;
    // A marker is the last version of the page before.
    let after: Option<Version> = page.marker.as_deref().and_then(|marker| marker.parse().ok());
    let rest = entry.all().filter(|one| after.is_none_or(|after| one.version > after));
    let found: Vec<Arc<Function>> = rest.take(count + 1).cloned().collect();
    let show = |one: &Arc<Function>| listed(&platform.service.identity, one);
    Ok(page::answer("Versions", found, count, show, |one| one.version.to_string()))
}

/// A version's FunctionConfiguration, called by its number.
pub(super) fn show(identity: &Identity, function: &Function) -> Value {
    shapes::configuration(identity, function, Some(&function.version.to_string()))
}

/// A version's FunctionConfiguration in a list, called by its number.
pub(super) fn listed(identity: &Identity, function: &Function) -> Value {
    shapes::listed(identity, function, Some(&function.version.to_string()))
}

fn is_as_believed(latest: &Function, request: &PublishVersion) -> Result<(), ApiError> {
    if request.revision_id.as_ref().is_some_and(|wanted| *wanted != latest.revision_id) {
        return Err(ApiError::precondition_failed());
    }
    let found = shapes::base64_of_hex(&latest.code_sha256);
    match request.code_sha256.as_deref().filter(|wanted| !wanted.is_empty()) {
        Some(wanted) if wanted != found => Err(ApiError::invalid(format!(
            "CodeSHA256 ({wanted}) is different from current CodeSHA256 in $LATEST ({found}). Please try \
             again with the CodeSHA256 in $LATEST."
        ))),
        _ => Ok(()),
    }
}
