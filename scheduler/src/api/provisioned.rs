//! PutProvisionedConcurrencyConfig, GetProvisionedConcurrencyConfig, DeleteProvisionedConcurrencyConfig,
//! ListProvisionedConcurrencyConfigs: environments that are kept for a version, or for the version that an alias names.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::blocking::blocking;
use super::error::ApiError;
use super::find::{Target, entry, find, named, unqualified};
use super::functions::{Answer, Qualified, Shared, parse};
use super::name::is_alias_name;
use super::page::{self, Page};
use super::{Platform, concurrency};
use crate::clock;
use crate::function::{Entry, Function, LATEST, Provisioning, Settings, Version};

/// What $LATEST is told where something is asked for it, and where something of it is.
const UNPUBLISHED: &str =
    "Provisioned Concurrency Configs cannot be applied to unpublished function versions.";
const NEITHER: &str = "The function resource provided must be an alias or a published version.";

/// PutProvisionedConcurrencyConfigRequest.
#[derive(Deserialize)]
struct PutProvisionedConcurrency {
    #[serde(rename = "ProvisionedConcurrentExecutions")]
    count: i64,
}

/// Tells the list from one of its members, which have one path.
#[derive(Deserialize)]
pub(super) struct Which {
    #[serde(rename = "List")]
    list: Option<String>,
}

pub(super) async fn put(
    State(platform): Shared,
    Path(name): Path<String>,
    Query(query): Query<Qualified>,
    body: Result<Bytes, BytesRejection>,
) -> Answer {
    let (target, qualifier) = target(&platform, &name, query, UNPUBLISHED)?;
    let PutProvisionedConcurrency { count } = parse(body)?;
    let count = u32::try_from(count).ok().filter(|count| *count > 0).ok_or_else(|| {
        let must = "have value greater than or equal to 1";
        ApiError::constraint(&count.to_string(), "provisionedConcurrentExecutions", must)
    })?;
    let told = blocking(move || {
        let function = &target.function;
        let name = &function.configuration.name;
        let provisioning = Provisioning { count, modified_ms: clock::unix_ms() };
        platform.functions.configure(name, |entry: &Entry, settings: &mut Settings| {
            is_the_only_one(entry, &qualifier)?;
            settings.provisioned.insert(qualifier, provisioning);
            is_allowed(&platform, &Entry { settings: settings.clone(), ..entry.clone() })
        })?;
        apply(&platform, name, function.id);
        Ok(show(&platform, function, provisioning))
    });
    Ok((StatusCode::ACCEPTED, Json(told.await?)).into_response())
}

pub(super) async fn get(
    State(platform): Shared,
    Path(name): Path<String>,
    Query(which): Query<Which>,
    Query(query): Query<Qualified>,
    Query(page): Query<Page>,
) -> Answer {
    if which.list.as_deref() == Some("ALL") {
        return list(&platform, &name, &page);
    }
    let (target, qualifier) = target(&platform, &name, query, NEITHER)?;
    let provisioning = target.settings.provisioned.get(&qualifier);
    let provisioning = *provisioning.ok_or_else(ApiError::no_provisioned_concurrency)?;
    Ok(Json(show(&platform, &target.function, provisioning)).into_response())
}

/// One that is not there is gone, too, as on AWS.
pub(super) async fn delete(
    State(platform): Shared,
    Path(name): Path<String>,
    Query(query): Query<Qualified>,
) -> Answer {
    let (target, qualifier) = target(&platform, &name, query, NEITHER)?;
    blocking(move || {
        let name = &target.function.configuration.name;
        platform.functions.configure(name, |_, settings: &mut Settings| {
            settings.provisioned.remove(&qualifier);
            Ok::<_, ApiError>(())
        })?;
        apply(&platform, name, target.function.id);
        Ok(())
    })
    .await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn list(platform: &Platform, form: &str, page: &Page) -> Result<Response, ApiError> {
    let name = unqualified(platform, form)?;
    let entry = entry(platform, &name)?;
    let count = page.count(page::LAYER_ITEMS)?;
    // A marker is the last qualifier of the page before.
    let after = page.marker.as_deref();
    let all = entry.settings.provisioned.iter();
    let rest = all.filter(|(qualifier, _)| after.is_none_or(|after| qualifier.as_str() > after));
    let found: Vec<(&String, &Provisioning)> = rest.take(count + 1).collect();
    let show = |(qualifier, provisioning): &(&String, &Provisioning)| {
        let function = entry.find(qualifier).unwrap_or(&entry.latest);
        let mut value = show(platform, function, **provisioning);
        let arn = platform.service.identity.qualified_arn(&name.name, Some(qualifier));
        value["FunctionArn"] = arn.into();
        value
    };
    let marker = |(qualifier, _): &(&String, &Provisioning)| (*qualifier).clone();
    Ok(page::answer("ProvisionedConcurrencyConfigs", found, count, show, marker))
}

/// Has the service keep what is asked for of this function, nothing if it is gone.
pub(crate) fn apply(platform: &Platform, name: &str, id: u64) {
    platform.service.provision(|| {
        let entry = platform.functions.get(name).filter(|entry| entry.latest.id == id);
        let Some(entry) = entry else { return Vec::new() };
        let wanted = entry.provisioned();
        let count = |number: &u64| wanted.get(number).copied().unwrap_or(0);
        let versions = entry.versions.iter();
        versions.map(|(number, function)| (Arc::clone(function), count(number))).collect()
    });
}

/// The version that a request is about, and what it calls it.
/// $LATEST, and an alias of it, are refused in the words of `latest`.
fn target(
    platform: &Platform,
    form: &str,
    query: Qualified,
    latest: &str,
) -> Result<(Target, String), ApiError> {
    let name = named(platform, form, query.qualifier)?;
    let qualifier = name.qualifier.filter(|qualifier| !qualifier.is_empty());
    let qualifier = qualifier.ok_or_else(|| ApiError::null("qualifier"))?;
    if qualifier == LATEST {
        return Err(ApiError::invalid(latest));
    }
    let target = find(platform, &name.name, Some(qualifier.clone())).map_err(|error| {
        if is_alias_name(&qualifier) {
            return ApiError::no_alias(&platform.service.identity, &name.name, &qualifier);
        }
        error
    })?;
    if target.function.version == Version::Latest {
        return Err(ApiError::invalid(latest));
    }
    Ok((target, qualifier))
}

/// Refuses what another name provisions already: a version is provisioned by its number or by one alias.
fn is_the_only_one(entry: &Entry, qualifier: &str) -> Result<(), ApiError> {
    let version = |qualifier: &str| entry.find(qualifier).map(|function| function.version);
    let mut others = entry.settings.provisioned.keys().filter(|other| *other != qualifier);
    match others.find(|other| version(other) == version(qualifier)) {
        None => Ok(()),
        Some(_) if is_alias_name(qualifier) => Err(ApiError::conflict(
            "Alias can't be used for Provisioned Concurrency configuration on an already Provisioned version",
        )),
        Some(_) => Err(ApiError::conflict("Version is pointed by a Provisioned Concurrency alias")),
    }
}

/// Refuses more than what is reserved for the function, or than there can be.
fn is_allowed(platform: &Platform, changed: &Entry) -> Result<(), ApiError> {
    let total = changed.provisioned_total();
    if changed.settings.reserved_concurrency.is_some_and(|reserved| reserved < total) {
        return Err(ApiError::invalid(
            "Requested Provisioned Concurrency should not be greater than the \
             reservedConcurrentExecution for function",
        ));
    }
    let unreserved = concurrency::unreserved(platform, changed);
    if total as usize > unreserved {
        let message = format!(
            "Specified ConcurrentExecutions for function is greater than account's unreserved concurrency \
             [{unreserved}]."
        );
        return Err(ApiError::invalid(message).untyped());
    }
    concurrency::leaves_enough(platform, changed, "ConcurrentExecutions")?;
    let functions = platform.functions.list(None, usize::MAX);
    let others = functions.iter().map(|entry| &**entry);
    let others = others.filter(|entry| entry.latest.id != changed.latest.id);
    let all_mib: u64 = others.chain([changed]).map(Entry::provisioned_mib).sum();
    let there_are = platform.service.memory_max();
    if all_mib > there_are {
        return Err(ApiError::invalid(format!(
            "Provisioned environments would take {all_mib} MiB together: there are {there_are}."
        )));
    }
    Ok(())
}

fn show(platform: &Platform, function: &Function, provisioning: Provisioning) -> Value {
    let told = platform.service.provisioned(function.deployment);
    // Of several wishes for one version each sees its own.
    let count = provisioning.count as usize;
    let allocated = told.allocated.min(count);
    let mut value = json!({
        "RequestedProvisionedConcurrentExecutions": count,
        "AllocatedProvisionedConcurrentExecutions": allocated,
        "AvailableProvisionedConcurrentExecutions": told.available.min(count),
        "Status": match (allocated == count, told.is_failing) {
            (true, _) => "READY",
            (false, true) => "FAILED",
            (false, false) => "IN_PROGRESS",
        },
        "LastModified": clock::lambda_time(provisioning.modified_ms),
    });
    if value["Status"] == "FAILED" {
        value["StatusReason"] = "FUNCTION_ERROR_INIT_FAILURE".into();
    }
    value
}
