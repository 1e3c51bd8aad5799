//! CloudWatch Logs' API (AWS JSON 1.1, version 2014-03-28; shapes, limits and errors as in botocore's model of the
//! service), over what functions have printed.
//!
//! | call | |
//! | --- | --- |
//! | DescribeLogGroups | one for each function that has run: /aws/lambda/NAME |
//! | DescribeLogStreams | one for each of its environments |
//! | FilterLogEvents | of all environments, in the order of their coming |
//! | GetLogEvents | of one environment, forwards or backwards |
//! | DeleteLogGroup | which deleting a function does not do |

mod error;
mod events;
mod group;
mod groups;
mod pattern;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Platform;
use error::LogsError;

/// Largest request: a hundred names of streams and a pattern are far below.
const BODY_BYTES_MAX: usize = 1 << 20;

/// What every answer is.
const CONTENT: &str = "application/x-amz-json-1.1";
const PREFIX: &str = "Logs_20140328.";

type Answer = Result<Value, LogsError>;

/// Answers the call that the target names.
pub(super) async fn call(
    platform: &Platform,
    target: &str,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    match dispatch(platform, target, body).await {
        Ok(answer) => ([(CONTENT_TYPE, CONTENT)], answer.to_string()).into_response(),
        Err(error) => error.into_response(),
    }
}

async fn dispatch(
    platform: &Platform,
    target: &str,
    body: Result<Bytes, BytesRejection>,
) -> Answer {
    let Some(call) = target.strip_prefix(PREFIX) else { return Err(LogsError::unknown(target)) };
    let body = body.ok().filter(|body| body.len() <= BODY_BYTES_MAX);
    let body = body.ok_or_else(|| LogsError::invalid("The request is too large."))?;
    match call {
        "DescribeLogGroups" => groups::describe_groups(platform, parse(&body)?).await,
        "DescribeLogStreams" => groups::describe_streams(platform, parse(&body)?).await,
        "DeleteLogGroup" => groups::delete(platform, parse(&body)?).await,
        "FilterLogEvents" => events::filter(platform, parse(&body)?).await,
        "GetLogEvents" => events::get(platform, parse(&body)?).await,
        _ => Err(LogsError::unknown(target)),
    }
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, LogsError> {
    serde_json::from_slice(body).map_err(|error| LogsError::malformed(&error))
}

/// How many to give, of at most so many.
fn limit(wanted: Option<i64>, most: usize) -> Result<usize, LogsError> {
    match wanted.map(usize::try_from) {
        None => Ok(most),
        Some(Ok(count)) if (1..=most).contains(&count) => Ok(count),
        Some(_) => Err(LogsError::invalid(format!("limit must be from 1 to {most}."))),
    }
}
