//! How the platform ends, well and badly, and begins again.
#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use mayfly_tests::http::Connection;
use mayfly_tests::platform::{Platform, bootstrap, invocations, is_alive};
use mayfly_tests::{finish, fixture, mayfly};
use serde_json::json;

/// A hang guard, not a measurement.
const PATIENCE: Duration = Duration::from_secs(60);

fn platform() -> Platform {
    let platform = Platform::start();
    create(&platform);
    platform
}

fn create(platform: &Platform) {
    platform.create("f", &bootstrap(&fixture("function")), json!({ "Timeout": 120 }));
}

/// Invokes in another thread; comes back when a machine is at work on it.
fn invoke_meanwhile(platform: &Platform, what: &str) -> thread::JoinHandle<(u16, String)> {
    let (address, payload) = (platform.address(), json!(what).to_string());
    let call = thread::spawn(move || {
        let mut connection = Connection::open(address);
        let answer = connection.request("POST", &invocations("f"), &[], payload.as_bytes());
        (answer.status, answer.text())
    });
    until(|| !platform.machines().is_empty());
    call
}

/// Waits until every environment has a runtime that has asked for its first event, and so has got it.
fn until_at_work(platform: &Platform) {
    until(|| {
        let environments = platform.request("GET", "/mayfly/environments", &[], b"").text();
        environments.contains("runtime_ready") && !environments.contains("\"runtime_ready\":null")
    });
}

fn until(condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < PATIENCE, "it never came to that");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_running_invocation_is_finished_before_the_end() {
    let platform = platform();
    let call = invoke_meanwhile(&platform, "sleep 1000");
    until_at_work(&platform);
    let machines = platform.machines();
    platform.stop();
    assert_eq!(call.join().unwrap(), (200, "1".to_owned()));
    assert!(!machines.iter().any(|id| is_alive(*id)));
}

#[test]
fn one_that_does_not_end_is_cut_off() {
    let platform = platform();
    let call = invoke_meanwhile(&platform, "hang");
    until_at_work(&platform);
    let machines = platform.machines();
    platform.stop();
    let (status, text) = call.join().unwrap();
    assert_eq!(status, 500, "{text}");
    assert!(!machines.iter().any(|id| is_alive(*id)));
}

#[test]
fn a_second_signal_does_not_wait_for_invocations() {
    let platform = platform();
    let call = invoke_meanwhile(&platform, "hang");
    until_at_work(&platform);
    let machines = platform.machines();
    platform.terminate();
    // Signals that come together are one: the first has been taken when nothing new is begun.
    until(|| platform.invoke("f", b"\"count\"").status != 200);
    platform.terminate();
    let (status, complaints) = platform.end();
    assert_eq!(status.code(), Some(128 + libc::SIGTERM), "{complaints}");
    assert!(complaints.contains("another signal ends it at once"), "{complaints}");
    drop(call);
    until(|| !machines.iter().any(|id| is_alive(*id)));
}

#[test]
fn idle_clients_do_not_hold_the_end_up() {
    let platform = platform();
    let mut idle = Connection::open(platform.address());
    assert_eq!(idle.request("GET", "/2015-03-31/functions", &[], b"").status, 200);
    assert_eq!(platform.invoke("f", b"\"count\"").text(), "1");
    platform.stop();
}

#[test]
fn after_a_kill_no_machine_is_left_and_a_restart_goes_on() {
    let platform = platform();
    for _ in 0..3 {
        invoke_meanwhile(&platform, "sleep 60000");
    }
    until(|| platform.machines().len() == 3);
    let machines = platform.machines();
    let data = platform.kill();
    until(|| !machines.iter().any(|id| is_alive(*id)));
    let platform = Platform::start_in(data, &[]);
    assert_eq!(platform.invoke("f", b"\"count\"").text(), "1");
    platform.stop();
}

#[test]
fn a_machine_that_is_killed_is_replaced() {
    let platform = platform();
    let call = invoke_meanwhile(&platform, "hang");
    until_at_work(&platform);
    let machine = platform.machines()[0];
    // SAFETY: it is the process of a machine that this test has brought up.
    unsafe { libc::kill(machine as libc::pid_t, libc::SIGKILL) };
    let (status, text) = call.join().unwrap();
    assert_eq!(status, 500, "{text}");
    assert_eq!(platform.invoke("f", b"\"count\"").text(), "1");
    // One that is idle is replaced too.
    let machine = platform.machines()[0];
    // SAFETY: as above.
    unsafe { libc::kill(machine as libc::pid_t, libc::SIGKILL) };
    until(|| !is_alive(machine));
    until(|| platform.invoke("f", b"\"count\"").text() == "1");
}

#[test]
fn one_data_directory_serves_one_platform() {
    let platform = platform();
    let second = serve("127.0.0.1:0", platform.data());
    assert_eq!(second.code(), 125, "{}", second.complaint());
    assert!(second.complaint().contains("another"), "{}", second.complaint());
    assert_eq!(second.complaint().lines().count(), 1, "{}", second.complaint());
    assert_eq!(platform.invoke("f", b"\"count\"").text(), "1");
}

#[test]
fn an_address_that_is_taken_is_one_clear_line() {
    let platform = platform();
    let place = tempfile::tempdir().unwrap();
    let address = platform.address().to_string();
    let data = place.path().join("data");
    let second = serve(&address, &data);
    assert_eq!(second.code(), 125);
    assert!(second.complaint().contains(&format!("{address} is in use")), "{}", second.complaint());
    assert!(second.complaint().contains("--listen"), "{}", second.complaint());
    assert!(!data.exists(), "nothing has been made");
    assert_eq!(second.complaint().lines().count(), 1, "{}", second.complaint());
}

fn serve(address: &str, data: &Path) -> mayfly_tests::Finished {
    let mut command = Command::new(mayfly());
    command.args(["serve", "--listen", address, "--data"]).arg(data).stdin(Stdio::null());
    finish(command, b"")
}
