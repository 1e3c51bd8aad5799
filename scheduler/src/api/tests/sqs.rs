//! SQS' API, as far as its clients can't show it: what is refused, what is waited for, what survives.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::events::line;
use super::rig::{Answer, Rig, config};
use crate::Config;
use crate::queue::retry::Delays;

async fn call(rig: &Rig, call: &str, request: Value) -> Answer {
    let target = format!("AmazonSQS.{call}");
    let headers = [("x-amz-target", &*target), ("content-type", "application/x-amz-json-1.0")];
    rig.send("POST", "/", &headers, request.to_string().as_bytes()).await
}

async fn ok(rig: &Rig, name: &str, request: Value) -> Value {
    let answer = call(rig, name, request).await;
    assert_eq!(answer.status, 200, "{name}: {}", answer.text());
    answer.json()
}

async fn refused(rig: &Rig, name: &str, request: Value) -> String {
    let answer = call(rig, name, request).await;
    assert!((400..500).contains(&answer.status), "{name}: {}", answer.text());
    let code = answer.header("x-amzn-query-error").unwrap();
    code.strip_suffix(";Sender").unwrap().to_owned()
}

async fn create(rig: &Rig, name: &str, attributes: Value) -> Value {
    ok(rig, "CreateQueue", json!({ "QueueName": name, "Attributes": attributes })).await["QueueUrl"]
        .take()
}

fn bodies(received: &Value) -> Vec<&str> {
    let messages = received["Messages"].as_array().into_iter().flatten();
    messages.map(|one| one["Body"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn messages_and_their_receipts_survive_the_platform() {
    let data = tempfile::tempdir().unwrap();
    let rig = Rig::start(data.path()).await;
    let url = create(&rig, "q", json!({ "VisibilityTimeout": "600" })).await;
    for body in ["a", "b"] {
        ok(&rig, "SendMessage", json!({ "QueueUrl": url, "MessageBody": body })).await;
    }
    let received = ok(&rig, "ReceiveMessage", json!({ "QueueUrl": url })).await;
    assert_eq!(bodies(&received), ["a"]);
    let handle = &received["Messages"][0]["ReceiptHandle"];
    rig.stop().await;
    let rig = Rig::start(data.path()).await;
    assert_eq!(bodies(&ok(&rig, "ReceiveMessage", json!({ "QueueUrl": url })).await), ["b"]);
    ok(&rig, "DeleteMessage", json!({ "QueueUrl": url, "ReceiptHandle": handle })).await;
    let names = json!({ "QueueUrl": url, "AttributeNames": ["All"] });
    let attributes = ok(&rig, "GetQueueAttributes", names).await["Attributes"].take();
    assert_eq!(attributes["ApproximateNumberOfMessages"], "0");
    assert_eq!(attributes["ApproximateNumberOfMessagesNotVisible"], "1");
    assert_eq!(attributes["VisibilityTimeout"], "600");
    rig.stop().await;
}

#[tokio::test]
async fn handles_that_are_forged_stale_or_anothers_are_refused() {
    let data = tempfile::tempdir().unwrap();
    let rig = Rig::start(data.path()).await;
    let url = create(&rig, "q", json!({})).await;
    let other = create(&rig, "other", json!({})).await;
    ok(&rig, "SendMessage", json!({ "QueueUrl": url, "MessageBody": "a" })).await;
    let receive = json!({ "QueueUrl": url, "VisibilityTimeout": 0 });
    let mut first = ok(&rig, "ReceiveMessage", receive).await;
    let stale = first["Messages"][0]["ReceiptHandle"].take();
    let mut second = ok(&rig, "ReceiveMessage", json!({ "QueueUrl": url })).await;
    let good = second["Messages"][0]["ReceiptHandle"].take();
    let delete = |url: &Value, handle: &Value| json!({ "QueueUrl": url, "ReceiptHandle": handle });
    for handle in [json!("x"), json!(""), json!("MSAyIHNxcy9x")] {
        let code = refused(&rig, "DeleteMessage", delete(&url, &handle)).await;
        // The last one has the form, and a token that nobody gave out.
        let wanted = if handle == "MSAyIHNxcy9x" {
            "InvalidParameterValue"
        } else {
            "ReceiptHandleIsInvalid"
        };
        assert_eq!(code, wanted);
    }
    assert_eq!(refused(&rig, "DeleteMessage", delete(&url, &stale)).await, "InvalidParameterValue");
    assert_eq!(
        refused(&rig, "DeleteMessage", delete(&other, &good)).await,
        "ReceiptHandleIsInvalid"
    );
    let change = |handle: &Value| json!({ "QueueUrl": url, "ReceiptHandle": handle, "VisibilityTimeout": 5 });
    let code = refused(&rig, "ChangeMessageVisibility", change(&stale)).await;
    assert_eq!(code, "AWS.SimpleQueueService.MessageNotInflight");
    ok(&rig, "ChangeMessageVisibility", change(&good)).await;
    ok(&rig, "DeleteMessage", delete(&url, &good)).await;
    ok(&rig, "DeleteMessage", delete(&url, &good)).await;
    rig.stop().await;
}

#[tokio::test]
async fn whoever_waits_hears_of_a_message_at_once() {
    let data = tempfile::tempdir().unwrap();
    let rig = Rig::start(data.path()).await;
    let url = create(&rig, "q", json!({ "ReceiveMessageWaitTimeSeconds": "20" })).await;
    let start = Instant::now();
    let (received, _) =
        tokio::join!(ok(&rig, "ReceiveMessage", json!({ "QueueUrl": url })), async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            ok(&rig, "SendMessage", json!({ "QueueUrl": url, "MessageBody": "late" })).await
        });
    assert_eq!(bodies(&received), ["late"]);
    // One that is delayed rings no bell.
    let delayed = json!({ "QueueUrl": url, "MessageBody": "later", "DelaySeconds": 1 });
    ok(&rig, "SendMessage", delayed).await;
    assert_eq!(bodies(&ok(&rig, "ReceiveMessage", json!({ "QueueUrl": url })).await), ["later"]);
    assert!(start.elapsed() >= Duration::from_secs(1));
    rig.stop().await;
}

#[tokio::test]
async fn what_breaks_a_rule_is_refused() {
    let data = tempfile::tempdir().unwrap();
    let rig = Rig::start(data.path()).await;
    let url = create(&rig, "q", json!({ "DelaySeconds": "0" })).await;
    let fifo = create(&rig, "q.fifo", json!({ "FifoQueue": "true" })).await;
    let create =
        |name: &str, attributes: Value| json!({ "QueueName": name, "Attributes": attributes });
    let send = |url: &Value, more: Value| {
        let mut request = json!({ "QueueUrl": url, "MessageBody": "a" });
        request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        request
    };
    let entries = |ids: &[&str]| {
        let entries: Vec<Value> =
            ids.iter().map(|id| json!({ "Id": id, "MessageBody": "a" })).collect();
        json!({ "QueueUrl": url, "Entries": entries })
    };
    let big = "x".repeat(600_000);
    let simple = "AWS.SimpleQueueService";
    for (name, request, code) in [
        ("CreateQueue", create("a b", json!({})), "InvalidParameterValue"),
        ("CreateQueue", create("a.fifo", json!({})), "InvalidParameterValue"),
        ("CreateQueue", create("a", json!({ "FifoQueue": "true" })), "InvalidParameterValue"),
        ("CreateQueue", create("a", json!({ "Color": "1" })), "InvalidAttributeName"),
        ("CreateQueue", create("a", json!({ "DelaySeconds": "901" })), "InvalidAttributeValue"),
        ("CreateQueue", create("q", json!({ "DelaySeconds": "1" })), "QueueAlreadyExists"),
        ("GetQueueUrl", json!({ "QueueName": "none" }), &format!("{simple}.NonExistentQueue")),
        ("SendMessage", send(&url, json!({ "MessageBody": "" })), "MissingParameter"),
        ("SendMessage", send(&url, json!({ "MessageBody": "\u{0}" })), "InvalidMessageContents"),
        (
            "SendMessage",
            send(&url, json!({ "MessageBody": "x".repeat((1 << 20) + 1) })),
            "InvalidParameterValue",
        ),
        ("SendMessage", send(&url, json!({ "DelaySeconds": 901 })), "InvalidParameterValue"),
        (
            "SendMessage",
            send(&url, json!({ "MessageDeduplicationId": "d" })),
            "InvalidParameterValue",
        ),
        ("SendMessage", send(&fifo, json!({})), "MissingParameter"),
        ("SendMessage", send(&fifo, json!({ "MessageGroupId": "g" })), "InvalidParameterValue"),
        ("SendMessageBatch", entries(&[]), &format!("{simple}.EmptyBatchRequest")),
        (
            "SendMessageBatch",
            entries(&["1"; 11]),
            &format!("{simple}.TooManyEntriesInBatchRequest"),
        ),
        ("SendMessageBatch", entries(&["1", "1"]), &format!("{simple}.BatchEntryIdsNotDistinct")),
        ("SendMessageBatch", entries(&["a b"]), &format!("{simple}.InvalidBatchEntryId")),
        (
            "SendMessageBatch",
            json!({ "QueueUrl": url, "Entries": [
                { "Id": "1", "MessageBody": big }, { "Id": "2", "MessageBody": big },
            ] }),
            &format!("{simple}.BatchRequestTooLong"),
        ),
        (
            "ReceiveMessage",
            json!({ "QueueUrl": url, "MaxNumberOfMessages": 11 }),
            "InvalidParameterValue",
        ),
        (
            "ReceiveMessage",
            json!({ "QueueUrl": url, "WaitTimeSeconds": 21 }),
            "InvalidParameterValue",
        ),
        ("Dance", json!({}), "InvalidAction"),
        ("ReceiveMessage", json!([]), "MalformedInput"),
    ] {
        assert_eq!(
            refused(&rig, name, request.clone()).await,
            code,
            "{name} {:.200}",
            request.to_string()
        );
    }
    let largest = send(&url, json!({ "MessageBody": "x".repeat(1 << 20) }));
    ok(&rig, "SendMessage", largest).await;
    rig.stop().await;
}

async fn mapping(rig: &Rig, method: &str, id: &str, request: Value) -> Answer {
    let path = format!("/2015-03-31/event-source-mappings/{id}");
    rig.send(method, &path, &[], request.to_string().as_bytes()).await
}

async fn depth(rig: &Rig, url: &Value) -> (u64, u64) {
    let names = json!({ "QueueUrl": url, "AttributeNames": ["All"] });
    let attributes = ok(rig, "GetQueueAttributes", names).await["Attributes"].take();
    let number = |name: &str| attributes[name].as_str().unwrap().parse().unwrap();
    (number("ApproximateNumberOfMessages"), number("ApproximateNumberOfMessagesNotVisible"))
}

/// Waits until a queue is as deep as that.
async fn until_depth(rig: &Rig, url: &Value, wanted: (u64, u64)) {
    let start = Instant::now();
    loop {
        let found = depth(rig, url).await;
        if found == wanted {
            return;
        }
        assert!(start.elapsed() < Duration::from_secs(60), "{found:?}, not {wanted:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_function_is_invoked_with_what_its_queue_gets() {
    let data = tempfile::tempdir().unwrap();
    let rig = Rig::start(data.path()).await;
    rig.create("f", "say").await;
    let url = create(&rig, "q", json!({})).await;
    let arn = "arn:aws:sqs:us-east-1:000000000000:q";
    let filter = json!({ "Filters": [{ "Pattern": r#"{"body":{"n":[{"numeric":[">",1]}]}}"# }] });
    let request = json!({
        "EventSourceArn": arn, "FunctionName": "f", "FilterCriteria": filter,
        "ScalingConfig": { "MaximumConcurrency": 2 },
    });
    let created = mapping(&rig, "POST", "", request.clone()).await;
    assert_eq!(created.status, 202, "{}", created.text());
    let created = created.json();
    assert_eq!((&created["State"], &created["BatchSize"]), (&json!("Creating"), &json!(10)));
    let id = created["UUID"].as_str().unwrap();
    let state = async |rig: &Rig| mapping(rig, "GET", id, json!({})).await.json()["State"].take();
    assert_eq!(state(&rig).await, "Enabled");
    mapping(&rig, "POST", "", request.clone()).await.assert_error(409, "ResourceConflictException");
    for (wrong, kind) in [
        (json!({ "FunctionName": "nobody" }), "InvalidParameterValueException"),
        (json!({ "FunctionName": null }), "ValidationException"),
        (json!({ "EventSourceArn": null }), "InvalidParameterValueException"),
        (json!({ "EventSourceArn": format!("{arn}x") }), "InvalidParameterValueException"),
        (
            json!({ "EventSourceArn": "arn:aws:kinesis:x:1:stream/s" }),
            "InvalidParameterValueException",
        ),
        (json!({ "StartingPosition": "HERE" }), "ValidationException"),
        (json!({ "DestinationConfig": {} }), "InvalidParameterValueException"),
        (json!({ "Tags": { "aws:x": "" } }), "ValidationException"),
    ] {
        let mut request = request.clone();
        request.as_object_mut().unwrap().extend(wrong.as_object().unwrap().clone());
        mapping(&rig, "POST", "", request).await.assert_error(400, kind);
    }
    for n in 0..4 {
        let body = json!({ "n": n }).to_string();
        ok(&rig, "SendMessage", json!({ "QueueUrl": url, "MessageBody": body })).await;
    }
    until_depth(&rig, &url, (0, 0)).await;
    let said = rig.messages("f").await;
    let events = said.iter().filter_map(|line| serde_json::from_str::<Value>(line.as_str()?).ok());
    let records: Vec<Value> = events
        .flat_map(|mut event| event["Records"].as_array_mut().map(std::mem::take))
        .flatten()
        .collect();
    let mut bodies: Vec<&str> = records.iter().map(|one| one["body"].as_str().unwrap()).collect();
    bodies.sort_unstable();
    assert_eq!(bodies, [r#"{"n":2}"#, r#"{"n":3}"#]);
    assert_eq!(
        (&records[0]["eventSource"], &records[0]["eventSourceARN"]),
        (&json!("aws:sqs"), &json!(arn))
    );

    let disabled = mapping(&rig, "PUT", id, json!({ "Enabled": false })).await.json();
    assert_eq!(disabled["State"], "Disabling");
    assert_eq!(state(&rig).await, "Disabled");
    ok(&rig, "SendMessage", json!({ "QueueUrl": url, "MessageBody": r#"{"n":9}"# })).await;
    rig.stop().await;
    let rig = Rig::start(data.path()).await;
    assert_eq!(depth(&rig, &url).await, (1, 0));
    let enabled = mapping(&rig, "PUT", id, json!({ "Enabled": true })).await.json();
    assert_eq!(enabled["State"], "Enabling");
    assert_eq!(mapping(&rig, "PUT", id, json!({})).await.json()["State"], "Updating");
    until_depth(&rig, &url, (0, 0)).await;
    let list = rig.get("/2015-03-31/event-source-mappings/?FunctionName=f").await.json();
    assert_eq!(list["EventSourceMappings"][0]["UUID"], id);
    assert_eq!(mapping(&rig, "DELETE", id, json!({})).await.json()["State"], "Deleting");
    mapping(&rig, "GET", id, json!({})).await.assert_error(404, "ResourceNotFoundException");
    rig.stop().await;
}

#[tokio::test]
async fn a_function_that_is_throttled_is_left_alone() {
    let data = tempfile::tempdir().unwrap();
    // A pause that no test sees the end of.
    let delays = Delays::scaled(1e6);
    let rig = Rig::with(Config { delays, ..config(data.path(), 4096, "127.0.0.1:0") }).await;
    rig.create("f", "say").await;
    let none = json!({ "ReservedConcurrentExecutions": 0 }).to_string();
    rig.send("PUT", "/2017-10-31/functions/f/concurrency", &[], none.as_bytes()).await;
    let url = create(&rig, "q", json!({})).await;
    let arn = "arn:aws:sqs:us-east-1:000000000000:q";
    let request = json!({ "EventSourceArn": arn, "FunctionName": "f" });
    assert_eq!(mapping(&rig, "POST", "", request).await.status, 202);
    // What is refused is visible again at once.
    let at_once = json!({ "QueueUrl": url, "Attributes": { "VisibilityTimeout": "0" } });
    ok(&rig, "SetQueueAttributes", at_once).await;
    ok(&rig, "SendMessage", json!({ "QueueUrl": url, "MessageBody": "a" })).await;
    let start = Instant::now();
    let mut before = 0;
    loop {
        let mut leases = 0;
        // Many looks give it many turns.
        for _ in 0..50 {
            let seen = rig.get("/mayfly/queues/messages?Queue=sqs/q").await.json();
            leases = seen["Messages"][0]["Leases"].as_u64().unwrap();
        }
        if leases > 0 && leases == before {
            break;
        }
        assert!(start.elapsed() < Duration::from_secs(60), "taken {leases} times");
        before = leases;
    }
    rig.stop().await;
}

#[tokio::test]
async fn what_fails_in_a_batch_stays_and_becomes_a_dead_letter() {
    let data = tempfile::tempdir().unwrap();
    let rig = Rig::start(data.path()).await;
    rig.create_with("bad", "error", json!({ "Timeout": 1 })).await;
    let dead = create(&rig, "dead", json!({})).await;
    let policy = json!({ "deadLetterTargetArn": "arn:aws:sqs:us-east-1:000000000000:dead", "maxReceiveCount": 1 });
    let attributes = json!({ "VisibilityTimeout": "1", "RedrivePolicy": policy.to_string() });
    let url = create(&rig, "q", attributes).await;
    let arn = "arn:aws:sqs:us-east-1:000000000000:q";
    let request = json!({ "EventSourceArn": arn, "FunctionName": "bad", "MaximumBatchingWindowInSeconds": 0 });
    assert_eq!(mapping(&rig, "POST", "", request).await.status, 202);
    ok(&rig, "SendMessage", json!({ "QueueUrl": url, "MessageBody": "poison" })).await;
    until_depth(&rig, &dead, (1, 0)).await;
    assert_eq!(depth(&rig, &url).await, (0, 0));
    let said = line(&rig, "bad", "come again").await.as_str().unwrap().to_owned();
    let (id, what) = said.strip_prefix("RequestId: ").unwrap().split_once(' ').unwrap();
    assert_eq!(
        what.trim_end(),
        format!("1 of 1 messages of {arn} come again: the function failed")
    );
    line(&rig, "bad", &format!("START RequestId: {id}")).await;
    let of = |more: Value| {
        let mut request = json!({ "EventSourceArn": arn, "FunctionName": "bad" });
        request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        request
    };
    rig.create("slow", "echo").await;
    for bad in [
        of(json!({ "EventSourceArn": "arn:aws:sqs:us-east-1:000000000000:none" })),
        of(json!({ "FunctionName": "slow" })),
    ] {
        mapping(&rig, "POST", "", bad).await.assert_refused();
    }
    let list = rig.get("/2015-03-31/event-source-mappings").await.json();
    let id = list["EventSourceMappings"][0]["UUID"].as_str().unwrap().to_owned();
    for bad in [
        json!({ "BatchSize": 0 }),
        json!({ "BatchSize": 11 }),
        json!({ "MaximumBatchingWindowInSeconds": 301 }),
        json!({ "ScalingConfig": { "MaximumConcurrency": 1 } }),
        json!({ "FilterCriteria": { "Filters": [{ "Pattern": "{}" }] } }),
        json!({ "FunctionResponseTypes": ["All"] }),
    ] {
        mapping(&rig, "PUT", &id, bad).await.assert_refused();
    }
    rig.stop().await;
}

#[tokio::test]
async fn dead_letters_have_a_queue_of_the_same_type() {
    let data = tempfile::tempdir().unwrap();
    let rig = Rig::start(data.path()).await;
    create(&rig, "dead", json!({})).await;
    let fifo = json!({ "FifoQueue": "true" });
    create(&rig, "dead.fifo", fifo.clone()).await;
    let policy = |name: &str| {
        let arn = format!("arn:aws:sqs:us-east-1:000000000000:{name}");
        json!({ "deadLetterTargetArn": arn, "maxReceiveCount": 1 }).to_string()
    };
    let url = create(&rig, "q", json!({ "RedrivePolicy": policy("dead") })).await;
    for (name, attributes) in [
        ("a", json!({ "RedrivePolicy": policy("none") })),
        ("b", json!({ "RedrivePolicy": policy("dead.fifo") })),
        ("c.fifo", json!({ "FifoQueue": "true", "RedrivePolicy": policy("dead") })),
    ] {
        let request = json!({ "QueueName": name, "Attributes": attributes });
        assert_eq!(refused(&rig, "CreateQueue", request).await, "InvalidParameterValue", "{name}");
    }
    for bad in ["none", "dead.fifo"] {
        let request = json!({ "QueueUrl": url, "Attributes": { "RedrivePolicy": policy(bad) } });
        assert_eq!(refused(&rig, "SetQueueAttributes", request).await, "InvalidParameterValue");
    }
    // What has gone since is no reason to refuse another change.
    ok(&rig, "DeleteQueue", json!({ "QueueUrl": "http://x/000000000000/dead" })).await;
    let request = json!({ "QueueUrl": url, "Attributes": { "DelaySeconds": "1" } });
    ok(&rig, "SetQueueAttributes", request).await;
}

#[tokio::test]
async fn what_is_asked_of_queues_has_to_make_sense() {
    let data = tempfile::tempdir().unwrap();
    let rig = Rig::start(data.path()).await;
    let url = create(&rig, "q", json!({})).await;
    for (name, request, code) in [
        (
            "GetQueueAttributes",
            json!({ "AttributeNames": ["All", "Color"] }),
            "InvalidAttributeName",
        ),
        ("TagQueue", json!({ "Tags": {} }), "MissingParameter"),
        ("UntagQueue", json!({ "TagKeys": [] }), "InvalidParameterValue"),
        (
            "SendMessage",
            json!({ "MessageBody": "a", "MessageAttributes": { "ö": { "DataType": "String", "StringValue": "a" } } }),
            "InvalidParameterValue",
        ),
        (
            "SendMessage",
            json!({ "MessageBody": "a", "MessageAttributes": { "a": { "DataType": "Colour", "StringValue": "a" } } }),
            "InvalidParameterValue",
        ),
    ] {
        let mut request = request;
        request["QueueUrl"] = url.clone();
        assert_eq!(refused(&rig, name, request).await, code, "{name}");
    }
    create(&rig, "r", json!({})).await;
    let page = ok(&rig, "ListQueues", json!({ "MaxResults": 1 })).await;
    let token = page["NextToken"].clone();
    let rest = ok(&rig, "ListQueues", json!({ "MaxResults": 1, "NextToken": token })).await;
    assert_eq!(rest["NextToken"], Value::Null);
    let urls = [&page, &rest].map(|page| page["QueueUrls"][0].as_str().unwrap().to_owned());
    assert!(urls[0].ends_with("/q") && urls[1].ends_with("/r"), "{urls:?}");
}
