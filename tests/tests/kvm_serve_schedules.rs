//! Schedules run once, whatever happens to the platform: it is killed at random moments around the times of their runs.
//!
//! ```text
//!   make schedules ──▶ serve ✕ serve ✕ serve ✕ … serve ──▶ none is left: all have run
//!      └─ their names                                        └─ one message each, in a queue
//! ```
//!
//! A schedule goes with its run, in one transaction with the run's message. So when none is left, the queue says it all.
//!
//! MAYFLY_KILLS says how often; by default a few times.
#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use mayfly_tests::in_lane;
use mayfly_tests::platform::Platform;
use mayfly_tests::random::random;
use serde_json::{Value, json};

/// A hang guard, not a measurement.
const PATIENCE: Duration = Duration::from_secs(240);
const QUEUE: &str = "runs";
/// Made between two kills.
const SCHEDULES: usize = 20;

fn kills() -> usize {
    let asked = std::env::var("MAYFLY_KILLS").ok().and_then(|count| count.parse().ok());
    asked.unwrap_or(if in_lane() { 2 } else { 6 })
}

#[test]
fn each_schedule_runs_once_by_kills_at_random_moments() {
    let seed = u64::from(std::process::id()) ^ Instant::now().elapsed().as_nanos() as u64;
    println!("seed {seed}, {} kills", kills());
    let mut state = seed;
    let mut platform = Platform::start();
    assert_eq!(platform.sqs("CreateQueue", &json!({ "QueueName": QUEUE })).status, 200);
    let mut runs: BTreeMap<String, usize> = BTreeMap::new();
    for kill in 0..kills() {
        for number in 0..SCHEDULES {
            let name = format!("s-{kill}-{number}");
            make(&platform, &name, random(&mut state) % 3);
            runs.insert(name, 0);
        }
        thread::sleep(Duration::from_micros(random(&mut state) % 2_000_000));
        let data = platform.kill();
        platform = Platform::start_in(data, &[]);
    }
    let start = Instant::now();
    while left(&platform) > 0 {
        assert!(start.elapsed() < PATIENCE, "{} do not run", left(&platform));
        thread::sleep(Duration::from_millis(50));
    }
    loop {
        let found = receive(&platform);
        if found.is_empty() {
            break;
        }
        for name in found {
            *runs.get_mut(&name).expect("a schedule's name") += 1;
        }
    }
    runs.retain(|_, count| *count != 1);
    assert!(runs.is_empty(), "not once: {runs:?}");
    platform.stop();
}

/// Makes a schedule that runs in so many seconds, and then goes.
fn make(platform: &Platform, name: &str, seconds: u64) {
    let now_s = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let request = json!({
        // A rate begins at its StartDate, and ends before it would go on.
        "ScheduleExpression": "rate(1 day)",
        "StartDate": now_s + seconds,
        "EndDate": now_s + seconds + 3600,
        "FlexibleTimeWindow": { "Mode": "OFF" },
        "ActionAfterCompletion": "DELETE",
        "Target": {
            "Arn": format!("arn:aws:sqs:us-east-1:000000000000:{QUEUE}"),
            "RoleArn": "arn:aws:iam::000000000000:role/r",
            "Input": name,
        },
    });
    let path = format!("/schedules/{name}");
    let made = platform.request("POST", &path, &[], request.to_string().as_bytes());
    assert_eq!(made.status, 200, "{}", made.text());
}

/// How many schedules there are still, up to a page of them.
fn left(platform: &Platform) -> usize {
    let page = platform.request("GET", "/schedules", &[], b"").json();
    page["Schedules"].as_array().unwrap().len()
}

/// The texts of the next messages, each once.
fn receive(platform: &Platform) -> Vec<String> {
    let request =
        json!({ "QueueUrl": QUEUE, "MaxNumberOfMessages": 10, "VisibilityTimeout": 3600 });
    let mut received = platform.sqs("ReceiveMessage", &request).json();
    let Value::Array(messages) = received["Messages"].take() else { return Vec::new() };
    messages.iter().map(|message| message["Body"].as_str().unwrap().to_owned()).collect()
}
