//! Responses that arrive while the function writes them.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::rig::{Answer, Rig};
use crate::runtime_api::STREAM_BYTES_MAX;

fn path(name: &str) -> String {
    format!("/2021-11-15/functions/{name}/response-streaming-invocations")
}

async fn stream(rig: &Rig, name: &str, event: &Value) -> Answer {
    let event = event.to_string();
    rig.send("POST", &path(name), &[("x-amz-log-type", "Tail")], event.as_bytes()).await
}

/// The payload of a stream, and what InvokeComplete says.
fn read(answer: &Answer) -> (Vec<u8>, Value) {
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/vnd.amazon.eventstream"));
    let mut events = events(&answer.body);
    let (kind, last) = events.pop().expect("an end");
    assert_eq!(kind, "InvokeComplete");
    assert!(events.iter().all(|(kind, _)| kind == "PayloadChunk"));
    let payload = events.into_iter().flat_map(|(_, payload)| payload).collect();
    (payload, serde_json::from_slice(&last).unwrap())
}

/// The messages of an event stream: kind and payload.
fn events(mut bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let number = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
        let (total, headers) = (number(0), number(4));
        assert_eq!(number(8) as u32, crc32fast::hash(&bytes[..8]));
        assert_eq!(number(total - 4) as u32, crc32fast::hash(&bytes[..total - 4]));
        let text = String::from_utf8_lossy(&bytes[12..12 + headers]).into_owned();
        let kind = ["PayloadChunk", "InvokeComplete"].into_iter().find(|kind| text.contains(kind));
        found.push((kind.unwrap().to_owned(), bytes[12 + headers..total - 4].to_vec()));
        bytes = &bytes[total..];
    }
    found
}

/// A client that has asked and reads when it wants to.
async fn ask(rig: &Rig, name: &str, event: &Value) -> TcpStream {
    let mut client = TcpStream::connect(rig.address).await.unwrap();
    let event = event.to_string();
    let head = format!(
        "POST {} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{event}",
        path(name),
        event.len()
    );
    client.write_all(head.as_bytes()).await.unwrap();
    client
}

async fn read_until(client: &mut TcpStream, text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    while !String::from_utf8_lossy(&bytes).contains(text) {
        bytes.push(client.read_u8().await.unwrap());
    }
    bytes
}

#[tokio::test]
async fn pieces_arrive_while_the_function_writes() {
    let data = tempfile::tempdir().unwrap();
    let go = data.path().join("go");
    let rig = Rig::start(data.path()).await;
    rig.create("f", "stream").await;
    let event =
        json!({ "steps": [{ "say": "the first" }, { "wait for": go }, { "say": "the second" }] });
    let mut client = ask(&rig, "f", &event).await;
    let mut bytes = read_until(&mut client, "the first").await;
    assert!(!go.exists(), "nothing but this test lets the function go on");
    std::fs::write(&go, b"").unwrap();
    client.read_to_end(&mut bytes).await.unwrap();
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let (payload, complete) = read(&Answer::new(head, &bytes[end..]));
    assert_eq!((&payload[..], complete), (&b"the firstthe second"[..], json!({})));
    rig.stop().await;
}

#[tokio::test]
async fn an_error_in_the_trailers_ends_the_stream() {
    let data = tempfile::tempdir().unwrap();
    let rig = Rig::start(data.path()).await;
    rig.create("f", "stream").await;
    for (document, details) in [
        (
            r#"{"errorType":"Mine","errorMessage":"m"}"#,
            r#"{"errorType":"Mine","errorMessage":"m"}"#,
        ),
        ("no JSON", r#"{"errorMessage":"no JSON","errorType":"Mine"}"#),
    ] {
        let fail = json!({ "fail": "Mine", "document": document });
        let event = json!({ "steps": [{ "say": "begun" }, fail] });
        let answer = stream(&rig, "f", &event).await;
        let (payload, complete) = read(&answer);
        assert_eq!(&payload, b"begun");
        assert_eq!(
            (&complete["ErrorCode"], &complete["ErrorDetails"]),
            (&json!("Mine"), &json!(details))
        );
        assert!(complete["LogResult"].is_string());
        assert_eq!(answer.header("x-amz-executed-version"), Some("$LATEST"));
        // A client that wants it whole gets the error alone.
        rig.invoke("f", &event.to_string()).await.assert_function_error("Mine");
    }
    rig.stop().await;
}

#[tokio::test]
async fn a_response_that_comes_whole_is_told_in_pieces() {
    let data = tempfile::tempdir().unwrap();
    let rig = Rig::start(data.path()).await;
    rig.create("echo", "echo").await;
    let event = json!("x".repeat(200_000));
    let answer = stream(&rig, "echo", &event).await;
    assert!(events(&answer.body).len() > 2);
    assert_eq!(read(&answer).0, event.to_string().as_bytes());
    for (word, kind) in [
        ("error", "Mine"),
        ("crash", "Runtime.ExitError"),
        ("big", "Function.ResponseSizeTooLarge"),
    ] {
        rig.create(word, word).await;
        let (payload, complete) = read(&stream(&rig, word, &json!(1)).await);
        assert!(payload.is_empty());
        assert_eq!(complete["ErrorCode"], kind);
    }
    rig.send(
        "PUT",
        "/2017-10-31/functions/echo/concurrency",
        &[],
        br#"{"ReservedConcurrentExecutions":0}"#,
    )
    .await;
    stream(&rig, "echo", &event).await.assert_error(429, "TooManyRequestsException");
    rig.stop().await;
}

#[tokio::test]
async fn a_stream_may_be_twenty_megabytes_and_a_whole_response_six() {
    let data = tempfile::tempdir().unwrap();
    let rig = Rig::start(data.path()).await;
    rig.create_with("f", "stream", json!({ "Timeout": 60 })).await;
    let event = |bytes: usize| json!({ "steps": [{ "bytes": bytes }] });
    let (payload, complete) = read(&stream(&rig, "f", &event(STREAM_BYTES_MAX)).await);
    assert_eq!((payload.len(), &complete["ErrorCode"]), (STREAM_BYTES_MAX, &Value::Null));
    let (payload, complete) = read(&stream(&rig, "f", &event(STREAM_BYTES_MAX + 1)).await);
    assert!(payload.len() <= STREAM_BYTES_MAX);
    assert_eq!(complete["ErrorCode"], "Function.ResponseSizeTooLarge");
    let whole = rig.invoke("f", &event(5 << 20).to_string()).await;
    assert_eq!((whole.status, whole.body.len()), (200, 5 << 20));
    let whole = rig.invoke("f", &event(7 << 20).to_string()).await;
    whole.assert_function_error("Function.ResponseSizeTooLarge");
    rig.stop().await;
}

#[tokio::test]
async fn a_stream_that_breaks_off_says_so() {
    let data = tempfile::tempdir().unwrap();
    let never = data.path().join("never");
    let rig = Rig::start(data.path()).await;
    rig.create_with("f", "stream", json!({ "Timeout": 1 })).await;
    let go = data.path().join("go");
    let ends = json!({ "steps": [{ "say": "begun" }, { "wait for": go }, { "end": true }] });
    let mut client = ask(&rig, "f", &ends).await;
    read_until(&mut client, "begun").await;
    std::fs::write(&go, b"").unwrap();
    let mut rest = Vec::new();
    client.read_to_end(&mut rest).await.unwrap();
    let rest = String::from_utf8_lossy(&rest).into_owned();
    // Its connection or its program: which end is seen first is a matter of luck.
    let kinds = ["Runtime.TruncatedResponse", "Runtime.ExitError"];
    assert!(kinds.iter().any(|kind| rest.contains(kind)), "{rest}");
    let hangs = json!({ "steps": [{ "say": "begun" }, { "wait for": never }] });
    let (payload, complete) = read(&stream(&rig, "f", &hangs).await);
    assert_eq!((&payload[..], &complete["ErrorCode"]), (&b"begun"[..], &json!("Sandbox.Timedout")));
    rig.stop().await;
}

#[tokio::test]
async fn a_client_that_goes_away_leaves_its_function_to_finish() {
    let data = tempfile::tempdir().unwrap();
    let go = data.path().join("go");
    let rig = Rig::start(data.path()).await;
    rig.create_with("f", "stream", json!({ "Timeout": 60 })).await;
    let event = json!({ "steps": [{ "say": "begun" }, { "wait for": go }, { "bytes": 8 << 20 }] });
    let mut client = ask(&rig, "f", &event).await;
    read_until(&mut client, "begun").await;
    let before = rig.get("/mayfly/environments").await.json();
    drop(client);
    std::fs::write(&go, b"").unwrap();
    let (payload, _) = read(&stream(&rig, "f", &event).await);
    assert_eq!(payload.len(), "begun".len() + (8 << 20));
    // Either way the first environment lives on: it serves, or waits for work again.
    let after = rig.get("/mayfly/environments").await.json();
    let numbers = |all: &Value| -> Vec<Value> {
        all["Environments"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["Environment"].clone())
            .collect()
    };
    assert!(numbers(&after).contains(&numbers(&before)[0]), "{after}");
    rig.stop().await;
}

#[tokio::test]
async fn a_client_that_does_not_read_holds_its_function_up() {
    let data = tempfile::tempdir().unwrap();
    let rig = Rig::start(data.path()).await;
    rig.create_with("f", "stream", json!({ "Timeout": 2 })).await;
    let event = json!({ "steps": [{ "say": "begun" }, { "bytes": 19 << 20 }] });
    let mut client = ask(&rig, "f", &event).await;
    let mut bytes = read_until(&mut client, "begun").await;
    // The function can't write all of it before its time is up, so what is on its way is bounded.
    while !rig.get("/mayfly/environments").await.json()["Environments"]
        .as_array()
        .unwrap()
        .is_empty()
    {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    client.read_to_end(&mut bytes).await.unwrap();
    let end = String::from_utf8_lossy(&bytes[bytes.len() - 2000..]).into_owned();
    assert!(end.contains("Sandbox.Timedout"), "{end}");
    assert!(bytes.len() < 19 << 20, "{}", bytes.len());
    rig.stop().await;
}

#[tokio::test]
async fn requests_are_checked_before_anything_runs() {
    let data = tempfile::tempdir().unwrap();
    let rig = Rig::start(data.path()).await;
    rig.create("f", "echo").await;
    let send = |kind: &'static str, body: &'static [u8]| {
        let rig = &rig;
        async move { rig.send("POST", &path("f"), &[("x-amz-invocation-type", kind)], body).await }
    };
    assert_eq!(send("DryRun", b"{}").await.status, 204);
    send("Event", b"{}").await.assert_refused();
    send("RequestResponse", b"{").await.assert_error(400, "InvalidRequestContentException");
    stream(&rig, "g", &json!(1)).await.assert_error(404, "ResourceNotFoundException");
    rig.stop().await;
}
