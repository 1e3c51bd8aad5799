//! Versions: published, called by their numbers, deleted.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::F;
use super::rig::{Answer, Rig};
use crate::bundle::zip_of;

async fn publish(rig: &Rig, name: &str, request: Value) -> Answer {
    let path = format!("{F}/{name}/versions");
    rig.send("POST", &path, &[], request.to_string().as_bytes()).await
}

async fn put_code(rig: &Rig, name: &str, word: &str, is_published: bool) -> Value {
    let zip = zip_of(&[("bootstrap", 0o755, word.as_bytes())]);
    let request = json!({ "ZipFile": STANDARD.encode(zip), "Publish": is_published });
    let path = format!("{F}/{name}/code");
    rig.send("PUT", &path, &[], request.to_string().as_bytes()).await.json()
}

async fn numbers(rig: &Rig, query: &str) -> Vec<String> {
    let versions = rig.get(&format!("{F}/f/versions{query}")).await.json();
    let versions = versions["Versions"].as_array().unwrap();
    versions.iter().map(|one| one["Version"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_version_never_changes() {
    let data = tempfile::tempdir().unwrap();
    let rig = Rig::start(data.path()).await;
    let created = rig.create("f", "count").await.json();
    let first = publish(&rig, "f", json!({ "Description": "first" })).await;
    assert_eq!(first.status, 201, "{}", first.text());
    let first = first.json();
    assert_eq!((&first["Version"], &first["Description"]), (&json!("1"), &json!("first")));
    assert_eq!(first["FunctionArn"], "arn:aws:lambda:us-east-1:000000000000:function:f:1");
    assert_eq!(first["CodeSha256"], created["CodeSha256"]);
    let again = publish(&rig, "f", json!({})).await;
    assert_eq!((again.status, again.json()), (201, first.clone()), "nothing has changed");
    let second = put_code(&rig, "f", "echo", true).await;
    assert_eq!((&second["Version"], &second["State"]), (&json!("2"), &json!("Pending")));

    rig.stop().await;
    let rig = Rig::start(data.path()).await;
    assert_eq!(rig.get(&format!("{F}/f/configuration?Qualifier=1")).await.json(), first);
    let active = rig.configuration("f:2").await;
    assert_eq!((&active["Version"], &active["State"]), (&json!("2"), &json!("Active")));
    assert_eq!(active["FunctionArn"], second["FunctionArn"]);
    assert_eq!(rig.get(&format!("{F}/f")).await.json()["Configuration"]["Version"], "$LATEST");
    let location = rig.get(&format!("{F}/f?Qualifier=1")).await.json()["Code"]["Location"].take();
    let path =
        location.as_str().unwrap().split_once(&rig.address.to_string()).unwrap().1.to_owned();
    assert_eq!(rig.get(&path).await.body, zip_of(&[("bootstrap", 0o755, b"count")]));
    assert_eq!(rig.invoke("f:1", "[]").await.text(), "1");
    assert_eq!(rig.invoke("f:2", "[]").await.text(), "[]");
    assert_eq!(rig.invoke("f:1", "[]").await.text(), "2", "an update elsewhere ends nothing here");
    put_code(&rig, "f", "print", false).await;
    assert_eq!(rig.invoke("f:1", "[]").await.text(), "3");
    rig.stop().await;
}

#[tokio::test]
async fn no_environment_serves_two_versions() {
    let data = tempfile::tempdir().unwrap();
    let rig = Rig::start(data.path()).await;
    rig.create_with("f", "variables", json!({ "Publish": true })).await;
    for name in ["f", "f:1", "f:%24LATEST"] {
        let answer = rig.invoke(name, "{}").await;
        let version = if name == "f:1" { "1" } else { "$LATEST" };
        assert_eq!(answer.header("x-amz-executed-version"), Some(version));
        let text = answer.text();
        assert!(text.contains(&format!("AWS_LAMBDA_FUNCTION_VERSION={version}\"")), "{text}");
        assert!(text.contains(&format!("/[{version}]")), "its log stream: {text}");
        assert!(answer.log().contains(&format!(" Version: {version}\n")), "{}", answer.log());
    }
    let alive = rig.get("/mayfly/environments").await.json();
    assert_eq!(alive["Environments"].as_array().unwrap().len(), 2);
    rig.stop().await;
}

#[tokio::test]
async fn what_the_client_believes_is_checked() {
    let data = tempfile::tempdir().unwrap();
    let rig = Rig::start(data.path()).await;
    rig.create("f", "echo").await;
    let created = rig.configuration("f").await;
    let stale = json!({ "RevisionId": "stale" });
    publish(&rig, "f", stale).await.assert_error(412, "PreconditionFailedException");
    let other = json!({ "CodeSha256": "other" });
    publish(&rig, "f", other).await.assert_refused();
    publish(&rig, "f", json!({ "Description": "x".repeat(257) })).await.assert_refused();
    publish(&rig, "f:1", json!({})).await.assert_refused();
    publish(&rig, "g", json!({})).await.assert_error(404, "ResourceNotFoundException");
    assert_eq!(numbers(&rig, "").await, ["$LATEST"]);
    let known = json!({ "RevisionId": created["RevisionId"], "CodeSha256": created["CodeSha256"] });
    assert_eq!(publish(&rig, "f", known.clone()).await.json()["Version"], "1");
    publish(&rig, "f", known).await.assert_error(412, "PreconditionFailedException");
    let update = rig.send("PUT", &format!("{F}/f:1/configuration"), &[], b"{}").await;
    update.assert_refused();
    rig.stop().await;
}

#[tokio::test]
async fn versions_are_listed_and_deleted() {
    let data = tempfile::tempdir().unwrap();
    let rig = Rig::start(data.path()).await;
    rig.create_with("f", "echo", json!({ "Publish": true })).await;
    put_code(&rig, "f", "count", true).await;
    rig.create("g", "echo").await;
    assert_eq!(numbers(&rig, "").await, ["$LATEST", "1", "2"]);
    assert_eq!(numbers(&rig, "?MaxItems=1&Marker=1").await, ["2"]);
    let mut all = Vec::new();
    let mut marker = String::new();
    loop {
        let page =
            rig.get(&format!("{F}?FunctionVersion=ALL&MaxItems=1&Marker={marker}")).await.json();
        all.push(page["Functions"][0]["FunctionArn"].as_str().unwrap()[47..].to_owned());
        match page["NextMarker"].as_str() {
            Some(next) => marker = next.replace('$', "%24"),
            None => break,
        }
    }
    assert_eq!(all, ["f:$LATEST", "f:1", "f:2", "g:$LATEST"]);
    rig.get(&format!("{F}?FunctionVersion=SOME")).await.assert_refused();

    rig.invoke("f:1", "{}").await;
    let gone = rig.send("DELETE", &format!("{F}/f?Qualifier=1"), &[], b"").await;
    assert_eq!(gone.status, 204);
    rig.send("DELETE", &format!("{F}/f:none"), &[], b"").await.assert_refused();
    let missing = rig.send("DELETE", &format!("{F}/nobody:1"), &[], b"").await;
    missing.assert_error(404, "ResourceNotFoundException");
    for qualifier in ["1", "7", "none"] {
        if qualifier != "none" {
            let again = rig.send("DELETE", &format!("{F}/f:{qualifier}"), &[], b"").await;
            assert_eq!(again.status, 204, "it is gone");
        }
        rig.invoke(&format!("f:{qualifier}"), "{}")
            .await
            .assert_error(404, "ResourceNotFoundException");
    }
    let latest = rig.send("DELETE", &format!("{F}/f:%24LATEST"), &[], b"").await;
    latest.assert_refused();
    assert_eq!(numbers(&rig, "").await, ["$LATEST", "2"]);
    put_code(&rig, "f", "print", true).await;
    assert_eq!(numbers(&rig, "").await, ["$LATEST", "2", "3"], "no number twice");
    rig.send("DELETE", &format!("{F}/f"), &[], b"").await;
    rig.invoke("f:2", "{}").await.assert_error(404, "ResourceNotFoundException");
    rig.stop().await;
}
