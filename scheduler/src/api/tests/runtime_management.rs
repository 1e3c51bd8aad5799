//! Wishes that are kept: when runtimes are updated, and what becomes of recursive loops.

use serde_json::{Value, json};

use super::rig::{Answer, Rig};

async fn put(rig: &Rig, path: &str, request: Value) -> Answer {
    rig.send("PUT", path, &[], request.to_string().as_bytes()).await
}

#[tokio::test]
async fn each_version_has_its_own_runtime_updates() {
    let data = tempfile::tempdir().unwrap();
    let rig = Rig::start(data.path()).await;
    rig.create_with("f", "echo", json!({ "Publish": true })).await;
    let path = "/2021-07-20/functions/f/runtime-management-config";
    let version = format!("{path}?Qualifier=1");
    let default = rig.get(path).await.json();
    assert_eq!(
        (&default["UpdateRuntimeOn"], &default["RuntimeVersionArn"]),
        (&json!("Auto"), &Value::Null)
    );
    let arn = "arn:aws:lambda:us-east-1::runtime:0123456789abcdef";
    let manual = json!({ "UpdateRuntimeOn": "Manual", "RuntimeVersionArn": arn });
    let kept = put(&rig, &version, manual).await.json();
    assert_eq!(
        (&kept["UpdateRuntimeOn"], &kept["RuntimeVersionArn"]),
        (&json!("Manual"), &json!(arn))
    );
    for bad in [
        json!({ "UpdateRuntimeOn": "Never" }),
        json!({ "UpdateRuntimeOn": "Manual" }),
        json!({ "UpdateRuntimeOn": "Manual", "RuntimeVersionArn": "arn:aws:lambda:x" }),
        json!({ "UpdateRuntimeOn": "Auto", "RuntimeVersionArn": arn }),
        json!({ "UpdateRuntimeOn": "Manual", "RuntimeVersionArn": format!("{arn}{}", "0".repeat(2048)) }),
    ] {
        put(&rig, path, bad).await.assert_refused();
    }
    put(&rig, path, json!({})).await.assert_error(400, "InvalidRequestContentException");
    let missing =
        put(&rig, &format!("{path}?Qualifier=2"), json!({ "UpdateRuntimeOn": "Auto" })).await;
    missing.assert_error(404, "ResourceNotFoundException");
    rig.stop().await;
    let rig = Rig::start(data.path()).await;
    assert_eq!(rig.get(&version).await.json(), kept);
    assert_eq!(rig.get(path).await.json(), default);
    rig.stop().await;
}

#[tokio::test]
async fn a_functions_wish_about_loops_is_kept() {
    let data = tempfile::tempdir().unwrap();
    let rig = Rig::start(data.path()).await;
    rig.create("f", "echo").await;
    let path = "/2024-08-31/functions/f/recursion-config";
    assert_eq!(rig.get(path).await.json(), json!({ "RecursiveLoop": "Terminate" }));
    let allow = json!({ "RecursiveLoop": "Allow" });
    assert_eq!(put(&rig, path, allow.clone()).await.json(), allow);
    put(&rig, path, json!({ "RecursiveLoop": "x" })).await.assert_refused();
    put(&rig, path, json!({ "RecursiveLoop": 1 }))
        .await
        .assert_error(400, "InvalidRequestContentException");
    rig.get("/2024-08-31/functions/f:1/recursion-config").await.assert_refused();
    rig.get("/2024-08-31/functions/g/recursion-config")
        .await
        .assert_error(404, "ResourceNotFoundException");
    rig.stop().await;
    let rig = Rig::start(data.path()).await;
    assert_eq!(rig.get(path).await.json(), allow);
    rig.stop().await;
}
