//! GetQueueAttributes, SetQueueAttributes; tags; ListDeadLetterSourceQueues.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::error::SqsError;
use super::queues::{Named, check_redrive};
use super::{Answer, queue, url};
use crate::api::Platform;
use crate::clock;
use crate::queue::Durability;
use crate::sqs::{BadAttribute, Definition, NAMES};

/// Tags of a queue.
const TAGS_MAX: usize = 50;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct GetQueueAttributes {
    queue_url: String,
    #[serde(default)]
    attribute_names: Vec<String>,
}

pub(super) async fn get(platform: &Platform, request: GetQueueAttributes) -> Answer {
    let queue = queue(platform, &request.queue_url)?;
    if let Some(name) = request.attribute_names.iter().find(|name| !NAMES.contains(&name.as_str()))
    {
        return Err(BadAttribute::Unknown(name.clone()).into());
    }
    let (lane, now_ms) = (queue.lane(), clock::unix_ms());
    let depth = platform
        .queues
        .queue
        .work(Durability::Process, move |engine| engine.depth(&lane, now_ms))
        .await?;
    let mut all = queue.attributes.show();
    for (name, value) in [
        ("QueueArn", queue.arn(&platform.service.identity)),
        ("CreatedTimestamp", (queue.created_ms / 1000).to_string()),
        ("LastModifiedTimestamp", (queue.modified_ms / 1000).to_string()),
        ("ApproximateNumberOfMessages", depth.due.to_string()),
        ("ApproximateNumberOfMessagesNotVisible", depth.leased.to_string()),
        ("ApproximateNumberOfMessagesDelayed", depth.later.to_string()),
    ] {
        all.insert(name.to_owned(), value);
    }
    let is_all = request.attribute_names.iter().any(|name| name == "All");
    let wanted = |name: &String| is_all || request.attribute_names.contains(name);
    let shown: Map<String, Value> = all
        .into_iter()
        .filter(|(name, _)| wanted(name))
        .map(|(name, value)| (name, value.into()))
        .collect();
    Ok(if shown.is_empty() { json!({}) } else { json!({ "Attributes": shown }) })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct SetQueueAttributes {
    queue_url: String,
    attributes: BTreeMap<String, String>,
}

pub(super) async fn set(platform: &Platform, request: SetQueueAttributes) -> Answer {
    change(platform, &request.queue_url, |queue| {
        if request.attributes.contains_key("FifoQueue") {
            return Err(BadAttribute::Unknown("FifoQueue".into()).into());
        }
        queue.attributes.set(&request.attributes)?;
        if request.attributes.contains_key("RedrivePolicy") {
            check_redrive(platform, &queue.attributes)?;
        }
        queue.modified_ms = clock::unix_ms();
        Ok(())
    })
    .await
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct TagQueue {
    queue_url: String,
    tags: BTreeMap<String, String>,
}

pub(super) async fn tag(platform: &Platform, request: TagQueue) -> Answer {
    if request.tags.is_empty() {
        return Err(SqsError::missing("Tags"));
    }
    change(platform, &request.queue_url, |queue| {
        queue.tags.extend(request.tags);
        if queue.tags.len() > TAGS_MAX {
            let message = format!("Too many tags added for queue {}.", queue.name);
            return Err(SqsError::invalid(message));
        }
        Ok(())
    })
    .await
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct UntagQueue {
    queue_url: String,
    tag_keys: Vec<String>,
}

pub(super) async fn untag(platform: &Platform, request: UntagQueue) -> Answer {
    if request.tag_keys.is_empty() {
        let message = "Tag keys must be between 1 and 128 characters in length.";
        return Err(SqsError::invalid(message));
    }
    change(platform, &request.queue_url, |queue| {
        queue.tags.retain(|key, _| !request.tag_keys.contains(key));
        Ok(())
    })
    .await
}

pub(super) fn tags(platform: &Platform, request: Named) -> Answer {
    let queue = queue(platform, &request.queue_url)?;
    Ok(if queue.tags.is_empty() { json!({}) } else { json!({ "Tags": queue.tags }) })
}

pub(super) fn sources(platform: &Platform, request: Named) -> Answer {
    let arn = queue(platform, &request.queue_url)?.arn(&platform.service.identity);
    let is_source = |one: &Definition| {
        one.attributes.redrive.as_ref().is_some_and(|redrive| redrive.target == arn)
    };
    let all = platform.queues.list();
    let found = all.iter().filter(|one| is_source(one)).map(|one| url(platform, &one.name));
    Ok(json!({ "queueUrls": found.collect::<Vec<_>>() }))
}

async fn change(
    platform: &Platform,
    queue_url: &str,
    to: impl FnOnce(&mut Definition) -> Result<(), SqsError>,
) -> Answer {
    let name = &queue(platform, queue_url)?.name;
    let changed = platform.queues.change(name, |before| {
        let mut queue = before.cloned().ok_or_else(SqsError::no_queue)?;
        to(&mut queue).map(|()| queue)
    });
    changed.await.map(|_| json!({}))
}
