//! Policies of functions, versions, aliases and layers.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::F;
use super::rig::{Answer, Rig};
use crate::bundle::zip_of;

async fn add(rig: &Rig, resource: &str, more: Value) -> Answer {
    let mut request =
        json!({ "StatementId": "s", "Action": "lambda:InvokeFunction", "Principal": "*" });
    request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    rig.send("POST", resource, &[], request.to_string().as_bytes()).await
}

/// The statements of a policy, and its revision.
async fn policy(rig: &Rig, path: &str) -> (Vec<Value>, String) {
    let got = rig.get(path).await;
    assert_eq!(got.status, 200, "{}", got.text());
    let got = got.json();
    let document: Value = serde_json::from_str(got["Policy"].as_str().unwrap()).unwrap();
    assert_eq!((&document["Version"], &document["Id"]), (&json!("2012-10-17"), &json!("default")));
    (document["Statement"].as_array().unwrap().clone(), got["RevisionId"].as_str().unwrap().into())
}

#[tokio::test]
async fn each_qualifier_has_a_policy_of_its_own_over_a_restart() {
    let data = tempfile::tempdir().unwrap();
    let rig = Rig::start(data.path()).await;
    rig.create_with("f", "echo", json!({ "Publish": true })).await;
    let alias = br#"{"Name":"live","FunctionVersion":"1"}"#;
    rig.send("POST", &format!("{F}/f/aliases"), &[], alias).await;
    let path = format!("{F}/f/policy");
    rig.get(&path).await.assert_error(404, "ResourceNotFoundException");
    for (query, suffix) in [("", ""), ("?Qualifier=1", ":1"), ("?Qualifier=live", ":live")] {
        let more = json!({ "StatementId": format!("s{}", query.len()), "SourceAccount": "000000000001",
            "SourceArn": "arn:aws:s3:::bucket", "Principal": "s3.amazonaws.com" });
        let added = add(&rig, &format!("{path}{query}"), more).await;
        assert_eq!(added.status, 201, "{}", added.text());
        let text = added.json()["Statement"].as_str().unwrap().to_owned();
        let statement: Value = serde_json::from_str(&text).unwrap();
        let (statements, _) = policy(&rig, &format!("{path}{query}")).await;
        assert_eq!((statements.len(), &statements[0]), (1, &statement));
        let arn = format!("arn:aws:lambda:us-east-1:000000000000:function:f{suffix}");
        assert_eq!(
            statement,
            json!({ "Sid": format!("s{}", query.len()), "Effect": "Allow",
                "Principal": { "Service": "s3.amazonaws.com" }, "Action": "lambda:InvokeFunction",
                "Resource": arn, "Condition": {
                    "StringEquals": { "AWS:SourceAccount": "000000000001" },
                    "ArnLike": { "AWS:SourceArn": "arn:aws:s3:::bucket" } } })
        );
    }
    rig.stop().await;
    let rig = Rig::start(data.path()).await;
    assert_eq!(policy(&rig, &format!("{path}?Qualifier=live")).await.0.len(), 1);
    // What is gone takes its policy along.
    rig.send("DELETE", &format!("{F}/f/aliases/live"), &[], b"").await;
    rig.send("DELETE", &format!("{F}/f?Qualifier=1"), &[], b"").await;
    rig.send(
        "POST",
        &format!("{F}/f/aliases"),
        &[],
        br#"{"Name":"live","FunctionVersion":"$LATEST"}"#,
    )
    .await;
    let gone = rig.get(&format!("{path}?Qualifier=live")).await;
    gone.assert_error(404, "ResourceNotFoundException");
    let removed = rig.send("DELETE", &format!("{path}/s0"), &[], b"").await;
    assert_eq!((removed.status, removed.body.len()), (204, 0));
    rig.get(&path).await.assert_error(404, "ResourceNotFoundException");
    rig.stop().await;
}

#[tokio::test]
async fn a_change_makes_a_revision_and_asks_for_the_last() {
    let data = tempfile::tempdir().unwrap();
    let rig = Rig::start(data.path()).await;
    let created = rig.create_with("f", "count", json!({ "Publish": true })).await.json();
    assert_eq!(rig.invoke("f", "1").await.text(), "1");
    for query in ["", "?Qualifier=1"] {
        let path = format!("{F}/f/policy{query}");
        let configuration = format!("{F}/f/configuration{query}");
        let before = rig.get(&configuration).await.json()["RevisionId"].take();
        add(&rig, &path, json!({ "RevisionId": "stale" }))
            .await
            .assert_error(412, "PreconditionFailedException");
        assert_eq!(add(&rig, &path, json!({ "RevisionId": before })).await.status, 201);
        let (_, revision) = policy(&rig, &path).await;
        assert_ne!(json!(revision), before);
        assert_eq!(rig.get(&configuration).await.json()["RevisionId"], revision);
        add(&rig, &path, json!({ "RevisionId": before, "StatementId": "t" }))
            .await
            .assert_error(412, "PreconditionFailedException");
        let and = if query.is_empty() { "?" } else { "&" };
        let remove = |revision: &str| format!("{F}/f/policy/s{query}{and}RevisionId={revision}");
        rig.send("DELETE", &remove("stale"), &[], b"")
            .await
            .assert_error(412, "PreconditionFailedException");
        assert_eq!(rig.send("DELETE", &remove(&revision), &[], b"").await.status, 204);
    }
    assert_eq!(created["Version"], "1");
    assert_eq!(rig.invoke("f", "1").await.text(), "2", "its environment stays");
    rig.stop().await;
}

#[tokio::test]
async fn what_is_no_permission_is_refused() {
    let data = tempfile::tempdir().unwrap();
    let rig = Rig::start(data.path()).await;
    rig.create("f", "echo").await;
    let path = format!("{F}/f/policy");
    for more in [
        json!({ "StatementId": "a b" }),
        json!({ "StatementId": "x".repeat(101) }),
        json!({ "Action": "s3:GetObject" }),
        json!({ "Action": "lambda:" }),
        json!({ "Principal": "a b" }),
        json!({ "Principal": "nobody" }),
        json!({ "SourceArn": "bucket" }),
        json!({ "SourceAccount": "1" }),
        json!({ "EventSourceToken": "a b" }),
        json!({ "PrincipalOrgID": "o-short" }),
        json!({ "FunctionUrlAuthType": "NONE" }),
        json!({ "FunctionUrlAuthType": "MAYBE", "Action": "lambda:InvokeFunctionUrl" }),
    ] {
        add(&rig, &path, more).await.assert_refused();
    }
    for wrong in [json!({ "StatementId": 1 }), json!({ "InvokedViaFunctionUrl": "x" })] {
        add(&rig, &path, wrong).await.assert_error(400, "InvalidRequestContentException");
    }
    rig.send("POST", &path, &[], b"{}").await.assert_error(400, "InvalidRequestContentException");
    let latest = format!("{path}?Qualifier=%24LATEST");
    add(&rig, &latest, json!({})).await.assert_refused();
    for form in ["g", "f:1", "f:nothing"] {
        let missing = add(&rig, &format!("{F}/{form}/policy"), json!({})).await;
        missing.assert_error(404, "ResourceNotFoundException");
    }
    let nothing = rig.send("DELETE", &format!("{path}/s"), &[], b"").await;
    nothing.assert_error(404, "ResourceNotFoundException");
    let url = json!({ "FunctionUrlAuthType": "NONE", "Action": "lambda:InvokeFunctionUrl",
        "Unknown": [1], "InvokedViaFunctionUrl": true });
    assert_eq!(add(&rig, &path, url).await.status, 201);
    add(&rig, &path, json!({})).await.assert_error(409, "ResourceConflictException");
    let other = rig.send("DELETE", &format!("{path}/t"), &[], b"").await;
    other.assert_error(404, "ResourceNotFoundException");
    rig.stop().await;
}

#[tokio::test]
async fn a_policy_has_20_kb_at_most() {
    let data = tempfile::tempdir().unwrap();
    let rig = Rig::start(data.path()).await;
    rig.create("f", "echo").await;
    let path = format!("{F}/f/policy");
    let mut count = 0;
    let refused = loop {
        let more = json!({ "StatementId": format!("s{count}"),
            "SourceArn": format!("arn:aws:s3:::{}", "b".repeat(1000)) });
        let added = add(&rig, &path, more).await;
        if added.status != 201 {
            break added;
        }
        count += 1;
    };
    refused.assert_error(400, "PolicyLengthExceededException");
    assert!((10..20).contains(&count), "{count}");
    let text = rig.get(&path).await.json()["Policy"].as_str().unwrap().to_owned();
    assert!(text.len() <= 20 * 1024 && text.len() > 18 * 1024);
    rig.stop().await;
}

#[tokio::test]
async fn a_layers_version_has_a_policy() {
    let data = tempfile::tempdir().unwrap();
    let rig = Rig::start(data.path()).await;
    let zip = zip_of(&[("x", 0o644, b"x")]);
    let request = json!({ "Content": { "ZipFile": STANDARD.encode(&zip) } }).to_string();
    let layer = "/2018-10-31/layers/l/versions";
    rig.send("POST", layer, &[], request.as_bytes()).await;
    let path = format!("{layer}/1/policy");
    let allow = |more: Value| {
        let mut all = json!({ "Action": "lambda:GetLayerVersion", "Principal": "000000000001" });
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        all
    };
    rig.get(&path).await.assert_error(404, "ResourceNotFoundException");
    let added = add(&rig, &path, allow(json!({}))).await;
    assert_eq!(added.status, 201, "{}", added.text());
    let (statements, revision) = policy(&rig, &path).await;
    assert_eq!(added.json()["RevisionId"], revision);
    assert_eq!(statements[0]["Resource"], "arn:aws:lambda:us-east-1:000000000000:layer:l:1");
    assert_eq!(statements[0]["Principal"], json!({ "AWS": "arn:aws:iam::000000000001:root" }));
    add(&rig, &path, allow(json!({}))).await.assert_error(409, "ResourceConflictException");
    for bad in [
        json!({ "Action": "lambda:InvokeFunction" }),
        json!({ "Principal": "s3.amazonaws.com" }),
        json!({ "Principal": "arn:aws:iam::000000000001:user/u" }),
        json!({ "OrganizationId": "o-0123456789" }),
        json!({ "OrganizationId": "0123456789", "Principal": "*" }),
    ] {
        add(&rig, &path, allow(bad)).await.assert_refused();
    }
    let whole =
        allow(json!({ "StatementId": "o", "OrganizationId": "o-0123456789", "Principal": "*" }));
    add(&rig, &format!("{path}?RevisionId=x"), whole.clone())
        .await
        .assert_error(412, "PreconditionFailedException");
    assert_eq!(add(&rig, &format!("{path}?RevisionId={revision}"), whole).await.status, 201);
    rig.stop().await;
    let rig = Rig::start(data.path()).await;
    assert_eq!(policy(&rig, &path).await.0.len(), 2);
    for (sid, status) in [("s", 204), ("s", 404), ("o", 204)] {
        assert_eq!(rig.send("DELETE", &format!("{path}/{sid}"), &[], b"").await.status, status);
    }
    rig.get(&path).await.assert_error(404, "ResourceNotFoundException");
    add(&rig, &format!("{layer}/2/policy"), allow(json!({})))
        .await
        .assert_error(404, "ResourceNotFoundException");
    rig.stop().await;
}
