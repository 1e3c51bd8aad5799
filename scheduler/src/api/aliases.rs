//! CreateAlias, GetAlias, UpdateAlias, DeleteAlias, ListAliases.

use std::collections::BTreeMap;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::blocking::blocking;
use super::error::ApiError;
use super::find::{entry, unqualified};
use super::functions::{Answer, Shared, parse};
use super::name::is_alias_name;
use super::page::{self, Page};
use super::{provisioned, validate};
use crate::function::{Alias, Entry, Settings, Version};
use crate::service::Identity;

/// CreateAliasRequest; UpdateAliasRequest, where what is absent stays as it is.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AliasRequest {
    name: Option<String>,
    function_version: Option<String>,
    description: Option<String>,
    routing_config: Option<RoutingConfig>,
    revision_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RoutingConfig {
    additional_version_weights: Option<BTreeMap<String, f64>>,
}

/// Which aliases a list is to have.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Wanted {
    function_version: Option<String>,
}

pub(super) async fn create(
    State(platform): Shared,
    Path(name): Path<String>,
    body: Result<Bytes, BytesRejection>,
) -> Answer {
    let request: AliasRequest = parse(body)?;
    // What is missed is the version.
    let qualifier = request.function_version.clone();
    let function = unqualified(&platform, &name)?.at(qualifier);
    entry(&platform, &function)?;
    let alias = request.name.clone().unwrap_or_default();
    if !is_alias_name(&alias) {
        let must = "satisfy regular expression pattern: (?!^[0-9]+$)([a-zA-Z0-9-_]+)";
        return Err(ApiError::constraint(&alias, "name", must));
    }
    let created = blocking(move || {
        let identity = &platform.service.identity;
        platform.functions.configure(&function.name, |entry, settings| {
            if settings.aliases.contains_key(&alias) {
                let arn = identity.qualified_arn(&function.name, Some(&alias));
                return Err(ApiError::conflict(format!("Alias already exists: {arn}")));
            }
            let new = Alias {
                version: Version::Latest,
                description: String::new(),
                additional: None,
                revision_id: String::new(),
            };
            if request.function_version.is_none() {
                return Err(ApiError::null("functionVersion"));
            }
            let made = changed(identity, entry, new, &request)?;
            let shown = show(identity, &function.name, &alias, &made);
            settings.aliases.insert(alias, made);
            Ok(shown)
        })
    })
    .await?;
    Ok((StatusCode::CREATED, Json(created)).into_response())
}

pub(super) async fn get(
    State(platform): Shared,
    Path((name, alias)): Path<(String, String)>,
) -> Answer {
    let function = unqualified(&platform, &name)?;
    let identity = &platform.service.identity;
    let entry = entry(&platform, &function)?;
    let found = existing(identity, &function.name, &entry.settings, &alias)?;
    Ok(Json(show(identity, &function.name, &alias, found)).into_response())
}

pub(super) async fn update(
    State(platform): Shared,
    Path((name, alias)): Path<(String, String)>,
    body: Result<Bytes, BytesRejection>,
) -> Answer {
    let request: AliasRequest = parse(body)?;
    // What is missed is the version.
    let qualifier = request.function_version.clone();
    let function = unqualified(&platform, &name)?.at(qualifier);
    entry(&platform, &function)?;
    let updated = blocking(move || {
        let identity = &platform.service.identity;
        let change = |entry: &Entry, settings: &mut Settings| {
            let before = settings.aliases.get(&alias).cloned().ok_or_else(|| {
                let arn = identity.qualified_arn(&function.name, Some(&alias));
                ApiError::missing(format!("Alias not found: {arn}"))
            })?;
            if request.revision_id.as_ref().is_some_and(|wanted| *wanted != before.revision_id) {
                return Err(ApiError::precondition_failed());
            }
            let after = changed(identity, entry, before, &request)?;
            if after.version == Version::Latest && settings.provisioned.contains_key(&alias) {
                return Err(ApiError::invalid(
                    "An alias with provisioned concurrency cannot name $LATEST.",
                ));
            }
            let shown = show(identity, &function.name, &alias, &after);
            settings.aliases.insert(alias, after);
            Ok::<_, ApiError>((shown, entry.latest.id))
        };
        let (shown, id) = platform.functions.configure(&function.name, change)?;
        provisioned::apply(&platform, &function.name, id);
        Ok::<_, ApiError>(shown)
    })
    .await?;
    Ok(Json(updated).into_response())
}

/// One that is not there is gone, too, as on AWS.
pub(super) async fn delete(
    State(platform): Shared,
    Path((name, alias)): Path<(String, String)>,
) -> Answer {
    let function = unqualified(&platform, &name)?;
    entry(&platform, &function)?;
    blocking(move || {
        let id = platform.functions.configure(&function.name, |entry, settings| {
            settings.aliases.remove(&alias);
            settings.forget(&alias);
            Ok::<_, ApiError>(entry.latest.id)
        })?;
        provisioned::apply(&platform, &function.name, id);
        Ok::<_, ApiError>(())
    })
    .await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

pub(super) async fn list(
    State(platform): Shared,
    Path(name): Path<String>,
    Query(page): Query<Page>,
    Query(wanted): Query<Wanted>,
) -> Answer {
    let function = unqualified(&platform, &name)?;
    let entry = entry(&platform, &function)?;
    let count = page.count(page::ITEMS)?;
    // A marker is the last name of the page before.
    let after = page.marker.as_deref();
    let found = entry.settings.aliases.iter().filter(|(name, alias)| {
        after.is_none_or(|after| name.as_str() > after)
            && wanted.function_version.as_ref().is_none_or(|one| *one == alias.version.to_string())
    });
    let found: Vec<_> = found.take(count + 1).collect();
    let identity = &platform.service.identity;
    let show = |(name, alias): &(&String, &Alias)| show(identity, &function.name, name, alias);
    Ok(page::answer("Aliases", found, count, show, |(name, _)| (*name).clone()))
}

fn existing<'a>(
    identity: &Identity,
    function: &str,
    settings: &'a Settings,
    alias: &str,
) -> Result<&'a Alias, ApiError> {
    settings.aliases.get(alias).ok_or_else(|| ApiError::no_alias(identity, function, alias))
}

/// What the model says of AdditionalVersionWeights.
const KEYS: &str = "keys must satisfy constraint: [Member must have length less than or equal to 1024, Member \
                    must have length greater than or equal to 1, Member must satisfy regular expression pattern: \
                    [0-9]+]";
const VALUES: &str = "value must satisfy constraint: [Member must have value less than or equal to 1.0, Member \
                      must have value greater than or equal to 0.0, Member must not be null]";

fn weights_refused(version: &str, weight: f64, must: &str) -> ApiError {
    let value = format!("{{{version}={weight:?}}}");
    ApiError::map_constraint(&value, "routingConfig.additionalVersionWeights", must)
}

/// What a request makes of an alias.
fn changed(
    identity: &Identity,
    entry: &Entry,
    mut alias: Alias,
    request: &AliasRequest,
) -> Result<Alias, ApiError> {
    let missing = |version: &str| {
        let arn = identity.qualified_arn(&entry.latest.configuration.name, Some(version));
        ApiError::missing(format!("Function not found: {arn}"))
    };
    if let Some(text) = &request.function_version {
        let version = text.parse().map_err(|_| missing(text))?;
        entry.get(version).ok_or_else(|| missing(text))?;
        alias.version = version;
    }
    if let Some(description) = &request.description {
        alias.description = validate::description(description.clone())?;
    }
    if let Some(routing) = &request.routing_config {
        let weights = routing.additional_version_weights.clone().unwrap_or_default();
        if weights.len() > 1 {
            return Err(ApiError::invalid(
                "Number of items in AdditionalVersionWeights cannot be greater than 1",
            ));
        }
        alias.additional = None;
        for (text, weight) in weights {
            let Ok(Version::Published(number)) = text.parse() else {
                return Err(weights_refused(&text, weight, KEYS));
            };
            if !(0.0..=1.0).contains(&weight) {
                return Err(weights_refused(&text, weight, VALUES));
            }
            if !entry.versions.contains_key(&number) {
                return Err(missing(&text));
            }
            alias.additional = Some((number, weight));
        }
    }
    match (alias.version, alias.additional) {
        (Version::Latest, Some(_)) => Err(ApiError::invalid(
            "$LATEST is not supported for an alias pointing to more than 1 version",
        )
        .untyped()),
        (Version::Published(one), Some((other, _))) if one == other => {
            Err(ApiError::invalid(format!(
                "Invalid function version {one}. Function version {one} is already included in routing \
             configuration."
            )))
        }
        _ => {
            alias.revision_id = Uuid::new_v4().to_string();
            Ok(alias)
        }
    }
}

/// AliasConfiguration.
fn show(identity: &Identity, function: &str, name: &str, alias: &Alias) -> Value {
    let mut value = json!({
        "AliasArn": identity.qualified_arn(function, Some(name)),
        "Name": name,
        "FunctionVersion": alias.version.to_string(),
        "Description": alias.description,
        "RevisionId": alias.revision_id,
    });
    if let Some((number, weight)) = alias.additional {
        let weights = BTreeMap::from([(number.to_string(), weight)]);
        value["RoutingConfig"] = json!({ "AdditionalVersionWeights": weights });
    }
    value
}
