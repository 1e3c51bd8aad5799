//! Reserved concurrency.

use serde_json::{Value, json};

use super::F;
use super::rig::{Answer, Rig};

async fn reserve(rig: &Rig, name: &str, count: i64) -> Answer {
    let body = json!({ "ReservedConcurrentExecutions": count }).to_string();
    rig.send("PUT", &format!("/2017-10-31/functions/{name}/concurrency"), &[], body.as_bytes())
        .await
}

async fn reserved(rig: &Rig, name: &str) -> Value {
    rig.get(&format!("/2019-09-30/functions/{name}/concurrency")).await.json()
}

fn assert_over_reserved(answer: &Answer) {
    answer.assert_error(429, "TooManyRequestsException");
    assert_eq!(answer.json()["Reason"], "ReservedFunctionConcurrentInvocationLimitExceeded");
    assert!(answer.header("retry-after").is_some());
}

#[tokio::test]
async fn a_function_gets_what_is_reserved_for_it() {
    let data = tempfile::tempdir().unwrap();
    let rig = Rig::start(data.path()).await;
    rig.create_with("f", "slow", json!({ "Publish": true })).await;
    assert_eq!(reserved(&rig, "f").await, json!({}));
    let set = reserve(&rig, "f", 2).await;
    assert_eq!((set.status, set.json()), (200, json!({ "ReservedConcurrentExecutions": 2 })));
    assert_eq!(reserved(&rig, "f").await, json!({ "ReservedConcurrentExecutions": 2 }));
    let function = rig.get(&format!("{F}/f")).await.json();
    assert_eq!(function["Concurrency"], json!({ "ReservedConcurrentExecutions": 2 }));
    // Versions share it.
    let answers = tokio::join!(rig.invoke("f", "1"), rig.invoke("f:1", "2"), rig.invoke("f", "3"));
    let answers = [answers.0, answers.1, answers.2];
    let (done, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|one| one.status == 200);
    assert_eq!((done.len(), refused.len()), (2, 1));
    assert_over_reserved(refused[0]);

    assert_eq!(reserve(&rig, "f", 0).await.status, 200);
    rig.stop().await;
    let rig = Rig::start(data.path()).await;
    assert_over_reserved(&rig.invoke("f", "1").await);
    rig.create("g", "echo").await;
    assert_eq!(rig.invoke("g", "1").await.status, 200);
    let path = "/2017-10-31/functions/f/concurrency";
    assert_eq!(rig.send("DELETE", path, &[], b"").await.status, 204);
    assert_eq!(rig.invoke("f", "1").await.text(), "1");
    assert_eq!(reserved(&rig, "f").await, json!({}));
    // It goes with its function.
    reserve(&rig, "f", 0).await;
    rig.send("DELETE", &format!("{F}/f"), &[], b"").await;
    rig.create("f", "echo").await;
    assert_eq!(rig.invoke("f", "1").await.text(), "1");
    rig.stop().await;
}

#[tokio::test]
async fn the_account_tells_what_is_left() {
    let data = tempfile::tempdir().unwrap();
    let rig = Rig::start(data.path()).await;
    for name in ["f", "g"] {
        rig.create(name, "echo").await;
    }
    let account = async || rig.get("/2016-08-19/account-settings/").await.json();
    let before = account().await;
    assert_eq!(before["AccountUsage"]["FunctionCount"], 2);
    assert!(before["AccountUsage"]["TotalCodeSize"].as_u64().unwrap() > 0);
    let total = before["AccountLimit"]["ConcurrentExecutions"].as_i64().unwrap();
    assert_eq!(before["AccountLimit"]["UnreservedConcurrentExecutions"], total);
    assert_eq!(reserve(&rig, "f", total - 200).await.status, 200);
    reserve(&rig, "g", 101).await.assert_refused();
    assert_eq!(reserve(&rig, "g", 100).await.status, 200);
    assert_eq!(account().await["AccountLimit"]["UnreservedConcurrentExecutions"], 100);
    assert_eq!(reserve(&rig, "f", 5).await.status, 200);
    reserve(&rig, "f", -1).await.assert_refused();
    reserve(&rig, "f", 1 << 40).await.assert_refused();
    reserve(&rig, "f:1", 1).await.assert_refused();
    reserve(&rig, "h", 1).await.assert_error(404, "ResourceNotFoundException");
    assert_eq!(reserved(&rig, "f").await, json!({ "ReservedConcurrentExecutions": 5 }));
    rig.stop().await;
}
