//! CreateEventSourceMapping, GetEventSourceMapping, ListEventSourceMappings, UpdateEventSourceMapping,
//! DeleteEventSourceMapping: of queues.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, Query};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};
use uuid::Uuid;

use super::error::ApiError;
use super::find::{find, named};
use super::functions::{Answer, Shared, parse};
use super::name::FunctionName;
use super::page::{self, Page};
use super::validate::within;
use super::{Platform, tags};
use crate::clock;
use crate::poller::Target;
use crate::sources::{Mapping, Pattern};
use crate::sqs::Definition;

/// Batch sizes: without a window or in order, at most ten.
const BATCH: i64 = 10;
const BATCH_MAX: u32 = 10_000;
const FILTERS_MAX: usize = 10;
const PATTERN_CHARS_MAX: usize = 4096;

/// CreateEventSourceMappingRequest, UpdateEventSourceMappingRequest.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Request {
    event_source_arn: Option<String>,
    function_name: Option<String>,
    enabled: Option<bool>,
    batch_size: Option<i64>,
    maximum_batching_window_in_seconds: Option<i64>,
    filter_criteria: Option<FilterCriteria>,
    scaling_config: Option<ScalingConfig>,
    function_response_types: Option<Vec<String>>,
    starting_position: Option<String>,
    destination_config: Option<IgnoredAny>,
    tags: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct FilterCriteria {
    #[serde(default)]
    filters: Vec<Filter>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Filter {
    pattern: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ScalingConfig {
    maximum_concurrency: Option<i64>,
}

pub(super) async fn create(platform: Shared, body: Result<Bytes, BytesRejection>) -> Answer {
    let request: Request = parse(body)?;
    let arn = request.event_source_arn.as_deref().unwrap_or_default();
    starting_position(arn, request.starting_position.as_deref())?;
    if request.event_source_arn.is_none() {
        return Err(ApiError::invalid("Unrecognized event source."));
    }
    if request.destination_config.is_some() {
        return Err(ApiError::invalid(
            "Unsupported DestinationConfig parameter for given event source mapping type.",
        ));
    }
    let named = request.function_name.as_deref();
    let function = named.ok_or_else(|| ApiError::null("functionName"))?;
    find(&platform, function, None).map_err(|error| match error.kind() {
        "ResourceNotFoundException" => ApiError::invalid("Function does not exist"),
        _ => error,
    })?;
    let queue = queue(&platform, arn)?;
    let mut mapping = Mapping {
        id: Uuid::new_v4().to_string(),
        queue: queue.name.clone(),
        is_enabled: true,
        batch_size: BATCH as usize,
        tags: request.tags.clone().unwrap_or_default(),
        ..Mapping::default()
    };
    tags::check(&mapping.tags)?;
    name(&platform, &mut mapping, function)?;
    let all = platform.sources.mappings.list();
    let is_same = |one: &&Arc<Mapping>| {
        (&one.queue, &one.function, &one.qualifier)
            == (&mapping.queue, &mapping.function, &mapping.qualifier)
    };
    if let Some(one) = all.iter().find(is_same) {
        return Err(ApiError::conflict(format!(
            "An event source mapping with SQS arn (\" {arn} \") and function (\" {function} \") already exists. \
             Please update or delete the existing mapping with UUID {}",
            one.id
        )));
    }
    set(&mut mapping, &request, &queue)?;
    let mapping = platform
        .sources
        .mappings
        .change(&mapping.id.clone(), |_| Ok::<_, ApiError>(mapping))
        .await?;
    platform.sources.renew(&mapping.id);
    Ok(under_way(show(&platform, &mapping), "Creating"))
}

pub(super) async fn get(platform: Shared, Path(id): Path<String>) -> Answer {
    let mapping = platform.sources.mappings.get(&id).ok_or_else(ApiError::no_resource)?;
    Ok(Json(show(&platform, &mapping)).into_response())
}

#[derive(Deserialize)]
pub(super) struct Of {
    #[serde(rename = "EventSourceArn")]
    source: Option<String>,
    #[serde(rename = "FunctionName")]
    function: Option<String>,
}

pub(super) async fn list(
    platform: Shared,
    Query(page): Query<Page>,
    Query(of): Query<Of>,
) -> Answer {
    let count = page.count(page::ITEMS)?;
    let function = of.function.as_deref().map(|form| named(&platform, form, None)).transpose()?;
    let mut found = platform.sources.mappings.list();
    let identity = &platform.service.identity;
    found.retain(|one| {
        let is_of = |wanted: &FunctionName| {
            (&one.function, &one.qualifier) == (&wanted.name, &wanted.qualifier)
        };
        function.as_ref().is_none_or(is_of)
            && of.source.as_ref().is_none_or(|arn| *arn == identity.queue_arn(&one.queue))
            && page.marker.as_ref().is_none_or(|marker| one.id > *marker)
    });
    found.truncate(count + 1);
    let id = |one: &Arc<Mapping>| one.id.clone();
    Ok(page::answer("EventSourceMappings", found, count, |one| show(&platform, one), id))
}

pub(super) async fn update(
    platform: Shared,
    Path(id): Path<String>,
    body: Result<Bytes, BytesRejection>,
) -> Answer {
    let request: Request = parse(body)?;
    let mut state = "Updating";
    let changed = platform.sources.mappings.change(&id, |before| {
        let mut mapping = before.cloned().ok_or_else(ApiError::no_resource)?;
        if let Some(enabled) = request.enabled.filter(|enabled| *enabled != mapping.is_enabled) {
            state = if enabled { "Enabling" } else { "Disabling" };
        }
        let queue = queue(&platform, &platform.service.identity.queue_arn(&mapping.queue))?;
        if let Some(function) = &request.function_name {
            name(&platform, &mut mapping, function)?;
        }
        set(&mut mapping, &request, &queue)?;
        Ok::<_, ApiError>(mapping)
    });
    let mapping = changed.await?;
    platform.sources.renew(&id);
    Ok(under_way(show(&platform, &mapping), state))
}

pub(super) async fn delete(platform: Shared, Path(id): Path<String>) -> Answer {
    let mapping = platform.sources.mappings.get(&id).ok_or_else(ApiError::no_resource)?;
    platform.sources.mappings.remove(&id, |_| Ok(())).await?;
    platform.sources.renew(&id);
    Ok(under_way(show(&platform, &mapping), "Deleting"))
}

/// Insists on a place to start where the source is a stream, and on one of those that there are. What is wrong with a queue
/// is its own.
fn starting_position(arn: &str, position: Option<&str>) -> Result<(), ApiError> {
    let service = arn.split(':').nth(2);
    let is_stream = matches!(service, Some("dynamodb" | "kinesis" | "kafka"));
    match position {
        // The front passes it on: behind, it has another type and ends with a stop.
        None if is_stream => Err(ApiError::invalid(
            "1 validation error detected: Value null at 'startingPosition' failed to satisfy constraint: \
             Member must not be null.",
        )),
        Some("AT_TIMESTAMP") if service == Some("dynamodb") => {
            Err(ApiError::invalid(format!("Unsupported starting position for arn type: {arn}")))
        }
        Some(other) if !matches!(other, "TRIM_HORIZON" | "LATEST" | "AT_TIMESTAMP") => {
            let must = "satisfy enum value set: [LATEST, AT_TIMESTAMP, TRIM_HORIZON]";
            Err(ApiError::constraint(other, "startingPosition", must))
        }
        _ => Ok(()),
    }
}

fn queue(platform: &Platform, arn: &str) -> Result<Arc<Definition>, ApiError> {
    let Some(Target::Queue(name)) = Target::parse(&platform.service.identity, arn) else {
        return Err(ApiError::invalid(format!(
            "Unrecognized event source: {arn} is no queue of this platform."
        )));
    };
    platform.queues.get(name).ok_or_else(|| {
        ApiError::invalid(
            "Error occurred while ReceiveMessage. SQS Error Code: AWS.SimpleQueueService.NonExistentQueue. SQS Error \
             Message: The specified queue does not exist.",
        )
    })
}

fn name(platform: &Platform, mapping: &mut Mapping, form: &str) -> Result<(), ApiError> {
    let target = find(platform, form, None)?;
    let queue = platform.queues.get(&mapping.queue);
    let visibility_s = queue.map_or(u32::MAX, |queue| queue.attributes.visibility_s);
    let timeout_s = target.function.configuration.timeout_s;
    if visibility_s < timeout_s {
        return Err(ApiError::invalid(format!(
            "Queue visibility timeout: {visibility_s} seconds is less than Function timeout: {timeout_s} seconds"
        )));
    }
    mapping.function = target.function.configuration.name.clone();
    mapping.qualifier = target.qualifier;
    Ok(())
}

/// Changes what a request names.
fn set(mapping: &mut Mapping, request: &Request, queue: &Definition) -> Result<(), ApiError> {
    mapping.modified_ms = clock::unix_ms();
    mapping.is_enabled = request.enabled.unwrap_or(mapping.is_enabled);
    if let Some(seconds) = request.maximum_batching_window_in_seconds {
        mapping.window_s = within(seconds, "maximumBatchingWindowInSeconds", 0..=300)?;
    }
    if let Some(size) = request.batch_size {
        mapping.batch_size = within(size, "batchSize", 1..=BATCH_MAX)? as usize;
    }
    if queue.attributes.is_fifo && mapping.window_s > 0 {
        return Err(ApiError::invalid("Batching window is not supported for FIFO queues."));
    }
    if mapping.batch_size > BATCH as usize && mapping.window_s == 0 {
        return Err(ApiError::invalid(
            "Maximum batch window in seconds must be greater than 0 if maximum batch size is greater than 10",
        ));
    }
    if let Some(config) = &request.scaling_config {
        let wanted = config.maximum_concurrency;
        let checked = wanted.map(|count| within(count, "maximumConcurrency", 2..=1000));
        mapping.concurrency_max = checked.transpose()?;
    }
    if let Some(criteria) = &request.filter_criteria {
        let patterns = criteria.filters.iter().map(|filter| filter.pattern.clone());
        let patterns: Vec<String> = patterns.collect();
        let is_good =
            |text: &String| text.len() <= PATTERN_CHARS_MAX && Pattern::parse(text).is_some();
        if patterns.len() > FILTERS_MAX || !patterns.iter().all(is_good) {
            return Err(ApiError::invalid("Invalid filter pattern definition."));
        }
        mapping.filters = patterns;
    }
    if let Some(types) = &request.function_response_types {
        if let Some(other) = types.iter().find(|one| *one != "ReportBatchItemFailures") {
            let must = "satisfy enum value set: [ReportBatchItemFailures]";
            return Err(ApiError::constraint(other, "functionResponseTypes", must));
        }
        mapping.reports_failures = !types.is_empty();
    }
    Ok(())
}

/// EventSourceMappingConfiguration.
fn show(platform: &Platform, mapping: &Mapping) -> Value {
    let identity = &platform.service.identity;
    let types: &[&str] = if mapping.reports_failures { &["ReportBatchItemFailures"] } else { &[] };
    let mut shown = json!({
        "UUID": mapping.id,
        "BatchSize": mapping.batch_size,
        "MaximumBatchingWindowInSeconds": mapping.window_s,
        "EventSourceArn": identity.queue_arn(&mapping.queue),
        "FunctionArn": identity.qualified_arn(&mapping.function, mapping.qualifier.as_deref()),
        "LastModified": mapping.modified_ms as f64 / 1e3,
        "State": if mapping.is_enabled { "Enabled" } else { "Disabled" },
        "StateTransitionReason": "USER_INITIATED",
        "FunctionResponseTypes": types,
        "EventSourceMappingArn": format!(
            "arn:aws:lambda:{}:{}:event-source-mapping:{}", identity.region, identity.account, mapping.id
        ),
    });
    if let Some(count) = mapping.concurrency_max {
        shown["ScalingConfig"] = json!({ "MaximumConcurrency": count });
    }
    if !mapping.filters.is_empty() {
        let filters: Vec<Value> =
            mapping.filters.iter().map(|pattern| json!({ "Pattern": pattern })).collect();
        shown["FilterCriteria"] = json!({ "Filters": filters });
    }
    shown
}

/// What a change answers: the state that it leads through. It is through when the answer comes, and a client that asks
/// again is told so.
fn under_way(mut shown: Value, state: &str) -> Response {
    shown["State"] = state.into();
    (StatusCode::ACCEPTED, Json(shown)).into_response()
}
