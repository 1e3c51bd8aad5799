//! Aliases: names for versions, and their weights.

use serde_json::{Value, json};

use super::F;
use super::rig::{Answer, Rig};

async fn send(rig: &Rig, method: &str, path: &str, request: Value) -> Answer {
    rig.send(method, &format!("{F}/{path}"), &[], request.to_string().as_bytes()).await
}

/// A function with versions 1 and 2, which tell their number.
async fn two_versions(rig: &Rig) {
    rig.create_with("f", "variables", json!({ "Publish": true })).await;
    let update = json!({ "Timeout": 9 });
    assert_eq!(send(rig, "PUT", "f/configuration", update).await.status, 200);
    assert_eq!(send(rig, "POST", "f/versions", json!({})).await.json()["Version"], "2");
}

#[tokio::test]
async fn an_alias_is_made_moved_and_deleted() {
    let data = tempfile::tempdir().unwrap();
    let rig = Rig::start(data.path()).await;
    two_versions(&rig).await;
    let request = json!({ "Name": "live", "FunctionVersion": "1", "Description": "d" });
    let created = send(&rig, "POST", "f/aliases", request.clone()).await;
    assert_eq!(created.status, 201, "{}", created.text());
    let created = created.json();
    let arn = "arn:aws:lambda:us-east-1:000000000000:function:f:live";
    assert_eq!((&created["AliasArn"], &created["FunctionVersion"]), (&json!(arn), &json!("1")));
    assert!(created.get("RoutingConfig").is_none());
    send(&rig, "POST", "f/aliases", request).await.assert_error(409, "ResourceConflictException");
    assert_eq!(rig.get(&format!("{F}/f/aliases/live")).await.json(), created);
    let seen = rig.get(&format!("{F}/f:live/configuration")).await.json();
    assert_eq!((&seen["FunctionArn"], &seen["Version"]), (&json!(arn), &json!("1")));
    let answer = rig.invoke("f:live", "{}").await;
    assert_eq!(answer.header("x-amz-executed-version"), Some("1"));
    assert!(answer.text().contains("AWS_LAMBDA_FUNCTION_VERSION=1\""));

    let kept = send(&rig, "DELETE", "f:1", json!({})).await;
    kept.assert_error(409, "ResourceConflictException");
    let stale = json!({ "FunctionVersion": "2", "RevisionId": "stale" });
    let refused = send(&rig, "PUT", "f/aliases/live", stale).await;
    refused.assert_error(412, "PreconditionFailedException");
    let known = json!({ "FunctionVersion": "2", "RevisionId": created["RevisionId"] });
    let moved = send(&rig, "PUT", "f/aliases/live", known).await.json();
    assert_eq!((&moved["FunctionVersion"], &moved["Description"]), (&json!("2"), &json!("d")));
    assert_ne!(moved["RevisionId"], created["RevisionId"]);
    rig.stop().await;
    let rig = Rig::start(data.path()).await;
    assert_eq!(rig.get(&format!("{F}/f/aliases/live")).await.json(), moved);
    assert_eq!(rig.invoke("f:live", "{}").await.header("x-amz-executed-version"), Some("2"));
    assert_eq!(send(&rig, "DELETE", "f:1", json!({})).await.status, 204);
    send(&rig, "DELETE", "f:live", json!({})).await.assert_refused();
    for _ in 0..2 {
        assert_eq!(send(&rig, "DELETE", "f/aliases/live", json!({})).await.status, 204);
    }
    let missing = "ResourceNotFoundException";
    rig.get(&format!("{F}/f/aliases/live")).await.assert_error(404, missing);
    rig.invoke("f:live", "{}").await.assert_error(404, missing);
    rig.stop().await;
}

#[tokio::test]
async fn invocations_are_shared_by_weight() {
    let data = tempfile::tempdir().unwrap();
    let rig = Rig::start(data.path()).await;
    two_versions(&rig).await;
    let weight = |weight: f64| json!({ "AdditionalVersionWeights": { "2": weight } });
    let request = json!({ "Name": "live", "FunctionVersion": "1", "RoutingConfig": weight(0.5) });
    let created = send(&rig, "POST", "f/aliases", request).await.json();
    assert_eq!(created["RoutingConfig"], weight(0.5));
    let mut seen = [0; 2];
    // That one of the two never comes has a chance of 2^-99.
    for _ in 0..100 {
        let answer = rig.invoke("f:live", "{}").await;
        let version = answer.header("x-amz-executed-version").unwrap().to_owned();
        assert!(answer.text().contains(&format!("AWS_LAMBDA_FUNCTION_VERSION={version}\"")));
        seen[version.parse::<usize>().unwrap() - 1] += 1;
    }
    assert!(seen[0] > 0 && seen[1] > 0, "{seen:?}");
    for (one, wanted) in [(0.0, "1"), (1.0, "2")] {
        let moved = json!({ "RoutingConfig": weight(one) });
        assert_eq!(send(&rig, "PUT", "f/aliases/live", moved).await.status, 200);
        for _ in 0..10 {
            let answer = rig.invoke("f:live", "{}").await;
            assert_eq!(answer.header("x-amz-executed-version"), Some(wanted));
        }
    }
    let none = json!({ "RoutingConfig": { "AdditionalVersionWeights": {} } });
    let cleared = send(&rig, "PUT", "f/aliases/live", none).await.json();
    assert!(cleared.get("RoutingConfig").is_none());
    rig.stop().await;
}

#[tokio::test]
async fn aliases_that_lead_nowhere_are_refused() {
    let data = tempfile::tempdir().unwrap();
    let rig = Rig::start(data.path()).await;
    two_versions(&rig).await;
    let missing = "ResourceNotFoundException";
    let weighed = |version: &str, weights: Value| {
        let routing = json!({ "AdditionalVersionWeights": weights });
        json!({ "Name": "a", "FunctionVersion": version, "RoutingConfig": routing })
    };
    for request in [
        json!({ "Name": "7", "FunctionVersion": "1" }),
        json!({ "Name": "a b", "FunctionVersion": "1" }),
        json!({ "Name": "x".repeat(129), "FunctionVersion": "1" }),
        json!({ "Name": "a" }),
        weighed("1", json!({ "1": 0.1 })),
        weighed("1", json!({ "2": 1.1 })),
        weighed("1", json!({ "$LATEST": 0.1 })),
        weighed("$LATEST", json!({ "2": 0.1 })),
        weighed("1", json!({ "2": 0.1, "1": 0.1 })),
    ] {
        send(&rig, "POST", "f/aliases", request).await.assert_refused();
    }
    for request in
        [json!({ "Name": "a", "FunctionVersion": "7" }), weighed("1", json!({ "7": 0.1 }))]
    {
        send(&rig, "POST", "f/aliases", request).await.assert_error(404, missing);
    }
    let request = json!({ "Name": "a", "FunctionVersion": "$LATEST" });
    send(&rig, "POST", "g/aliases", request.clone()).await.assert_error(404, missing);
    send(&rig, "POST", "f:1/aliases", request).await.assert_refused();
    send(&rig, "PUT", "f/aliases/a", json!({})).await.assert_error(404, missing);
    for name in ["b", "a", "c"] {
        let version = if name == "c" { "1" } else { "$LATEST" };
        let request = json!({ "Name": name, "FunctionVersion": version });
        assert_eq!(send(&rig, "POST", "f/aliases", request).await.status, 201);
    }
    let names = async |query: &str| -> Vec<Value> {
        let page = rig.get(&format!("{F}/f/aliases?{query}")).await.json();
        page["Aliases"].as_array().unwrap().iter().map(|one| one["Name"].clone()).collect()
    };
    assert_eq!(names("MaxItems=2").await, ["a", "b"]);
    assert_eq!(names("Marker=b").await, ["c"]);
    assert_eq!(names("FunctionVersion=1").await, ["c"]);
    rig.stop().await;
}
