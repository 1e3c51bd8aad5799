//! What a function was before.

use serde_json::{Value, json};

use super::F;
use super::rig::Rig;

#[tokio::test]
async fn every_configuration_is_kept_over_a_restart() {
    let data = tempfile::tempdir().unwrap();
    let rig = Rig::start(data.path()).await;
    rig.create("f", "echo").await;
    let created = rig.configuration("f").await;
    let change = async |request: Value| {
        rig.send("PUT", &format!("{F}/f/configuration"), &[], request.to_string().as_bytes()).await
    };
    for timeout in [4, 5] {
        assert_eq!(change(json!({ "Timeout": timeout })).await.status, 200);
    }
    rig.send("POST", &format!("{F}/f/versions"), &[], b"{}").await;
    assert_eq!(change(json!({ "Timeout": 0 })).await.status, 400, "what is refused is none");
    rig.stop().await;
    let rig = Rig::start(data.path()).await;
    let path = "/mayfly/functions/f/history";
    let first = rig.get(&format!("{path}?MaxItems=3")).await.json();
    let marker = first["NextMarker"].as_str().unwrap();
    let last = rig.get(&format!("{path}?MaxItems=3&Marker={marker}")).await.json();
    let told: Vec<(&Value, &Value)> = [&first, &last]
        .iter()
        .flat_map(|page| page["History"].as_array().unwrap())
        .map(|one| (&one["Version"], &one["Timeout"]))
        .collect();
    let (latest, published) = (json!("$LATEST"), json!("1"));
    let (three, four, five) = (json!(3), json!(4), json!(5));
    assert_eq!(told, [(&published, &five), (&latest, &five), (&latest, &four), (&latest, &three)]);
    assert_eq!(last["History"][0]["RevisionId"], created["RevisionId"]);
    assert!(last.get("NextMarker").is_none());
    for bad in ["Marker=x", "Marker=-1", "MaxItems=0"] {
        rig.get(&format!("{path}?{bad}")).await.assert_refused();
    }
    rig.get("/mayfly/functions/g/history").await.assert_error(404, "ResourceNotFoundException");
    rig.stop().await;
}
