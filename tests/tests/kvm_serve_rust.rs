//! A function in Rust with AWS's own runtime crate, unmodified, in `mayfly serve`: examples/lambda-rust.
#![allow(clippy::unwrap_used)]

use mayfly_tests::fixture;
use mayfly_tests::http::Answer;
use mayfly_tests::platform::{Platform, bootstrap, invocations};
use serde_json::{Value, json};

const TAIL: (&str, &str) = ("x-amz-log-type", "Tail");

/// A platform with the function.
fn greeter() -> Platform {
    let platform = Platform::start();
    let settings = json!({ "Timeout": 30, "MemorySize": 128 });
    platform.create("greeter", &bootstrap(&fixture("lambda-rust")), settings);
    platform
}

fn invoke(platform: &Platform, event: Value) -> Answer {
    let answer = platform.invoke("greeter", event.to_string().as_bytes());
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer
}

/// The document of a function error.
fn error(answer: &Answer) -> Value {
    assert_eq!(answer.header("x-amz-function-error"), Some("Unhandled"), "{}", answer.text());
    answer.json()
}

#[test]
fn it_greets_cold_and_warm_in_one_environment() {
    let platform = greeter();
    for call in 1..=5 {
        let answer = invoke(&platform, json!({ "name": "Ada" }));
        assert_eq!(answer.header("x-amz-function-error"), None, "{}", answer.text());
        assert_eq!(answer.json(), json!({ "message": "Hello, Ada!", "call": call }));
    }
    let name = "x".repeat(1 << 20);
    let answer = invoke(&platform, json!({ "name": name }));
    assert_eq!(answer.json()["message"], json!(format!("Hello, {name}!")));
    platform.stop();
}

#[test]
fn it_sleeps_on_its_timers() {
    let platform = greeter();
    assert_eq!(invoke(&platform, json!({ "sleep_ms": 30 })).json()["call"], json!(1));
    assert_eq!(invoke(&platform, json!({ "sleep_ms": 1 })).json()["call"], json!(2));
}

#[test]
fn an_error_is_reported_and_the_environment_kept() {
    let platform = greeter();
    let said = error(&invoke(&platform, json!({ "fail": "no luck" })));
    assert_eq!(said["errorMessage"], json!("no luck"));
    assert_eq!(invoke(&platform, json!({})).json()["call"], json!(2));
}

#[test]
fn a_panic_is_reported_and_the_environment_kept() {
    let platform = greeter();
    let said = error(&invoke(&platform, json!({ "panic": "out of cheese" })));
    assert!(said["errorMessage"].as_str().unwrap().contains("out of cheese"), "{said}");
    assert_eq!(invoke(&platform, json!({})).json()["call"], json!(2));
}

#[test]
fn an_exit_ends_the_environment_and_the_next_call_starts_another() {
    let platform = greeter();
    let said = error(&invoke(&platform, json!({ "exit": 3 })));
    assert_eq!(said["errorType"], json!("Runtime.ExitError"));
    assert!(said["errorMessage"].as_str().unwrap().contains("exit status 3"), "{said}");
    assert_eq!(invoke(&platform, json!({})).json()["call"], json!(1));
}

#[test]
fn what_it_prints_is_in_its_log() {
    let platform = greeter();
    let answer = platform.request("POST", &invocations("greeter"), &[TAIL], b"{}");
    let log = base64_decode(answer.header("x-amz-log-result").unwrap());
    assert!(log.starts_with("START RequestId: ") && log.contains("\ncall 1\n"), "{log}");
}

fn base64_decode(text: &str) -> String {
    use base64::Engine;
    let bytes = base64::engine::general_purpose::STANDARD.decode(text).unwrap();
    String::from_utf8(bytes).unwrap()
}
