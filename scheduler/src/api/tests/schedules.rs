//! EventBridge Scheduler's API, as far as its clients can't show it: what is refused, what survives, what a run is.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::rig::{Answer, Rig};

/// A hang guard, not a measurement.
const PATIENCE: Duration = Duration::from_secs(60);
const ROLE: &str = "arn:aws:iam::000000000000:role/r";

fn function(name: &str) -> String {
    format!("arn:aws:lambda:us-east-1:000000000000:function:{name}")
}

/// A request that is good, with `more` in the place of its members.
fn request(target: &str, more: Value) -> Value {
    let mut request = json!({
        "ScheduleExpression": "rate(1 day)",
        "FlexibleTimeWindow": { "Mode": "OFF" },
        "Target": { "Arn": target, "RoleArn": ROLE },
    });
    request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    request
}

async fn call(rig: &Rig, method: &str, path: &str, request: Value) -> Answer {
    rig.send(method, path, &[], request.to_string().as_bytes()).await
}

/// Waits for what a function that `say`s its event has said.
async fn said(rig: &Rig, name: &str) -> Value {
    let start = Instant::now();
    loop {
        let messages = rig.messages(name).await;
        let found = messages.iter().filter_map(Value::as_str);
        if let Some(event) = found.into_iter().find_map(|line| serde_json::from_str(line).ok()) {
            return event;
        }
        assert!(start.elapsed() < PATIENCE, "{messages:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_schedule_lives_runs_and_is_deleted() {
    let data = tempfile::tempdir().unwrap();
    let rig = Rig::start(data.path()).await;
    rig.create_with("f", "say", json!({ "Publish": true })).await;
    let made = call(&rig, "POST", "/schedules/s", request(&function("f:1"), json!({}))).await;
    assert_eq!(made.status, 200, "{}", made.text());
    let arn = "arn:aws:scheduler:us-east-1:000000000000:schedule/default/s";
    assert_eq!(made.json(), json!({ "ScheduleArn": arn }));
    // A rate without a StartDate begins at once; without an Input there is a notification.
    let event = said(&rig, "f").await;
    assert_eq!((&event["source"], &event["resources"]), (&json!("aws.scheduler"), &json!([arn])));
    let shown = rig.get("/schedules/s").await.json();
    assert_eq!(
        shown["Target"]["RetryPolicy"],
        json!({ "MaximumEventAgeInSeconds": 86_400, "MaximumRetryAttempts": 185 })
    );
    let rest = ["State", "ScheduleExpressionTimezone", "ActionAfterCompletion", "GroupName"];
    assert_eq!(rest.map(|member| &shown[member]), ["ENABLED", "UTC", "NONE", "default"]);
    call(&rig, "POST", "/schedules/s", request(&function("f"), json!({})))
        .await
        .assert_error(409, "ConflictException");
    rig.stop().await;
    let rig = Rig::start(data.path()).await;
    assert_eq!(rig.get("/schedules/s").await.json(), shown);
    assert_eq!(rig.send("DELETE", "/schedules/s", &[], b"").await.status, 200);
    rig.get("/schedules/s").await.assert_error(404, "ResourceNotFoundException");
    rig.send("DELETE", "/schedules/s", &[], b"")
        .await
        .assert_error(404, "ResourceNotFoundException");
    rig.stop().await;
}

#[tokio::test]
async fn the_same_request_again_is_the_same() {
    let data = tempfile::tempdir().unwrap();
    let rig = Rig::start(data.path()).await;
    let once = request(&function("f"), json!({ "ClientToken": "t" }));
    let answers = [
        call(&rig, "POST", "/schedules/s", once.clone()).await,
        call(&rig, "POST", "/schedules/s", once).await,
    ];
    assert_eq!(answers.map(|answer| answer.status), [200, 200]);
    let other = request(&function("f"), json!({ "ClientToken": "u" }));
    call(&rig, "POST", "/schedules/s", other).await.assert_error(409, "ConflictException");
    let group = json!({ "ClientToken": "t" });
    for _ in 0..2 {
        assert_eq!(call(&rig, "POST", "/schedule-groups/g", group.clone()).await.status, 200);
    }
    call(&rig, "POST", "/schedule-groups/g", json!({}))
        .await
        .assert_error(409, "ConflictException");
    rig.stop().await;
}

#[tokio::test]
async fn what_makes_no_sense_is_refused() {
    let data = tempfile::tempdir().unwrap();
    let rig = Rig::start(data.path()).await;
    let target = |more: Value| {
        let mut target = json!({ "Arn": function("f"), "RoleArn": ROLE });
        target.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({ "Target": target })
    };
    let queue = "arn:aws:sqs:us-east-1:000000000000:q";
    for bad in [
        json!({ "ScheduleExpression": null }),
        json!({ "ScheduleExpression": "" }),
        json!({ "ScheduleExpression": "rate(0 minutes)" }),
        json!({ "ScheduleExpression": "cron(0 0 * * * *)" }),
        json!({ "ScheduleExpression": "cron(0 0 30 2 ? *)" }),
        json!({ "ScheduleExpression": "at(2020-01-01T00:00:00)" }),
        json!({ "ScheduleExpression": 5 }),
        json!({ "ScheduleExpressionTimezone": "Europe/Nowhere" }),
        json!({ "ScheduleExpressionTimezone": "" }),
        json!({ "FlexibleTimeWindow": null }),
        json!({ "FlexibleTimeWindow": {} }),
        json!({ "FlexibleTimeWindow": { "Mode": "ON" } }),
        json!({ "FlexibleTimeWindow": { "Mode": "FLEXIBLE" } }),
        json!({ "FlexibleTimeWindow": { "Mode": "OFF", "MaximumWindowInMinutes": 5 } }),
        json!({ "FlexibleTimeWindow": { "Mode": "FLEXIBLE", "MaximumWindowInMinutes": 0 } }),
        json!({ "FlexibleTimeWindow": { "Mode": "FLEXIBLE", "MaximumWindowInMinutes": 1441 } }),
        json!({ "State": "ON" }),
        json!({ "ActionAfterCompletion": "delete" }),
        json!({ "GroupName": "a b" }),
        json!({ "Description": "d".repeat(513) }),
        json!({ "ClientToken": "" }),
        json!({ "KmsKeyArn": "key" }),
        json!({ "StartDate": 0 }),
        json!({ "StartDate": -1 }),
        json!({ "StartDate": 1e300 }),
        json!({ "EndDate": 1 }),
        json!({ "StartDate": 4_000_000_001_i64, "EndDate": 4_000_000_000_i64 }),
        json!({ "Target": null }),
        json!({ "Target": {} }),
        target(json!({ "Arn": "arn:aws:sns:us-east-1:000000000000:t" })),
        target(json!({ "Arn": "arn:aws:scheduler:::aws-sdk:sqs:sendMessage" })),
        target(json!({ "Arn": "arn:aws:lambda:eu-west-1:000000000000:function:f" })),
        target(json!({ "Arn": function("a b") })),
        target(json!({ "RoleArn": "r" })),
        target(json!({ "RoleArn": null })),
        target(json!({ "Input": "no JSON" })),
        target(json!({ "Input": "" })),
        target(json!({ "Input": format!("\"{}\"", "x".repeat((256 << 10) - 1)) })),
        target(json!({ "RetryPolicy": { "MaximumRetryAttempts": 186 } })),
        target(json!({ "RetryPolicy": { "MaximumRetryAttempts": -1 } })),
        target(json!({ "RetryPolicy": { "MaximumEventAgeInSeconds": 59 } })),
        target(json!({ "RetryPolicy": { "MaximumEventAgeInSeconds": 86_401 } })),
        target(json!({ "DeadLetterConfig": { "Arn": function("f") } })),
        target(json!({ "DeadLetterConfig": { "Arn": format!("{queue}.fifo") } })),
        target(json!({ "DeadLetterConfig": { "Arn": "arn:aws:sqs:eu-west-1:000000000000:q" } })),
        target(json!({ "Arn": format!("{queue}.fifo") })),
        target(json!({ "Arn": queue, "SqsParameters": { "MessageGroupId": "" } })),
        target(json!({ "Arn": queue, "SqsParameters": { "MessageGroupId": "a\u{0}b" } })),
        target(json!({ "Arn": queue, "SqsParameters": { "MessageGroupId": "g".repeat(129) } })),
        target(json!({ "KinesisParameters": { "PartitionKey": "k" } })),
    ] {
        let shown = bad.to_string().chars().take(200).collect::<String>();
        let answer = call(&rig, "POST", "/schedules/s", request(&function("f"), bad)).await;
        assert_eq!(answer.status, 400, "{shown}: {}", answer.text());
        answer.assert_error(400, "ValidationException");
        assert!(!answer.json()["Message"].as_str().unwrap().is_empty());
    }
    for path in ["/schedules/a%20b", "/schedules?MaxResults=0", "/schedules?MaxResults=101"] {
        rig.get(path).await.assert_error(400, "ValidationException");
    }
    let long = format!("/schedules/{}", "n".repeat(65));
    call(&rig, "POST", &long, request(&function("f"), json!({})))
        .await
        .assert_error(400, "ValidationException");
    rig.send("POST", "/schedules/s", &[], b"{").await.assert_error(400, "ValidationException");
    let nowhere = request(&function("f"), json!({ "GroupName": "nowhere" }));
    call(&rig, "POST", "/schedules/s", nowhere.clone())
        .await
        .assert_error(404, "ResourceNotFoundException");
    call(&rig, "PUT", "/schedules/s", nowhere).await.assert_error(404, "ResourceNotFoundException");
    assert_eq!(rig.get("/schedules").await.json(), json!({ "Schedules": [] }));
    rig.stop().await;
}

#[tokio::test]
async fn the_last_of_every_limit_is_taken() {
    let data = tempfile::tempdir().unwrap();
    let rig = Rig::start(data.path()).await;
    let bounds = json!({
        "ScheduleExpressionTimezone": "America/Argentina/Buenos_Aires",
        "Description": "d".repeat(512),
        "FlexibleTimeWindow": { "Mode": "FLEXIBLE", "MaximumWindowInMinutes": 1440 },
        "StartDate": 4_000_000_000_i64,
        "EndDate": 4_100_000_000_i64,
        "ClientToken": "t".repeat(64),
        "KmsKeyArn": "arn:aws:kms:us-east-1:000000000000:key/k",
        "ActionAfterCompletion": "DELETE",
        "State": "DISABLED",
        "Target": {
            "Arn": "arn:aws:sqs:us-east-1:000000000000:q.fifo",
            "RoleArn": ROLE,
            "Input": "x".repeat(256 << 10),
            "RetryPolicy": { "MaximumEventAgeInSeconds": 60, "MaximumRetryAttempts": 0 },
            "DeadLetterConfig": { "Arn": "arn:aws:sqs:us-east-1:000000000000:dead" },
            "SqsParameters": { "MessageGroupId": "g".repeat(128) },
        },
    });
    let path = format!("/schedules/{}", "n".repeat(64));
    let made = call(&rig, "POST", &path, request("", bounds.clone())).await;
    assert_eq!(made.status, 200, "{}", made.text());
    let shown = rig.get(&path).await.json();
    let expected = bounds.as_object().unwrap().iter().filter(|(name, _)| *name != "ClientToken");
    for (name, value) in expected {
        let is_same = match value.as_f64() {
            Some(number) => shown[name].as_f64() == Some(number),
            None => shown[name] == *value,
        };
        assert!(is_same, "{name}: {}", shown[name]);
    }
    // What an update does not name is as if it had never been.
    let updated = call(&rig, "PUT", &path, request(&function("f"), json!({}))).await;
    assert_eq!(updated.status, 200, "{}", updated.text());
    let shown = rig.get(&path).await.json();
    let gone = ["Description", "StartDate", "EndDate", "KmsKeyArn"];
    assert!(gone.iter().all(|member| shown.get(member).is_none()), "{shown}");
    assert_eq!(
        (&shown["State"], &shown["ActionAfterCompletion"]),
        (&json!("ENABLED"), &json!("NONE"))
    );
    rig.stop().await;
}

#[tokio::test]
async fn a_group_and_its_pages() {
    let data = tempfile::tempdir().unwrap();
    let rig = Rig::start(data.path()).await;
    assert_eq!(call(&rig, "POST", "/schedule-groups/g", json!({})).await.status, 200);
    let tomorrow = json!({ "ScheduleExpression": "at(2100-01-01T00:00:00)", "GroupName": "g" });
    for name in ["b", "c", "a"] {
        let path = format!("/schedules/{name}");
        call(&rig, "POST", &path, request(&function("f"), tomorrow.clone())).await;
    }
    let (mut names, mut path) = (Vec::new(), "/schedules?ScheduleGroup=g&MaxResults=2".to_owned());
    loop {
        let page = rig.get(&path).await.json();
        let found = page["Schedules"].as_array().unwrap();
        assert!((1..=2).contains(&found.len()));
        names.extend(found.iter().map(|one| one["Name"].as_str().unwrap().to_owned()));
        let Some(token) = page["NextToken"].as_str() else { break };
        path = format!(
            "/schedules?ScheduleGroup=g&MaxResults=2&NextToken={}",
            token.replace('/', "%2F")
        );
    }
    assert_eq!(names, ["a", "b", "c"]);
    let first = |path: &'static str| async {
        rig.get(path).await.json()["Schedules"].as_array().unwrap().len()
    };
    assert_eq!(first("/schedules?NamePrefix=b").await, 1);
    assert_eq!(first("/schedules?State=DISABLED").await, 0);
    rig.get("/schedules/a").await.assert_error(404, "ResourceNotFoundException");
    assert_eq!(rig.get("/schedules/a?groupName=g").await.status, 200);
    rig.get("/schedules?ScheduleGroup=h").await.assert_error(404, "ResourceNotFoundException");
    for (path, status, kind) in [
        ("/schedule-groups/default", 400, "ValidationException"),
        ("/schedule-groups/none", 404, "ResourceNotFoundException"),
    ] {
        rig.send("DELETE", path, &[], b"").await.assert_error(status, kind);
    }
    assert_eq!(rig.send("DELETE", "/schedule-groups/g", &[], b"").await.status, 200);
    assert_eq!(first("/schedules").await, 0);
    let groups = rig.get("/schedule-groups").await.json();
    assert_eq!(groups["ScheduleGroups"][0]["Name"], "default");
    assert_eq!(groups["ScheduleGroups"].as_array().unwrap().len(), 1);
    rig.stop().await;
}

#[tokio::test]
async fn groups_have_tags_up_to_a_bound() {
    let data = tempfile::tempdir().unwrap();
    let rig = Rig::start(data.path()).await;
    let path = "/tags/arn%3Aaws%3Ascheduler%3Aus-east-1%3A000000000000%3Aschedule-group%2Fdefault";
    let tags = |count: usize| {
        let tag = |number: usize| json!({ "Key": format!("k{number}"), "Value": "v" });
        json!({ "Tags": (0..count).map(tag).collect::<Vec<_>>() })
    };
    assert_eq!(call(&rig, "POST", path, tags(200)).await.status, 200);
    call(&rig, "POST", path, tags(201)).await.assert_error(400, "ValidationException");
    let one = |key: String, value: String| json!({ "Tags": [{ "Key": key, "Value": value }] });
    for bad in [
        one("other".into(), "one too many".into()),
        one(String::new(), "v".into()),
        one("k".repeat(129), "v".into()),
        one("k0".into(), String::new()),
        one("k0".into(), "v".repeat(257)),
        json!({}),
    ] {
        call(&rig, "POST", path, bad).await.assert_error(400, "ValidationException");
    }
    let untag = format!("{path}?TagKeys=k0&TagKeys=k1");
    assert_eq!(rig.send("DELETE", &untag, &[], b"").await.status, 200);
    assert_eq!(rig.get(path).await.json()["Tags"].as_array().unwrap().len(), 198);
    let long = one("k".repeat(128), "v".repeat(256));
    assert_eq!(call(&rig, "POST", path, long).await.status, 200);
    let none = path.replace("default", "none");
    rig.get(&none).await.assert_error(404, "ResourceNotFoundException");
    rig.get("/tags/arn").await.assert_error(400, "ValidationException");
    rig.stop().await;
}
