//! FilterLogEvents and GetLogEvents.
//!
//! A token is a position in the log, so a page begins where the one before ended, whatever has come or gone since.

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::ops::ControlFlow;

use serde::Deserialize;
use serde_json::{Value, json};

use super::error::LogsError;
use super::group::GroupName;
use super::pattern::Pattern;
use super::{Answer, limit};
use crate::api::Platform;
use crate::logs::{Event, Logs, Position};

/// Events on one page, and the bytes of their messages, each with 26 (CloudWatch Logs quotas: 1 MB).
const EVENTS_MAX: usize = 10_000;
const PAGE_BYTES_MAX: usize = 1 << 20;
const EVENT_BYTES: usize = 26;
/// Streams that a filter may name.
const STREAMS_MAX: usize = 100;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct FilterLogEvents {
    #[serde(flatten)]
    group: GroupName,
    log_stream_names: Option<Vec<String>>,
    log_stream_name_prefix: Option<String>,
    start_time: Option<i64>,
    end_time: Option<i64>,
    filter_pattern: Option<String>,
    next_token: Option<String>,
    limit: Option<i64>,
}

pub(super) async fn filter(platform: &Platform, request: FilterLogEvents) -> Answer {
    let count = limit(request.limit, EVENTS_MAX)?;
    let pattern = Pattern::parse(request.filter_pattern.as_deref().unwrap_or_default())?;
    let from = request.next_token.as_deref().map(position).transpose()?.unwrap_or_default();
    let streams: Option<BTreeSet<String>> =
        request.log_stream_names.map(|names| names.into_iter().collect());
    if streams.as_ref().is_some_and(|names| names.len() > STREAMS_MAX) {
        return Err(LogsError::invalid("logStreamNames has more than 100 names."));
    }
    if streams.is_some() && request.log_stream_name_prefix.is_some() {
        return Err(LogsError::invalid("Give either logStreamNames or logStreamNamePrefix."));
    }
    let prefix = request.log_stream_name_prefix.unwrap_or_default();
    let start_ms = request.start_time.unwrap_or(0);
    let end_ms = request.end_time.unwrap_or(i64::MAX);
    let name = request.group.log()?;
    let wanted = move |event: &Event<'_>| {
        (start_ms..=end_ms).contains(&event.time_ms)
            && streams.as_ref().is_none_or(|names| names.contains(event.stream))
            && event.stream.starts_with(&prefix)
            && pattern.is_met_by(event.message)
    };
    let page = platform.logs.read(move |logs| first(logs, &name, from, count, wanted)).await?;
    let page = page.ok_or_else(LogsError::no_group)?;
    let shown: Vec<Value> = page.events.iter().map(Found::with_stream).collect();
    let mut answer = json!({ "events": shown, "searchedLogStreams": [] });
    if let Some(more) = page.more {
        answer["nextToken"] = token(more).into();
    }
    Ok(answer)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct GetLogEvents {
    #[serde(flatten)]
    group: GroupName,
    log_stream_name: String,
    start_time: Option<i64>,
    end_time: Option<i64>,
    next_token: Option<String>,
    limit: Option<i64>,
    #[serde(default)]
    start_from_head: bool,
}

/// Which page of a stream is wanted.
#[derive(Clone, Copy)]
enum Which {
    /// What follows.
    From(Position),
    /// What comes right before.
    Before(Position),
}

const LAST: Position = Position { segment: u64::MAX, offset: u64::MAX };

pub(super) async fn get(platform: &Platform, request: GetLogEvents) -> Answer {
    let count = limit(request.limit, EVENTS_MAX)?;
    let which = match &request.next_token {
        None if request.start_from_head => Which::From(Position::default()),
        None => Which::Before(LAST),
        Some(token) => match token.split_once('/') {
            Some(("f", rest)) => Which::From(position(rest)?),
            Some(("b", rest)) => Which::Before(position(rest)?),
            _ => return Err(bad_token()),
        },
    };
    let is_continued = request.next_token.is_some();
    let start_ms = request.start_time.unwrap_or(0);
    let end_ms = request.end_time.unwrap_or(i64::MAX);
    let name = request.group.log()?;
    let found = platform.logs.read(move |logs| {
        // A stream without any event is none.
        let mut exists = is_continued;
        let wanted = |event: &Event<'_>| {
            let is_here = event.stream == request.log_stream_name;
            exists |= is_here;
            is_here && (start_ms..end_ms).contains(&event.time_ms)
        };
        let page = match which {
            Which::From(from) => first(logs, &name, from, count, wanted),
            Which::Before(end) => last(logs, &name, end, count, wanted),
        };
        Ok((page?, exists))
    });
    let (page, exists) = found.await?;
    let page = page.ok_or_else(LogsError::no_group)?;
    if !exists {
        return Err(LogsError::no_stream());
    }
    let (begin, end) = page.span(which);
    Ok(json!({
        "events": page.events.iter().map(Found::plain).collect::<Vec<_>>(),
        "nextForwardToken": format!("f/{}", token(end)),
        "nextBackwardToken": format!("b/{}", token(begin)),
    }))
}

/// An event that was asked for.
struct Found {
    position: Position,
    next: Position,
    time_ms: i64,
    stream: String,
    message: String,
}

impl Found {
    fn of(event: Event<'_>) -> Found {
        // Lambda's messages end as the lines did.
        let message = format!("{}\n", String::from_utf8_lossy(event.message));
        let Event { position, next, time_ms, stream, .. } = event;
        Found { position, next, time_ms, stream: stream.to_owned(), message }
    }

    fn bytes(&self) -> usize {
        self.message.len() + EVENT_BYTES
    }

    fn plain(&self) -> Value {
        json!({ "timestamp": self.time_ms, "message": self.message, "ingestionTime": self.time_ms })
    }

    fn with_stream(&self) -> Value {
        let Position { segment, offset } = self.position;
        // As long as AWS has them, and in the order of the events.
        let id = (u128::from(segment) << 64) | u128::from(offset);
        json!({
            "logStreamName": self.stream,
            "timestamp": self.time_ms,
            "message": self.message,
            "ingestionTime": self.time_ms,
            "eventId": format!("{id:056}"),
        })
    }
}

/// Events that were asked for.
struct Page {
    events: VecDeque<Found>,
    /// Where it goes on, where there may be more.
    more: Option<Position>,
    /// Behind the last event that was looked at.
    end: Position,
}

impl Page {
    /// From where to where it goes.
    fn span(&self, which: Which) -> (Position, Position) {
        let (begin, end) = match which {
            Which::From(from) => (from, self.more.unwrap_or(self.end)),
            Which::Before(LAST) => (self.end, self.end),
            Which::Before(end) => (end, end),
        };
        match (self.events.front(), self.events.back(), which) {
            (Some(first), Some(last), Which::Before(_)) => (first.position, last.next),
            (Some(first), _, Which::From(_)) => (first.position, end),
            _ => (begin, end),
        }
    }
}

/// The first events from a position on; `None` where there is no log.
fn first(
    logs: &Logs,
    function: &str,
    from: Position,
    count: usize,
    mut wanted: impl FnMut(&Event<'_>) -> bool,
) -> io::Result<Option<Page>> {
    let (mut events, mut bytes, mut more) = (VecDeque::new(), 0, None);
    let end = logs.scan(function, from, |event| {
        if !wanted(&event) {
            return ControlFlow::Continue(());
        }
        let found = Found::of(event);
        // One event fits always: its length is bounded.
        if events.len() == count || bytes + found.bytes() > PAGE_BYTES_MAX && !events.is_empty() {
            more = Some(found.position);
            return ControlFlow::Break(());
        }
        bytes += found.bytes();
        events.push_back(found);
        ControlFlow::Continue(())
    });
    Ok(end?.map(|end| Page { events, more, end }))
}

/// The last events before a position; `None` where there is no log.
fn last(
    logs: &Logs,
    function: &str,
    before: Position,
    count: usize,
    mut wanted: impl FnMut(&Event<'_>) -> bool,
) -> io::Result<Option<Page>> {
    let (mut events, mut bytes) = (VecDeque::<Found>::new(), 0);
    let end = logs.scan(function, Position::default(), |event| {
        if event.position >= before {
            return ControlFlow::Break(());
        }
        if wanted(&event) {
            let found = Found::of(event);
            bytes += found.bytes();
            events.push_back(found);
        }
        while events.len() > count || bytes > PAGE_BYTES_MAX && events.len() > 1 {
            bytes -= events.pop_front().map_or(0, |gone| gone.bytes());
        }
        ControlFlow::Continue(())
    });
    Ok(end?.map(|end| Page { events, more: None, end }))
}

fn token(Position { segment, offset }: Position) -> String {
    format!("{segment:016x}{offset:016x}")
}

fn position(token: &str) -> Result<Position, LogsError> {
    let number = |text: &str| u64::from_str_radix(text, 16).map_err(|_| bad_token());
    match token.split_at_checked(16) {
        Some((segment, offset)) if token.len() == 32 => {
            Ok(Position { segment: number(segment)?, offset: number(offset)? })
        }
        _ => Err(bad_token()),
    }
}

fn bad_token() -> LogsError {
    LogsError::invalid("The specified nextToken is invalid.")
}
