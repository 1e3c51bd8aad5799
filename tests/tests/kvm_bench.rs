//! `mayfly bench` as a script meets it. How long things take is not judged here; how often they happen is.
#![allow(clippy::unwrap_used)]

use std::process::Command;

use mayfly_tests::{finish, fixture, in_lane, mayfly};
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
    assert!(p50(&report["cold"]["us"]) > 0.0 && p50(&report["cold"]["floor_us"]) > 0.0, "{report}");
    for warm in report["warm"].as_array().unwrap() {
        for server in ["mayfly", "bare"] {
            assert!(warm[server]["calls"].as_u64().unwrap() >= 40, "{report}");
            assert!(p50(&warm[server]["us"]) > 0.0, "{report}");
        }
    }
    // One wait for the event and one for what comes of the response. On a slow host a look at a guest that runs
    // long may spare a wait, or what was sent may get a kick of its own; a kick for each of both would be four.
    let exits = |cause: &str| report["parts"]["exits_per_call"][cause].as_f64().unwrap();
    let (waits, kicks) = (exits("wait"), exits("kick"));
    assert!(waits >= 1.0, "{waits} waits");
    // In the lane a guest is interrupted at every other step, and may be told to look once more each time.
    assert!(in_lane() || waits + kicks < 3.0, "{waits} waits, {kicks} kicks");
}

#[test]
fn cold_starts_run_side_by_side() {
    let count = if in_lane() { "4" } else { "12" };
    let mut command = Command::new(mayfly());
    command.args(["bench", "burst", "--json", "--rounds", "1", "--count", count, "--bootstrap"]);
    command.arg(fixture("bootstrap"));
    let finished = finish(command, b"");
    assert_eq!(finished.code(), 0, "{}", finished.complaint());
    let report: Value = serde_json::from_slice(&finished.stdout).unwrap();
    assert!(report["host_processes_us"]["p50"].as_u64().unwrap() > 0, "{report}");
    // One after the other would be one at a time.
    assert!(report["starting_at_once_min"].as_u64().unwrap() > 1, "{report}");
}

#[test]
fn a_bootstrap_that_is_none_is_refused_with_the_reason() {
    let mut command = Command::new(mayfly());
    command.args(["bench", "invoke", "--cold", "1", "--warm", "1", "--bootstrap", "/no/such"]);
    let finished = finish(command, b"");
    assert_eq!(finished.code(), 125);
    assert!(finished.complaint().contains("/no/such"), "{}", finished.complaint());
}

#[test]
fn processes_are_measured_in_a_guest_and_on_the_host() {
    let mut command = Command::new(mayfly());
    command.args(["bench", "process", "--json", "--runs", "1", "--turns", "5", "--program"]);
    command.arg(fixture("births"));
    let finished = finish(command, b"");
    assert_eq!(finished.code(), 0, "{}", finished.complaint());
    let report: Value = serde_json::from_slice(&finished.stdout).unwrap();
    for place in ["guest", "host"] {
        for birth in ["fork", "spawn", "large_fork"] {
            assert!(report["ns"][place][birth]["p50"].as_f64().unwrap() > 0.0, "{report}");
        }
    }
}

#[test]
fn python_is_measured_beside_this_hosts() {
    let mut command = Command::new(mayfly());
    command.args(["bench", "python", "--json", "--runs", "1", "--image"]);
    command.arg(fixture("python.erofs"));
    let finished = finish(command, b"");
    if in_lane() {
        // There is no python3 to be beside.
        assert_eq!(finished.code(), 125);
        assert!(finished.complaint().contains("python3"), "{}", finished.complaint());
        return;
    }
    assert_eq!(finished.code(), 0, "{}", finished.complaint());
    let report: Value = serde_json::from_slice(&finished.stdout).unwrap();
    for row in ["start", "nbody", "json", "regex"] {
        assert!(report["us"][row]["ratio"].as_f64().unwrap() > 0.0, "{report}");
    }
    assert!(report["boot"]["page_faults"].as_u64().unwrap() > 0, "{report}");
}
