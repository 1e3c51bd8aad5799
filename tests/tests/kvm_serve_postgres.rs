//! `mayfly serve --queue`: a platform whose events and queues are in a PostgreSQL.
#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use mayfly_postgres::Cluster;
use mayfly_tests::http::Answer;
use mayfly_tests::platform::{Platform, bootstrap, invocations};
use mayfly_tests::{Finished, finish, fixture, mayfly};
use serde_json::{Value, json};

/// Between two looks at what comes by itself.
const LOOK: Duration = Duration::from_millis(20);

/// `mayfly serve` where it can't start.
fn refused(options: &[&str]) -> Finished {
    let data = tempfile::tempdir().unwrap();
    let mut command = Command::new(mayfly());
    command.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(data.path()).args(options);
    let finished = finish(command, b"");
    assert_eq!(finished.code(), 125, "{}", finished.complaint());
    assert_eq!(finished.complaint().lines().count(), 1, "{}", finished.complaint());
    finished
}

fn send(platform: &Platform, body: &str) -> Answer {
    platform.sqs("SendMessage", &json!({ "QueueUrl": "q", "MessageBody": body }))
}

/// Has what becomes of the function's events told to a queue `records`.
fn tell_success(platform: &Platform) {
    assert_eq!(platform.sqs("CreateQueue", &json!({ "QueueName": "records" })).status, 200);
    let on = json!({ "Destination": "arn:aws:sqs:us-east-1:000000000000:records" });
    let config = json!({ "DestinationConfig": { "OnSuccess": on } }).to_string();
    let path = "/2019-09-25/functions/f/event-invoke-config";
    assert_eq!(platform.request("PUT", path, &[], config.as_bytes()).status, 200);
}

fn send_event(platform: &Platform) -> Answer {
    let headers = [("x-amz-invocation-type", "Event")];
    platform.request("POST", &invocations("f"), &headers, b"\"count\"")
}

/// How many messages the events' queues have.
fn queued(cluster: &Cluster, database: &str) -> String {
    cluster.sql(database, "SELECT count(*) FROM mayfly.messages WHERE lane LIKE 'event/%'")
}

#[test]
fn events_and_queues_live_in_the_database_and_survive_its_restart() {
    let Some(cluster) = mayfly_postgres::own() else { return };
    let database = cluster.database();
    let (url, password) = cluster.tcp(&database);
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), format!("{password}\n")).unwrap();
    let file = secret.path().to_str().unwrap();
    let platform = Platform::start_with(&["--queue", &url, "--queue-password-file", file]);
    assert!(!platform.data().join("queue.db").exists());
    platform.create("f", &bootstrap(&fixture("function")), json!({ "Timeout": 60 }));
    assert_eq!(platform.sqs("CreateQueue", &json!({ "QueueName": "q" })).status, 200);
    tell_success(&platform);
    assert_eq!(send(&platform, "before").status, 200);
    assert_eq!(send_event(&platform).status, 202);
    while queued(&cluster, &database) != "0" {
        std::thread::sleep(LOOK);
    }
    let line = std::fs::read(Path::new("/proc").join(platform.id().to_string()).join("cmdline"));
    assert!(!String::from_utf8_lossy(&line.unwrap()).contains(password));

    cluster.stop();
    for answer in [send(&platform, "refused"), send_event(&platform)] {
        assert_eq!(answer.status, 500, "{}", answer.text());
        assert!(answer.text().contains("can't be reached"), "{}", answer.text());
    }
    cluster.start_again();
    while send(&platform, "after").status != 200 {
        std::thread::sleep(LOOK);
    }
    assert_eq!(send_event(&platform).status, 202);
    while queued(&cluster, &database) != "0" {
        std::thread::sleep(LOOK);
    }
    let receive = json!({ "QueueUrl": "q", "MaxNumberOfMessages": 10 });
    let received = platform.sqs("ReceiveMessage", &receive).json();
    let bodies = received["Messages"].as_array().unwrap().iter().map(|one| one["Body"].clone());
    assert_eq!(bodies.collect::<Vec<_>>(), ["before", "after"]);
    // What the two accepted events have come to, and not a word of the one that was refused.
    let receive = json!({ "QueueUrl": "records", "MaxNumberOfMessages": 10 });
    let received = platform.sqs("ReceiveMessage", &receive).json();
    let records = received["Messages"].as_array().unwrap().iter().map(|one| {
        let record: Value = serde_json::from_str(one["Body"].as_str().unwrap()).unwrap();
        record["requestContext"]["condition"].clone()
    });
    assert_eq!(records.collect::<Vec<_>>(), ["Success", "Success"]);
    platform.stop();
}

#[test]
fn one_database_has_one_platform() {
    let Some(cluster) = mayfly_postgres::shared() else { return };
    let url = cluster.url(&cluster.database());
    let first = Platform::start_with(&["--queue", &url]);
    let complaint = refused(&["--queue", &url]).complaint();
    assert!(complaint.contains("another platform uses the queues of"), "{complaint}");
    Platform::start_in(first.kill(), &["--queue", &url]).stop();
    // Another data directory's, with other functions.
    let complaint = refused(&["--queue", &url]).complaint();
    assert!(complaint.contains("belong to another data directory"), "{complaint}");
}

#[test]
fn a_database_that_is_not_there_is_one_clear_line_without_a_password() {
    for (url, words) in [
        ("postgres://ada:s3cret@127.0.0.1:1/events", "127.0.0.1:1/events: error connecting"),
        ("postgres:///events?host=/nowhere", "/nowhere:5432/events: error connecting"),
        ("events", "--queue: that is not the address of a PostgreSQL: it begins with postgres://"),
        ("postgres://ada:s3cret@host:x/y", "--queue: that is not the address of a PostgreSQL"),
    ] {
        let complaint = refused(&["--queue", url]).complaint();
        assert!(complaint.contains(words) && !complaint.contains("s3cret"), "{complaint}");
    }
    let words = ["--queue", "postgres://ada@127.0.0.1:1/e", "--queue-password-file", "/nowhere"];
    assert!(refused(&words).complaint().contains("/nowhere: "), "{:?}", refused(&words));
}
