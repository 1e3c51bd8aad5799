//! GetFunctionCodeSigningConfig, PutFunctionCodeSigningConfig, DeleteFunctionCodeSigningConfig: there are no code
//! signing configurations, and no function has one. Clients that describe a function ask for it nevertheless.

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use serde::Deserialize;
use serde_json::json;

use super::error::ApiError;
use super::find::{entry, unqualified};
use super::functions::{Answer, Shared, parse};

/// PutFunctionCodeSigningConfigRequest.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PutFunctionCodeSigningConfig {
    code_signing_config_arn: String,
}

/// A function without one is told with nothing, as on AWS.
pub(super) async fn get(State(platform): Shared, Path(name): Path<String>) -> Answer {
    entry(&platform, &unqualified(&platform, &name)?)?;
    Ok(Json(json!({})).into_response())
}

pub(super) async fn put(
    State(platform): Shared,
    Path(name): Path<String>,
    body: Result<Bytes, BytesRejection>,
) -> Answer {
    entry(&platform, &unqualified(&platform, &name)?)?;
    let request: PutFunctionCodeSigningConfig = parse(body)?;
    Err(ApiError::no_code_signing_config(&request.code_signing_config_arn))
}

pub(super) async fn delete(State(platform): Shared, Path(name): Path<String>) -> Answer {
    entry(&platform, &unqualified(&platform, &name)?)?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
