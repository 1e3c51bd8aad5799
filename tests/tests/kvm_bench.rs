//! `mayfly bench invoke` as a script meets it. How long things take is not judged here; how often they happen is.
#![allow(clippy::unwrap_used)]

use std::process::Command;

use mayfly_tests::{finish, fixture, mayfly};
use serde_json::Value;

#[test]
fn invocations_are_measured_and_a_warm_one_takes_few_exits() {
    let mut command = Command::new(mayfly());
    command.args(["bench", "invoke", "--json", "--cold", "2", "--warm", "40", "--bootstrap"]);
    command.arg(fixture("bootstrap"));
    let finished = finish(command, b"");
    assert_eq!(finished.code(), 0, "{}", finished.complaint());
    let report: Value = serde_json::from_slice(&finished.stdout).unwrap();

    let p50 = |summary: &Value| summary["p50"].as_f64().unwrap();
    assert!(p50(&report["cold"]["us"]) > p50(&report["cold"]["floor_us"]), "{report}");
    for warm in report["warm"].as_array().unwrap() {
        for server in ["mayfly", "bare"] {
            assert!(warm[server]["calls"].as_u64().unwrap() >= 40, "{report}");
            assert!(p50(&warm[server]["us"]) > 0.0, "{report}");
        }
    }
    let exits = &report["parts"]["exits_per_call"];
    // One wait for the event and one for what comes of the response, and no kick beside them.
    let waits = exits["wait"].as_f64().unwrap();
    assert!((2.0..2.5).contains(&waits), "{exits}");
    assert!(exits["kick"].as_f64().unwrap() < 0.5, "{exits}");
}

#[test]
fn a_bootstrap_that_is_none_is_refused_with_the_reason() {
    let mut command = Command::new(mayfly());
    command.args(["bench", "invoke", "--cold", "1", "--warm", "1", "--bootstrap", "/no/such"]);
    let finished = finish(command, b"");
    assert_eq!(finished.code(), 125);
    assert!(finished.complaint().contains("/no/such"), "{}", finished.complaint());
}
