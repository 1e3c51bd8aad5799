//! Layers: published, found, used, deleted.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::F;
use super::rig::{Answer, Rig};
use crate::bundle::zip_of;

const L: &str = "/2018-10-31/layers";

async fn publish(rig: &Rig, name: &str, zip: &[u8], more: Value) -> Answer {
    let mut request = json!({ "Content": { "ZipFile": STANDARD.encode(zip) } });
    request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let path = format!("{L}/{name}/versions");
    rig.send("POST", &path, &[], request.to_string().as_bytes()).await
}

/// Publishes a layer with this bootstrap; its version's ARN.
async fn publish_word(rig: &Rig, name: &str, word: &str) -> String {
    let zip = zip_of(&[("bootstrap", 0o755, word.as_bytes())]);
    let published = publish(rig, name, &zip, json!({})).await;
    assert_eq!(published.status, 201, "{}", published.text());
    published.json()["LayerVersionArn"].as_str().unwrap().into()
}

#[tokio::test]
async fn a_version_is_published_found_and_deleted() {
    let data = tempfile::tempdir().unwrap();
    let rig = Rig::start(data.path()).await;
    let zip = zip_of(&[("lib/x", 0o644, b"x")]);
    let more = json!({ "Description": "d", "LicenseInfo": "MIT", "CompatibleRuntimes": ["python3.11"],
        "CompatibleArchitectures": ["x86_64"] });
    let first = publish(&rig, "l", &zip, more).await.json();
    let arn = "arn:aws:lambda:us-east-1:000000000000:layer:l";
    assert_eq!((&first["LayerArn"], &first["Version"]), (&json!(arn), &json!(1)));
    assert_eq!(first["LayerVersionArn"], format!("{arn}:1"));
    let location = first["Content"]["Location"].as_str().unwrap();
    let path = location.split_once(&rig.address.to_string()).unwrap().1;
    assert_eq!(rig.get(path).await.body, zip);
    let second = publish(&rig, "l", &zip, json!({})).await.json();
    assert_eq!(second["Version"], 2);

    assert_eq!(rig.get(&format!("{L}/l/versions/1")).await.json(), first);
    let by_arn = format!("{L}?find=LayerVersion&Arn={arn}:2");
    assert_eq!(rig.get(&by_arn).await.json(), second);
    let versions = rig.get(&format!("{L}/l/versions?MaxItems=1")).await.json();
    assert_eq!(versions["LayerVersions"][0]["Version"], 2);
    let next = format!("{L}/l/versions?Marker={}", versions["NextMarker"].as_str().unwrap());
    assert_eq!(rig.get(&next).await.json()["LayerVersions"][0]["LicenseInfo"], "MIT");
    let python = rig.get(&format!("{L}?CompatibleRuntime=python3.11")).await.json();
    assert_eq!(python["Layers"][0]["LatestMatchingVersion"]["Version"], 1);
    let ruby = rig.get(&format!("{L}?CompatibleRuntime=ruby3.2")).await.json();
    assert_eq!(ruby, json!({ "Layers": [] }));

    for _ in 0..2 {
        let deleted = rig.send("DELETE", &format!("{L}/l/versions/2"), &[], b"").await;
        assert_eq!(deleted.status, 204);
    }
    rig.get(&by_arn).await.assert_error(404, "ResourceNotFoundException");
    rig.stop().await;
    let rig = Rig::start(data.path()).await;
    assert_eq!(
        rig.get(&format!("{L}/l/versions/1")).await.json()["CreatedDate"],
        first["CreatedDate"]
    );
    assert_eq!(publish(&rig, "l", &zip, json!({})).await.json()["Version"], 3);
    rig.stop().await;
}

#[tokio::test]
async fn what_breaks_a_layers_limit_is_refused() {
    let data = tempfile::tempdir().unwrap();
    let rig = Rig::start(data.path()).await;
    let zip = zip_of(&[("x", 0o644, b"x")]);
    publish(&rig, "l", b"no zip", json!({})).await.assert_refused();
    publish(&rig, "l.x", &zip, json!({})).await.assert_refused();
    for more in [
        json!({ "Description": "x".repeat(257) }),
        json!({ "LicenseInfo": "x".repeat(513) }),
        json!({ "CompatibleRuntimes": vec!["a1"; 16] }),
        json!({ "CompatibleRuntimes": ["A B"] }),
        json!({ "CompatibleArchitectures": ["vax"] }),
        json!({ "Content": {} }),
    ] {
        publish(&rig, "l", &zip, more).await.assert_refused();
    }
    rig.get(&format!("{L}?MaxItems=51")).await.assert_refused();
    rig.get(&format!("{L}/l/versions/0")).await.assert_refused();
    assert_eq!(rig.get(L).await.json(), json!({ "Layers": [] }));
    rig.stop().await;
}

#[tokio::test]
async fn a_function_finds_its_layers_and_keeps_them() {
    let data = tempfile::tempdir().unwrap();
    let rig = Rig::start(data.path()).await;
    let (count, echo) =
        (publish_word(&rig, "count", "count").await, publish_word(&rig, "echo", "echo").await);
    let empty = zip_of(&[("readme", 0o644, b"x")]);
    let created = rig.create_from("f", &empty, json!({ "Layers": [count, echo] })).await.json();
    assert_eq!(created["Layers"][1]["Arn"], echo.as_str());
    assert!(created["Layers"][0]["CodeSize"].as_u64().unwrap() > 0);
    assert_eq!(rig.invoke("f", "[8]").await.text(), "[8]", "the later layer's");
    let swap = json!({ "Layers": [echo, count] }).to_string();
    let path = format!("{F}/f/configuration");
    rig.send("PUT", &path, &[], swap.as_bytes()).await;
    assert_eq!(rig.invoke("f", "[8]").await.text(), "1");
    rig.send("DELETE", &format!("{L}/count/versions/1"), &[], b"").await;
    rig.stop().await;
    let rig = Rig::start(data.path()).await;
    assert_eq!(rig.invoke("f", "[8]").await.text(), "1", "it has what it had");
    let without = rig.send("PUT", &path, &[], br#"{"Layers":[]}"#).await.json();
    assert!(without.get("Layers").is_none());
    rig.invoke("f", "1").await.assert_function_error("Runtime.InvalidEntrypoint");
    rig.stop().await;
}

#[tokio::test]
async fn layers_that_do_not_go_together_are_refused() {
    let data = tempfile::tempdir().unwrap();
    let rig = Rig::start(data.path()).await;
    let mut arns = Vec::new();
    for name in ["a", "b", "c", "d", "e", "f", "a"] {
        arns.push(publish_word(&rig, name, "echo").await);
    }
    for layers in [&arns[..6], &[arns[0].clone(), arns[6].clone()], &[format!("{}7", arns[0])]] {
        let refused = rig.create_with("x", "echo", json!({ "Layers": layers })).await;
        refused.assert_refused();
    }
    // Two that fit alone: 130 MB of zeros each.
    let zeros = vec![0; 130 << 20];
    let zip = zip_of(&[("zeros", 0o644, &zeros)]);
    let arn = publish(&rig, "zeros", &zip, json!({})).await.json()["LayerVersionArn"].take();
    let refused = rig.create_from("x", &zip, json!({ "Layers": [arn] })).await;
    refused.assert_refused();
    assert!(refused.text().contains("combined with layers exceeds"), "{}", refused.text());
    assert_eq!(rig.create_with("x", "echo", json!({ "Layers": [arn] })).await.status, 201);
    let update = json!({ "ZipFile": STANDARD.encode(&zip) }).to_string();
    let refused = rig.send("PUT", &format!("{F}/x/code"), &[], update.as_bytes()).await;
    refused.assert_refused();
    rig.stop().await;
}

#[tokio::test]
async fn a_layer_is_for_runtimes_that_there_are() {
    let data = tempfile::tempdir().unwrap();
    let rig = Rig::start(data.path()).await;
    let zip = zip_of(&[("a", 0o644, b"x")]);
    let for_these = async |names: [&str; 2], architectures: [&str; 1]| {
        let more = json!({ "CompatibleRuntimes": names, "CompatibleArchitectures": architectures });
        publish(&rig, "l", &zip, more).await
    };
    // One that AWS has, and one of this platform's.
    assert_eq!(for_these(["ruby3.4", "own"], ["arm64"]).await.status, 201);
    let refused = for_these(["ruby3.4", "other"], ["z80"]).await;
    refused.assert_error(400, "ValidationException");
    let told = refused.text();
    assert!(told.contains("2 validation errors detected: Value '[ruby3.4, other]' at"), "{told}");
    assert!(told.contains("Value '[z80]' at 'compatibleArchitectures'"), "{told}");
    for query in ["CompatibleRuntime=other", "CompatibleArchitecture=z80"] {
        rig.get(&format!("{L}/l/versions?{query}")).await.assert_error(400, "ValidationException");
        let list = rig.get(&format!("{L}?{query}")).await;
        list.assert_error(400, "ValidationException");
    }
    let listed = rig.get(&format!("{L}/l/versions?CompatibleRuntime=own")).await.json();
    assert_eq!(listed["LayerVersions"].as_array().unwrap().len(), 1);
    rig.stop().await;
}
