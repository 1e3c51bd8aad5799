//! What functions have printed, as a client of CloudWatch Logs sees it.

use serde_json::{Value, json};

use super::rig::{Answer, Rig};

const GROUP: &str = "/aws/lambda/f";

fn with(base: Value, more: Value) -> Value {
    let mut request = base;
    request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    request
}

async fn filter(rig: &Rig, more: Value) -> Value {
    rig.logs("FilterLogEvents", with(json!({ "logGroupName": GROUP }), more)).await.json()
}

fn messages(answer: &Value) -> Vec<&str> {
    let events = answer["events"].as_array().unwrap_or_else(|| panic!("no events: {answer}"));
    events.iter().map(|event| event["message"].as_str().unwrap()).collect()
}

fn assert_refused(answer: &Answer, kind: &str) {
    let found = (answer.status, answer.json()["__type"].clone());
    assert_eq!(found, (400, kind.into()), "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/x-amz-json-1.1"));
    assert!(answer.json()["message"].is_string());
}

/// A function that has said these, one after the other.
async fn said(rig: &Rig, words: &[&str]) {
    assert_eq!(rig.create("f", "say").await.status, 201);
    for word in words {
        assert_eq!(rig.invoke("f", &json!(word).to_string()).await.status, 200);
    }
}

#[tokio::test]
async fn events_come_in_order_and_in_pages() {
    let data = tempfile::tempdir().unwrap();
    let rig = Rig::start(data.path()).await;
    said(&rig, &["one", "two"]).await;
    let all = filter(&rig, json!({})).await;
    assert!(all.get("nextToken").is_none());
    let all = messages(&all);
    assert_eq!(all.len(), 8);
    assert!(all[0].starts_with("START RequestId: ") && all[0].ends_with(" Version: $LATEST\n"));
    assert_eq!((all[1], all[5]), ("\"one\"\n", "\"two\"\n"));
    assert!(all[3].starts_with("REPORT RequestId: ") && all[3].ends_with("\t\n"));

    let (mut token, mut seen, mut ids) = (None, Vec::new(), Vec::new());
    loop {
        let more = match &token {
            None => json!({ "limit": 3 }),
            Some(token) => json!({ "limit": 3, "nextToken": token }),
        };
        let page = filter(&rig, more).await;
        seen.extend(messages(&page).iter().map(ToString::to_string));
        let events = page["events"].as_array().unwrap();
        ids.extend(events.iter().map(|one| one["eventId"].as_str().unwrap().to_owned()));
        match page["nextToken"].as_str() {
            Some(next) => token = Some(next.to_owned()),
            None => break,
        }
    }
    assert_eq!(seen, all);
    assert!(ids.is_sorted() && ids.iter().all(|id| id.len() == 56), "{ids:?}");
    rig.stop().await;
}

#[tokio::test]
async fn events_are_filtered() {
    let data = tempfile::tempdir().unwrap();
    let rig = Rig::start(data.path()).await;
    said(&rig, &["one", "two"]).await;
    let two = filter(&rig, json!({ "filterPattern": "?two ?three" })).await;
    assert_eq!(messages(&two), ["\"two\"\n"]);
    let event = &two["events"][0];
    let at_ms = event["timestamp"].as_i64().unwrap();
    let first =
        filter(&rig, json!({ "limit": 1 })).await["events"][0]["timestamp"].as_i64().unwrap();
    let hit = filter(&rig, json!({ "startTime": at_ms, "endTime": at_ms, "filterPattern": "two" }));
    assert_eq!(messages(&hit.await).len(), 1, "both ends belong to it");
    assert!(messages(&filter(&rig, json!({ "endTime": first - 1 })).await).is_empty());
    assert!(messages(&filter(&rig, json!({ "startTime": at_ms + 60_000 })).await).is_empty());
    let stream = event["logStreamName"].as_str().unwrap();
    assert_eq!(messages(&filter(&rig, json!({ "logStreamNames": [stream] })).await).len(), 8);
    assert!(messages(&filter(&rig, json!({ "logStreamNames": ["other"] })).await).is_empty());
    assert_eq!(
        messages(&filter(&rig, json!({ "logStreamNamePrefix": stream[..5] })).await).len(),
        8
    );
    rig.stop().await;
}

#[tokio::test]
async fn a_stream_is_read_forwards_and_backwards() {
    let data = tempfile::tempdir().unwrap();
    let rig = Rig::start(data.path()).await;
    said(&rig, &["one", "two"]).await;
    let streams = rig.logs("DescribeLogStreams", json!({ "logGroupName": GROUP })).await.json();
    assert_eq!(streams["logStreams"].as_array().unwrap().len(), 1, "one environment served both");
    let stream = streams["logStreams"][0]["logStreamName"].clone();
    assert!(stream.as_str().unwrap().contains("/[$LATEST]"));
    let base = json!({ "logGroupName": GROUP, "logStreamName": stream, "limit": 3 });
    let get = async |more| rig.logs("GetLogEvents", with(base.clone(), more)).await.json();

    let last = get(json!({})).await;
    assert_eq!(messages(&last)[0], "\"two\"\n");
    let before = get(json!({ "nextToken": last["nextBackwardToken"] })).await;
    assert!(messages(&before)[2].starts_with("START"));
    let first = get(json!({ "nextToken": before["nextBackwardToken"] })).await;
    assert_eq!((messages(&first).len(), messages(&first)[1]), (2, "\"one\"\n"));
    let none = get(json!({ "nextToken": first["nextBackwardToken"] })).await;
    assert!(messages(&none).is_empty());
    assert_eq!(none["nextBackwardToken"], first["nextBackwardToken"], "the end of the road");

    let mut forward = get(json!({ "startFromHead": true })).await;
    assert_eq!(messages(&forward)[1], "\"one\"\n");
    let mut seen = messages(&forward).len();
    loop {
        let next = get(json!({ "nextToken": forward["nextForwardToken"] })).await;
        seen += messages(&next).len();
        if next["nextForwardToken"] == forward["nextForwardToken"] {
            break;
        }
        forward = next;
    }
    assert_eq!(seen, 8);
    rig.invoke("f", "\"three\"").await;
    let news = get(json!({ "nextToken": forward["nextForwardToken"] })).await;
    assert_eq!(messages(&news)[1], "\"three\"\n", "a token waits for what comes");
    rig.stop().await;
}

#[tokio::test]
async fn groups_are_those_of_functions_that_have_run() {
    let data = tempfile::tempdir().unwrap();
    let rig = Rig::start(data.path()).await;
    rig.create("idle", "echo").await;
    said(&rig, &["one"]).await;
    rig.create("g", "print").await;
    rig.invoke("g", "{}").await;
    let names = |answer: &Value| -> Vec<String> {
        let groups = answer["logGroups"].as_array().unwrap();
        groups.iter().map(|one| one["logGroupName"].as_str().unwrap().to_owned()).collect()
    };
    let all = rig.logs("DescribeLogGroups", json!({})).await.json();
    assert_eq!(names(&all), [GROUP, "/aws/lambda/g"]);
    let arn = "arn:aws:logs:us-east-1:000000000000:log-group:/aws/lambda/f:*";
    assert_eq!(all["logGroups"][0]["arn"], arn);
    let by_arn = rig.logs("FilterLogEvents", json!({ "logGroupIdentifier": arn })).await.json();
    assert_eq!(messages(&by_arn).len(), 4);
    let page = rig.logs("DescribeLogGroups", json!({ "limit": 1 })).await.json();
    let rest = json!({ "nextToken": page["nextToken"] });
    assert_eq!(names(&rig.logs("DescribeLogGroups", rest).await.json()), ["/aws/lambda/g"]);
    let some = json!({ "logGroupNamePrefix": "/aws/lambda/g" });
    assert_eq!(names(&rig.logs("DescribeLogGroups", some).await.json()), ["/aws/lambda/g"]);

    // A log outlives its function, and a restart, and goes when it is told to.
    rig.send("DELETE", &format!("{}/g", super::F), &[], b"").await;
    rig.stop().await;
    let rig = Rig::start(data.path()).await;
    assert_eq!(rig.messages("g").await[1], "hello from the function\n");
    let group = json!({ "logGroupName": "/aws/lambda/g" });
    assert_eq!(rig.logs("DeleteLogGroup", group.clone()).await.status, 200);
    assert_refused(&rig.logs("DeleteLogGroup", group).await, "ResourceNotFoundException");
    rig.stop().await;
}

#[tokio::test]
async fn what_makes_no_sense_is_refused() {
    let data = tempfile::tempdir().unwrap();
    let rig = Rig::start(data.path()).await;
    said(&rig, &["one"]).await;
    let missing = "ResourceNotFoundException";
    for group in ["/aws/lambda/none", "/aws/lambda/../f", "f", "/aws/lambda/"] {
        let request = json!({ "logGroupName": group, "logStreamName": "s" });
        for call in ["FilterLogEvents", "DescribeLogStreams", "GetLogEvents", "DeleteLogGroup"] {
            assert_refused(&rig.logs(call, request.clone()).await, missing);
        }
    }
    let stream = json!({ "logGroupName": GROUP, "logStreamName": "none" });
    assert_refused(&rig.logs("GetLogEvents", stream).await, missing);
    let far = format!("{:x<32}", "f");
    for more in [
        json!({ "limit": 0 }),
        json!({ "limit": 10_001 }),
        json!({ "nextToken": "x" }),
        json!({ "nextToken": far }),
        json!({ "filterPattern": "{ $.a = 1 }" }),
        json!({ "logStreamNames": ["a"], "logStreamNamePrefix": "a" }),
        json!({ "logGroupIdentifier": GROUP }),
    ] {
        let request = with(json!({ "logGroupName": GROUP }), more);
        assert_refused(&rig.logs("FilterLogEvents", request).await, "InvalidParameterException");
    }
    let wrong_type = json!({ "logGroupName": 1 });
    assert_refused(&rig.logs("FilterLogEvents", wrong_type).await, "SerializationException");
    let unknown = "UnknownOperationException";
    assert_refused(&rig.logs("StartLiveTail", json!({})).await, unknown);
    assert_refused(&rig.send("POST", "/", &[], b"{}").await, unknown);
    // A position that no log has is an empty end of it.
    let end = filter(&rig, json!({ "nextToken": "f".repeat(32) })).await;
    assert!(messages(&end).is_empty());
    rig.stop().await;
}

#[tokio::test]
async fn a_log_may_be_json_in_a_group_that_functions_share() {
    let data = tempfile::tempdir().unwrap();
    let rig = Rig::start(data.path()).await;
    let shared =
        json!({ "LogFormat": "JSON", "ApplicationLogLevel": "WARN", "LogGroup": "/team/a" });
    for (name, word) in [("f", "say"), ("g", "variables")] {
        let made = rig.create_with(name, word, json!({ "LoggingConfig": shared })).await.json();
        let told = with(shared.clone(), json!({ "SystemLogLevel": "INFO" }));
        assert_eq!(made["LoggingConfig"], told);
    }
    assert_eq!(rig.invoke("f", "\"hello\"").await.status, 200);
    let variables = rig.invoke("g", "{}").await.text();
    for variable in ["GROUP_NAME=/team/a", "FORMAT=JSON", "LEVEL=WARN"] {
        assert!(variables.contains(&format!("AWS_LAMBDA_LOG_{variable}")), "{variables}");
    }
    let own = rig.logs("FilterLogEvents", json!({ "logGroupName": GROUP })).await;
    assert_refused(&own, "ResourceNotFoundException");
    let all = rig.logs("FilterLogEvents", json!({ "logGroupName": "/team/a" })).await.json();
    let all = messages(&all);
    assert_eq!(all[1], "\"hello\"\n", "what is printed stays as it is: {all:?}");
    let record = |line: &str| serde_json::from_str::<Value>(line).unwrap();
    let kinds: Vec<Value> = [0, 2, 3].map(|at: usize| record(all[at])["type"].take()).into();
    assert_eq!(kinds, ["platform.start", "platform.report", "platform.start"]);
    let groups = rig.logs("DescribeLogGroups", json!({})).await.json();
    assert_eq!(groups["logGroups"][0]["logGroupName"], "/team/a");

    let put = async |config: Value| {
        let body = json!({ "LoggingConfig": config }).to_string();
        rig.send("PUT", "/2015-03-31/functions/f/configuration", &[], body.as_bytes()).await
    };
    for bad in [
        json!({ "LogFormat": "XML" }),
        json!({ "SystemLogLevel": "ERROR" }),
        json!({ "ApplicationLogLevel": "info" }),
        json!({ "LogGroup": "a b" }),
        json!({ "LogGroup": "" }),
        json!({ "LogGroup": "x".repeat(255) }),
        json!({ "LogFormat": "Text", "SystemLogLevel": "WARN" }),
    ] {
        put(bad).await.assert_refused();
    }
    let text = put(json!({ "LogFormat": "Text", "LogGroup": GROUP })).await.json();
    assert_eq!(text["LoggingConfig"], json!({ "LogFormat": "Text", "LogGroup": GROUP }));
    assert_eq!(rig.invoke("f", "1").await.status, 200);
    assert!(messages(&filter(&rig, json!({})).await)[0].starts_with("START RequestId: "));
    rig.stop().await;
}
