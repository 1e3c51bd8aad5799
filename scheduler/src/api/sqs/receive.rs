//! ReceiveMessage, which may wait for one.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::time::Instant;
use uuid::Uuid;

use super::error::SqsError;
use super::{Answer, queue};
use crate::api::Platform;
use crate::clock;
use crate::queue::{Leased, QueueError, Wanted};
use crate::sqs::{Definition, Envelope, Receipt, of_attributes, of_body, sequence};

const COUNT_MAX: u32 = 10;
const WAIT_S_MAX: u32 = 20;
const VISIBILITY_S_MAX: u32 = 43_200;
/// Longest wait for a message, so that a clock that was set is noticed.
const WAIT_MAX: Duration = Duration::from_secs(10);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ReceiveMessage {
    queue_url: String,
    #[serde(default)]
    attribute_names: Vec<String>,
    #[serde(default)]
    message_system_attribute_names: Vec<String>,
    #[serde(default)]
    message_attribute_names: Vec<String>,
    max_number_of_messages: Option<u32>,
    visibility_timeout: Option<u32>,
    wait_time_seconds: Option<u32>,
}

pub(super) async fn receive(platform: &Platform, request: ReceiveMessage) -> Answer {
    let queue = queue(platform, &request.queue_url)?;
    let limited = |value: Option<u32>, default: u32, min: u32, max: u32, name: &str| {
        let value = value.unwrap_or(default);
        let must = || format!("Must be between {min} and {max}, if provided");
        let is_within = (min..=max).contains(&value);
        is_within.then_some(value).ok_or_else(|| SqsError::value(&value.to_string(), name, &must()))
    };
    let attributes = &queue.attributes;
    let count = limited(request.max_number_of_messages, 1, 1, COUNT_MAX, "MaxNumberOfMessages")?;
    let wait_s =
        limited(request.wait_time_seconds, attributes.wait_s, 0, WAIT_S_MAX, "WaitTimeSeconds")?;
    let visibility_s = limited(
        request.visibility_timeout,
        attributes.visibility_s,
        0,
        VISIBILITY_S_MAX,
        "VisibilityTimeout",
    )?;
    let deadline = Instant::now() + Duration::from_secs(wait_s.into());
    let leased = wait(platform, &queue, count as usize, visibility_s, deadline).await?;
    let mut names = request.message_system_attribute_names;
    names.extend(request.attribute_names);
    let show = |one: &Leased| show(platform, &queue, one, &names, &request.message_attribute_names);
    let messages: Vec<Value> = leased.iter().map(show).collect();
    Ok(if messages.is_empty() { json!({}) } else { json!({ "Messages": messages }) })
}

/// Leases messages as soon as there are any, or gives up.
async fn wait(
    platform: &Platform,
    queue: &Definition,
    count: usize,
    visibility_s: u32,
    deadline: Instant,
) -> Result<Vec<Leased>, QueueError> {
    let lane = queue.lane();
    let bell = platform.queues.queue.bell(&lane);
    loop {
        let (heard, now_ms) = (bell.listen(), clock::unix_ms());
        let leased = lease(platform, queue, count, visibility_s, now_ms).await?;
        if !leased.is_empty() || Instant::now() >= deadline {
            return Ok(leased);
        }
        // One that is delayed, or leased, becomes visible without a sound.
        let visible = platform.queues.visible(queue, now_ms, WAIT_MAX).await?;
        tokio::select! {
            () = heard => {}
            () = tokio::time::sleep_until(visible.min(deadline)) => {}
        }
    }
}

async fn lease(
    platform: &Platform,
    queue: &Definition,
    count: usize,
    visibility_s: u32,
    now_ms: i64,
) -> Result<Vec<Leased>, QueueError> {
    let wanted = Wanted {
        lane: queue.lane(),
        count,
        now_ms,
        until_ms: now_ms + 1000 * i64::from(visibility_s),
        token: Uuid::new_v4().as_u64_pair().1,
        in_order: queue.attributes.is_fifo,
        leases_max: platform.queues.dead_letters(queue),
    };
    platform.queues.lease(wanted).await
}

/// Message.
fn show(
    platform: &Platform,
    queue: &Definition,
    leased: &Leased,
    names: &[String],
    attribute_names: &[String],
) -> Value {
    let message = &leased.message;
    let envelope = Envelope::of(message);
    let receipt = Receipt { lane: queue.lane(), lease: leased.lease };
    let mut shown = json!({
        "MessageId": envelope.id,
        "ReceiptHandle": receipt.handle(),
        "MD5OfBody": of_body(&message.body),
        "Body": String::from_utf8_lossy(&message.body),
    });
    let system = system(platform, queue, leased, &envelope);
    let is_all = names.iter().any(|name| name == "All");
    let wanted = |name: &str| is_all || names.iter().any(|one| one == name);
    let system: Map<String, Value> = system
        .into_iter()
        .filter(|(name, _)| wanted(name))
        .map(|(name, value)| (name.into(), value.into()))
        .collect();
    if !system.is_empty() {
        shown["Attributes"] = Value::Object(system);
    }
    let mut attributes = envelope.attributes;
    attributes.retain(|name, _| attribute_names.iter().any(|pattern| is_meant(name, pattern)));
    if let Some(digest) = of_attributes(&attributes) {
        shown["MD5OfMessageAttributes"] = digest.into();
        shown["MessageAttributes"] = json!(attributes);
    }
    shown
}

fn system(
    platform: &Platform,
    queue: &Definition,
    leased: &Leased,
    envelope: &Envelope,
) -> BTreeMap<&'static str, String> {
    let message = &leased.message;
    let first_ms = message.first_leased_ms.unwrap_or(message.sent_ms);
    let mut system = BTreeMap::from([
        ("SenderId", platform.service.identity.account.clone()),
        ("SentTimestamp", message.sent_ms.to_string()),
        ("ApproximateReceiveCount", message.leases.to_string()),
        ("ApproximateFirstReceiveTimestamp", first_ms.to_string()),
    ]);
    system.extend(envelope.trace.clone().map(|trace| ("AWSTraceHeader", trace)));
    if queue.attributes.is_fifo {
        system.insert("SequenceNumber", sequence(message.id));
        system.extend(message.group.clone().map(|group| ("MessageGroupId", group)));
        system.extend(envelope.name.clone().map(|name| ("MessageDeduplicationId", name)));
    }
    system
}

/// `All`, `.*`, a name, or what names begin with.
fn is_meant(name: &str, pattern: &str) -> bool {
    match pattern.strip_suffix(".*") {
        Some(prefix) => name.starts_with(prefix),
        None => pattern == "All" || pattern == name,
    }
}
