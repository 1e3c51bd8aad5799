//! TagResource, UntagResource, ListTags: of functions and of event source mappings.

use std::collections::BTreeMap;
use std::sync::Arc;

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
/// What the model says of the ARN of what has tags.
const RESOURCE: &str = r"satisfy regular expression pattern: arn:(aws[a-zA-Z-]*):lambda:(eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:\d{12}:(function:[a-zA-Z0-9-_]+(:(\$LATEST|[a-zA-Z0-9-_]+))?|layer:([a-zA-Z0-9-_]+)|code-signing-config:csc-[a-z0-9]{17}|event-source-mapping:[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}|capacity-provider:[a-zA-Z0-9-_]+)";
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
    let tags = Resource::parse(&platform, &arn)?.tags(&platform, &arn)?;
    Ok(Json(json!({ "Tags": tags })).into_response())
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

/// What has tags.
enum Resource {
    Function(FunctionName),
    /// An event source mapping, by its id.
    Mapping(String),
}

impl Resource {
    /// What an ARN names.
    ///
    /// # Errors
    /// ValidationException, InvalidParameterValueException: it names nothing that could have tags.
    fn parse(platform: &Platform, arn: &str) -> Result<Resource, ApiError> {
        let parts: Vec<&str> = arn.splitn(7, ':').collect();
        let malformed = || ApiError::constraint(arn, "resource", RESOURCE);
        match parts[..] {
            ["arn", _, "lambda", _, _, "function", _] => {
                let name = FunctionName::parse(arn, None).map_err(|_| malformed())?;
                let name = name.here(&platform.service.identity)?;
                match name.qualifier {
                    None => Ok(Resource::Function(name)),
                    Some(_) => Err(ApiError::invalid(
                        "Tags on function aliases and versions are not supported. Please specify a function ARN.",
                    )),
                }
            }
            ["arn", _, "lambda", _, _, "event-source-mapping", id]
                if Uuid::try_parse(id).is_ok() =>
            {
                Ok(Resource::Mapping(id.into()))
            }
            _ => Err(malformed()),
        }
    }

    fn tags(&self, platform: &Platform, arn: &str) -> Result<BTreeMap<String, String>, ApiError> {
        match self {
            Resource::Function(name) => Ok(entry(platform, name)?.settings.tags.clone()),
            Resource::Mapping(id) => {
                let mapping = platform.sources.mappings.get(id);
                Ok(mapping.ok_or_else(|| no_mapping(arn))?.tags.clone())
            }
        }
    }
}

fn no_mapping(arn: &str) -> ApiError {
    ApiError::missing(format!("Event source mapping not found: {arn}"))
}

async fn change(
    platform: Arc<Platform>,
    arn: &str,
    change: impl FnOnce(&mut BTreeMap<String, String>) -> Result<(), ApiError> + Send + 'static,
) -> Answer {
    let resource = Resource::parse(&platform, arn)?;
    resource.tags(&platform, arn)?;
    match resource {
        Resource::Function(name) => {
            blocking(move || {
                let revision_id = Uuid::new_v4().to_string();
                let change = |_: &Entry, settings: &mut Settings| change(&mut settings.tags);
                platform.functions.revise(&name.name, None, revision_id, change)
            })
            .await?;
        }
        Resource::Mapping(id) => {
            let changed = platform.sources.mappings.change(&id, |before| {
                let mut mapping = before.cloned().ok_or_else(|| no_mapping(arn))?;
                change(&mut mapping.tags)?;
                Ok::<_, ApiError>(mapping)
            });
            changed.await?;
        }
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}
