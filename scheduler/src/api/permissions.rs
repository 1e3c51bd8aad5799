//! AddPermission, RemovePermission, GetPolicy: who may use a function, a version or an alias.
//!
//! As on AWS, what a policy is attached to has another revision after each change of it.

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

use super::blocking::blocking;
use super::error::ApiError;
use super::find::{self, Target, entry, find, named};
use super::functions::{Answer, Qualified, Shared, parse};
use super::name::is_alias_name;
use super::{Platform, statement};
use crate::function::{Entry, LATEST};
use crate::policy::{Conditions, Effect, Policy, Statement};

/// Longest action (the model's Action).
const ACTION_CHARS_MAX: usize = 10_000;

/// AddPermissionRequest.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AddPermission {
    statement_id: String,
    action: String,
    principal: String,
    source_arn: Option<String>,
    source_account: Option<String>,
    event_source_token: Option<String>,
    function_url_auth_type: Option<String>,
    invoked_via_function_url: Option<bool>,
    revision_id: Option<String>,
    #[serde(rename = "PrincipalOrgID")]
    principal_org_id: Option<String>,
}

/// What a client believes the revision to be.
#[derive(Deserialize)]
pub(super) struct Believed {
    #[serde(rename = "RevisionId")]
    pub(super) revision_id: Option<String>,
}

pub(super) async fn add(
    State(platform): Shared,
    Path(name): Path<String>,
    Query(query): Query<Qualified>,
    body: Result<Bytes, BytesRejection>,
) -> Answer {
    let target = resource(&platform, &name, query)?;
    let request: AddPermission = parse(body)?;
    let statement = statement(&request, target.arn(&platform.service.identity))?;
    let text = serde_json::to_string(&statement);
    let text = text.map_err(|error| ApiError::service(error.to_string()))?;
    let sid = statement.sid.clone();
    change(platform, target, request.revision_id, move |policy| {
        policy.add(statement).map_err(|error| statement::refused(error, &sid))
    })
    .await?;
    Ok((StatusCode::CREATED, Json(json!({ "Statement": text }))).into_response())
}

pub(super) async fn remove(
    State(platform): Shared,
    Path((name, sid)): Path<(String, String)>,
    Query(query): Query<Qualified>,
    Query(believed): Query<Believed>,
) -> Answer {
    let named = named(&platform, &name, query.qualifier.clone())?;
    if platform.functions.get(&named.name).is_none() {
        let identity = &platform.service.identity;
        let arn = identity.qualified_arn(&named.name, named.qualifier.as_deref());
        return Err(ApiError::missing(format!("No policy found for: {arn}")));
    }
    let target = resource(&platform, &name, query)?;
    change(platform, target, believed.revision_id, move |policy| {
        if policy.is_empty() {
            return Err(ApiError::missing("No policy is associated with the given resource."));
        }
        policy.remove(&sid).map_err(|error| statement::refused(error, &sid))
    })
    .await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

pub(super) async fn get(
    State(platform): Shared,
    Path(name): Path<String>,
    Query(query): Query<Qualified>,
) -> Answer {
    let named = named(&platform, &name, query.qualifier)?;
    let target = find::target(&platform, named, |entry, qualifier| entry.find(qualifier))
        .map_err(|_| ApiError::no_resource())?;
    let policy = target.settings.policies.get(key(&target));
    let policy = policy.ok_or_else(ApiError::no_resource)?;
    let (document, revision_id) = (policy.document(), target.revision_id);
    Ok(Json(json!({ "Policy": document, "RevisionId": revision_id })).into_response())
}

/// What a policy may be attached to.
fn resource(platform: &Platform, form: &str, query: Qualified) -> Result<Target, ApiError> {
    let named = named(platform, form, query.qualifier.clone())?;
    if let Some(alias) = named.qualifier.as_deref().filter(|one| is_alias_name(one))
        && entry(platform, &named)?.find(alias).is_none()
    {
        return Err(ApiError::no_alias(&platform.service.identity, &named.name, alias));
    }
    let target = find(platform, form, query.qualifier)?;
    if target.qualifier.as_deref() == Some(LATEST) {
        return Err(ApiError::invalid("We currently do not support adding policies for $LATEST."));
    }
    Ok(target)
}

/// The name under which its policy is kept.
fn key(target: &Target) -> &str {
    target.qualifier.as_deref().unwrap_or_default()
}

/// Changes a policy, which goes when its last statement does.
async fn change(
    platform: Arc<Platform>,
    target: Target,
    believed: Option<String>,
    change: impl FnOnce(&mut Policy) -> Result<(), ApiError> + Send + 'static,
) -> Result<(), ApiError> {
    blocking(move || {
        let name = &target.function.configuration.name;
        let qualifier = target.qualifier.as_deref();
        let revision_id = Uuid::new_v4().to_string();
        platform.functions.revise(name, qualifier, revision_id, |entry: &Entry, settings| {
            let found = entry.revision_id(qualifier).ok_or_else(ApiError::no_resource)?;
            if believed.is_some_and(|believed| believed != found) {
                return Err(ApiError::policy_precondition_failed("GetPolicy"));
            }
            let policy = settings.policies.entry(key(&target).to_owned()).or_default();
            change(policy)?;
            settings.policies.retain(|_, policy| !policy.is_empty());
            Ok(())
        })
    })
    .await
}

fn statement(request: &AddPermission, resource: String) -> Result<Statement, ApiError> {
    let mut condition = Conditions::new();
    let mut require = |operator, key, value| {
        statement::require(&mut condition, operator, key, value);
    };
    if let Some(account) = &request.source_account {
        require("StringEquals", "AWS:SourceAccount", statement::account(account)?);
    }
    if let Some(arn) = &request.source_arn {
        require("ArnLike", "AWS:SourceArn", statement::source_arn(arn)?);
    }
    if let Some(token) = &request.event_source_token {
        require("StringEquals", "lambda:EventSourceToken", statement::token(token)?);
    }
    if let Some(id) = &request.principal_org_id {
        let id = statement::organisation(id, "principalOrgID")?;
        require("StringEquals", "aws:PrincipalOrgID", id);
    }
    if let Some(kind) = &request.function_url_auth_type {
        if request.action != "lambda:InvokeFunctionUrl" {
            return Err(ApiError::invalid(
                "FunctionUrlAuthType is only supported for lambda:InvokeFunctionUrl action",
            ));
        }
        if !matches!(kind.as_str(), "NONE" | "AWS_IAM") {
            let must = "satisfy enum value set: [NONE, AWS_IAM]";
            return Err(ApiError::constraint(kind, "functionUrlAuthType", must));
        }
        require("StringEquals", "lambda:FunctionUrlAuthType", kind);
    }
    if let Some(is_via_url) = request.invoked_via_function_url {
        let value = if is_via_url { "true" } else { "false" };
        require("Bool", "lambda:InvokedViaFunctionUrl", value);
    }
    Ok(Statement {
        sid: statement::sid(&request.statement_id)?,
        effect: Effect::Allow,
        principal: statement::principal(&request.principal)?,
        action: action(&request.action)?,
        resource,
        condition,
    })
}

fn action(text: &str) -> Result<String, ApiError> {
    let is_name = |name: &str| {
        name == "*" || !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphabetic())
    };
    let fits = text.len() <= ACTION_CHARS_MAX
        && (text == "*" || text.strip_prefix("lambda:").is_some_and(is_name));
    if !fits {
        let must = "satisfy regular expression pattern: (lambda:[*]|lambda:[a-zA-Z]+|[*])";
        return Err(ApiError::constraint(text, "action", must));
    }
    Ok(text.into())
}
