//! The API as a client sees it, over a socket.

mod aliases;
mod concurrency;
mod events;
mod history;
mod layers;
mod logs;
mod permissions;
mod provisioned;
mod query;
mod queues;
mod recursion;
mod rig;
mod runtime_management;
mod schedules;
mod sqs;
mod streaming;
mod tags;
mod updates;
mod urls;
mod versions;

use std::time::{Duration, Instant};

use serde_json::json;

use crate::bundle::zip_of;
use rig::Rig;

const F: &str = "/2015-03-31/functions";

#[tokio::test]
async fn a_function_lives_and_is_deleted() {
    let data = tempfile::tempdir().unwrap();
    let rig = Rig::start(data.path()).await;
    let created = rig.create("f", "echo").await;
    assert_eq!(created.status, 201, "{}", created.text());
    let created = created.json();
    assert_eq!(created["FunctionArn"], "arn:aws:lambda:us-east-1:000000000000:function:f");
    assert_eq!((&created["Timeout"], &created["MemorySize"]), (&json!(3), &json!(128)));
    assert_eq!((&created["State"], &created["Version"]), (&json!("Pending"), &json!("$LATEST")));
    assert_eq!(created["StateReasonCode"], "Creating");
    assert!(created.get("LastUpdateStatus").is_none());
    rig.create("f", "echo").await.assert_error(409, "ResourceConflictException");

    let got = rig.get(&format!("{F}/f")).await.json();
    let active = &got["Configuration"];
    assert_eq!(
        (&active["State"], &active["LastUpdateStatus"]),
        (&json!("Active"), &json!("Successful"))
    );
    assert_ne!(active["RevisionId"], created["RevisionId"], "that of being created is gone");
    assert_eq!(active["CodeSha256"], created["CodeSha256"]);
    let location = got["Code"]["Location"].as_str().unwrap().to_owned();
    let zip = rig.get(location.split_once(&rig.address.to_string()).unwrap().1).await;
    assert_eq!(zip.body, zip_of(&[("bootstrap", 0o755, b"echo")]));
    assert_eq!(rig.configuration("f").await, *active);
    let arn = format!("{F}/arn%3Aaws%3Alambda%3Aus-east-1%3A000000000000%3Afunction%3Af");
    assert_eq!(rig.get(&arn).await.status, 200);

    let deleted = rig.send("DELETE", &format!("{F}/f"), &[], b"").await;
    assert_eq!((deleted.status, deleted.body.len()), (204, 0));
    let gone = rig.get(&format!("{F}/f")).await;
    gone.assert_error(404, "ResourceNotFoundException");
    assert!(gone.json()["Message"].as_str().unwrap().contains("Function not found: arn:"));
    rig.send("DELETE", &format!("{F}/f"), &[], b"")
        .await
        .assert_error(404, "ResourceNotFoundException");
    rig.invoke("f", "{}").await.assert_error(404, "ResourceNotFoundException");
    rig.stop().await;
}

#[tokio::test]
async fn functions_survive_a_restart_and_answer() {
    let data = tempfile::tempdir().unwrap();
    let rig = Rig::start(data.path()).await;
    rig.create("f", "echo").await;
    rig.stop().await;
    let rig = Rig::start(data.path()).await;
    assert_eq!(rig.invoke("f", "[1]").await.text(), "[1]");
    rig.stop().await;
}

#[tokio::test]
async fn pages_of_functions() {
    let data = tempfile::tempdir().unwrap();
    let rig = Rig::start(data.path()).await;
    for name in ["c", "a", "b"] {
        rig.create(name, "echo").await;
    }
    let first = rig.get(&format!("{F}?MaxItems=2")).await.json();
    assert_eq!(first["Functions"][1]["FunctionName"], "b");
    let marker = first["NextMarker"].as_str().unwrap();
    let last = rig.get(&format!("{F}/?MaxItems=2&Marker={marker}")).await.json();
    assert_eq!(last["Functions"][0]["FunctionName"], "c");
    assert!(last.get("NextMarker").is_none());
    rig.get(&format!("{F}?MaxItems=0")).await.assert_refused();
    rig.stop().await;
}

#[tokio::test]
async fn what_breaks_a_limit_is_refused() {
    let data = tempfile::tempdir().unwrap();
    let rig = Rig::start(data.path()).await;
    for more in [
        json!({ "MemorySize": 127 }),
        json!({ "MemorySize": 32_769 }),
        json!({ "Timeout": 0 }),
        json!({ "Timeout": 901 }),
        json!({ "EphemeralStorage": { "Size": 511 } }),
        json!({ "EphemeralStorage": { "Size": 32_769 } }),
        json!({ "Runtime": "cobol" }),
        json!({ "Role": "me" }),
        json!({ "Handler": "a b" }),
        json!({ "Description": "x".repeat(257) }),
        json!({ "FunctionName": "../f" }),
        json!({ "FunctionName": "x".repeat(65) }),
        json!({ "Environment": { "Variables": { "AWS_REGION": "x" } } }),
        json!({ "Environment": { "Variables": { "1A": "x" } } }),
        json!({ "Environment": { "Variables": { "KEY": "x".repeat(4087) } } }),
        json!({ "Architectures": ["arm64"] }),
        json!({ "Architectures": ["X86_64"] }),
        json!({ "Architectures": [] }),
        json!({ "Architectures": ["x86_64", "x86_64"] }),
        json!({ "Code": {} }),
    ] {
        rig.create_with("f", "echo", more).await.assert_refused();
    }
    let all = json!({ "Timeout": 0, "MemorySize": 1, "Handler": "a b" });
    let refused = rig.create_with("f!", "echo", all).await;
    refused.assert_refused();
    assert!(refused.text().contains("4 validation errors detected: "), "{}", refused.text());
    let escape = zip_of(&[("../x", 0o644, b"x")]);
    rig.create_from("f", &escape, json!({})).await.assert_refused();
    rig.create_from("f", b"no zip", json!({})).await.assert_refused();
    let text = rig.send("POST", F, &[], b"{").await;
    text.assert_error(400, "InvalidRequestContentException");
    rig.get("/2015-03-31/nothing").await.assert_error(404, "UnknownOperationException");
    let edge = json!({ "MemorySize": 32_768, "Timeout": 900,
        "EphemeralStorage": { "Size": 32_768 },
        "Environment": { "Variables": { "KEY": "x".repeat(4086) } } });
    assert_eq!(rig.create_with("f", "echo", edge).await.status, 201);
    rig.stop().await;
}

#[tokio::test]
async fn every_refusal_is_an_error_as_clients_know_them() {
    let data = tempfile::tempdir().unwrap();
    let rig = Rig::start(data.path()).await;
    rig.create("f", "echo").await;
    for (method, path) in [
        ("GET", "/"),
        ("PATCH", "/2015-03-31/functions/f"),
        ("PUT", "/2020-06-30/functions/f/nothing"),
    ] {
        let answer = rig.send(method, path, &[], b"{}").await;
        answer.assert_error(404, "UnknownOperationException");
        assert!(answer.json()["message"].is_string(), "{method} {path}");
    }
    for path in [&format!("{F}?MaxItems=x"), &format!("{F}/%ff"), "/2018-10-31/layers?MaxItems=-1"]
    {
        let answer = rig.get(path).await;
        answer.assert_refused();
        assert!(answer.json()["message"].is_string(), "{path}");
    }
    rig.stop().await;
}

#[tokio::test]
async fn an_environment_is_reused_and_its_log_is_told() {
    let data = tempfile::tempdir().unwrap();
    let rig = Rig::start(data.path()).await;
    rig.create("count", "count").await;
    for count in 1..=3 {
        let answer = rig.invoke("count", "{}").await;
        assert_eq!(answer.text(), count.to_string());
        assert_eq!(answer.header("x-amz-executed-version"), Some("$LATEST"));
        assert_eq!(answer.log().contains("Init Duration"), count == 1, "{}", answer.log());
    }
    rig.create("print", "print").await;
    let answer = rig.invoke("print", "{}").await;
    let id = answer.header("x-amzn-requestid").unwrap();
    let log = answer.log();
    let wanted = format!(
        "START RequestId: {id} Version: $LATEST\nhello from the function\nEND RequestId: {id}\n\
         REPORT RequestId: {id}\tDuration: "
    );
    assert!(log.starts_with(&wanted), "{log}");
    let kept: String =
        rig.messages("print").await.iter().map(|one| one.as_str().unwrap().to_owned()).collect();
    assert_eq!(kept, log);
    rig.stop().await;
}

#[tokio::test]
async fn a_program_finds_its_environment() {
    let data = tempfile::tempdir().unwrap();
    let rig = Rig::start(data.path()).await;
    let more = json!({ "Environment": { "Variables": { "COLOUR": "blue", "TZ": "CET" } } });
    rig.create_with("f", "variables", more).await;
    let variables = rig.invoke("f", "{}").await.text();
    for one in [
        "AWS_LAMBDA_RUNTIME_API=127.0.0.1:9001",
        "_HANDLER=h",
        "AWS_LAMBDA_FUNCTION_NAME=f",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE=128",
        "COLOUR=blue",
        "TZ=CET",
    ] {
        assert!(variables.contains(&format!("\"{one}\"")), "{one} in {variables}");
    }
    assert!(!variables.contains("TZ=:UTC"));
    // What was said is told, even where it is nothing.
    let told = async |name: &str| {
        let path = format!("{F}/{name}/configuration");
        rig.get(&path).await.json()["Environment"].take()
    };
    rig.create_with("empty", "echo", json!({ "Environment": { "Variables": {} } })).await;
    rig.create("silent", "echo").await;
    assert_eq!(told("empty").await, json!({ "Variables": {} }));
    assert_eq!(told("silent").await, json!(null));
    rig.stop().await;
}

#[tokio::test]
async fn functions_fail_as_on_lambda() {
    let data = tempfile::tempdir().unwrap();
    let rig = Rig::start(data.path()).await;
    for (word, kind) in [
        ("error", "Mine"),
        ("crash", "Runtime.ExitError"),
        ("big", "Function.ResponseSizeTooLarge"),
        ("init-error", "Init"),
        ("exit-early", "Runtime.ExitError"),
    ] {
        rig.create(word, word).await;
        rig.invoke(word, "{}").await.assert_function_error(kind);
    }
    rig.create("exit", "exit").await;
    let exit = rig.invoke("exit", "1").await;
    exit.assert_function_error("Runtime.ExitError");
    let id = exit.header("x-amzn-requestid").unwrap();
    let message = format!("RequestId: {id} Error: Runtime exited with error: exit status 1");
    assert_eq!(exit.json()["errorMessage"], message);
    assert_eq!(rig.invoke("exit", "2").await.text(), "2", "a fresh environment works");
    rig.create_from("none", &zip_of(&[("main", 0o755, b"x")]), json!({})).await;
    rig.invoke("none", "{}").await.assert_function_error("Runtime.InvalidEntrypoint");
    rig.stop().await;
}

#[tokio::test]
async fn a_time_out_is_told_in_time() {
    let data = tempfile::tempdir().unwrap();
    let rig = Rig::start(data.path()).await;
    rig.create_with("f", "hang", json!({ "Timeout": 1 })).await;
    let start = Instant::now();
    let answer = rig.invoke("f", "{}").await;
    assert!((1.0..4.0).contains(&start.elapsed().as_secs_f64()), "{:?}", start.elapsed());
    answer.assert_function_error("Sandbox.Timedout");
    let why = "Task timed out after 1.00 seconds";
    assert!(answer.text().contains(why), "{}", answer.text());
    let log = answer.log();
    let ended = log.find("END RequestId").unwrap();
    assert!(log[..ended].contains(why) && log.ends_with("Status: timeout\n"), "{log}");
    rig.stop().await;
}

#[tokio::test]
async fn requests_are_checked_before_anything_runs() {
    let data = tempfile::tempdir().unwrap();
    let rig = Rig::start(data.path()).await;
    rig.create("f", "echo").await;
    let path = format!("{F}/f/invocations");
    let send = |kind: &'static str, body: &'static [u8]| {
        let (rig, path) = (&rig, &path);
        async move { rig.send("POST", path, &[("X-Amz-Invocation-Type", kind)], body).await }
    };
    assert_eq!(send("DryRun", b"{}").await.status, 204);
    assert_eq!(send("Event", b"{}").await.status, 202);
    send("Maybe", b"{}").await.assert_refused();
    send("RequestResponse", b"{").await.assert_error(400, "InvalidRequestContentException");
    assert_eq!(send("RequestResponse", b"").await.text(), "{}");
    let large = vec![b' '; 6 * 1024 * 1024 + 1];
    rig.send("POST", &path, &[], &large).await.assert_error(413, "RequestTooLargeException");
    let context = [("x-amz-client-context", "%%%")];
    let refused = rig.send("POST", &path, &context, b"{}").await;
    refused.assert_error(400, "InvalidRequestContentException");
    let other = rig.send("POST", &format!("{path}?Qualifier=7"), &[], b"{}").await;
    other.assert_error(404, "ResourceNotFoundException");
    let latest = rig.send("POST", &format!("{path}?Qualifier=%24LATEST"), &[], b"5").await;
    assert_eq!(latest.text(), "5");
    rig.stop().await;
}

#[tokio::test]
async fn more_than_the_budget_is_throttled() {
    let data = tempfile::tempdir().unwrap();
    let rig = Rig::with_memory(data.path(), 2 * 128).await;
    rig.create_with("large", "echo", json!({ "MemorySize": 512 })).await;
    let never = rig.invoke("large", "{}").await;
    never.assert_error(500, "ServiceException");
    assert!(never.text().contains("512 MB") && never.text().contains("256"), "{}", never.text());
    rig.create("f", "slow").await;
    let answers = tokio::join!(rig.invoke("f", "1"), rig.invoke("f", "2"), rig.invoke("f", "3"));
    let answers = [answers.0, answers.1, answers.2];
    let throttled: Vec<_> = answers.iter().filter(|answer| answer.status == 429).collect();
    assert_eq!(throttled.len(), 1);
    throttled[0].assert_error(429, "TooManyRequestsException");
    assert_eq!(throttled[0].json()["Reason"], "ConcurrentInvocationLimitExceeded");
    assert!(throttled[0].header("retry-after").is_some());
    // An idle environment of another function gives way.
    rig.create("g", "echo").await;
    assert_eq!(rig.invoke("g", "4").await.text(), "4");
    rig.stop().await;
}

#[tokio::test]
async fn a_shutdown_lets_work_end() {
    let data = tempfile::tempdir().unwrap();
    let rig = Rig::start(data.path()).await;
    rig.create("f", "slow").await;
    let path = format!("{F}/f/invocations");
    let address = rig.address;
    let call = tokio::spawn(async move {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 1\r\n\r\n7"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    });
    tokio::time::sleep(Duration::from_millis(150)).await;
    rig.stop().await;
    assert!(call.await.unwrap().ends_with("\r\n\r\n7"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shutdown_does_not_wait_for_the_idle() {
    let data = tempfile::tempdir().unwrap();
    let rig = Rig::start(data.path()).await;
    for name in ["f", "g"] {
        rig.create(name, "echo").await;
        rig.invoke(name, "1").await;
    }
    rig.send("DELETE", &format!("{F}/g"), &[], b"").await;
    // A client that keeps its connection and says nothing.
    let idle = tokio::net::TcpStream::connect(rig.address).await.unwrap();
    let start = Instant::now();
    rig.stop().await;
    assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
    drop(idle);
}

#[tokio::test]
async fn anything_but_loopback_is_refused() {
    let data = tempfile::tempdir().unwrap();
    let config = rig::config(data.path(), 128, "0.0.0.0:0");
    assert!(matches!(crate::Server::bind(config).await, Err(crate::ServeError::NotLoopback(_))));
}

#[tokio::test]
async fn an_environment_without_work_is_kept_as_long_as_the_policy_says() {
    let data = tempfile::tempdir().unwrap();
    let mut config = rig::config(data.path(), 512, "127.0.0.1:0");
    config.limits.keep_alive = "fixed:0s".parse().unwrap();
    let rig = Rig::with(config).await;
    rig.create("f", "count").await;
    for _ in 0..3 {
        assert_eq!(rig.invoke("f", "{}").await.text(), "1", "a new one each time");
        while rig.get("/mayfly/environments").await.json()["Environments"] != json!([]) {
            tokio::task::yield_now().await;
        }
    }
    rig.stop().await;
}

#[tokio::test]
async fn environments_tell_when_they_started() {
    let data = tempfile::tempdir().unwrap();
    let rig = Rig::start(data.path()).await;
    let quiet = rig.get("/mayfly/environments").await.json();
    assert_eq!(quiet["Environments"], json!([]));
    assert_eq!(quiet["Pool"]["Invocations"]["Cold"], 0);
    rig.create("f", "echo").await;
    rig.invoke("f", "{}").await;
    rig.invoke("f", "{}").await;
    let told = rig.get("/mayfly/environments").await.json();
    let wanted = json!({
        "KeepAlive": "fixed:5m", "MemoryMiB": 128, "MemoryMaxMiB": 4096, "EnvironmentsMax": 1024,
        "Invocations": { "Cold": 1, "Warm": 1, "Throttled": 0, "OverReserved": 0 },
    });
    assert_eq!(told["Pool"], wanted);
    let alive = told["Environments"].as_array().unwrap();
    assert_eq!((alive.len(), &alive[0]["FunctionName"]), (1, &json!("f")));
    assert!(alive[0]["LogStreamName"].as_str().unwrap().contains("[$LATEST]"));
    let shown = ["Version", "State", "MemorySize"].map(|member| &alive[0][member]);
    assert_eq!(shown, [&json!("$LATEST"), &json!("idle"), &json!(128)]);
    let moments = &alive[0]["MomentsNs"];
    let moment = |name: &str| moments[name].as_u64().unwrap();
    assert!(moment("asked") > 0 && moment("asked") < moment("image_ready"));
    assert!(moment("image_ready") < moment("runtime_ready"));
    assert_eq!(moments["user_entered"], json!(null), "there is no VM here");
    rig.stop().await;
}
