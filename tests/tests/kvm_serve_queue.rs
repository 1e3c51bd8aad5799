//! Accepted events survive the platform: it is killed at random moments, and each event that was answered with 202 is
//! found afterwards: succeeded, told of, or still queued.
//!
//! ```text
//!   clients ──▶ serve ✕ serve ✕ serve ✕ … serve ──▶ records of their ends, in queues
//!      └─ request ids of the accepted                   └─ request ids: none is missing
//! ```
//!
//! One function succeeds, one fails; OnSuccess, OnFailure and a dead-letter queue are told. The records are queued with
//! what was accepted, so they survive as it does.
//!
//! MAYFLY_KILLS says how often; by default a few times.
#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use mayfly_tests::http::{Answer, Connection};
use mayfly_tests::platform::{Platform, bootstrap, invocations};
use mayfly_tests::{fixture, in_lane};
use serde_json::{Value, json};

/// A hang guard, not a measurement.
const PATIENCE: Duration = Duration::from_secs(240);
/// Retries come soon, so that they meet the kills.
const OPTIONS: [&str; 4] = ["--retry-scale", "0.0005", "--memory", "1024"];
/// Each has a client of its own.
const FUNCTIONS: [&str; 3] = ["succeeds", "fails", "letters"];
const QUEUE: &str = "told";

fn kills() -> usize {
    let asked = std::env::var("MAYFLY_KILLS").ok().and_then(|count| count.parse().ok());
    asked.unwrap_or(if in_lane() { 2 } else { 6 })
}

/// Numbers that look random, one after the other (SplitMix64).
fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut bits = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[test]
fn no_accepted_event_is_lost_by_kills_at_random_moments() {
    let seed = u64::from(std::process::id()) ^ Instant::now().elapsed().as_nanos() as u64;
    println!("seed {seed}, {} kills", kills());
    let mut state = seed;
    let mut platform = Platform::start_with(&OPTIONS);
    create(&platform);
    let accepted = Arc::new(Mutex::new(BTreeSet::new()));
    for kill in 0..kills() {
        let clients: Vec<_> =
            FUNCTIONS.iter().map(|name| client(&platform, name, Arc::clone(&accepted))).collect();
        let before = accepted.lock().unwrap().len();
        let start = Instant::now();
        while accepted.lock().unwrap().len() < before + 3 {
            assert!(start.elapsed() < PATIENCE, "nothing is accepted");
            thread::sleep(Duration::from_millis(1));
        }
        thread::sleep(Duration::from_micros(random(&mut state) % 200_000));
        let data = platform.kill();
        clients.into_iter().for_each(|client| client.join().unwrap());
        println!("kill {kill}: {} accepted", accepted.lock().unwrap().len());
        platform = Platform::start_in(data, &OPTIONS);
    }
    let mut missing = accepted.lock().unwrap().clone();
    let (count, mut told) = (missing.len(), 0);
    let start = Instant::now();
    while !missing.is_empty() {
        assert!(start.elapsed() < PATIENCE, "lost, of {count}: {missing:?}");
        for id in receive(&platform) {
            told += 1;
            missing.remove(&id);
        }
    }
    println!("{count} accepted, told of {told} ends");
    platform.stop();
}

/// Functions that succeed and fail, and a queue that is told.
fn create(platform: &Platform) {
    let request = json!({ "QueueName": QUEUE }).to_string();
    assert_eq!(sqs(platform, "CreateQueue", &request).status, 200);
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

/// Sends events until the platform is gone.
fn client(
    platform: &Platform,
    name: &'static str,
    accepted: Arc<Mutex<BTreeSet<String>>>,
) -> thread::JoinHandle<()> {
    let address = platform.address();
    thread::spawn(move || {
        let payload = if name == "succeeds" { "\"count\"" } else { "\"error\"" };
        let headers = [("x-amz-invocation-type", "Event")];
        let Some(mut connection) = Connection::try_open(address) else { return };
        loop {
            let path = invocations(name);
            match connection.try_request("POST", &path, &headers, payload.as_bytes()) {
                Some(answer) => {
                    assert_eq!(answer.status, 202, "{}", answer.text());
                    let id = answer.header("x-amzn-requestid").unwrap().to_owned();
                    accepted.lock().unwrap().insert(id);
                }
                None => return,
            }
            thread::sleep(Duration::from_millis(2));
        }
    })
}

/// The request ids of the next events that the queue tells of, if there are any.
fn receive(platform: &Platform) -> Vec<String> {
    let request = json!({
        "QueueUrl": QUEUE, "MaxNumberOfMessages": 10, "WaitTimeSeconds": 1,
        "MessageAttributeNames": ["All"],
    });
    let mut received = sqs(platform, "ReceiveMessage", &request.to_string()).json();
    let Value::Array(messages) = received["Messages"].take() else { return Vec::new() };
    let entries: Vec<Value> = messages
        .iter()
        .enumerate()
        .map(|(at, one)| json!({ "Id": at.to_string(), "ReceiptHandle": one["ReceiptHandle"] }))
        .collect();
    let delete = json!({ "QueueUrl": QUEUE, "Entries": entries }).to_string();
    assert_eq!(sqs(platform, "DeleteMessageBatch", &delete).status, 200);
    let id = |message: &Value| {
        let letter = &message["MessageAttributes"]["RequestID"]["StringValue"];
        let record: Value = serde_json::from_str(message["Body"].as_str()?).ok()?;
        letter.as_str().or(record["requestContext"]["requestId"].as_str()).map(str::to_owned)
    };
    messages.iter().map(|message| id(message).expect("an event's id")).collect()
}

fn sqs(platform: &Platform, call: &str, request: &str) -> Answer {
    let target = format!("AmazonSQS.{call}");
    let headers = [("x-amz-target", &*target), ("content-type", "application/x-amz-json-1.0")];
    platform.request("POST", "/", &headers, request.as_bytes())
}
