//! Threads, time and signals of real programs, and the same programs on the host beside them.
#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use mayfly_tests::{Finished, finish, fixture, in_lane, mayfly_run, wait};

fn guest(options: &[&str], name: &str, arguments: &[&str]) -> Finished {
    finish(mayfly_run(options, fixture(name), arguments), b"")
}

fn host(name: &str, arguments: &[&str]) -> Finished {
    let mut command = Command::new(fixture(name));
    command.args(arguments);
    finish(command, b"")
}

/// Runs a program in a guest and on the host: they must say the same and end the same.
fn same(name: &str, arguments: &[&str]) -> String {
    let (guest, host) = (guest(&[], name, arguments), host(name, arguments));
    assert_eq!(guest.text(), host.text(), "{name} {arguments:?}: {}", guest.complaint());
    assert_eq!(guest.code(), host.code(), "{name} {arguments:?}: {}", guest.complaint());
    assert_eq!(guest.complaint(), host.complaint(), "{name} {arguments:?}");
    guest.text()
}

/// The same with musl's threads and glibc's.
fn same_in_both(arguments: &[&str]) -> String {
    same("threads.glibc", arguments);
    same("threads", arguments)
}

#[test]
fn mutexes_and_thread_local_storage() {
    let (turns, sum) = if in_lane() { ("100", "6400\n") } else { ("2000", "128000\n") };
    assert_eq!(same_in_both(&["mutexes", turns]), sum);
}

#[test]
fn conditions_hand_over_among_eight_threads() {
    let (turns, sum) = if in_lane() { ("50", "400\n") } else { ("1000", "8000\n") };
    assert_eq!(same_in_both(&["handovers", turns]), sum);
}

#[test]
fn barriers_semaphores_and_locks() {
    assert_eq!(same_in_both(&["meetings"]), "400 50 400 1\n");
}

#[test]
fn a_thousand_threads_one_after_another() {
    assert_eq!(same_in_both(&["many"]), "25600\n");
}

/// A slice may end while the processor delivers a breakpoint.
#[test]
fn breakpoints_are_met_once_each_whoever_else_runs() {
    let (breakpoints, counted) =
        if in_lane() { ("1000", "1000\n1000\n") } else { ("100000", "100000\n100000\n") };
    assert_eq!(same("breakpoints", &[breakpoints]), counted);
}

#[test]
fn threads_have_a_bound() {
    for name in ["threads", "threads.glibc"] {
        let done = guest(&[], name, &["bounds"]);
        assert_eq!(done.text(), "1023 threads, then Resource temporarily unavailable\n");
        assert_eq!(done.code(), 0, "{}", done.complaint());
    }
}

#[test]
fn a_spinning_thread_starves_nobody() {
    assert_eq!(same_in_both(&["spinning"]), "nobody starves\n");
    assert_eq!(same_in_both(&["seen"]), "seen\n");
}

#[test]
fn input_from_the_host_reaches_a_thread_while_another_spins() {
    let mut child = mayfly_run(&[], fixture("threads"), ["input"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    child.stdin.as_mut().unwrap().write_all(b"words\n").unwrap();
    let mut rest = String::new();
    output.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "got words\n");
    assert!(wait(&mut child, Duration::from_secs(60)).expect("it ends").success());
}

#[test]
fn time_outs_are_kept() {
    assert_eq!(same_in_both(&["timeouts"]), "in time\n");
}

#[test]
fn threads_are_cancelled() {
    assert_eq!(same_in_both(&["cancellation"]), "cancelled\n");
}

#[test]
fn a_robust_mutex_outlives_its_owner() {
    assert_eq!(same_in_both(&["robustness"]), "owner died\n");
}

#[test]
fn signals_find_their_thread() {
    assert_eq!(same_in_both(&["signals"]), "signals\n");
}

#[test]
fn an_alarm_reaches_a_program_that_makes_no_call() {
    assert_eq!(same_in_both(&["alarms"]), "rang\n");
}

#[test]
fn threads_end_and_processes_end() {
    same_in_both(&["exit", "3"]);
    assert_eq!(same_in_both(&["last"]), "last\n");
    assert_eq!(same_in_both(&["exec"]), "alone: 1\n");
}

#[test]
fn futexes_answer_as_linux_does() {
    assert!(same("futexes.glibc", &[]).ends_with("ok\n"));
}

#[test]
fn extended_registers_stay_their_threads() {
    let signals = if in_lane() { "50" } else { "400" };
    assert_eq!(same("vectors", &[signals]), "broken 0\n");
}

#[test]
fn rusts_threads_and_tokios_run() {
    let text = same("rust-threads", &[]);
    assert!(text.ends_with("tokio 2401\n"), "{text}");
}

#[test]
fn rusts_runtime_says_what_a_thread_died_of() {
    let done = guest(&[], "rust-threads", &["overflow"]);
    assert_eq!(done.code(), 134, "{}", done.complaint());
    assert!(done.complaint().contains("thread 'deep'"), "{}", done.complaint());
    assert!(done.complaint().contains("has overflowed its stack"), "{}", done.complaint());
    let done = guest(&[], "rust-threads", &["panic"]);
    assert_eq!(done.text(), "joined: true\n", "{}", done.complaint());
}

#[test]
fn handlers_are_told_what_happened() {
    assert!(same("faults", &[]).ends_with("ok\n"));
}

#[test]
fn flags_of_handlers_are_kept() {
    same("faults", &["flags"]);
}

#[test]
fn timers_send_signals() {
    let text = same("faults", &["timers"]);
    assert!(text.ends_with("by a thread: 77\n"), "{text}");
}

#[test]
fn asking_for_the_time_costs_no_system_call() {
    let calls = |name: &str, times: &str| {
        let file = tempfile::NamedTempFile::new().unwrap();
        let options = ["--timing", file.path().to_str().unwrap()];
        let done = guest(&options, name, &["many", times]);
        assert_eq!((done.text().as_str(), done.code()), ("forward\n", 0), "{}", done.complaint());
        let timing = std::fs::read_to_string(file.path()).unwrap();
        let timing: serde_json::Value = serde_json::from_str(&timing).unwrap();
        timing["system_calls"].as_u64().unwrap()
    };
    for name in ["clocks", "clocks.glibc"] {
        assert_eq!(calls(name, "20000"), calls(name, "1"), "{name}");
        assert_eq!(guest(&[], name, &[]).text(), "clocks agree\n", "{name}");
    }
}

/// Nanoseconds since 1970.
fn realtime_ns() -> i128 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as i128
}

#[test]
fn the_guests_clock_is_the_hosts_to_a_millisecond() {
    // Its clock is read between two looks at the host's; in between it spins without an exit.
    const TOLERANCE_NS: i128 = 1_000_000;
    let mut child = mayfly_run(&[], fixture("clocks"), ["answer", "0.7"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut last = 0;
    for round in 0..8 {
        let before = realtime_ns();
        input.write_all(b"?\n").unwrap();
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        let after = realtime_ns();
        let mut times = line.split_whitespace().map(|word| word.parse::<i128>().unwrap());
        let (realtime, monotonic) = (times.next().unwrap(), times.next().unwrap());
        assert!(before - TOLERANCE_NS <= realtime, "round {round}: {} early", before - realtime);
        assert!(realtime <= after + TOLERANCE_NS, "round {round}: {} late", realtime - after);
        assert!(monotonic > last);
        last = monotonic;
    }
    drop(input);
    assert!(wait(&mut child, Duration::from_secs(60)).expect("it ends").success());
}

#[test]
fn a_torture_of_hand_overs_signals_and_registers_is_stable() {
    let (times, turns, signals) = if in_lane() { (2, "200", "30") } else { (6, "12500", "100") };
    let sum = format!("{}\n", 8 * turns.parse::<u64>().unwrap());
    for time in 0..times {
        for name in ["threads", "threads.glibc"] {
            let done = guest(&[], name, &["handovers", turns]);
            assert_eq!(
                (done.text(), done.code()),
                (sum.clone(), 0),
                "{time}: {}",
                done.complaint()
            );
        }
        let done = guest(&[], "vectors", &[signals]);
        assert_eq!(done.text(), "broken 0\n", "{time}: {}", done.complaint());
    }
}
