//! AddLayerVersionPermission, RemoveLayerVersionPermission, GetLayerVersionPolicy: who may have a version of a
//! layer.

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
use super::functions::{Answer, Shared, parse};
use super::layers::version_number;
use super::name::LayerName;
use super::permissions::Believed;
use super::statement;
use crate::policy::{Conditions, Effect, Policy, Principal, Statement};

/// The one thing that may be allowed.
const ACTION: &str = "lambda:GetLayerVersion";

/// AddLayerVersionPermissionRequest.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AddLayerVersionPermission {
    statement_id: String,
    action: String,
    principal: String,
    organization_id: Option<String>,
}

pub(super) async fn add(
    State(platform): Shared,
    Path((name, version)): Path<(String, String)>,
    Query(believed): Query<Believed>,
    body: Result<Bytes, BytesRejection>,
) -> Answer {
    let (name, version) = (LayerName::parse_layer(&name)?, version_number(&version)?);
    let request: AddLayerVersionPermission = parse(body)?;
    let arn = platform.service.identity.layer_arn(&name);
    let statement = statement(&request, format!("{arn}:{version}"))?;
    let text = serde_json::to_string(&statement);
    let text = text.map_err(|error| ApiError::service(error.to_string()))?;
    let sid = statement.sid.clone();
    let revision_id = change(platform, name, version, believed, move |policy| {
        policy.add(statement).map_err(|error| statement::refused(error, &sid))
    })
    .await?;
    let answer = json!({ "Statement": text, "RevisionId": revision_id });
    Ok((StatusCode::CREATED, Json(answer)).into_response())
}

pub(super) async fn remove(
    State(platform): Shared,
    Path((name, version, sid)): Path<(String, String, String)>,
    Query(believed): Query<Believed>,
) -> Answer {
    let (name, version) = (LayerName::parse_layer(&name)?, version_number(&version)?);
    change(platform, name, version, believed, move |policy| {
        policy.remove(&sid).map_err(|error| statement::refused(error, &sid))
    })
    .await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

pub(super) async fn get(
    State(platform): Shared,
    Path((name, version)): Path<(String, String)>,
) -> Answer {
    let (name, version) = (LayerName::parse_layer(&name)?, version_number(&version)?);
    let layer = platform.layers.get(&name, version);
    let layer = layer.ok_or_else(|| no_version(&platform, &name, version))?;
    if layer.policy.is_empty() {
        return Err(ApiError::missing("No policy is associated with the given resource."));
    }
    let answer = json!({ "Policy": layer.policy.document(), "RevisionId": layer.revision_id });
    Ok(Json(answer).into_response())
}

/// Changes a policy; its revision then.
async fn change(
    platform: Arc<Platform>,
    name: String,
    version: u64,
    Believed { revision_id: believed }: Believed,
    change: impl FnOnce(&mut Policy) -> Result<(), ApiError> + Send + 'static,
) -> Result<String, ApiError> {
    blocking(move || {
        if platform.layers.get(&name, version).is_none() {
            return Err(no_version(&platform, &name, version));
        }
        platform.layers.change(&name, version, |layer| {
            if believed.is_some_and(|believed| believed != layer.revision_id) {
                return Err(ApiError::policy_precondition_failed("GetLayerPolicy"));
            }
            change(&mut layer.policy)?;
            layer.revision_id = Uuid::new_v4().to_string();
            Ok::<_, ApiError>(layer.revision_id.clone())
        })
    })
    .await
}

fn no_version(platform: &Platform, name: &str, version: u64) -> ApiError {
    let arn = platform.service.identity.layer_arn(name);
    ApiError::missing(format!("Layer version {arn}:{version} does not exist."))
}

fn statement(request: &AddLayerVersionPermission, resource: String) -> Result<Statement, ApiError> {
    if request.action != ACTION {
        let must = "satisfy regular expression pattern: lambda:GetLayerVersion";
        return Err(ApiError::constraint(&request.action, "action", must));
    }
    let mut condition = Conditions::new();
    if let Some(id) = &request.organization_id {
        if request.principal != "*" {
            return Err(ApiError::invalid("An organization goes with the principal * alone."));
        }
        let id = statement::organisation(id, "organizationId")?;
        statement::require(&mut condition, "StringEquals", "aws:PrincipalOrgID", id);
    }
    Ok(Statement {
        sid: statement::sid(&request.statement_id)?,
        effect: Effect::Allow,
        principal: principal(&request.principal)?,
        action: ACTION.into(),
        resource,
        condition,
    })
}

/// Everybody, or an account.
fn principal(text: &str) -> Result<Principal, ApiError> {
    match statement::principal(text) {
        Ok(Principal::Aws { arn }) if !arn.starts_with("arn:aws") || !arn.ends_with(":root") => {}
        Ok(Principal::Service { .. }) | Err(_) => {}
        Ok(allowed) => return Ok(allowed),
    }
    let must =
        "satisfy regular expression pattern: \\d{12}|\\*|arn:(aws[a-zA-Z-]*):iam::\\d{12}:root";
    Err(ApiError::constraint(text, "principal", must))
}
