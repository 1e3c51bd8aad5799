//! Tags of functions and of event source mappings.

use serde_json::{Value, json};

use super::F;
use super::rig::{Answer, Rig};

const ARN: &str = "arn:aws:lambda:us-east-1:000000000000:function:f";

async fn tag(rig: &Rig, arn: &str, tags: Value) -> Answer {
    let body = json!({ "Tags": tags }).to_string();
    rig.send("POST", &format!("/2017-03-31/tags/{arn}"), &[], body.as_bytes()).await
}

#[tokio::test]
async fn tags_come_and_go() {
    let data = tempfile::tempdir().unwrap();
    let rig = Rig::start(data.path()).await;
    let path = format!("/2017-03-31/tags/{ARN}");
    rig.create_with("f", "echo", json!({ "Tags": { "a": "1" } })).await;
    assert_eq!(rig.get(&format!("{F}/f")).await.json()["Tags"], json!({ "a": "1" }));
    assert_eq!(tag(&rig, ARN, json!({ "a": "2", "b": "", "c d": "3" })).await.status, 204);
    let keys = format!("{path}?tagKeys=b&tagKeys=c%20d&tagKeys=z");
    assert_eq!(rig.send("DELETE", &keys, &[], b"").await.status, 204);
    rig.stop().await;
    let rig = Rig::start(data.path()).await;
    assert_eq!(rig.get(&path).await.json(), json!({ "Tags": { "a": "2" } }));
    rig.stop().await;
}

#[tokio::test]
async fn event_source_mappings_have_tags() {
    let data = tempfile::tempdir().unwrap();
    let rig = Rig::start(data.path()).await;
    rig.create("f", "echo").await;
    let queue = json!({ "QueueName": "q" }).to_string();
    let call = [("x-amz-target", "AmazonSQS.CreateQueue")];
    assert_eq!(rig.send("POST", "/", &call, queue.as_bytes()).await.status, 200);
    let request = json!({
        "EventSourceArn": "arn:aws:sqs:us-east-1:000000000000:q",
        "FunctionName": "f",
        "Tags": { "a": "1" },
    });
    let mappings = "/2015-03-31/event-source-mappings/";
    let made = rig.send("POST", mappings, &[], request.to_string().as_bytes()).await.json();
    let arn = made["EventSourceMappingArn"].as_str().unwrap();
    let path = format!("/2017-03-31/tags/{arn}");
    assert_eq!(tag(&rig, arn, json!({ "b": "2" })).await.status, 204);
    assert_eq!(rig.get(&path).await.json(), json!({ "Tags": { "a": "1", "b": "2" } }));
    assert_eq!(rig.send("DELETE", &format!("{path}?tagKeys=a"), &[], b"").await.status, 204);
    tag(&rig, arn, json!({ "aws:b": "" })).await.assert_refused();
    tag(&rig, &format!("{arn}:x"), json!({ "b": "" })).await.assert_refused();
    rig.stop().await;
    let rig = Rig::start(data.path()).await;
    assert_eq!(rig.get(&path).await.json(), json!({ "Tags": { "b": "2" } }));
    let id = made["UUID"].as_str().unwrap();
    rig.send("DELETE", &format!("{mappings}{id}"), &[], b"").await;
    for gone in [rig.get(&path).await, tag(&rig, arn, json!({ "b": "" })).await] {
        gone.assert_error(404, "ResourceNotFoundException");
    }
    rig.stop().await;
}

#[tokio::test]
async fn what_breaks_a_tags_limit_is_refused() {
    let data = tempfile::tempdir().unwrap();
    let rig = Rig::start(data.path()).await;
    rig.create("f", "echo").await;
    let many: serde_json::Map<_, _> = (0..51).map(|n| (n.to_string(), json!(""))).collect();
    for tags in [
        json!({ "": "" }),
        json!({ "aws:x": "" }),
        json!({ "x".repeat(129): "" }),
        json!({ "x": "x".repeat(257) }),
        Value::Object(many),
    ] {
        tag(&rig, ARN, tags.clone()).await.assert_refused();
        rig.create_with("g", "echo", json!({ "Tags": tags })).await.assert_refused();
    }
    tag(&rig, ARN, json!({})).await.assert_refused();
    let one = json!({ "x": "" });
    tag(&rig, &format!("{ARN}:1"), one.clone()).await.assert_refused();
    tag(&rig, "f", one.clone()).await.assert_refused();
    tag(&rig, &format!("{ARN}2"), one).await.assert_error(404, "ResourceNotFoundException");
    rig.send("DELETE", &format!("/2017-03-31/tags/{ARN}"), &[], b"").await.assert_refused();
    assert_eq!(rig.get(&format!("/2017-03-31/tags/{ARN}")).await.json(), json!({ "Tags": {} }));
    rig.stop().await;
}
