//! Provisioned concurrency: asked for, reached, moved, given up.

use std::time::Duration;

use serde_json::{Value, json};

use super::F;
use super::rig::{Answer, Rig};

fn path(name: &str) -> String {
    format!("/2019-09-30/functions/{name}/provisioned-concurrency")
}

async fn put(rig: &Rig, form: &str, count: impl Into<Value>) -> Answer {
    let request = json!({ "ProvisionedConcurrentExecutions": count.into() }).to_string();
    let (name, qualifier) = form.split_once(':').unwrap();
    let path = format!("{}?Qualifier={}", path(name), qualifier.replace('$', "%24"));
    rig.send("PUT", &path, &[], request.as_bytes()).await
}

async fn get(rig: &Rig, form: &str) -> Answer {
    let (name, qualifier) = form.split_once(':').unwrap();
    rig.get(&format!("{}?Qualifier={qualifier}", path(name))).await
}

/// Waits for a status; the whole answer.
async fn until(rig: &Rig, form: &str, status: &str) -> Value {
    loop {
        let got = get(rig, form).await.json();
        if got["Status"] == status {
            return got;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn environments(rig: &Rig) -> usize {
    rig.get("/mayfly/environments").await.json()["Environments"].as_array().unwrap().len()
}

async fn create(rig: &Rig, name: &str, word: &str) {
    rig.create_with(name, word, json!({ "Publish": true })).await;
    let alias = br#"{"Name":"live","FunctionVersion":"1"}"#;
    rig.send("POST", &format!("{F}/{name}/aliases"), &[], alias).await;
}

#[tokio::test]
async fn environments_are_ready_before_they_are_needed_also_after_a_restart() {
    let data = tempfile::tempdir().unwrap();
    let rig = Rig::start(data.path()).await;
    create(&rig, "f", "variables").await;
    get(&rig, "f:live").await.assert_error(404, "ProvisionedConcurrencyConfigNotFoundException");
    let asked = put(&rig, "f:live", 2).await;
    assert_eq!(asked.status, 202, "{}", asked.text());
    assert_eq!(asked.json()["RequestedProvisionedConcurrentExecutions"], 2);
    let check = async |rig: &Rig| {
        let ready = until(rig, "f:live", "READY").await;
        assert_eq!(ready["AllocatedProvisionedConcurrentExecutions"], 2);
        assert_eq!(
            (&ready["AvailableProvisionedConcurrentExecutions"], environments(rig).await),
            (&json!(2), 2)
        );
        let call = format!("{F}/f/invocations?Qualifier=live");
        let answer = rig.send("POST", &call, &[("x-amz-log-type", "Tail")], b"{}").await;
        assert!(answer.text().contains("AWS_LAMBDA_INITIALIZATION_TYPE=provisioned-concurrency"));
        assert!(!answer.log().contains("Init Duration"), "{}", answer.log());
        assert_eq!(environments(rig).await, 2);
    };
    check(&rig).await;
    rig.stop().await;
    let rig = Rig::start(data.path()).await;
    check(&rig).await;
    let latest = rig.invoke("f", "{}").await.text();
    assert!(latest.contains("AWS_LAMBDA_INITIALIZATION_TYPE=on-demand"), "{latest}");
    let all = rig.get(&format!("{}?List=ALL", path("f"))).await.json();
    let arn = "arn:aws:lambda:us-east-1:000000000000:function:f:live";
    assert_eq!(all["ProvisionedConcurrencyConfigs"][0]["FunctionArn"], arn);
    assert_eq!(all["ProvisionedConcurrencyConfigs"].as_array().unwrap().len(), 1);
    for _ in 0..2 {
        let path = format!("{}?Qualifier=live", path("f"));
        assert_eq!(rig.send("DELETE", &path, &[], b"").await.status, 204);
    }
    get(&rig, "f:live").await.assert_error(404, "ProvisionedConcurrencyConfigNotFoundException");
    while environments(&rig).await > 1 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    rig.stop().await;
}

#[tokio::test]
async fn one_that_dies_is_replaced_and_one_that_does_not_start_is_told() {
    let data = tempfile::tempdir().unwrap();
    let rig = Rig::start(data.path()).await;
    create(&rig, "exit", "exit").await;
    put(&rig, "exit:1", 1).await;
    until(&rig, "exit:1", "READY").await;
    let call = format!("{F}/exit/invocations?Qualifier=1");
    rig.send("POST", &call, &[], b"1").await.assert_function_error("Runtime.ExitError");
    until(&rig, "exit:1", "READY").await;
    assert_eq!(rig.send("POST", &call, &[], b"2").await.text(), "2");
    create(&rig, "broken", "init-error").await;
    put(&rig, "broken:1", 1).await;
    let failed = until(&rig, "broken:1", "FAILED").await;
    assert_eq!(failed["StatusReason"], "FUNCTION_ERROR_INIT_FAILURE");
    rig.stop().await;
}

#[tokio::test]
async fn an_alias_takes_its_environments_along() {
    let data = tempfile::tempdir().unwrap();
    let rig = Rig::start(data.path()).await;
    create(&rig, "f", "variables").await;
    put(&rig, "f:live", 1).await;
    until(&rig, "f:live", "READY").await;
    rig.send("PUT", &format!("{F}/f/configuration"), &[], br#"{"Timeout":9}"#).await;
    rig.send("POST", &format!("{F}/f/versions"), &[], b"{}").await;
    let alias = format!("{F}/f/aliases/live");
    let latest = rig.send("PUT", &alias, &[], br#"{"FunctionVersion":"$LATEST"}"#).await;
    latest.assert_refused();
    assert_eq!(rig.send("PUT", &alias, &[], br#"{"FunctionVersion":"2"}"#).await.status, 200);
    until(&rig, "f:live", "READY").await;
    let call = format!("{F}/f/invocations?Qualifier=live");
    let answer = rig.send("POST", &call, &[], b"{}").await;
    assert_eq!(answer.header("x-amz-executed-version"), Some("2"));
    assert!(answer.text().contains("=provisioned-concurrency"), "{}", answer.text());
    rig.send("DELETE", &alias, &[], b"").await;
    while environments(&rig).await > 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    rig.stop().await;
}

#[tokio::test]
async fn it_counts_for_what_is_reserved() {
    let data = tempfile::tempdir().unwrap();
    let rig = Rig::start(data.path()).await;
    create(&rig, "f", "echo").await;
    let reserve = async |limit: u32| {
        let request = json!({ "ReservedConcurrentExecutions": limit }).to_string();
        let path = "/2017-10-31/functions/f/concurrency";
        rig.send("PUT", path, &[], request.as_bytes()).await
    };
    assert_eq!(reserve(2).await.status, 200);
    put(&rig, "f:live", 3).await.assert_refused();
    assert_eq!(put(&rig, "f:live", 2).await.status, 202);
    // One name provisions a version: its number, or an alias.
    put(&rig, "f:1", 1).await.assert_error(409, "ResourceConflictException");
    reserve(1).await.assert_refused();
    until(&rig, "f:live", "READY").await;
    // All that is reserved is held for the version.
    rig.invoke("f", "1").await.assert_error(429, "TooManyRequestsException");
    let call = format!("{F}/f/invocations?Qualifier=1");
    assert_eq!(rig.send("POST", &call, &[], b"1").await.text(), "1");
    rig.stop().await;
}

#[tokio::test]
async fn what_can_not_be_kept_is_refused() {
    let data = tempfile::tempdir().unwrap();
    let rig = Rig::with_memory(data.path(), 512).await;
    create(&rig, "f", "echo").await;
    for bad in [json!(0), json!(-1), json!(5), json!(1_000_000)] {
        put(&rig, "f:1", bad).await.assert_refused();
    }
    put(&rig, "f:1", "x").await.assert_error(400, "InvalidRequestContentException");
    put(&rig, "f:$LATEST", 1).await.assert_refused();
    for form in ["f:2", "f:nothing", "g:1"] {
        put(&rig, form, 1).await.assert_error(404, "ResourceNotFoundException");
    }
    rig.get(&path("f")).await.assert_refused();
    assert_eq!(put(&rig, "f:1", 4).await.status, 202);
    until(&rig, "f:1", "READY").await;
    // It takes all of the memory, and keeps it.
    rig.create("g", "echo").await;
    rig.invoke("g", "1").await.assert_error(429, "TooManyRequestsException");
    rig.send("DELETE", &format!("{F}/f"), &[], b"").await;
    while rig.invoke("g", "1").await.status != 200 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    rig.stop().await;
}
