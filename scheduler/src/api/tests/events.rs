//! Asynchronous invocations: accepted, retried, told of.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::F;
use super::rig::{Answer, Rig};

/// A hang guard, not a measurement.
const PATIENCE: Duration = Duration::from_secs(60);

async fn event(rig: &Rig, name: &str, payload: &str) -> Answer {
    let path = format!("{F}/{name}/invocations");
    rig.send("POST", &path, &[("x-amz-invocation-type", "Event")], payload.as_bytes()).await
}

/// The request id of an event that has been accepted.
async fn accepted(rig: &Rig, name: &str, payload: &str) -> String {
    let answer = event(rig, name, payload).await;
    assert_eq!((answer.status, answer.text().as_str()), (202, ""));
    answer.header("x-amzn-requestid").unwrap().to_owned()
}

pub(super) async fn configure(rig: &Rig, name: &str, config: Value) -> Answer {
    let path = format!("/2019-09-25/functions/{name}/event-invoke-config");
    rig.send("PUT", &path, &[], config.to_string().as_bytes()).await
}

pub(super) fn arn(name: &str) -> String {
    format!("arn:aws:lambda:us-east-1:000000000000:function:{name}")
}

/// What has been printed by functions that `say` what they are invoked with: records, one a line.
pub(super) async fn records(rig: &Rig, name: &str, count: usize) -> Vec<Value> {
    let start = Instant::now();
    loop {
        let messages = rig.messages(name).await;
        let lines = messages.iter().filter_map(Value::as_str);
        let found: Vec<Value> = lines.filter_map(|line| serde_json::from_str(line).ok()).collect();
        if found.len() >= count {
            return found;
        }
        assert!(start.elapsed() < PATIENCE, "{messages:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Waits for a line in a function's log.
pub(super) async fn line(rig: &Rig, name: &str, part: &str) -> Value {
    let start = Instant::now();
    loop {
        let messages = rig.messages(name).await;
        let found =
            messages.iter().find(|line| line.as_str().is_some_and(|line| line.contains(part)));
        if let Some(found) = found {
            return found.clone();
        }
        assert!(start.elapsed() < PATIENCE, "no {part:?} in {messages:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn an_event_is_accepted_and_run() {
    let data = tempfile::tempdir().unwrap();
    let rig = Rig::start(data.path()).await;
    rig.create("f", "say").await;
    let id = accepted(&rig, "f", r#"{"n":1}"#).await;
    line(&rig, "f", &format!("END RequestId: {id}")).await;
    assert_eq!(records(&rig, "f", 1).await, [json!({ "n": 1 })]);
    let older = rig.send("POST", "/2014-11-13/functions/f/invoke-async/", &[], br#"{"n":2}"#).await;
    assert_eq!((older.status, older.text()), (202, String::new()));
    assert_eq!(records(&rig, "f", 2).await[1], json!({ "n": 2 }));
    event(&rig, "f", "{").await.assert_error(400, "InvalidRequestContentException");
    event(&rig, "g", "{}").await.assert_error(404, "ResourceNotFoundException");
    rig.create("echo", "echo").await;
    let edge = format!("\"{}\"", "x".repeat((1 << 20) - 2));
    assert_eq!(event(&rig, "echo", &edge).await.status, 202);
    let beyond = format!("\"{}\"", "x".repeat((1 << 20) - 1));
    event(&rig, "echo", &beyond).await.assert_error(413, "RequestTooLargeException");
    rig.stop().await;
}

#[tokio::test]
async fn a_function_error_is_retried_twice_and_then_told() {
    let data = tempfile::tempdir().unwrap();
    let rig = Rig::start(data.path()).await;
    rig.create("f", "error").await;
    rig.create("told", "say").await;
    let config = json!({ "DestinationConfig": { "OnFailure": { "Destination": arn("told") } } });
    assert_eq!(configure(&rig, "f", config).await.status, 200);
    let id = accepted(&rig, "f", "[1]").await;
    let record = records(&rig, "told", 1).await.remove(0);
    assert_eq!(
        record["requestContext"],
        json!({
            "requestId": id,
            "functionArn": arn("f:$LATEST"),
            "condition": "RetriesExhausted",
            "approximateInvokeCount": 3,
        })
    );
    assert_eq!(
        (&record["requestPayload"], &record["responsePayload"]["errorType"]),
        (&json!([1]), &json!("Mine"))
    );
    let said = rig.messages("f").await;
    let starts = said.iter().filter(|line| line.as_str().unwrap().starts_with("START"));
    assert_eq!(starts.count(), 3);
    for run in [1, 2] {
        line(&rig, "f", &format!("RequestId: {id} Event failed in run {run}: it is run again"))
            .await;
    }
    let given_up = format!("RequestId: {id} Event given up after 3 runs: RetriesExhausted.");
    line(&rig, "f", &format!("{given_up} Record in {}.", arn("told"))).await;
    // Without retries, at once.
    let config = json!({
        "MaximumRetryAttempts": 0,
        "DestinationConfig": { "OnFailure": { "Destination": arn("told") } },
    });
    configure(&rig, "f", config).await;
    accepted(&rig, "f", "[2]").await;
    let record = records(&rig, "told", 2).await.remove(1);
    assert_eq!(record["requestContext"]["approximateInvokeCount"], 1);
    rig.stop().await;
}

#[tokio::test]
async fn a_success_is_told_of_and_a_loop_of_destinations_ends() {
    let data = tempfile::tempdir().unwrap();
    let rig = Rig::start(data.path()).await;
    rig.create("f", "say").await;
    rig.create("g", "say").await;
    let to = |name| json!({ "DestinationConfig": { "OnSuccess": { "Destination": arn(name) } } });
    configure(&rig, "f", to("g")).await;
    configure(&rig, "g", to("f")).await;
    accepted(&rig, "f", "7").await;
    line(&rig, "g", "recursive loop").await;
    let (of_f, of_g) = (records(&rig, "f", 16).await, records(&rig, "g", 16).await);
    assert_eq!((of_f.len(), of_g.len()), (16, 16));
    assert_eq!(of_g[0]["requestContext"]["condition"], "Success");
    assert_eq!(
        (&of_g[0]["requestPayload"], &of_g[0]["responsePayload"]),
        (&json!(7), &Value::Null)
    );
    rig.stop().await;
}

#[tokio::test]
async fn no_room_of_its_own_fails_an_event_at_once_and_a_throttled_one_waits_for_its_age() {
    let data = tempfile::tempdir().unwrap();
    // Memory for one environment.
    let rig = Rig::with_memory(data.path(), 128).await;
    rig.create("told", "say").await;
    rig.create("f", "echo").await;
    let failure = json!({ "OnFailure": { "Destination": arn("told") } });
    configure(&rig, "f", json!({ "DestinationConfig": failure })).await;
    let reserve = json!({ "ReservedConcurrentExecutions": 0 }).to_string();
    rig.send("PUT", "/2017-10-31/functions/f/concurrency", &[], reserve.as_bytes()).await;
    let id = accepted(&rig, "f", "0").await;
    let record = records(&rig, "told", 1).await.remove(0);
    let context = &record["requestContext"];
    assert_eq!(
        (&context["condition"], &context["approximateInvokeCount"]),
        (&json!("ZeroReservedConcurrency"), &json!(0))
    );
    line(&rig, "f", &format!("RequestId: {id} Event given up after 0 runs: Zero")).await;
    assert_eq!(record.get("responseContext"), None);

    // 1,200 s are 600 ms here, time for a first try; whoever hangs takes all the memory for longer.
    rig.create_with("hog", "hang", json!({ "Timeout": 2 })).await;
    rig.create_with("g", "echo", json!({})).await;
    let config = json!({ "MaximumEventAgeInSeconds": 1200, "DestinationConfig": failure });
    configure(&rig, "g", config).await;
    let hog = rig.invoke("hog", "1");
    let throttled = async {
        line(&rig, "hog", "START").await;
        accepted(&rig, "g", "1").await
    };
    let (_, id) = tokio::join!(hog, throttled);
    let record = records(&rig, "told", 2).await.remove(1);
    let context = &record["requestContext"];
    assert_eq!(
        (&context["condition"], &context["approximateInvokeCount"]),
        (&json!("EventAgeExceeded"), &json!(0))
    );
    line(&rig, "g", &format!("RequestId: {id} Event not run: nothing is free to run it.")).await;
    line(&rig, "g", &format!("RequestId: {id} Event given up after 0 runs: EventAge")).await;
    rig.stop().await;
}

#[tokio::test]
async fn an_event_whose_destination_is_gone_says_so_by_its_request_id() {
    let data = tempfile::tempdir().unwrap();
    let rig = Rig::start(data.path()).await;
    rig.create("f", "error").await;
    rig.create("told", "say").await;
    let config = json!({
        "MaximumRetryAttempts": 0,
        "DestinationConfig": { "OnFailure": { "Destination": arn("told") } },
    });
    configure(&rig, "f", config).await;
    rig.send("DELETE", &format!("{F}/told"), &[], b"").await;
    let id = accepted(&rig, "f", "1").await;
    let gone = format!("RequestId: {id} Error: destination {} is gone", arn("told"));
    line(&rig, "f", &gone).await;
    let given_up = format!("RequestId: {id} Event given up after 1 run: RetriesExhausted.");
    line(&rig, "f", &format!("{given_up} Nothing is left of it.")).await;
    rig.stop().await;
}

#[tokio::test]
async fn what_is_accepted_survives_the_platform() {
    let data = tempfile::tempdir().unwrap();
    let rig = Rig::start(data.path()).await;
    rig.create_with("f", "say", json!({})).await;
    rig.create("hang", "hang").await;
    accepted(&rig, "hang", "1").await;
    line(&rig, "hang", "START").await;
    for n in 0..50 {
        accepted(&rig, "f", &format!("{{\"n\":{n}}}")).await;
    }
    rig.stop().await;
    let rig = Rig::start(data.path()).await;
    // Before its retries are spent: a function that goes takes its events along, and its log says so.
    rig.send("DELETE", &format!("{F}/hang"), &[], b"").await;
    // Another line says so where a poller has it in its hands at that moment.
    line(&rig, "hang", "dropped: ").await;
    let mut seen: Vec<i64> =
        records(&rig, "f", 50).await.iter().map(|one| one["n"].as_i64().unwrap()).collect();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen, (0..50).collect::<Vec<_>>());
    rig.stop().await;
}

#[tokio::test]
async fn one_functions_flood_leaves_room_for_others() {
    let data = tempfile::tempdir().unwrap();
    // Memory for four environments.
    let rig = Rig::with_memory(data.path(), 512).await;
    rig.create("flood", "slow").await;
    rig.create("f", "say").await;
    for n in 0..60 {
        accepted(&rig, "flood", &n.to_string()).await;
    }
    accepted(&rig, "f", "[1]").await;
    records(&rig, "f", 1).await;
    let done = rig.messages("flood").await;
    let done = done.iter().filter(|line| line.as_str().unwrap().starts_with("END")).count();
    assert!(done < 60, "it waited for all of the flood");
    rig.stop().await;
}

#[tokio::test]
async fn configurations_are_kept_by_qualifier() {
    let data = tempfile::tempdir().unwrap();
    let rig = Rig::start(data.path()).await;
    rig.create_with("f", "echo", json!({ "Publish": true })).await;
    let path = "/2019-09-25/functions/f/event-invoke-config";
    rig.get(path).await.assert_error(404, "ResourceNotFoundException");
    let set = configure(&rig, "f", json!({ "MaximumRetryAttempts": 1 })).await.json();
    assert_eq!(set["FunctionArn"], arn("f:$LATEST"));
    assert_eq!(set["DestinationConfig"], json!({ "OnSuccess": {}, "OnFailure": {} }));
    assert_eq!(set.get("MaximumEventAgeInSeconds"), None);
    let age = json!({ "MaximumEventAgeInSeconds": 60 }).to_string();
    let updated = rig.send("POST", path, &[], age.as_bytes()).await.json();
    let both = (&updated["MaximumRetryAttempts"], &updated["MaximumEventAgeInSeconds"]);
    assert_eq!(both, (&json!(1), &json!(60)));
    rig.send("POST", path, &[], b"{}").await.assert_refused();
    let of_version = rig.send("POST", &format!("{path}?Qualifier=1"), &[], age.as_bytes()).await;
    of_version.assert_error(404, "ResourceNotFoundException");
    rig.send("PUT", &format!("{path}?Qualifier=1"), &[], age.as_bytes()).await;
    let list = rig.get(&format!("{path}/list")).await.json();
    let arns: Vec<&Value> = list["FunctionEventInvokeConfigs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["FunctionArn"])
        .collect();
    assert_eq!(arns, [&json!(arn("f:$LATEST")), &json!(arn("f:1"))]);
    let put = configure(&rig, "f", age_only()).await.json();
    assert_eq!(put.get("MaximumRetryAttempts"), None, "Put begins anew");
    for bad in [
        json!({ "MaximumRetryAttempts": 3 }),
        json!({ "MaximumRetryAttempts": -1 }),
        json!({ "MaximumEventAgeInSeconds": 59 }),
        json!({ "MaximumEventAgeInSeconds": 21_601 }),
        json!({ "DestinationConfig": { "OnSuccess": { "Destination": arn("none") } } }),
        json!({ "DestinationConfig": { "OnSuccess": { "Destination": "arn:aws:sns:us-east-1:000000000000:t" } } }),
    ] {
        configure(&rig, "f", bad).await.assert_refused();
    }
    assert_eq!(rig.send("DELETE", path, &[], b"").await.status, 204);
    rig.send("DELETE", path, &[], b"").await.assert_error(404, "ResourceNotFoundException");
    assert_eq!(rig.get(&format!("{path}?Qualifier=1")).await.status, 200);
    rig.stop().await;
}

fn age_only() -> Value {
    json!({ "MaximumEventAgeInSeconds": 120 })
}
