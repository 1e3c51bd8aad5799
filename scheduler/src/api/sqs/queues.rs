//! CreateQueue, DeleteQueue, GetQueueUrl, ListQueues, PurgeQueue.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::error::SqsError;
use super::{Answer, queue, url};
use crate::api::Platform;
use crate::clock;
use crate::sqs::{Attributes, Definition};

const NAME_CHARS_MAX: usize = 80;
const FIFO: &str = ".fifo";
/// Queues on one page.
const PAGE_MAX: usize = 1000;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct CreateQueue {
    queue_name: String,
    #[serde(default)]
    attributes: BTreeMap<String, String>,
    #[serde(default, rename = "tags")]
    tags: BTreeMap<String, String>,
}

pub(super) async fn create(platform: &Platform, request: CreateQueue) -> Answer {
    let CreateQueue { queue_name: name, attributes: given, tags } = request;
    let is_fifo = given.get("FifoQueue").is_some_and(|value| value == "true");
    if !is_name(&name, is_fifo) {
        return Err(SqsError::invalid(
            "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length; the name of a FIFO \
             queue ends with .fifo",
        ));
    }
    let created = platform.queues.change(&name, |before| {
        let mut attributes = Attributes { is_fifo, ..Attributes::default() };
        attributes.set(&given)?;
        check_redrive(platform, &attributes)?;
        match before {
            None => {
                let now_ms = clock::unix_ms();
                let (created_ms, modified_ms) = (now_ms, now_ms);
                let name = name.clone();
                Ok(Definition { name, attributes, tags, created_ms, modified_ms })
            }
            // The same again is the same.
            Some(before) => {
                let (here, asked) = (before.attributes.show(), attributes.show());
                match given.keys().find(|name| here.get(*name) != asked.get(*name)) {
                    None => Ok(before.clone()),
                    Some(name) => Err(SqsError::exists(name)),
                }
            }
        }
    });
    Ok(json!({ "QueueUrl": url(platform, &created.await?.name) }))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Named {
    pub(super) queue_url: String,
}

pub(super) async fn delete(platform: &Platform, request: Named) -> Answer {
    let queue = queue(platform, &request.queue_url)?;
    match platform.queues.remove(&queue.name).await? {
        true => Ok(json!({})),
        false => Err(SqsError::no_queue()),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct GetQueueUrl {
    queue_name: String,
}

pub(super) fn get_url(platform: &Platform, request: GetQueueUrl) -> Answer {
    let queue = platform.queues.get(&request.queue_name).ok_or_else(SqsError::no_queue)?;
    Ok(json!({ "QueueUrl": url(platform, &queue.name) }))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListQueues {
    #[serde(default)]
    queue_name_prefix: String,
    /// The last name of the page before.
    next_token: Option<String>,
    max_results: Option<usize>,
}

pub(super) fn list(platform: &Platform, request: &ListQueues) -> Answer {
    let count = request.max_results.unwrap_or(PAGE_MAX);
    if !(1..=PAGE_MAX).contains(&count) {
        return Err(SqsError::value(&count.to_string(), "MaxResults", "It is from 1 to 1000"));
    }
    let after = request.next_token.as_deref().unwrap_or_default();
    let mut found = platform.queues.list();
    found.retain(|one| one.name.starts_with(&request.queue_name_prefix) && *one.name > *after);
    let has_more = found.len() > count;
    found.truncate(count);
    let urls: Vec<String> = found.iter().map(|one| url(platform, &one.name)).collect();
    let mut answer = json!({});
    if !urls.is_empty() {
        answer["QueueUrls"] = urls.into();
    }
    // Who asks for no pages gets the first, and does not hear of more.
    if let (true, Some(last)) = (has_more && request.max_results.is_some(), found.last()) {
        answer["NextToken"] = Value::from(last.name.as_str());
    }
    Ok(answer)
}

pub(super) async fn purge(platform: &Platform, request: Named) -> Answer {
    let lane = queue(platform, &request.queue_url)?.lane();
    platform.queues.queue.purge(&lane).await?;
    Ok(json!({}))
}

/// Where messages go that are received too often has to be there, and of the same type.
///
/// # Errors
/// It is neither.
pub(super) fn check_redrive(platform: &Platform, attributes: &Attributes) -> Result<(), SqsError> {
    let Some(redrive) = &attributes.redrive else { return Ok(()) };
    let refused = |reason| {
        let policy = serde_json::to_string(redrive).unwrap_or_default();
        Err(SqsError::value(&policy, "RedrivePolicy", reason))
    };
    // Its account and region are this platform's, whatever an ARN says of them.
    let name = redrive.target.rsplit(':').next().unwrap_or_default();
    match platform.queues.get(name) {
        None => refused("Dead letter target does not exist"),
        Some(found) if found.attributes.is_fifo != attributes.is_fifo => {
            refused("Dead letter queue must be same type of queue as the source")
        }
        Some(_) => Ok(()),
    }
}

fn is_name(name: &str, is_fifo: bool) -> bool {
    let stem = if is_fifo { name.strip_suffix(FIFO) } else { Some(name) };
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    name.len() <= NAME_CHARS_MAX
        && stem.is_some_and(|stem| !stem.is_empty() && stem.bytes().all(fits))
}
