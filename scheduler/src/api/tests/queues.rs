//! What Mayfly tells of its queues.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::F;
use super::rig::Rig;

async fn sqs(rig: &Rig, call: &str, request: Value) {
    let target = format!("AmazonSQS.{call}");
    let answer =
        rig.send("POST", "/", &[("x-amz-target", &target)], request.to_string().as_bytes()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

async fn depths(rig: &Rig) -> Vec<(String, u64, u64)> {
    let queues = rig.get("/mayfly/queues").await.json()["Queues"].take();
    let number = |one: &Value, key: &str| one[key].as_u64().unwrap();
    let queues = queues.as_array().unwrap().iter();
    queues
        .map(|one| {
            (one["Name"].as_str().unwrap().to_owned(), number(one, "Due"), number(one, "InFlight"))
        })
        .collect()
}

#[tokio::test]
async fn a_queue_of_a_schedules_dead_letters_counts_as_dead() {
    let data = tempfile::tempdir().unwrap();
    let rig = Rig::start(data.path()).await;
    for name in ["dead", "work"] {
        sqs(&rig, "CreateQueue", json!({ "QueueName": name })).await;
        sqs(&rig, "SendMessage", json!({ "QueueUrl": name, "MessageBody": "b" })).await;
    }
    let schedule = json!({
        "ScheduleExpression": "rate(1 day)",
        "StartDate": 4_000_000_000_u64,
        "FlexibleTimeWindow": { "Mode": "OFF" },
        "Target": {
            "Arn": "arn:aws:sqs:us-east-1:000000000000:work",
            "RoleArn": "arn:aws:iam::000000000000:role/r",
            "DeadLetterConfig": { "Arn": "arn:aws:sqs:us-east-1:000000000000:dead" },
        },
    });
    let made = rig.send("POST", "/schedules/s", &[], schedule.to_string().as_bytes()).await;
    assert_eq!(made.status, 200, "{}", made.text());
    let queues = rig.get("/mayfly/queues").await.json()["Queues"].take();
    let dead = |nth: usize| (queues[nth]["Name"].as_str().unwrap(), queues[nth]["Dead"].as_u64());
    assert_eq!([dead(0), dead(1)], [("sqs/dead", Some(1)), ("sqs/work", Some(0))]);
    rig.stop().await;
}

#[tokio::test]
async fn queues_are_seen_redriven_and_purged() {
    let data = tempfile::tempdir().unwrap();
    let rig = Rig::start(data.path()).await;
    rig.create_with("f", "hang", json!({ "Timeout": 60 })).await;
    sqs(&rig, "CreateQueue", json!({ "QueueName": "dead" })).await;
    let policy = json!({ "deadLetterTargetArn": "arn:aws:sqs:us-east-1:000000000000:dead", "maxReceiveCount": 3 });
    let attributes = json!({ "RedrivePolicy": policy.to_string() });
    sqs(&rig, "CreateQueue", json!({ "QueueName": "work", "Attributes": attributes })).await;
    for body in ["a", "b"] {
        sqs(&rig, "SendMessage", json!({ "QueueUrl": "dead", "MessageBody": body })).await;
    }
    rig.send("POST", &format!("{F}/f/invocations"), &[("x-amz-invocation-type", "Event")], b"7")
        .await;
    // Its environment hangs, so it is in flight as soon as a poller has it.
    let start = Instant::now();
    while depths(&rig).await[0] != ("events/f".to_owned(), 0, 1) {
        assert!(start.elapsed() < Duration::from_secs(60), "nobody takes the event");
        tokio::task::yield_now().await;
    }
    let all = depths(&rig).await;
    assert_eq!(all[1..], [("sqs/dead".to_owned(), 2, 0), ("sqs/work".to_owned(), 0, 0)]);
    let dead = rig.get("/mayfly/queues").await.json()["Queues"].take();
    let counts = |nth: usize| ["Dead", "Retried"].map(|key| dead[nth][key].as_u64().unwrap());
    assert_eq!([counts(0), counts(1), counts(2)], [[0, 0], [2, 0], [0, 0]]);
    let seen = rig.get("/mayfly/queues/messages?Queue=sqs/dead").await.json()["Messages"].take();
    assert_eq!((&seen[0]["Body"], &seen[1]["Body"]), (&json!("a"), &json!("b")));
    let post = async |path: &str, body: Value| {
        rig.send("POST", &format!("/mayfly/queues/{path}"), &[], body.to_string().as_bytes()).await
    };
    let moved = post("redrive", json!({ "Queue": "sqs/dead", "To": "sqs/work" })).await.json();
    assert_eq!(moved["Moved"], 2);
    // Who has received one and gives it back wants it again.
    sqs(&rig, "ReceiveMessage", json!({ "QueueUrl": "work", "VisibilityTimeout": 0 })).await;
    let work = rig.get("/mayfly/queues").await.json()["Queues"][2].take();
    assert_eq!((&work["Due"], &work["Retried"], &work["Dead"]), (&json!(2), &json!(1), &json!(0)));
    let purged = post("purge", json!({ "Queue": "sqs/work" })).await.json();
    assert_eq!(purged["Purged"], 2);
    post("purge", json!({ "Queue": "sqs/none" }))
        .await
        .assert_error(404, "ResourceNotFoundException");
    let across = json!({ "Queue": "events/f", "To": "sqs/work" });
    post("redrive", across).await.assert_refused();
    assert_eq!(post("purge", json!({ "Queue": "events/f" })).await.json()["Purged"], 1);
    rig.stop().await;
}
