//! What a function's log says of an event that did not go well: each line names the event's request id.
//!
//! ```text
//!   RequestId: 8f0c… Event failed in run 1: it is run again in 60 s
//!   RequestId: 8f0c… Event given up after 3 runs: RetriesExhausted. Dead letter in arn:aws:sqs:…:dead
//! ```

use super::record::{Condition, Ended};

/// Its function failed on it, and gets it again.
pub(super) fn failed(request_id: &str, runs: u32, delay_ms: i64) -> String {
    format!(
        "RequestId: {request_id} Event failed in run {runs}: it is run again in {}",
        seconds(delay_ms)
    )
}

/// It could not be run, and is tried again.
pub(super) fn refused(request_id: &str, why: &str, delay_ms: i64) -> String {
    format!(
        "RequestId: {request_id} Event not run: {why}. It is tried again in {}",
        seconds(delay_ms)
    )
}

/// It has ended without success; where it went.
pub(super) fn given_up(
    ended: &Ended<'_>,
    destination: Option<&str>,
    letters: Option<&str>,
) -> String {
    let Ended { event, condition, runs, .. } = ended;
    debug_assert_ne!(*condition, Condition::Success);
    let times = if *runs == 1 { "run" } else { "runs" };
    let mut line = format!(
        "RequestId: {} Event given up after {runs} {times}: {}.",
        event.request_id,
        condition.name()
    );
    if let Some(arn) = destination {
        line += &format!(" Record in {arn}.");
    }
    if let Some(arn) = letters {
        line += &format!(" Dead letter in {arn}.");
    }
    if destination.or(letters).is_none() {
        line += " Nothing is left of it.";
    }
    line
}

fn seconds(ms: i64) -> String {
    format!("{} s", ms as f64 / 1e3)
}
