//! Amazon SQS' API (AWS JSON 1.0 and, through query.rs, the query protocol, version 2012-11-05; shapes, limits and errors as in
//! botocore's model of the service).
//!
//! | call | |
//! | --- | --- |
//! | CreateQueue, DeleteQueue, GetQueueUrl, ListQueues, PurgeQueue | queues.rs |
//! | GetQueueAttributes, SetQueueAttributes, TagQueue, UntagQueue, ListQueueTags, ListDeadLetterSourceQueues | attributes.rs |
//! | SendMessage, SendMessageBatch | send.rs |
//! | ReceiveMessage | receive.rs |
//! | DeleteMessage, ChangeMessageVisibility, and their batches | leases.rs |

mod attributes;
mod batch;
mod error;
mod leases;
pub(super) mod query;
mod queues;
mod receive;
mod send;

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Platform;
use crate::service::Trace;
use crate::sqs::Definition;
use error::SqsError;

/// Largest request: a batch of 1 MiB, each character of it as an escape.
pub(super) const BODY_BYTES_MAX: usize = 8 << 20;
/// What names the calls.
pub(super) const PREFIX: &str = "AmazonSQS.";
/// What every answer is.
const CONTENT: &str = "application/x-amz-json-1.0";

type Answer = Result<Value, SqsError>;

/// Answers the call that a target names; `trace` is its client's.
pub(super) async fn call(
    platform: &Platform,
    call: &str,
    trace: Trace,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    match dispatch(platform, call, &trace, body).await {
        Ok(answer) => ([(CONTENT_TYPE, CONTENT)], answer.to_string()).into_response(),
        Err(error) => error.into_response(),
    }
}

async fn dispatch(
    platform: &Platform,
    call: &str,
    trace: &Trace,
    body: Result<Bytes, BytesRejection>,
) -> Answer {
    let body = body.map_err(|_| SqsError::invalid("The request is too large."))?;
    match call {
        "CreateQueue" => queues::create(platform, parse(&body)?).await,
        "DeleteQueue" => queues::delete(platform, parse(&body)?).await,
        "GetQueueUrl" => queues::get_url(platform, parse(&body)?),
        "ListQueues" => queues::list(platform, &parse(&body)?),
        "PurgeQueue" => queues::purge(platform, parse(&body)?).await,
        "GetQueueAttributes" => attributes::get(platform, parse(&body)?).await,
        "SetQueueAttributes" => attributes::set(platform, parse(&body)?).await,
        "TagQueue" => attributes::tag(platform, parse(&body)?).await,
        "UntagQueue" => attributes::untag(platform, parse(&body)?).await,
        "ListQueueTags" => attributes::tags(platform, parse(&body)?),
        "ListDeadLetterSourceQueues" => attributes::sources(platform, parse(&body)?),
        "SendMessage" => send::one(platform, parse(&body)?, trace).await,
        "SendMessageBatch" => send::batch(platform, parse(&body)?, trace).await,
        "ReceiveMessage" => receive::receive(platform, parse(&body)?).await,
        "DeleteMessage" => leases::delete(platform, parse(&body)?).await,
        "DeleteMessageBatch" => leases::delete_batch(platform, parse(&body)?).await,
        "ChangeMessageVisibility" => leases::change(platform, parse(&body)?).await,
        "ChangeMessageVisibilityBatch" => leases::change_batch(platform, parse(&body)?).await,
        _ => Err(SqsError::unknown(call)),
    }
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, SqsError> {
    serde_json::from_slice(body).map_err(|error| SqsError::malformed(&error))
}

/// The queue that a URL names: its last part does.
fn queue(platform: &Platform, url: &str) -> Result<Arc<Definition>, SqsError> {
    let name = url.rsplit('/').next().unwrap_or_default();
    platform.queues.get(name).ok_or_else(SqsError::no_queue)
}

/// Where clients find a queue.
fn url(platform: &Platform, name: &str) -> String {
    format!("http://{}/{}/{name}", platform.address, platform.service.identity.account)
}
