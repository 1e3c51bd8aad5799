//! DescribeLogGroups, DescribeLogStreams, DeleteLogGroup.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use serde::Deserialize;
use serde_json::{Value, json};

use super::error::LogsError;
use super::group::{self, GroupName};
use super::{Answer, limit};
use crate::api::Platform;
use crate::logs::{Position, Summary};

/// Groups or streams on one page: as many as AWS gives.
const PAGE_MAX: usize = 50;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DescribeLogGroups {
    log_group_name_prefix: Option<String>,
    log_group_name_pattern: Option<String>,
    next_token: Option<String>,
    limit: Option<i64>,
}

pub(super) async fn describe_groups(platform: &Platform, request: DescribeLogGroups) -> Answer {
    let count = limit(request.limit, PAGE_MAX)?;
    let prefix = request.log_group_name_prefix.unwrap_or_default();
    let part = request.log_group_name_pattern.unwrap_or_default();
    let found = platform.logs.read(|logs| logs.list()).await?;
    let is_wanted = |one: &Summary| one.group.starts_with(&prefix) && one.group.contains(&part);
    let found: Vec<Summary> = found.into_iter().filter(is_wanted).collect();
    let (page, next) = page(&found, request.next_token.as_deref(), count, |one| &one.group);
    let shown = page.iter().map(|one| {
        let arn = group::arn_of(&platform.service.identity, &one.group);
        json!({
            "logGroupName": one.group,
            "creationTime": one.created_ms,
            "metricFilterCount": 0,
            "arn": format!("{arn}:*"),
            "storedBytes": one.bytes,
            "logGroupClass": "STANDARD",
            "logGroupArn": arn,
        })
    });
    Ok(answer("logGroups", shown.collect(), next))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DescribeLogStreams {
    #[serde(flatten)]
    group: GroupName,
    log_stream_name_prefix: Option<String>,
    order_by: Option<String>,
    #[serde(default)]
    descending: bool,
    next_token: Option<String>,
    limit: Option<i64>,
}

/// A stream, as its events tell.
#[derive(Clone, Copy, Debug)]
struct Seen {
    first_ms: i64,
    last_ms: i64,
}

pub(super) async fn describe_streams(platform: &Platform, request: DescribeLogStreams) -> Answer {
    let count = limit(request.limit, PAGE_MAX)?;
    let is_by_time = match request.order_by.as_deref() {
        None | Some("LogStreamName") => false,
        Some("LastEventTime") if request.log_stream_name_prefix.is_some() => {
            let message = "Cannot order by LastEventTime with a logStreamNamePrefix.";
            return Err(LogsError::invalid(message));
        }
        Some("LastEventTime") => true,
        Some(_) => {
            return Err(LogsError::invalid("orderBy must be LogStreamName or LastEventTime."));
        }
    };
    let name = request.group.log()?;
    let prefix = request.log_stream_name_prefix.unwrap_or_default();
    let streams = platform.logs.read({
        move |logs| {
            let mut streams: BTreeMap<String, Seen> = BTreeMap::new();
            let end = logs.scan(&name, Position::default(), |event| {
                if let Some(seen) = streams.get_mut(event.stream) {
                    seen.last_ms = event.time_ms;
                } else if event.stream.starts_with(&prefix) {
                    let seen = Seen { first_ms: event.time_ms, last_ms: event.time_ms };
                    streams.insert(event.stream.to_owned(), seen);
                }
                ControlFlow::Continue(())
            });
            Ok(end?.map(|_| streams))
        }
    });
    let mut found: Vec<_> = streams.await?.ok_or_else(LogsError::no_group)?.into_iter().collect();
    if is_by_time {
        found.sort_by_key(|(_, seen)| seen.last_ms);
    }
    if request.descending {
        found.reverse();
    }
    let (page, next) = page(&found, request.next_token.as_deref(), count, |(name, _)| name);
    let arn = group::arn_of(&platform.service.identity, request.group.group()?);
    let shown = page.iter().map(|(name, seen)| {
        json!({
            "logStreamName": name,
            "creationTime": seen.first_ms,
            "firstEventTimestamp": seen.first_ms,
            "lastEventTimestamp": seen.last_ms,
            "lastIngestionTime": seen.last_ms,
            "arn": format!("{arn}:log-stream:{name}"),
            "storedBytes": 0,
        })
    });
    Ok(answer("logStreams", shown.collect(), next))
}

pub(super) async fn delete(platform: &Platform, request: GroupName) -> Answer {
    let name = request.log()?;
    match platform.logs.read(move |logs| logs.delete(&name)).await? {
        true => Ok(json!({})),
        false => Err(LogsError::no_group()),
    }
}

/// So many behind the one that the token names, and the next page's token, if there is a next page.
fn page<'a, T>(
    all: &'a [T],
    token: Option<&str>,
    count: usize,
    name: impl Fn(&T) -> &str,
) -> (&'a [T], Option<String>) {
    // What the token names may be gone: then there is nothing to go on from.
    let start = match token {
        None => 0,
        Some(token) => all.iter().position(|one| name(one) == token).map_or(all.len(), |at| at + 1),
    };
    let end = start.saturating_add(count).min(all.len());
    let next = (end < all.len()).then(|| all[start..end].last()).flatten();
    (&all[start..end], next.map(|last| name(last).to_owned()))
}

fn answer(member: &str, shown: Vec<Value>, next: Option<String>) -> Value {
    let mut answer = json!({ member: shown });
    if let Some(next) = next {
        answer["nextToken"] = next.into();
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_cover_everything_once() {
        let all = ["a", "b", "c"];
        let page = |token, count| page(&all, token, count, |one| one);
        assert_eq!(page(None, 2), (&all[..2], Some("b".into())));
        assert_eq!(page(Some("b"), 2), (&all[2..], None));
        assert_eq!(page(None, 3), (&all[..], None));
        assert_eq!(page(Some("gone"), 3), (&all[3..], None));
    }
}
