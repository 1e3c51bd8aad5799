//! Mayfly's own: what is queued, for `mayfly queue`. A queue is called `events/FUNCTION` or `sqs/NAME`.

use std::collections::{BTreeMap, BTreeSet};

use axum::Json;
use axum::body::Bytes;
use axum::extract::Query;
use axum::extract::rejection::BytesRejection;
use axum::response::IntoResponse;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Platform;
use super::error::ApiError;
use super::functions::{Answer, Shared, parse};
use crate::clock;
use crate::poller::Event;
use crate::queue::Durability;

/// Messages that one look shows.
const PEEK_MAX: usize = 100;
/// The part of a body that it shows.
const BODY_BYTES_MAX: usize = 1024;

pub(super) async fn list(platform: Shared) -> Answer {
    let lanes = lanes(&platform);
    let now_ms = clock::unix_ms();
    let letters = dead_letter_queues(&platform);
    let names: Vec<(String, bool)> =
        lanes.iter().map(|(name, lane)| (name.clone(), letters.contains(lane))).collect();
    let depths = platform.queues.queue.work(Durability::Process, move |engine| {
        lanes.values().map(|lane| engine.depth(lane, now_ms)).collect::<Result<Vec<_>, _>>()
    });
    let depths = depths.await?;
    let shown = names.iter().zip(depths).map(|((name, is_for_letters), depth)| {
        let all = depth.due + depth.leased + depth.later;
        json!({
            "Name": name,
            "Due": depth.due,
            "InFlight": depth.leased,
            "Later": depth.later,
            "Retried": depth.retried,
            "Dead": if *is_for_letters { all } else { 0 },
            "OldestMs": depth.oldest_ms.map(|sent_ms| now_ms - sent_ms),
        })
    });
    Ok(Json(json!({ "Queues": shown.collect::<Vec<_>>() })).into_response())
}

#[derive(Deserialize)]
pub(super) struct Peek {
    #[serde(rename = "Queue")]
    queue: String,
}

pub(super) async fn peek(platform: Shared, Query(Peek { queue }): Query<Peek>) -> Answer {
    let lane = lane(&platform, &queue)?;
    let found = platform
        .queues
        .queue
        .work(Durability::Process, move |engine| engine.peek(&lane, PEEK_MAX))
        .await?;
    let shown: Vec<Value> = found
        .iter()
        .map(|message| {
            let body = &message.body[..message.body.len().min(BODY_BYTES_MAX)];
            json!({
                "Number": message.id,
                "SentMs": message.sent_ms,
                "DueMs": message.due_ms,
                "Leases": message.leases,
                "Head": serde_json::from_str::<Value>(&message.head).unwrap_or_default(),
                "Bytes": message.body.len(),
                "Body": String::from_utf8_lossy(body),
            })
        })
        .collect();
    Ok(Json(json!({ "Messages": shown })).into_response())
}

#[derive(Deserialize)]
struct Change {
    #[serde(rename = "Queue")]
    queue: String,
    /// Where its messages go, if they go anywhere.
    #[serde(rename = "To")]
    to: Option<String>,
}

/// Moves a queue's messages to another.
pub(super) async fn redrive(platform: Shared, body: Result<Bytes, BytesRejection>) -> Answer {
    let Change { queue, to } = parse(body)?;
    let (from, now_ms) = (lane(&platform, &queue)?, clock::unix_ms());
    let to = to.ok_or_else(|| ApiError::invalid("To is mandatory."))?;
    if !queue.starts_with("sqs/") || !to.starts_with("sqs/") {
        return Err(ApiError::invalid("Messages are moved from one queue of sqs/ to another."));
    }
    let to = lane(&platform, &to)?;
    let into = to.clone();
    let moved = platform
        .queues
        .queue
        .work(Durability::Power, move |engine| engine.redrive(&from, &into, usize::MAX, now_ms));
    let moved = moved.await?;
    platform.queues.queue.ring(&to);
    Ok(Json(json!({ "Moved": moved })).into_response())
}

/// Removes a queue's messages.
pub(super) async fn purge(platform: Shared, body: Result<Bytes, BytesRejection>) -> Answer {
    let Change { queue, .. } = parse(body)?;
    let lane = lane(&platform, &queue)?;
    let purged = platform.queues.queue.purge(&lane).await?;
    Ok(Json(json!({ "Purged": purged })).into_response())
}

fn lane(platform: &Platform, name: &str) -> Result<String, ApiError> {
    let missing = || ApiError::missing(format!("There is no queue {name}."));
    lanes(platform).remove(name).ok_or_else(missing)
}

/// Where the messages of those queues are that get dead letters: other queues', functions', or schedules'.
fn dead_letter_queues(platform: &Platform) -> BTreeSet<String> {
    let queues = platform.queues.list();
    let redriven = queues.iter().filter_map(|queue| platform.queues.dead_letters(queue));
    let functions = platform.functions.list(None, usize::MAX).into_iter();
    let dead_letters = functions.filter_map(|entry| entry.latest.configuration.dead_letter.clone());
    let schedules = platform.schedules.list().into_iter();
    let of_schedules = schedules.filter_map(|one| one.target.dead_letters.clone());
    // Many schedules name few queues.
    let named: BTreeSet<String> = dead_letters.chain(of_schedules).collect();
    let named = named.iter().filter_map(|arn| platform.queues.get(arn.rsplit(':').next()?));
    redriven.map(|(_, lane)| lane).chain(named.map(|queue| queue.lane())).collect()
}

/// Where queues' messages are, by the queues' names.
fn lanes(platform: &Platform) -> BTreeMap<String, String> {
    let functions = platform.functions.list(None, usize::MAX).into_iter().map(|entry| {
        let name = format!("events/{}", entry.latest.configuration.name);
        (name, Event::lane(&entry.latest))
    });
    let queues = platform.queues.list().into_iter().map(|queue| (queue.lane(), queue.lane()));
    functions.chain(queues).collect()
}
