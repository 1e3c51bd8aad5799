//! CreateFunction, GetFunction, GetFunctionConfiguration, ListFunctions, DeleteFunction.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::task::spawn_blocking;
use uuid::Uuid;

use super::blocking::blocking;
use super::error::ApiError;
use super::find::{find, named};
use super::name::is_alias_name;
use super::page::{self, Page};
use super::shapes::{self, CreateFunction};
use super::versions::{self, PublishVersion};
use super::{BODY_BYTES_MAX, Platform, attach, concurrency, dead_letter, runtimes, tags, validate};
use crate::bundle::ZIP_BYTES_MAX;
use crate::clock;
use crate::function::{Entry, Function, LATEST, Settings, Version};
use crate::poller::Event;
use crate::store::{StoreError, StoredCode};

pub(super) type Answer = Result<Response, ApiError>;
pub(super) type Shared = State<Arc<Platform>>;

#[derive(Deserialize)]
pub(super) struct Qualified {
    #[serde(rename = "Qualifier")]
    pub(super) qualifier: Option<String>,
}

pub(super) async fn create(State(platform): Shared, body: Result<Bytes, BytesRejection>) -> Answer {
    let request: CreateFunction = parse_upload(body, "CreateFunction")?;
    let mut configuration = validate::configuration(&request, &platform.service.identity)?;
    configuration.layers =
        attach::layers(&platform, request.layers.as_deref().unwrap_or_default())?;
    if let Some(config) = &request.dead_letter_config {
        configuration.dead_letter = dead_letter::target(&platform, config)?;
    }
    let settings = Settings { tags: request.tags.unwrap_or_default(), ..Settings::default() };
    tags::check(&settings.tags)?;
    let zip = request.code.zip_file.ok_or_else(validate::no_zip)?;
    // Decoding, unpacking, flushing: work for a thread that may block.
    let created = blocking(move || {
        let name = configuration.name.clone();
        if platform.functions.get(&name).is_some() {
            return Err(ApiError::exists(&name));
        }
        prepare(&platform, &configuration.runtime)?;
        let code = keep(&platform, &zip)?;
        attach::fits(&platform, &code.sha256, &configuration.layers)?;
        let function = Function {
            id: 0,
            deployment: 0,
            version: Version::Latest,
            configuration,
            code_sha256: code.sha256,
            code_size: code.size,
            modified_ms: clock::unix_ms(),
            revision_id: Uuid::new_v4().to_string(),
        };
        let function =
            platform.functions.create(function, settings).map_err(|error| match error {
                StoreError::Exists => ApiError::exists(&name),
                error => error.into(),
            })?;
        // The answer names the function, also where it is about the version.
        let told = match request.publish {
            true => versions::publish(&platform, &name, &PublishVersion::default())?,
            false => function,
        };
        Ok(shapes::created(&platform.service.identity, &told, None))
    })
    .await?;
    Ok((StatusCode::CREATED, Json(created)).into_response())
}

/// Makes sure that a runtime is there; may take seconds at its first use.
pub(super) fn prepare(platform: &Platform, runtime: &str) -> Result<(), ApiError> {
    platform.service.prepare_runtime(runtime).map_err(|advice| {
        if runtimes::is_deprecated(runtime) {
            return ApiError::invalid(format!(
                "The runtime parameter of {runtime} is no longer supported for creating or updating AWS Lambda \
                 functions. We recommend you use a supported runtime while creating or updating functions."
            ));
        }
        ApiError::invalid(format!(
            "Value {runtime} at 'runtime' failed to satisfy constraint: Member must be a runtime that this \
             platform has: {advice}"
        ))
    })
}

pub(super) async fn get(
    State(platform): Shared,
    Path(name): Path<String>,
    Query(query): Query<Qualified>,
) -> Answer {
    let target = find(&platform, &name, query.qualifier)?;
    let location = location(&platform, &target.function.code_sha256);
    let mut answer = json!({
        "Configuration": target.configuration(&platform.service.identity),
        "Code": { "RepositoryType": "S3", "Location": location },
    });
    if !target.settings.tags.is_empty() {
        answer["Tags"] = json!(target.settings.tags);
    }
    if let Some(limit) = target.settings.reserved_concurrency {
        answer["Concurrency"] = json!({ "ReservedConcurrentExecutions": limit });
    }
    Ok(Json(answer).into_response())
}

pub(super) async fn get_configuration(
    State(platform): Shared,
    Path(name): Path<String>,
    Query(query): Query<Qualified>,
) -> Answer {
    let target = find(&platform, &name, query.qualifier)?;
    Ok(Json(target.configuration(&platform.service.identity)).into_response())
}

/// Whether a list has all versions.
#[derive(Deserialize)]
pub(super) struct Which {
    #[serde(rename = "FunctionVersion")]
    version: Option<String>,
}

pub(super) async fn list(
    State(platform): Shared,
    Query(page): Query<Page>,
    Query(which): Query<Which>,
) -> Answer {
    let identity = &platform.service.identity;
    let count = page.count(page::ITEMS)?;
    match which.version.as_deref() {
        None => {
            // A marker is the last name of the page before.
            let found = platform.functions.list(page.marker.as_deref(), count + 1);
            let show = |entry: &Arc<Entry>| shapes::listed(identity, &entry.latest, None);
            let name = |entry: &Arc<Entry>| entry.latest.configuration.name.clone();
            Ok(page::answer("Functions", found, count, show, name))
        }
        Some("ALL") => {
            // Or its name and version.
            let marker = page.marker.as_deref().unwrap_or_default();
            let (name, version) = marker.split_once(':').unwrap_or((marker, LATEST));
            let after = (name, version.parse().unwrap_or(Version::Latest));
            let entries = platform.functions.list(None, usize::MAX);
            let all = entries.iter().flat_map(|entry| entry.all());
            let behind = |one: &&Arc<Function>| (&*one.configuration.name, one.version) <= after;
            let found: Vec<_> = all.skip_while(behind).take(count + 1).cloned().collect();
            let key = |one: &Arc<Function>| format!("{}:{}", one.configuration.name, one.version);
            Ok(page::answer("Functions", found, count, |one| versions::listed(identity, one), key))
        }
        Some(other) => {
            Err(ApiError::constraint(other, "functionVersion", "satisfy enum value set: [ALL]"))
        }
    }
}

pub(super) async fn delete(
    State(platform): Shared,
    Path(name): Path<String>,
    Query(query): Query<Qualified>,
) -> Answer {
    let name = named(&platform, &name, query.qualifier)?;
    if name.qualifier.as_deref() == Some(LATEST) {
        return Err(ApiError::invalid(
            "$LATEST version cannot be deleted without deleting the function.",
        ));
    }
    if name.qualifier.as_deref().is_some_and(is_alias_name) {
        return Err(ApiError::invalid("Deletion of aliases is not currently supported."));
    }
    let version = name.qualifier.as_deref().map(str::parse).transpose();
    let version = version.map_err(|_| ApiError::not_found(&platform.service.identity, &name))?;
    let name = name.at(None);
    let pollers = Arc::clone(&platform.pollers);
    let deleted = blocking(move || {
        let missing = |error| match error {
            StoreError::Missing => ApiError::not_found(&platform.service.identity, &name),
            error => error.into(),
        };
        if let Some(Version::Published(number)) = version {
            let entry = platform.functions.get(&name.name);
            // A version that is not there is gone, as on AWS.
            if !entry.ok_or(StoreError::Missing).map_err(missing)?.versions.contains_key(&number) {
                return Ok(None);
            }
            let deleted = platform.functions.delete_version(&name.name, number, |entry| {
                let mut aliases = entry.settings.aliases.iter();
                match aliases.find(|(_, alias)| alias.names(number)) {
                    None => Ok(()),
                    Some((alias, _)) => Err(ApiError::conflict(format!(
                        "Version {number} can not be deleted: the alias {alias} references it."
                    ))),
                }
            });
            let function = deleted?;
            platform.service.retire(function.deployment);
        } else {
            let entry = platform.functions.delete(&name.name).map_err(missing)?;
            concurrency::enforce(&platform, &name.name, entry.latest.id);
            entry.all().for_each(|function| platform.service.retire(function.deployment));
            platform.service.forget(entry.latest.id);
            return Ok(Some(entry));
        }
        Ok::<_, ApiError>(None)
    })
    .await?;
    if let Some(entry) = deleted {
        let name = &entry.latest.configuration.name;
        // Where this fails, pollers find that the function is gone.
        let _ = pollers.drop_events(name, Event::lane(&entry.latest)).await;
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Where a zip can be had.
pub(super) fn location(platform: &Platform, sha256: &str) -> String {
    format!("http://{}/code/{sha256}", platform.address)
}

/// The zip of a function or a layer, as it was uploaded.
pub(super) async fn download(State(platform): Shared, Path(sha256): Path<String>) -> Answer {
    let is_digest = sha256.len() == 64 && sha256.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !is_digest {
        return Err(ApiError::unknown_operation());
    }
    let zip = spawn_blocking(move || std::fs::read(platform.code.zip(&sha256))).await;
    let Ok(Ok(zip)) = zip else { return Err(ApiError::unknown_operation()) };
    Ok(([(header::CONTENT_TYPE, "application/zip")], zip).into_response())
}

/// A request's body as its shape.
pub(super) fn parse<T: DeserializeOwned>(
    body: Result<Bytes, BytesRejection>,
) -> Result<T, ApiError> {
    let body =
        body.map_err(|_| ApiError::invalid("The request can't be read, or is too large."))?;
    serde_json::from_slice(&body).map_err(|error| {
        ApiError::invalid_content(format!("Could not parse request body into json: {error}"))
    })
}

/// The same of a call that brings an upload: it may be too large.
pub(super) fn parse_upload<T: DeserializeOwned>(
    body: Result<Bytes, BytesRejection>,
    call: &str,
) -> Result<T, ApiError> {
    match body {
        Err(rejection) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            Err(ApiError::entity_too_large(format!(
                "Request must be smaller than {BODY_BYTES_MAX} bytes for the {call} operation"
            )))
        }
        body => parse(body),
    }
}

/// Keeps an upload: a zip in base64. Takes its time.
pub(super) fn keep(platform: &Platform, zip: &str) -> Result<StoredCode, ApiError> {
    let zip =
        STANDARD.decode(zip).map_err(|_| ApiError::invalid_content("ZipFile is not base64."))?;
    if zip.len() > ZIP_BYTES_MAX {
        return Err(ApiError::entity_too_large(format!(
            "Zipped size must be smaller than {ZIP_BYTES_MAX} bytes"
        )));
    }
    Ok(platform.code.put(&zip)?)
}
