//! Put-, Get-, Update-, Delete- and ListFunctionEventInvokeConfig(s): how often and how long events are tried, and who is
//! told of their end; for each qualifier.

use std::ops::RangeInclusive;
use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Platform;
use super::blocking::blocking;
use super::error::ApiError;
use super::find::{named, target};
use super::functions::{Answer, Qualified, Shared, parse};
use super::name::{FunctionName, is_arn};
use super::page::{self, Page};
use super::validate::within;
use super::violations::Violations;
use crate::clock;
use crate::function::{AGE_S_MAX, EventInvoke, LATEST, RETRIES_MAX};
use crate::poller::Target;
use crate::service::Identity;

/// MaximumEventAgeInSeconds.
const AGE_S: RangeInclusive<u32> = 60..=AGE_S_MAX;
/// Services that AWS' Lambda tells of an event's end.
const TAKERS: [&str; 5] = ["lambda", "sqs", "sns", "events", "s3"];
const DESTINATION: &str = r"satisfy regular expression pattern: $|kafka://([^.]([a-zA-Z0-9\-_.]{0,248}))|arn:(aws[a-zA-Z0-9-]*):([a-zA-Z0-9\-])+:((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1})?:(\d{12})?:(.*)";

/// PutFunctionEventInvokeConfigRequest, UpdateFunctionEventInvokeConfigRequest.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct EventInvokeConfig {
    maximum_retry_attempts: Option<i64>,
    maximum_event_age_in_seconds: Option<i64>,
    destination_config: Option<DestinationConfig>,
}

impl EventInvokeConfig {
    fn is_empty(&self) -> bool {
        self.maximum_retry_attempts.is_none()
            && self.maximum_event_age_in_seconds.is_none()
            && self.destination_config.is_none()
    }
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DestinationConfig {
    on_success: Option<Destination>,
    on_failure: Option<Destination>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Destination {
    destination: Option<String>,
}

impl DestinationConfig {
    /// Refuses what is no ARN, and the ARNs of services that take no events.
    fn check(&self) -> Result<(), ApiError> {
        let mut wrong = Violations::default();
        for (end, arn) in [("onFailure", &self.on_failure), ("onSuccess", &self.on_success)] {
            if let Some(arn) = arn.as_ref().and_then(Destination::arn).filter(|arn| !is_arn(arn)) {
                wrong.add(arn, &format!("destinationConfig.{end}.destination"), DESTINATION);
            }
        }
        wrong.check()?;
        let is_taken = |arn: &str| arn.split(':').nth(2).is_some_and(|one| TAKERS.contains(&one));
        let mut arns = [&self.on_success, &self.on_failure].into_iter().flatten();
        if arns.all(|one| one.arn().is_none_or(is_taken)) {
            return Ok(());
        }
        let shown = |name: &str, one: &Option<Destination>| match one {
            Some(one) => format!("{name}(destination={})", one.arn().unwrap_or("null")),
            None => "null".into(),
        };
        Err(ApiError::invalid(format!(
            "The provided destination config DestinationConfig(onSuccess={}, onFailure={}) is invalid.",
            shown("OnSuccess", &self.on_success),
            shown("OnFailure", &self.on_failure)
        )))
    }
}

impl Destination {
    fn arn(&self) -> Option<&str> {
        self.destination.as_deref().filter(|arn| !arn.is_empty())
    }
}

pub(super) async fn put(
    State(platform): Shared,
    Path(name): Path<String>,
    Query(query): Query<Qualified>,
    body: Result<Bytes, BytesRejection>,
) -> Answer {
    let request = parse(body)?;
    says_something(&request)?;
    change(platform, name, query.qualifier, move |platform, _, own| {
        merge(platform, &request, EventInvoke::default(), own)
    })
    .await
}

pub(super) async fn update(
    State(platform): Shared,
    Path(name): Path<String>,
    Query(query): Query<Qualified>,
    body: Result<Bytes, BytesRejection>,
) -> Answer {
    let request = parse(body)?;
    says_something(&request)?;
    let owner = named(&platform, &name, query.qualifier.clone())?;
    change(platform, name, query.qualifier, move |platform, before, own| {
        let missing = || no_config(&platform.service.identity, &owner);
        merge(platform, &request, before.ok_or_else(missing)?, own)
    })
    .await
}

pub(super) async fn get(
    State(platform): Shared,
    Path(name): Path<String>,
    Query(query): Query<Qualified>,
) -> Answer {
    let owner = named(&platform, &name, query.qualifier)?;
    let config = kept(&platform, &owner)?;
    let qualifier = key(owner.qualifier.as_deref());
    let identity = &platform.service.identity;
    Ok(Json(show(identity, &owner.name, qualifier, &config)).into_response())
}

pub(super) async fn delete(
    State(platform): Shared,
    Path(name): Path<String>,
    Query(query): Query<Qualified>,
) -> Answer {
    let name = named(&platform, &name, query.qualifier)?;
    kept(&platform, &name)?;
    blocking(move || {
        platform.functions.configure(&name.name, |_, settings| {
            let removed = settings.event_invoke.remove(key(name.qualifier.as_deref()));
            removed.map(drop).ok_or_else(|| no_config(&platform.service.identity, &name))
        })
    })
    .await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

pub(super) async fn list(
    State(platform): Shared,
    Path(name): Path<String>,
    Query(page): Query<Page>,
) -> Answer {
    let name = named(&platform, &name, None)?;
    let entry = platform.functions.get(&name.name).ok_or_else(no_function)?;
    let count = page.count(page::LAYER_ITEMS)?;
    // A marker is the last qualifier of the page before.
    let marker = page.marker.as_deref();
    let configs = entry.settings.event_invoke.iter();
    let rest =
        configs.filter(|(qualifier, _)| marker.is_none_or(|marker| qualifier.as_str() > marker));
    let found: Vec<_> = rest.take(count + 1).collect();
    let identity = &platform.service.identity;
    let show = |(qualifier, config): &(&String, &EventInvoke)| {
        show(identity, &name.name, qualifier, config)
    };
    let marker = |(qualifier, _): &(&String, &EventInvoke)| (*qualifier).clone();
    Ok(page::answer("FunctionEventInvokeConfigs", found, count, show, marker))
}

async fn change(
    platform: Arc<Platform>,
    name: String,
    qualifier: Option<String>,
    to: impl FnOnce(&Platform, Option<EventInvoke>, &str) -> Result<EventInvoke, ApiError>
    + Send
    + 'static,
) -> Answer {
    let named = named(&platform, &name, qualifier)?;
    let target = target(&platform, named, |entry, qualifier| entry.find(qualifier))
        .map_err(|_| no_function())?;
    let changed = blocking(move || {
        let name = &target.function.configuration.name;
        let qualifier = key(target.qualifier.as_deref());
        let config = platform.functions.configure(name, |_, settings| {
            let config = to(&platform, settings.event_invoke.get(qualifier).cloned(), name)?;
            settings.event_invoke.insert(qualifier.to_owned(), config.clone());
            Ok::<_, ApiError>(config)
        })?;
        Ok::<_, ApiError>(show(&platform.service.identity, name, qualifier, &config))
    })
    .await?;
    Ok(Json(changed).into_response())
}

fn says_something(request: &EventInvokeConfig) -> Result<(), ApiError> {
    if request.is_empty() {
        return Err(ApiError::invalid(
            "You must specify at least one of error handling or destination setting.",
        ));
    }
    Ok(())
}

/// There is nothing that could have a configuration.
fn no_function() -> ApiError {
    ApiError::missing("The function doesn't exist.")
}

/// What a request makes of what was there, for the function `own`.
fn merge(
    platform: &Platform,
    request: &EventInvokeConfig,
    before: EventInvoke,
    own: &str,
) -> Result<EventInvoke, ApiError> {
    let mut after = EventInvoke { modified_ms: clock::unix_ms(), ..before };
    let retries = 0..=RETRIES_MAX;
    if let Some(count) = request.maximum_retry_attempts {
        after.retries_max = Some(within(count, "maximumRetryAttempts", retries)?);
    }
    if let Some(age) = request.maximum_event_age_in_seconds {
        after.age_s_max = Some(within(age, "maximumEventAgeInSeconds", AGE_S)?);
    }
    if let Some(config) = &request.destination_config {
        config.check()?;
        after.on_success = destination(platform, config.on_success.as_ref(), own)?;
        after.on_failure = destination(platform, config.on_failure.as_ref(), own)?;
    }
    Ok(after)
}

fn destination(
    platform: &Platform,
    destination: Option<&Destination>,
    own: &str,
) -> Result<Option<String>, ApiError> {
    let Some(arn) = destination.and_then(Destination::arn) else { return Ok(None) };
    let exists = match Target::parse(&platform.service.identity, arn) {
        Some(Target::Function(name, _)) if name == own => {
            return Err(ApiError::invalid(
                "You can't specify the function as a destination for itself.",
            ));
        }
        Some(Target::Function(name, _)) => platform.functions.get(name).is_some(),
        Some(Target::Queue(name)) => {
            platform.queues.get(name).is_some_and(|queue| !queue.attributes.is_fifo)
        }
        None => false,
    };
    if !exists {
        return Err(ApiError::invalid(format!("The destination ARN {arn} is invalid.")));
    }
    Ok(Some(arn.to_owned()))
}

/// FunctionEventInvokeConfig. Destinations that are not set are there without a name, as on AWS.
fn show(identity: &Identity, name: &str, qualifier: &str, config: &EventInvoke) -> Value {
    let destination = |arn: &Option<String>| match arn {
        Some(arn) => json!({ "Destination": arn }),
        None => json!({}),
    };
    let mut shown = json!({
        "LastModified": config.modified_ms as f64 / 1e3,
        "FunctionArn": identity.qualified_arn(name, Some(qualifier)),
        "DestinationConfig": {
            "OnSuccess": destination(&config.on_success),
            "OnFailure": destination(&config.on_failure),
        },
    });
    if let Some(count) = config.retries_max {
        shown["MaximumRetryAttempts"] = count.into();
    }
    if let Some(age) = config.age_s_max {
        shown["MaximumEventAgeInSeconds"] = age.into();
    }
    shown
}

fn key(qualifier: Option<&str>) -> &str {
    qualifier.unwrap_or(LATEST)
}

/// What is kept of a function's qualifier; no word of whether it is the function that there is not.
fn kept(platform: &Platform, owner: &FunctionName) -> Result<EventInvoke, ApiError> {
    let entry = platform.functions.get(&owner.name);
    let qualifier = key(owner.qualifier.as_deref());
    let config = entry.and_then(|entry| entry.settings.event_invoke.get(qualifier).cloned());
    config.ok_or_else(|| no_config(&platform.service.identity, owner))
}

fn no_config(identity: &Identity, owner: &FunctionName) -> ApiError {
    let arn = identity.qualified_arn(&owner.name, Some(key(owner.qualifier.as_deref())));
    ApiError::missing(format!("The function {arn} doesn't have an EventInvokeConfig"))
}
