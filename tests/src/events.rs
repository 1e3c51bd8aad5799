//! Events whose ends are told: what a test that breaks the platform down compares with what it had accepted.
//!
//! ```text
//!   send ──▶ succeeds ── OnSuccess ──────▶ ┐
//!   send ──▶ fails ───── OnFailure ──────▶ ├ "told" ──▶ receive: the request ids
//!   send ──▶ letters ─── dead letters ───▶ ┘
//! ```
//!
//! The records of the ends are queued with what was accepted, so they survive as it does.

use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::fixture;
use crate::http::Connection;
use crate::platform::{Platform, bootstrap, invocations};

/// One that succeeds, and two that fail; each deserves a client of its own.
pub const FUNCTIONS: [&str; 3] = ["succeeds", "fails", "letters"];
/// For the platform: retries come soon, so that they meet what breaks it down.
pub const OPTIONS: [&str; 4] = ["--retry-scale", "0.0005", "--memory", "1024"];

const QUEUE: &str = "told";
/// Between two events of one client: the functions shall run meanwhile.
const PAUSE: Duration = Duration::from_millis(2);

/// Makes the functions, and the queue that is told.
///
/// # Panics
/// Where the platform does not make them.
pub fn create(platform: &Platform) {
    let request = json!({ "QueueName": QUEUE });
    assert_eq!(platform.sqs("CreateQueue", &request).status, 200);
    let arn = format!("arn:aws:sqs:us-east-1:000000000000:{QUEUE}");
    let code = bootstrap(&fixture("function"));
    for name in FUNCTIONS {
        let mut settings = json!({ "Timeout": 60 });
        if name == "letters" {
            settings["DeadLetterConfig"] = json!({ "TargetArn": arn });
        }
        platform.create(name, &code, settings);
        let on = json!({ "Destination": arn });
        let destinations = match name {
            "letters" => json!({}),
            _ => json!({ "OnSuccess": on, "OnFailure": on }),
        };
        let config = json!({ "DestinationConfig": destinations }).to_string();
        let path = format!("/2019-09-25/functions/{name}/event-invoke-config");
        assert_eq!(platform.request("PUT", &path, &[], config.as_bytes()).status, 200);
    }
}

/// Sends events to one of [`FUNCTIONS`] until the platform is gone; each request id goes to `accepted` once its 202 has
/// come.
///
/// # Panics
/// Where an event is refused.
pub fn send(address: SocketAddr, name: &str, mut accepted: impl FnMut(String)) {
    let payload = if name == "succeeds" { "\"count\"" } else { "\"error\"" };
    let headers = [("x-amz-invocation-type", "Event")];
    let Some(mut connection) = Connection::try_open(address) else { return };
    let path = invocations(name);
    while let Some(answer) = connection.try_request("POST", &path, &headers, payload.as_bytes()) {
        assert_eq!(answer.status, 202, "{}", answer.text());
        accepted(answer.header("x-amzn-requestid").expect("each answer has one").to_owned());
        thread::sleep(PAUSE);
    }
}

/// The request ids of the next events whose ends are told, each time it is told; none, where there are none for a second.
///
/// # Panics
/// Where what is told is not the end of an event.
pub fn receive(platform: &Platform) -> Vec<String> {
    let request = json!({
        "QueueUrl": QUEUE, "MaxNumberOfMessages": 10, "WaitTimeSeconds": 1,
        "MessageAttributeNames": ["All"],
    });
    let mut received = platform.sqs("ReceiveMessage", &request).json();
    let Value::Array(messages) = received["Messages"].take() else { return Vec::new() };
    let entries: Vec<Value> = messages
        .iter()
        .enumerate()
        .map(|(at, one)| json!({ "Id": at.to_string(), "ReceiptHandle": one["ReceiptHandle"] }))
        .collect();
    let delete = json!({ "QueueUrl": QUEUE, "Entries": entries });
    assert_eq!(platform.sqs("DeleteMessageBatch", &delete).status, 200);
    let id = |message: &Value| {
        let letter = &message["MessageAttributes"]["RequestID"]["StringValue"];
        let record: Value = serde_json::from_str(message["Body"].as_str()?).ok()?;
        letter.as_str().or(record["requestContext"]["requestId"].as_str()).map(str::to_owned)
    };
    messages.iter().map(|message| id(message).expect("an event's id")).collect()
}

/// How many events are queued, in whatever state, and records of their ends that nobody has received.
///
/// # Panics
/// Where the platform does not say.
pub fn left(platform: &Platform) -> u64 {
    let answer = platform.request("GET", "/mayfly/queues", &[], b"").json();
    let queues = answer["Queues"].as_array().expect("a list of queues");
    let count = |queue: &Value| {
        ["Due", "InFlight", "Later"].map(|state| queue[state].as_u64().expect("a count"))
    };
    queues.iter().flat_map(count).sum()
}
