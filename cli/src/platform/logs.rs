//! `mayfly logs`: by FilterLogEvents alone, and so of any CloudWatch Logs.
//!
//! Following is asking again, from the last event's time on: the events of that very millisecond come twice, and
//! are known by their ids.

use std::collections::{HashSet, VecDeque};
use std::io::{self, IsTerminal};
use std::process::ExitCode;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::api::{Api, Problem};
use super::output::{Reader, print};
use crate::args::Logs;
use crate::failure::{Failure, say};

/// Between two looks at a log that is followed.
const PAUSE: Duration = Duration::from_millis(500);
/// Digits of a stream's name that people need to tell environments apart.
const STREAM_CHARS: usize = 8;

/// Shows what a function has printed.
///
/// # Errors
/// The platform's, or nobody's answer.
pub fn logs(options: Logs) -> Result<ExitCode, Failure> {
    let mut api = Api::at(&options.place)?;
    let mut follower = Follower::new(group(&mut api, &options.name)?);
    let mut printer =
        Printer { as_json: options.place.json, for_terminal: io::stdout().is_terminal() };
    let mut tail = options.tail.map(Tail::new);
    loop {
        let mut reader = Reader::Listens;
        let found = follower.look(&mut api, |event| {
            if let Some(tail) = &mut tail {
                tail.push(event);
            } else if reader == Reader::Listens {
                reader = printer.print(&event)?;
            }
            Ok(())
        })?;
        for event in tail.take().map(|tail| tail.last).into_iter().flatten() {
            if reader == Reader::Listens {
                reader = printer.print(&event)?;
            }
        }
        if found == Found::NoLog {
            // A function that is not there is an error; one that has not run yet is not.
            api.configuration(&options.name)?;
            if !options.follow {
                say(&format!("{} has not run yet: there is no log", options.name));
            }
        }
        if !options.follow || reader == Reader::Gone {
            return Ok(ExitCode::SUCCESS);
        }
        api.pause(PAUSE);
    }
}

/// The group of a function's log; of one that is gone, that which it had without a word on it.
fn group(api: &mut Api, function: &str) -> Result<String, Failure> {
    match api.configuration(function) {
        Ok(found) => match found["LoggingConfig"]["LogGroup"].as_str() {
            Some(group) => Ok(group.into()),
            None => Ok(format!("/aws/lambda/{function}")),
        },
        Err(Problem::Refused(_)) => Ok(format!("/aws/lambda/{function}")),
        Err(Problem::Failed(failure)) => Err(failure),
    }
}

/// Whether there is a log to look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    Log,
    NoLog,
}

/// Reads a log's events, each once.
struct Follower {
    group: String,
    /// The last event's time, and the events of that time.
    last_ms: i64,
    seen: HashSet<String>,
}

impl Follower {
    fn new(group: String) -> Follower {
        Follower { group, last_ms: 0, seen: HashSet::new() }
    }

    /// Hands over what is new.
    fn look(
        &mut self,
        api: &mut Api,
        mut take: impl FnMut(Value) -> Result<(), Failure>,
    ) -> Result<Found, Failure> {
        let mut token = Value::Null;
        loop {
            let mut request = json!({ "logGroupName": self.group, "startTime": self.last_ms });
            if !token.is_null() {
                request["nextToken"] = token.clone();
            }
            let mut page = match api.logs("FilterLogEvents", &request) {
                Ok(page) => page,
                Err(problem) if problem.is("ResourceNotFoundException") => return Ok(Found::NoLog),
                Err(Problem::Refused(refusal)) => return Err(Failure::new(refusal)),
                Err(Problem::Failed(failure)) => return Err(failure),
            };
            if let Value::Array(events) = page["events"].take() {
                for event in events {
                    if self.is_new(&event) {
                        take(event)?;
                    }
                }
            }
            let next = page["nextToken"].take();
            if !next.is_string() || next == token {
                return Ok(Found::Log);
            }
            token = next;
        }
    }

    fn is_new(&mut self, event: &Value) -> bool {
        let at_ms = event["timestamp"].as_i64().unwrap_or_default();
        if at_ms > self.last_ms {
            self.last_ms = at_ms;
            self.seen.clear();
        }
        let id = event["eventId"].as_str().unwrap_or_default();
        at_ms < self.last_ms || self.seen.insert(id.to_owned())
    }
}

/// The last events of many.
struct Tail {
    most: usize,
    last: VecDeque<Value>,
}

impl Tail {
    fn new(most: usize) -> Tail {
        Tail { most, last: VecDeque::new() }
    }

    fn push(&mut self, event: Value) {
        self.last.push_back(event);
        if self.last.len() > self.most {
            self.last.pop_front();
        }
    }
}

/// How events are shown.
struct Printer {
    as_json: bool,
    for_terminal: bool,
}

impl Printer {
    fn print(&mut self, event: &Value) -> Result<Reader, Failure> {
        let line = if self.as_json { event.to_string() } else { self.line(event) };
        print(format!("{line}\n").as_bytes())
    }

    fn line(&self, event: &Value) -> String {
        let at_ms = event["timestamp"].as_i64().unwrap_or_default();
        let at = Timestamp::from_millisecond(at_ms).unwrap_or(Timestamp::UNIX_EPOCH);
        let stream = event["logStreamName"].as_str().unwrap_or_default();
        let stream = stream.rsplit(']').next().unwrap_or(stream);
        let stream: String = stream.chars().take(STREAM_CHARS).collect();
        let message = event["message"].as_str().unwrap_or_default();
        let message = message.strip_suffix('\n').unwrap_or(message);
        // A function's bytes shall not steer a person's terminal.
        let shown =
            |c: char| if self.for_terminal && c.is_control() && c != '\t' { '\u{fffd}' } else { c };
        let message: String = message.chars().map(shown).collect();
        format!("{at:.3}  {stream}  {message}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(at_ms: i64, id: &str) -> Value {
        json!({
            "timestamp": at_ms, "eventId": id, "message": "a\u{1b}[2Jb\tc\n",
            "logStreamName": "2025/01/31/[$LATEST]0123456789abcdef",
        })
    }

    #[test]
    fn an_event_is_new_once() {
        let mut follower = Follower::new("/aws/lambda/f".into());
        let mut is_new = |at_ms, id| follower.is_new(&event(at_ms, id));
        assert!(is_new(5, "a") && is_new(5, "b"));
        assert!(!is_new(5, "a") && !is_new(5, "b"));
        assert!(is_new(5, "c") && is_new(6, "d") && !is_new(6, "d"));
    }

    #[test]
    fn a_line_has_time_stream_and_message() {
        let line = |for_terminal| {
            Printer { as_json: false, for_terminal }.line(&event(1_738_326_896_007, "a"))
        };
        assert_eq!(line(false), "2025-01-31T12:34:56.007Z  01234567  a\u{1b}[2Jb\tc");
        assert_eq!(line(true), "2025-01-31T12:34:56.007Z  01234567  a\u{fffd}[2Jb\tc");
    }

    #[test]
    fn a_tail_is_the_last_events() {
        let mut tail = Tail::new(2);
        for at_ms in 1..=3 {
            tail.push(event(at_ms, ""));
        }
        assert_eq!(
            tail.last.iter().map(|one| one["timestamp"].clone()).collect::<Vec<_>>(),
            [2, 3]
        );
        let mut none = Tail::new(0);
        none.push(event(1, ""));
        assert!(none.last.is_empty());
    }
}
