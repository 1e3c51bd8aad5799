//! `mayfly queue`: what is queued, and what to do about it.

use std::process::ExitCode;

use serde_json::{Value, json};

use super::api::Api;
use super::output::{bytes, print};
use super::table::table;
use crate::args::{Queue, QueueCommand};
use crate::failure::{Failure, say};

const HEADS: [&str; 7] = ["QUEUE", "DUE", "IN FLIGHT", "LATER", "RETRIED", "DEAD", "OLDEST"];
const MESSAGE_HEADS: [&str; 6] = ["NUMBER", "REQUEST ID", "AGE", "LEASES", "SIZE", "BODY"];
/// The part of a body that a line has room for.
const BODY_CHARS: usize = 60;

/// Shows queues or changes one.
///
/// # Errors
/// The platform's, or nobody's answer.
pub fn queue(options: Queue) -> Result<ExitCode, Failure> {
    let mut api = Api::at(&options.place)?;
    let answer = match &options.command {
        None => api.queues()?,
        Some(QueueCommand::Peek { queue }) => api.queued(queue)?,
        Some(QueueCommand::Redrive { queue, to }) => {
            api.change_queue("redrive", &json!({ "Queue": queue, "To": to }))?
        }
        Some(QueueCommand::Purge { queue }) => {
            api.change_queue("purge", &json!({ "Queue": queue }))?
        }
    };
    let text = match &options.command {
        _ if options.place.json => format!("{answer:#}\n"),
        None => {
            let queues = answer["Queues"].as_array().map(Vec::as_slice).unwrap_or_default();
            if queues.is_empty() {
                say(
                    "there are no queues: functions have one each for their events, SQS makes others",
                );
                return Ok(ExitCode::SUCCESS);
            }
            table(HEADS, &queues.iter().map(row).collect::<Vec<_>>())
        }
        Some(QueueCommand::Peek { .. }) => {
            let messages = answer["Messages"].as_array().into_iter().flatten();
            table(MESSAGE_HEADS, &messages.map(message_row).collect::<Vec<_>>())
        }
        Some(QueueCommand::Redrive { queue, to }) => {
            format!("{queue}: {} moved to {to}\n", answer["Moved"])
        }
        Some(QueueCommand::Purge { queue }) => format!("{queue}: {} removed\n", answer["Purged"]),
    };
    print(text.as_bytes())?.done();
    Ok(ExitCode::SUCCESS)
}

fn row(queue: &Value) -> [String; 7] {
    let number = |key: &str| queue[key].as_u64().unwrap_or_default().to_string();
    let name = queue["Name"].as_str().unwrap_or("-").to_owned();
    let [due, in_flight, later] = ["Due", "InFlight", "Later"].map(number);
    let (retried, dead) = (number("Retried"), number("Dead"));
    [name, due, in_flight, later, retried, dead, age(queue["OldestMs"].as_i64())]
}

/// What is queued altogether, as a line of `mayfly top`.
pub fn sum(queues: &Value) -> String {
    let queues = queues["Queues"].as_array().map(Vec::as_slice).unwrap_or_default();
    let of = |key: &str| queues.iter().filter_map(|one| one[key].as_u64()).sum::<u64>();
    format!(
        "queued       {} due, {} in flight, {} later; {} retried, {} dead\n",
        of("Due"),
        of("InFlight"),
        of("Later"),
        of("Retried"),
        of("Dead"),
    )
}

fn message_row(message: &Value) -> [String; 6] {
    let number = |key: &str| message[key].as_u64().unwrap_or_default();
    let now_ms = jiff::Timestamp::now().as_millisecond();
    let body = message["Body"].as_str().unwrap_or_default();
    let body = body.chars().map(|one| if one.is_control() { ' ' } else { one });
    [
        number("Number").to_string(),
        message["Head"]["request_id"].as_str().unwrap_or("-").to_owned(),
        age(message["SentMs"].as_i64().map(|sent_ms| now_ms - sent_ms)),
        number("Leases").to_string(),
        bytes(number("Bytes")),
        body.take(BODY_CHARS).collect(),
    ]
}

/// An age for people.
fn age(ms: Option<i64>) -> String {
    match ms {
        None => "-".into(),
        Some(ms) if ms < 1000 => format!("{ms} ms"),
        Some(ms) if ms < 120_000 => format!("{} s", ms / 1000),
        Some(ms) if ms < 7_200_000 => format!("{} min", ms / 60_000),
        Some(ms) => format!("{} h", ms / 3_600_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_is_a_row() {
        let queue = json!({ "Name": "events/f", "Due": 3, "InFlight": 2, "Later": 1, "Retried": 4, "OldestMs": 90_500 });
        assert_eq!(row(&queue), ["events/f", "3", "2", "1", "4", "0", "90 s"]);
        assert_eq!(row(&json!({ "Name": "sqs/q", "OldestMs": null }))[6], "-");
        let dead = json!({ "Name": "sqs/q", "Due": 5, "Dead": 5 });
        assert_eq!(
            sum(&json!({ "Queues": [queue, dead] })),
            "queued       8 due, 2 in flight, 1 later; 4 retried, 5 dead\n"
        );
        let event = json!({ "Number": 7, "Head": { "request_id": "r-1" } });
        assert_eq!(message_row(&event)[1], "r-1");
        assert_eq!(message_row(&json!({ "Number": 8 }))[1], "-");
        let ages = [999, 119_999, 120_000, 7_200_000].map(|ms| age(Some(ms)));
        assert_eq!(ages, ["999 ms", "119 s", "2 min", "2 h"]);
    }
}
