//! TagResource, UntagResource, ListTags. Functions alone have tags.

use std::collections::BTreeMap;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use super::Platform;
use super::blocking::blocking;
use super::error::ApiError;
use super::find::entry;
use super::functions::{Answer, Shared, parse};
use super::name::FunctionName;
use crate::function::{Entry, Settings};

/// Bounds of a resource's tags (AWS general reference, "Tagging your AWS resources").
const TAGS_MAX: usize = 50;
const KEY_CHARS_MAX: usize = 128;
const VALUE_CHARS_MAX: usize = 256;
/// Begins names that are AWS's own.
const RESERVED: &str = "aws:";

/// TagResourceRequest.
#[derive(Deserialize)]
struct TagResource {
    #[serde(rename = "Tags")]
    tags: BTreeMap<String, String>,
}

pub(super) async fn tag(
    State(platform): Shared,
    Path(arn): Path<String>,
    body: Result<Bytes, BytesRejection>,
) -> Answer {
    let request: TagResource = parse(body)?;
    if request.tags.is_empty() {
        return Err(ApiError::invalid("An error occurred and the request cannot be processed."));
    }
    change(platform, &arn, move |tags| {
        tags.extend(request.tags);
        check(tags)
    })
    .await
}

pub(super) async fn untag(
    State(platform): Shared,
    Path(arn): Path<String>,
    Query(query): Query<Vec<(String, String)>>,
) -> Answer {
    if !query.iter().any(|(name, _)| name == "tagKeys") {
        return Err(ApiError::null("tagKeys"));
    }
    change(platform, &arn, move |tags| {
        for (_, key) in query.iter().filter(|(name, _)| name == "tagKeys") {
            tags.remove(key);
        }
        Ok(())
    })
    .await
}

pub(super) async fn list(State(platform): Shared, Path(arn): Path<String>) -> Answer {
    let entry = entry(&platform, &resource(&arn)?)?;
    Ok(Json(json!({ "Tags": entry.settings.tags })).into_response())
}

/// Refuses more or longer tags than a function may have.
///
/// # Errors
/// InvalidParameterValueException, about the first thing that is wrong.
pub(super) fn check(tags: &BTreeMap<String, String>) -> Result<(), ApiError> {
    if tags.len() > TAGS_MAX {
        return Err(ApiError::invalid("Number of tags exceeds resource tag limit."));
    }
    for (key, value) in tags {
        if !(1..=KEY_CHARS_MAX).contains(&key.chars().count()) {
            let must = "have a key of 1 to 128 characters";
            return Err(ApiError::constraint(key, "tags", must));
        }
        if key.starts_with(RESERVED) {
            return Err(ApiError::constraint(key, "tags", "not have a key that begins with aws:"));
        }
        if value.chars().count() > VALUE_CHARS_MAX {
            let must = "have length less than or equal to 256";
            return Err(ApiError::constraint(value, "tags", must));
        }
    }
    Ok(())
}

async fn change(
    platform: std::sync::Arc<Platform>,
    arn: &str,
    change: impl FnOnce(&mut BTreeMap<String, String>) -> Result<(), ApiError> + Send + 'static,
) -> Answer {
    let name = resource(arn)?;
    entry(&platform, &name)?;
    blocking(move || {
        let revision_id = Uuid::new_v4().to_string();
        let change = |_: &Entry, settings: &mut Settings| change(&mut settings.tags);
        platform.functions.revise(&name.name, None, revision_id, change)
    })
    .await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// The function that an ARN names.
fn resource(arn: &str) -> Result<FunctionName, ApiError> {
    let name = FunctionName::parse(arn, None).ok().filter(|_| arn.starts_with("arn:"));
    match name {
        Some(name) if name.qualifier.is_none() => Ok(name),
        Some(_) => Err(ApiError::invalid(
            "Tags on function aliases and versions are not supported. Please specify a function ARN.",
        )),
        None => Err(ApiError::constraint(arn, "resource", "be the ARN of a function")),
    }
}
