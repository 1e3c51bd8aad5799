//! Functions that are replaced.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::F;
use super::rig::{Answer, Rig};
use crate::bundle::zip_of;

async fn put(rig: &Rig, path: &str, body: &Value) -> Answer {
    rig.send("PUT", &format!("{F}/{path}"), &[], body.to_string().as_bytes()).await
}

fn bootstrap(word: &str) -> Value {
    json!({ "ZipFile": STANDARD.encode(zip_of(&[("bootstrap", 0o755, word.as_bytes())])) })
}

#[tokio::test]
async fn new_code_runs_in_a_new_environment() {
    let data = tempfile::tempdir().unwrap();
    let rig = Rig::start(data.path()).await;
    let created = rig.create("f", "count").await.json();
    assert_eq!(rig.invoke("f", "{}").await.text(), "1");
    assert_eq!(rig.invoke("f", "{}").await.text(), "2");
    let updated = put(&rig, "f/code", &bootstrap("echo")).await;
    assert_eq!(updated.status, 200, "{}", updated.text());
    let updated = updated.json();
    assert_ne!(updated["CodeSha256"], created["CodeSha256"]);
    assert_ne!(updated["RevisionId"], created["RevisionId"]);
    let reason = &updated["LastUpdateStatusReasonCode"];
    assert_eq!((&updated["LastUpdateStatus"], reason), (&json!("InProgress"), &json!("Creating")));
    assert_eq!(updated["State"], "Active");
    let done = rig.configuration("f").await;
    assert_eq!(done["LastUpdateStatus"], "Successful");
    assert_eq!(done["CodeSha256"], updated["CodeSha256"]);
    assert_ne!(done["RevisionId"], updated["RevisionId"], "that of being updated is gone");
    assert_eq!(rig.invoke("f", "[3]").await.text(), "[3]");
    // The same code again is another deployment, too.
    put(&rig, "f/code", &bootstrap("count")).await;
    assert_eq!(rig.invoke("f", "{}").await.text(), "1");
    rig.stop().await;
}

#[tokio::test]
async fn what_runs_finishes_on_the_old_code() {
    let data = tempfile::tempdir().unwrap();
    let rig = Rig::start(data.path()).await;
    rig.create("f", "slow").await;
    let (running, ()) = tokio::join!(rig.invoke("f", "[1]"), async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(put(&rig, "f/code", &bootstrap("count")).await.status, 200);
        assert_eq!(rig.invoke("f", "{}").await.text(), "1");
    });
    assert_eq!(running.text(), "[1]");
    rig.stop().await;
}

#[tokio::test]
async fn a_configuration_changes_where_it_is_named() {
    let data = tempfile::tempdir().unwrap();
    let rig = Rig::start(data.path()).await;
    let more = json!({ "Timeout": 7, "Environment": { "Variables": { "KEY": "old" } } });
    let created = rig.create_with("f", "variables", more).await.json();
    rig.invoke("f", "{}").await;
    let updated = put(&rig, "f/configuration", &json!({ "MemorySize": 256 })).await.json();
    assert_eq!((&updated["MemorySize"], &updated["Timeout"]), (&json!(256), &json!(7)));
    assert_eq!(updated["CodeSha256"], created["CodeSha256"]);
    let variables = json!({ "Environment": { "Variables": { "OTHER": "new" } } });
    let updated = put(&rig, "f/configuration", &variables).await.json();
    assert_eq!(updated["Environment"]["Variables"], json!({ "OTHER": "new" }));
    let updated = rig.configuration("f").await;
    let seen = rig.invoke("f", "{}").await.text();
    assert!(seen.contains("OTHER=new") && !seen.contains("KEY=old"), "{seen}");
    assert!(seen.contains("AWS_LAMBDA_FUNCTION_MEMORY_SIZE=256"), "{seen}");
    rig.stop().await;
    let rig = Rig::start(data.path()).await;
    assert_eq!(rig.configuration("f").await, updated);
    rig.stop().await;
}

#[tokio::test]
async fn a_refused_update_changes_nothing() {
    let data = tempfile::tempdir().unwrap();
    let rig = Rig::start(data.path()).await;
    rig.create("f", "echo").await;
    let created = rig.configuration("f").await;
    put(&rig, "f/configuration", &json!({ "MemorySize": 1 })).await.assert_refused();
    put(&rig, "f/configuration", &json!({ "Layers": ["x"] })).await.assert_refused();
    put(&rig, "f/code", &json!({ "ZipFile": "bm8gemlw" })).await.assert_refused();
    put(&rig, "f/code", &json!({ "S3Bucket": "b" })).await.assert_refused();
    put(&rig, "f:1/configuration", &json!({})).await.assert_refused();
    let stale = json!({ "RevisionId": "stale", "Timeout": 9 });
    put(&rig, "f/configuration", &stale).await.assert_error(412, "PreconditionFailedException");
    let missing = "ResourceNotFoundException";
    put(&rig, "g/configuration", &json!({})).await.assert_error(404, missing);
    put(&rig, "g/code", &bootstrap("echo")).await.assert_error(404, missing);

    let mut dry = bootstrap("count");
    dry["DryRun"] = true.into();
    let told = put(&rig, "f/code", &dry).await.json();
    assert_ne!(told["CodeSha256"], created["CodeSha256"]);
    assert_eq!(rig.configuration("f").await, created);
    let known = json!({ "RevisionId": created["RevisionId"], "Timeout": 9 });
    assert_eq!(put(&rig, "f/configuration", &known).await.json()["Timeout"], 9);
    rig.stop().await;
}

#[tokio::test]
async fn snap_start_is_kept_for_runtimes_that_have_it() {
    let data = tempfile::tempdir().unwrap();
    let rig = Rig::start(data.path()).await;
    rig.create_with("f", "echo", json!({ "Runtime": "java21" })).await;
    let published = json!({ "SnapStart": { "ApplyOn": "PublishedVersions" } });
    let updated = put(&rig, "f/configuration", &published).await.json();
    let kept = json!({ "ApplyOn": "PublishedVersions", "OptimizationStatus": "Off" });
    assert_eq!(updated["SnapStart"], kept);
    let other = json!({ "Runtime": "provided.al2023" });
    let refused = put(&rig, "f/configuration", &other).await;
    refused.assert_error(400, "InvalidParameterValueException");
    let told = refused.text();
    assert!(told.contains("provided.al2023 is not supported for SnapStart"), "{told}");
    assert_eq!(rig.configuration("f").await["SnapStart"], kept);
    rig.stop().await;
}
