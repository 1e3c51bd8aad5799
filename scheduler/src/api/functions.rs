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

use super::error::ApiError;
use super::name::FunctionName;
use super::page::{self, Page};
use super::shapes::{self, CreateFunction};
use super::{Platform, attach, validate};
use crate::bundle::ZIP_BYTES_MAX;
use crate::clock;
use crate::function::{Function, LATEST};
use crate::store::{StoreError, StoredCode};

pub(super) type Answer = Result<Response, ApiError>;
pub(super) type Shared = State<Arc<Platform>>;

#[derive(Deserialize)]
pub(super) struct Qualified {
    #[serde(rename = "Qualifier")]
    pub(super) qualifier: Option<String>,
}

pub(super) async fn create(State(platform): Shared, body: Result<Bytes, BytesRejection>) -> Answer {
    let request: CreateFunction = parse(body)?;
    let mut configuration = validate::configuration(&request)?;
    configuration.layers =
        attach::layers(&platform, request.layers.as_deref().unwrap_or_default())?;
    let zip = request.code.zip_file.ok_or_else(validate::no_zip)?;
    // Decoding, unpacking, flushing: work for a thread that may block.
    let created = spawn_blocking(move || {
        let name = configuration.name.clone();
        if platform.functions.get(&name).is_some() {
            return Err(ApiError::exists(&name));
        }
        prepare(&platform, &configuration.runtime)?;
        let code = keep(&platform, &zip)?;
        attach::fits(&platform, &code.sha256, &configuration.layers)?;
        let function = Function {
            deployment: 0,
            configuration,
            code_sha256: code.sha256,
            code_size: code.size,
            modified_ms: clock::unix_ms(),
            revision_id: Uuid::new_v4().to_string(),
        };
        let function = platform.functions.create(function).map_err(|error| match error {
            StoreError::Exists => ApiError::exists(&name),
            error => error.into(),
        })?;
        Ok(shapes::configuration(&platform.service.identity, &function))
    });
    let created = created.await.map_err(|error| ApiError::service(error.to_string()))??;
    Ok((StatusCode::CREATED, Json(created)).into_response())
}

/// Makes sure that a runtime is there; may take seconds at its first use.
pub(super) fn prepare(platform: &Platform, runtime: &str) -> Result<(), ApiError> {
    platform.service.prepare_runtime(runtime).map_err(|advice| {
        let must = format!("be a runtime that this platform has: {advice}");
        ApiError::constraint(runtime, "runtime", &must)
    })
}

pub(super) async fn get(
    State(platform): Shared,
    Path(name): Path<String>,
    Query(query): Query<Qualified>,
) -> Answer {
    let function = find(&platform, &name, query.qualifier)?;
    let location = location(&platform, &function.code_sha256);
    Ok(Json(json!({
        "Configuration": shapes::configuration(&platform.service.identity, &function),
        "Code": { "RepositoryType": "S3", "Location": location },
    }))
    .into_response())
}

pub(super) async fn get_configuration(
    State(platform): Shared,
    Path(name): Path<String>,
    Query(query): Query<Qualified>,
) -> Answer {
    let function = find(&platform, &name, query.qualifier)?;
    Ok(Json(shapes::configuration(&platform.service.identity, &function)).into_response())
}

pub(super) async fn list(State(platform): Shared, Query(page): Query<Page>) -> Answer {
    let count = page.count(page::ITEMS)?;
    // A marker is the last name of the page before.
    let found = platform.functions.list(page.marker.as_deref(), count + 1);
    let show =
        |function: &Arc<Function>| shapes::configuration(&platform.service.identity, function);
    let name = |function: &Arc<Function>| function.configuration.name.clone();
    Ok(page::answer("Functions", found, count, show, name))
}

pub(super) async fn delete(
    State(platform): Shared,
    Path(name): Path<String>,
    Query(query): Query<Qualified>,
) -> Answer {
    let name = FunctionName::parse(&name)?.qualified(query.qualifier)?;
    if name.qualifier.as_deref() == Some(LATEST) {
        return Err(ApiError::invalid(
            "$LATEST version cannot be deleted without deleting the function.",
        ));
    }
    if name.qualifier.is_some() {
        return Err(ApiError::not_found(&platform.service.identity, &name));
    }
    let deleted = spawn_blocking(move || {
        let result = platform.functions.delete(&name.name);
        let function = result.map_err(|error| match error {
            StoreError::Missing => ApiError::not_found(&platform.service.identity, &name),
            error => error.into(),
        })?;
        platform.service.retire(function.deployment);
        Ok::<_, ApiError>(())
    });
    deleted.await.map_err(|error| ApiError::service(error.to_string()))??;
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

/// Keeps an upload: a zip in base64. Takes its time.
pub(super) fn keep(platform: &Platform, zip: &str) -> Result<StoredCode, ApiError> {
    let zip =
        STANDARD.decode(zip).map_err(|_| ApiError::invalid_content("ZipFile is not base64."))?;
    if zip.len() > ZIP_BYTES_MAX {
        return Err(ApiError::invalid(format!(
            "The zip must be smaller than {ZIP_BYTES_MAX} bytes."
        )));
    }
    Ok(platform.code.put(&zip)?)
}

/// The function that a path and a query name.
pub(super) fn find(
    platform: &Platform,
    name: &str,
    qualifier: Option<String>,
) -> Result<Arc<Function>, ApiError> {
    let name = FunctionName::parse(name)?.qualified(qualifier)?;
    let is_latest = name.qualifier.as_deref().is_none_or(|qualifier| qualifier == LATEST);
    let function = platform.functions.get(&name.name).filter(|_| is_latest);
    function.ok_or_else(|| ApiError::not_found(&platform.service.identity, &name))
}
