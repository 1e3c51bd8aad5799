//! DeleteMessage, ChangeMessageVisibility, and their batches: what whoever has received a message may do with it.

use serde::Deserialize;
use serde_json::{Value, json};

use super::error::SqsError;
use super::{Answer, batch, queue};
use crate::api::Platform;
use crate::clock;
use crate::queue::{Durability, Lease};
use crate::sqs::Receipt;

const VISIBILITY_S_MAX: i64 = 43_200;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct DeleteMessage {
    queue_url: String,
    receipt_handle: String,
}

pub(super) async fn delete(platform: &Platform, request: DeleteMessage) -> Answer {
    let lane = queue(platform, &request.queue_url)?.lane();
    remove(platform, &lane, &request.receipt_handle).await
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ChangeMessageVisibility {
    queue_url: String,
    receipt_handle: String,
    visibility_timeout: i64,
}

pub(super) async fn change(platform: &Platform, request: ChangeMessageVisibility) -> Answer {
    let lane = queue(platform, &request.queue_url)?.lane();
    renew(platform, &lane, &request.receipt_handle, request.visibility_timeout).await
}

/// Of either call; only one of them has a visibility timeout.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Batch {
    queue_url: String,
    entries: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    id: String,
    receipt_handle: String,
    #[serde(default)]
    visibility_timeout: i64,
}

pub(super) async fn delete_batch(platform: &Platform, request: Batch) -> Answer {
    let (lane, mut ends) = (checked(platform, "DeleteMessageBatch", &request)?, Vec::new());
    for entry in request.entries {
        ends.push((entry.id, remove(platform, &lane, &entry.receipt_handle).await));
    }
    Ok(batch::answer(ends))
}

pub(super) async fn change_batch(platform: &Platform, request: Batch) -> Answer {
    let lane = checked(platform, "ChangeMessageVisibilityBatch", &request)?;
    let mut ends = Vec::new();
    for Entry { id, receipt_handle, visibility_timeout } in request.entries {
        ends.push((id, renew(platform, &lane, &receipt_handle, visibility_timeout).await));
    }
    Ok(batch::answer(ends))
}

/// Where the messages of a batch's queue are; `call` is its operation.
fn checked(platform: &Platform, call: &str, batch: &Batch) -> Result<String, SqsError> {
    let lane = queue(platform, &batch.queue_url)?.lane();
    batch::check(call, batch.entries.iter().map(|entry| entry.id.as_str()))?;
    Ok(lane)
}

/// One that is gone already is gone.
async fn remove(platform: &Platform, lane: &str, handle: &str) -> Result<Value, SqsError> {
    let lease = lease(lane, handle)?;
    let removed = platform.queues.queue.work(Durability::Power, move |engine| {
        Ok(engine.complete(lease)? || !engine.contains(lease.id)?)
    });
    match removed.await? {
        true => {
            // The next one of its group may be received.
            platform.queues.queue.ring(lane);
            Ok(json!({}))
        }
        false => Err(SqsError::expired(handle)),
    }
}

async fn renew(
    platform: &Platform,
    lane: &str,
    handle: &str,
    visibility_s: i64,
) -> Result<Value, SqsError> {
    let lease = lease(lane, handle)?;
    if !(0..=VISIBILITY_S_MAX).contains(&visibility_s) {
        let (value, reason) = (visibility_s.to_string(), "Must be between 0 and 43200");
        return Err(SqsError::value(&value, "VisibilityTimeout", reason));
    }
    let now_ms = clock::unix_ms();
    let until_ms = now_ms + 1000 * visibility_s;
    let renewed = platform.queues.queue.work(Durability::Process, move |engine| {
        Ok((engine.renew(lease, now_ms, until_ms)?, engine.contains(lease.id)?))
    });
    match renewed.await? {
        (true, _) => {
            platform.queues.queue.ring(lane);
            Ok(json!({}))
        }
        (false, true) => Err(SqsError::not_in_flight()),
        (false, false) => Err(SqsError::value(
            handle,
            "ReceiptHandle",
            "Message does not exist or is not available for visibility timeout change",
        )),
    }
}

/// The lease that a handle stands for; one of another queue's messages is none of this.
fn lease(lane: &str, handle: &str) -> Result<Lease, SqsError> {
    let receipt = Receipt::read(handle).filter(|receipt| receipt.lane == lane);
    receipt.map(|receipt| receipt.lease).ok_or_else(|| SqsError::no_handle(handle))
}
