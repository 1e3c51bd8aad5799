//! Loops of functions, known by X-Amzn-Trace-Id: here the test passes it on, as an SDK does inside.

use serde_json::{Value, json};

use super::F;
use super::events::{arn, configure, line, records};
use super::rig::{Answer, Rig};

/// Documented: more than about 16 invocations in one chain of requests are a loop.
const RUNS: usize = 16;

async fn invoke(rig: &Rig, name: &str, kind: &str, trace: &str) -> Answer {
    let path = format!("{F}/{name}/invocations");
    let headers = [("x-amz-invocation-type", kind), ("x-amzn-trace-id", trace)];
    rig.send("POST", &path, &headers, b"{}").await
}

/// The trace of a chain that has invoked a function as often as it may.
async fn chain(rig: &Rig, name: &str) -> String {
    let mut trace = String::new();
    for run in 0..RUNS {
        let answer = invoke(rig, name, "RequestResponse", &trace).await;
        assert_eq!(answer.status, 200, "{run}: {}", answer.text());
        trace = answer.json()["Trace"].as_str().unwrap().to_owned();
    }
    trace
}

async fn sqs(rig: &Rig, call: &str, trace: &str, request: Value) -> Value {
    let target = format!("AmazonSQS.{call}");
    let headers = [("x-amz-target", &*target), ("x-amzn-trace-id", trace)];
    let answer = rig.send("POST", "/", &headers, request.to_string().as_bytes()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

#[tokio::test]
async fn a_function_that_invokes_itself_is_stopped_unless_it_may() {
    let data = tempfile::tempdir().unwrap();
    let rig = Rig::start(data.path()).await;
    rig.create("f", "trace").await;
    rig.create("other", "trace").await;
    let trace = chain(&rig, "f").await;
    assert!(trace.starts_with("Root=1-") && trace.contains(";Lineage="), "{trace}");
    let refused = invoke(&rig, "f", "RequestResponse", &trace).await;
    refused.assert_error(400, "RecursiveInvocationException");
    // Another function is no part of the loop, and another chain is none.
    assert_eq!(invoke(&rig, "other", "RequestResponse", &trace).await.status, 200);
    let root = trace.split(';').next().unwrap();
    let anew = invoke(&rig, "f", "RequestResponse", root).await;
    assert!(anew.json()["Trace"].as_str().unwrap().starts_with(root), "{}", anew.text());
    let path = "/2024-08-31/functions/f/recursion-config";
    let allow = json!({ "RecursiveLoop": "Allow" }).to_string();
    assert_eq!(rig.send("PUT", path, &[], allow.as_bytes()).await.status, 200);
    assert_eq!(invoke(&rig, "f", "RequestResponse", &trace).await.status, 200);
    rig.stop().await;
}

#[tokio::test]
async fn an_event_of_a_loop_is_accepted_and_goes_where_failed_ones_go() {
    let data = tempfile::tempdir().unwrap();
    let rig = Rig::start(data.path()).await;
    rig.create("f", "trace").await;
    rig.create("told", "say").await;
    let config = json!({ "DestinationConfig": { "OnFailure": { "Destination": arn("told") } } });
    assert_eq!(configure(&rig, "f", config).await.status, 200);
    let trace = chain(&rig, "f").await;
    let accepted = invoke(&rig, "f", "Event", &trace).await;
    assert_eq!(accepted.status, 202);
    let context = records(&rig, "told", 1).await.remove(0)["requestContext"].take();
    assert_eq!(context["condition"], "RecursiveInvocationException");
    assert_eq!(context["approximateInvokeCount"], 0);
    let id = accepted.header("x-amzn-requestid").unwrap();
    line(&rig, "f", &format!("RequestId: {id} Event given up after 0 runs: Recursive")).await;
    rig.stop().await;
}

#[tokio::test]
async fn a_message_of_a_loop_is_not_run_and_ends_among_the_dead() {
    let data = tempfile::tempdir().unwrap();
    let rig = Rig::start(data.path()).await;
    rig.create("f", "trace").await;
    let trace = chain(&rig, "f").await;
    sqs(&rig, "CreateQueue", "", json!({ "QueueName": "dead" })).await;
    let policy = json!({ "deadLetterTargetArn": "arn:aws:sqs:us-east-1:000000000000:dead", "maxReceiveCount": 1 });
    let attributes = json!({ "RedrivePolicy": policy.to_string(), "VisibilityTimeout": "30" });
    sqs(&rig, "CreateQueue", "", json!({ "QueueName": "work", "Attributes": attributes })).await;
    let send = async |trace: &str, body: &str| {
        let request = json!({ "QueueUrl": "work", "MessageBody": body });
        sqs(&rig, "SendMessage", trace, request).await["MessageId"].as_str().unwrap().to_owned()
    };
    let in_loop = send(&trace, "loop").await;
    let request = json!({ "QueueUrl": "work", "MessageSystemAttributeNames": ["AWSTraceHeader"], "VisibilityTimeout": 0 });
    let seen = sqs(&rig, "ReceiveMessage", "", request).await;
    assert_eq!(seen["Messages"][0]["Attributes"]["AWSTraceHeader"], trace.as_str());
    sqs(&rig, "PurgeQueue", "", json!({ "QueueUrl": "work" })).await;
    let mapping = json!({
        "EventSourceArn": "arn:aws:sqs:us-east-1:000000000000:work",
        "FunctionName": "f",
        "BatchSize": 10,
    });
    let path = "/2015-03-31/event-source-mappings";
    let made = rig.send("POST", path, &[], mapping.to_string().as_bytes()).await;
    assert_eq!(made.status, 202, "{}", made.text());
    let before = records(&rig, "f", RUNS).await.len();
    let again = send(&trace, "loop").await;
    line(&rig, "f", &format!("Message: {again} of queue work is part of a recursive loop")).await;
    assert_ne!(in_loop, again);
    // One that is none is run, and what it runs in knows where it came from.
    send("Root=1-5759e988-bd862e3fe1be46a994272793", "good").await;
    let found = records(&rig, "f", before + 1).await;
    assert_eq!(found.len(), before + 1, "the loop was not run");
    let inside = found[before]["Trace"].as_str().unwrap();
    assert!(inside.starts_with("Root=1-5759e988-bd862e3fe1be46a994272793;"), "{inside}");
    assert!(inside.ends_with(":1"), "{inside}");
    rig.stop().await;
}
