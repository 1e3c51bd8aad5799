//! Functions that do as they are told, good or bad, in real environments: what a client sees of it.
//!
//! Each test gives the function of tests/fixtures/function.c a verb, and looks at the answer, the log and
//! the next call.
#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mayfly_tests::fixture;
use mayfly_tests::http::Answer;
use mayfly_tests::platform::{Platform, bootstrap, invocations, zip_of};
use serde_json::{Value, json};

const NAME: &str = "f";

/// A platform with the function, and settings of its own.
fn platform(settings: Value) -> Platform {
    let platform = Platform::start();
    platform.create(NAME, &bootstrap(&fixture("function")), settings);
    platform
}

fn patient() -> Platform {
    platform(json!({ "Timeout": 60 }))
}

fn tell(platform: &Platform, what: &str) -> Answer {
    let payload = json!(what).to_string();
    let tail = [("x-amz-log-type", "Tail")];
    let answer = platform.request("POST", &invocations(NAME), &tail, payload.as_bytes());
    assert_eq!(answer.status, 200, "{what}: {}", answer.text());
    answer
}

/// The number that a good answer is.
fn number(answer: &Answer) -> i64 {
    assert_eq!(answer.header("x-amz-function-error"), None, "{}", answer.text());
    answer.text().parse().unwrap_or_else(|error| panic!("{error}: {}", answer.text()))
}

/// Type and message of a function error.
fn error(answer: &Answer) -> (String, String) {
    assert_eq!(answer.header("x-amz-function-error"), Some("Unhandled"), "{}", answer.text());
    let document = answer.json();
    let member = |name: &str| document[name].as_str().unwrap_or_default().to_owned();
    (member("errorType"), member("errorMessage"))
}

fn log(answer: &Answer) -> String {
    let log = STANDARD.decode(answer.header("x-amz-log-result").expect("a log")).unwrap();
    String::from_utf8_lossy(&log).into_owned()
}

#[test]
fn an_environment_is_reused_and_keeps_its_tmp() {
    let platform = patient();
    for call in 1..=4 {
        assert_eq!(number(&tell(&platform, "count")), call);
    }
    assert_eq!(number(&tell(&platform, "tmp")), 1);
    assert_eq!(number(&tell(&platform, "tmp")), 2);
    assert_eq!(platform.machines().len(), 1);
    platform.stop();
}

#[test]
fn functions_share_nothing() {
    let platform = patient();
    platform.create("other", &bootstrap(&fixture("function")), json!({ "Timeout": 60 }));
    assert_eq!(number(&tell(&platform, "tmp")), 1);
    assert_eq!(platform.invoke("other", b"\"tmp\"").text(), "1");
    assert_eq!(platform.invoke("other", b"\"count\"").text(), "2");
    assert_eq!(platform.machines().len(), 2);
}

#[test]
fn an_exit_is_told_and_the_next_call_is_a_fresh_environments_first() {
    let platform = patient();
    assert_eq!(number(&tell(&platform, "tmp")), 1);
    let answer = tell(&platform, "exit 3");
    let (kind, message) = error(&answer);
    assert_eq!(kind, "Runtime.ExitError");
    assert!(message.ends_with("Error: Runtime exited with error: exit status 3"), "{message}");
    assert!(message.starts_with("RequestId: "), "{message}");
    assert_eq!(number(&tell(&platform, "tmp")), 1, "another environment has another /tmp");
    assert_eq!(error(&tell(&platform, "exit 0")).0, "Runtime.ExitError");
    assert_eq!(number(&tell(&platform, "count")), 1);
}

#[test]
fn a_crash_is_told_with_its_signal() {
    let platform = patient();
    let (kind, message) = error(&tell(&platform, "crash"));
    assert_eq!(kind, "Runtime.ExitError");
    assert!(message.contains("signal: segmentation fault"), "{message}");
    let (kind, message) = error(&tell(&platform, "abort"));
    assert_eq!(kind, "Runtime.ExitError");
    assert!(message.contains("signal: aborted"), "{message}");
    assert_eq!(number(&tell(&platform, "count")), 1);
}

#[test]
fn a_call_that_hangs_or_spins_is_timed_out_and_its_environment_killed() {
    let platform = platform(json!({ "Timeout": 3 }));
    for how in ["hang", "spin", "half"] {
        let (kind, message) = error(&tell(&platform, how));
        assert_eq!(kind, "Sandbox.Timedout", "{how}");
        assert!(message.ends_with("Error: Task timed out after 3.00 seconds"), "{how}: {message}");
    }
    assert_eq!(number(&tell(&platform, "count")), 1);
    assert_eq!(platform.machines().len(), 1);
}

#[test]
fn an_error_of_the_runtimes_own_is_passed_on() {
    let platform = patient();
    let said = error(&tell(&platform, "error"));
    assert_eq!(said, ("Mine".to_owned(), "as asked".to_owned()));
    assert_eq!(number(&tell(&platform, "count")), 2, "the environment goes on");
}

#[test]
fn an_answer_that_is_too_large_is_an_error_and_the_environment_goes_on() {
    let platform = patient();
    for size in ["big 7", "big 20"] {
        let (kind, message) = error(&tell(&platform, size));
        assert_eq!(kind, "Function.ResponseSizeTooLarge", "{size}");
        assert!(message.contains("6291556"), "{message}");
    }
    assert_eq!(number(&tell(&platform, "count")), 3);
    let fits = tell(&platform, "big 6");
    assert_eq!((fits.header("x-amz-function-error"), fits.body.len()), (None, 6 << 20));
}

#[test]
fn a_second_answer_and_a_strangers_are_refused() {
    let platform = patient();
    assert_eq!(number(&tell(&platform, "twice")), 1);
    // What it printed after its first answer belongs to the next call.
    assert!(log(&tell(&platform, "count")).contains("the second answer: 403"));
    assert_eq!(number(&tell(&platform, "stranger")), 400);
    assert_eq!(number(&tell(&platform, "count")), 4);
}

#[test]
fn a_runtime_may_open_connections_and_let_them_go() {
    let platform = patient();
    assert_eq!(number(&tell(&platform, "connect 8")), 8 * 404);
    for call in 2..=5 {
        assert_eq!(number(&tell(&platform, "reconnect")), call);
    }
    for _ in 0..5 {
        assert_eq!(number(&tell(&platform, "connect 20")), 20 * 404);
    }
    // More than the platform serves at once: some are closed, and nothing breaks.
    let served = number(&tell(&platform, "connect 64")) / 404;
    assert!((20..=32).contains(&served), "{served}");
    assert_eq!(number(&tell(&platform, "count")), 12);
}

#[test]
fn the_platform_is_reached_from_inside() {
    let platform = patient();
    let answer = tell(&platform, "platform");
    assert_eq!(answer.json()["Functions"][0]["FunctionName"], NAME);
    assert_eq!(number(&tell(&platform, "count")), 2);
}

#[test]
fn a_start_that_fails_is_the_first_calls_error() {
    let platform = Platform::start();
    let cases = [
        ("exit", "Runtime.ExitError", "exit status 7"),
        ("crash", "Runtime.ExitError", "segmentation fault"),
        ("error", "Init.Broken", "no luck"),
    ];
    for (how, kind, message) in cases {
        let settings = json!({ "Timeout": 60, "Environment": { "Variables": { "INIT": how } } });
        platform.create(how, &bootstrap(&fixture("function")), settings);
        for _ in 0..2 {
            let said = error(&platform.invoke(how, b"\"count\""));
            assert_eq!(said.0, kind, "{how}: {}", said.1);
            assert!(said.1.contains(message), "{how}: {}", said.1);
        }
    }
    // One that says much is none that fails.
    let settings = json!({ "Timeout": 60, "Environment": { "Variables": { "INIT": "flood" } } });
    platform.create("flood", &bootstrap(&fixture("function")), settings);
    assert_eq!(platform.invoke("flood", b"\"count\"").text(), "1");
}

#[test]
fn nothing_to_run_is_an_invalid_entrypoint() {
    let platform = Platform::start();
    let not_a_program = zip_of(&[("bootstrap", 0o755, b"neither ELF nor script")]);
    let cases = [
        ("absent", zip_of(&[("readme", 0o644, b"x")])),
        ("no-mode", zip_of(&[("bootstrap", 0o644, b"x")])),
        ("no-program", not_a_program),
    ];
    for (name, zip) in cases {
        platform.create(name, &zip, json!({}));
        let said = error(&platform.invoke(name, b"{}"));
        assert_eq!(said.0, "Runtime.InvalidEntrypoint", "{name}: {}", said.1);
    }
}

#[test]
fn a_log_has_lambdas_lines_and_what_was_printed() {
    let platform = patient();
    let cold = tell(&platform, "print 3");
    let lines = log(&cold);
    let lines: Vec<&str> = lines.lines().collect();
    let id = cold.header("x-amzn-requestid").unwrap();
    assert_eq!(lines.first(), Some(&&*format!("START RequestId: {id} Version: $LATEST")));
    assert_eq!(lines[1..4], [1, 2, 3].map(|line| format!("line {line} of {id}")));
    assert_eq!(lines[4], format!("END RequestId: {id}"));
    assert!(lines[5].starts_with(&format!("REPORT RequestId: {id}\tDuration: ")), "{lines:?}");
    assert!(lines[5].contains("\tInit Duration: "), "{lines:?}");
    let warm = log(&tell(&platform, "count"));
    assert!(!warm.contains("Init Duration"), "{warm}");
    let flood = tell(&platform, "flood 2000");
    assert_eq!(STANDARD.decode(flood.header("x-amz-log-result").unwrap()).unwrap().len(), 4096);
}

#[test]
fn the_memory_that_was_used_is_measured() {
    let platform = platform(json!({ "Timeout": 60, "MemorySize": 256 }));
    let used = |answer: &Answer| -> u64 {
        let log = log(answer);
        let (_, after) = log.split_once("Max Memory Used: ").unwrap();
        after.split_once(" MB").unwrap().0.parse().unwrap()
    };
    let before = used(&tell(&platform, "count"));
    let after = used(&tell(&platform, "touch 64"));
    assert!((1..60).contains(&before), "{before} MB");
    assert!((before + 60..=256).contains(&after), "{before} MB, then {after} MB");
    assert!(used(&tell(&platform, "count")) >= after, "it is the most that was ever used");
}
