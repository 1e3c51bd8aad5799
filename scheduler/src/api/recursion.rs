//! GetFunctionRecursionConfig, PutFunctionRecursionConfig.

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use axum::response::IntoResponse;
use serde::Deserialize;
use serde_json::json;

use super::blocking::blocking;
use super::error::ApiError;
use super::find::{entry, unqualified};
use super::functions::{Answer, Shared, parse};
use crate::function::RecursiveLoop;

/// PutFunctionRecursionConfigRequest.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PutFunctionRecursionConfig {
    recursive_loop: String,
}

pub(super) async fn get(State(platform): Shared, Path(name): Path<String>) -> Answer {
    let entry = entry(&platform, &unqualified(&platform, &name)?)?;
    Ok(Json(json!({ "RecursiveLoop": entry.settings.recursive_loop })).into_response())
}

pub(super) async fn put(
    State(platform): Shared,
    Path(name): Path<String>,
    body: Result<Bytes, BytesRejection>,
) -> Answer {
    let name = unqualified(&platform, &name)?;
    entry(&platform, &name)?;
    let request: PutFunctionRecursionConfig = parse(body)?;
    let wanted = match request.recursive_loop.as_str() {
        "Allow" => RecursiveLoop::Allow,
        "Terminate" => RecursiveLoop::Terminate,
        other => {
            let must = "satisfy enum value set: [Terminate, Allow]";
            return Err(ApiError::constraint(other, "recursiveLoop", must));
        }
    };
    blocking(move || {
        platform.functions.configure(&name.name, |_, settings| {
            settings.recursive_loop = wanted;
            Ok::<_, ApiError>(())
        })
    })
    .await?;
    Ok(Json(json!({ "RecursiveLoop": wanted })).into_response())
}
