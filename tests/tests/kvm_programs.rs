//! Programs of every static kind, how they end, and what is asked of the machine around them.
#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use std::process::Stdio;
use std::time::{Duration, Instant};

use mayfly_tests::{Finished, finish, fixture, in_lane, mayfly_run, wait};

fn run(name: &str, arguments: &[&str]) -> Finished {
    finish(mayfly_run(&[], fixture(name), arguments), b"")
}

#[test]
fn hello_from_every_libc() {
    for name in ["hello", "hello.glibc", "rust-std"] {
        let done = run(name, &[]);
        assert_eq!(done.code(), 0, "{name}: {}", done.complaint());
        assert!(!done.stdout.is_empty(), "{name}");
    }
}

#[test]
fn exit_statuses_pass_through() {
    for status in [0, 1, 42, 125, 255] {
        let done = run("endings", &["exit", &status.to_string()]);
        assert_eq!((done.code(), done.complaint().as_str()), (status, ""));
    }
}

#[test]
fn a_deadly_signal_is_128_plus_its_number_and_says_where() {
    let cases = [
        ("null", 139, "segmentation fault at address 0x0"),
        ("wild", 139, "segmentation fault"),
        ("readonly", 139, "segmentation fault"),
        ("execute", 139, "segmentation fault"),
        ("divide", 136, "division by zero"),
        ("illegal", 132, "illegal instruction"),
        ("breakpoint", 133, "SIGTRAP"),
        ("step", 133, "SIGTRAP"),
        ("nowhere", 139, "segmentation fault"),
        ("handler", 139, "segmentation fault"),
        ("abort", 134, "SIGABRT"),
        ("kill", 137, "SIGKILL"),
        ("overflow", 139, "segmentation fault"),
    ];
    for (how, code, text) in cases {
        let done = run("endings", &[how]);
        assert_eq!(done.code(), code, "{how}: {}", done.complaint());
        assert!(done.complaint().contains(text), "{how}: {}", done.complaint());
        assert_eq!(done.complaint().lines().count(), 1, "{how}: {}", done.complaint());
    }
}

#[test]
fn a_broken_pipe_ends_the_program() {
    let mut command = mayfly_run(&[], fixture("busybox"), ["yes"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    drop(child.stdout.take());
    let status = wait(&mut child, Duration::from_secs(60)).expect("it ends");
    assert_eq!(mayfly_code(status), 141);
}

#[test]
fn signal_handlers_run_and_return() {
    let done = run("signals", &[]);
    assert_eq!((done.code(), done.complaint().as_str()), (0, ""), "{}", done.text());
    assert_eq!(
        done.text(),
        "handled 10\nrecovered from 11\nmasked\nalternate stack\nno stack, once\nok\n"
    );
}

#[test]
fn memory_ends_in_an_error_never_in_a_hang() {
    let done = finish(mayfly_run(&["--mem", "32"], fixture("memory"), ["malloc"]), b"");
    assert_eq!(done.code(), 137, "{}", done.complaint());
    assert!(done.complaint().contains("out of memory"), "{}", done.complaint());
    let done = finish(mayfly_run(&["--mem", "32"], fixture("memory"), ["huge"]), b"");
    assert_eq!((done.code(), done.text().as_str()), (0, "ENOMEM\n"));
    let done = finish(mayfly_run(&["--mem", "64"], fixture("memory"), ["reuse"]), b"");
    assert_eq!((done.code(), done.text().as_str()), (0, "zero\n"), "{}", done.complaint());
}

#[test]
fn memory_is_for_pages_that_are_touched() {
    let done = finish(mayfly_run(&["--mem", "64"], fixture("memory"), ["sparse"]), b"");
    assert_eq!((done.code(), done.text().as_str()), (0, "there\n"), "{}", done.complaint());
}

#[test]
fn mappings_keep_their_promises() {
    let done = run("memory", &["mappings"]);
    assert_eq!((done.code(), done.complaint().as_str()), (0, ""), "{}", done.text());
}

#[test]
fn a_spinning_guest_is_ended_at_once() {
    for (signal, code) in [(libc::SIGINT, 130), (libc::SIGTERM, 143)] {
        let mut command = mayfly_run(&[], fixture("endings"), ["spin"]);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        // It says that it spins.
        let mut byte = [0];
        std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut byte).unwrap();
        let start = Instant::now();
        // SAFETY: a plain system call on our own child.
        assert_eq!(unsafe { libc::kill(child.id() as i32, signal) }, 0);
        let status = wait(&mut child, Duration::from_secs(60)).expect("it ends");
        assert_eq!(mayfly_code(status), code);
        // Generous for a shared machine; what it takes is milliseconds.
        let limit = if in_lane() { 30 } else { 5 };
        assert!(start.elapsed() < Duration::from_secs(limit), "{:?}", start.elapsed());
    }
}

#[test]
fn standard_input_is_read_to_its_end() {
    let done = finish(mayfly_run(&[], fixture("busybox"), ["wc", "-c"]), b"");
    assert_eq!(done.text(), "0\n");
    let mut command = mayfly_run(&[], fixture("busybox"), ["head", "-c", "3"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    for piece in [b"a", b"b", b"c"] {
        std::io::Write::write_all(&mut input, piece).unwrap();
        std::thread::sleep(Duration::from_millis(20));
    }
    // Its input stays open: three bytes are enough.
    let status = wait(&mut child, Duration::from_secs(60)).expect("it ends");
    assert_eq!(mayfly_code(status), 0);
    let mut text = String::new();
    std::io::Read::read_to_string(&mut child.stdout.take().unwrap(), &mut text).unwrap();
    assert_eq!(text, "abc");
}

#[test]
fn many_at_once_do_not_disturb_each_other() {
    let count = if in_lane() { 4 } else { 20 };
    let runs: Vec<_> = (0..count)
        .map(|n| std::thread::spawn(move || run("busybox", &["seq", &n.to_string()])))
        .collect();
    for (n, run) in runs.into_iter().enumerate() {
        let done = run.join().unwrap();
        assert_eq!(done.code(), 0, "{}", done.complaint());
        assert_eq!(done.text().lines().count(), n);
    }
}

#[test]
fn timing_is_in_order() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_str().unwrap();
    let done = finish(mayfly_run(&["--timing", path], fixture("hello"), [""; 0]), b"");
    assert_eq!(done.code(), 0, "{}", done.complaint());
    let json: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(file.path()).unwrap()).unwrap();
    let at = |key: &str| json[key].as_u64().unwrap_or_else(|| panic!("{key} in {json}"));
    let order = ["kvm_ready", "guest_entered", "kernel_ready", "user_entered", "exited"];
    for pair in order.windows(2) {
        assert!(at(pair[0]) <= at(pair[1]), "{pair:?} in {json}");
    }
    assert!(at("kvm_ready") > 0 && at("exited") < 60_000_000, "{json}");
    assert!(at("exits") >= 2, "{json}");
}

#[test]
fn files_in_tmp_behave_as_on_the_host() {
    let directory = tempfile::tempdir().unwrap();
    let mut host = std::process::Command::new(fixture("files"));
    host.arg(directory.path());
    let host = finish(host, b"");
    let guest = run("files", &[]);
    assert_eq!((guest.code(), host.code()), (0, 0), "{}", guest.complaint());
    assert_eq!(guest.text(), host.text());
}

#[test]
fn calls_keep_to_their_manual_pages() {
    // The checks hold on Linux too, in a fresh /tmp with usual limits. What only this kernel says: flags that it does not know, and a root that is read-only.
    let options = ["--env", "MF=1", "--env", "RO=1"];
    let done = finish(mayfly_run(&options, fixture("checks"), [""; 0]), b"");
    assert_eq!((done.text().as_str(), done.complaint().as_str(), done.code()), ("", "", 0));
}

#[test]
fn slow_readers_and_writers_lose_nothing() {
    let script = "for i in 1 2 3; do echo line $i; sleep 0.05; done | \"$0\" run -- \"$1\" | \
                  { sleep 0.2; sha1sum; }";
    let pour = |program: &str| {
        let mut command = std::process::Command::new("sh");
        let script = script.replace("\"$0\" run -- ", program);
        command.args(["-c", &script]).arg(mayfly_tests::mayfly()).arg(fixture("pour"));
        finish(command, b"")
    };
    let (guest, host) = (pour("\"$0\" run -- "), pour(""));
    assert_eq!(guest.complaint(), "");
    assert_eq!(guest.text(), host.text());
}

fn mayfly_code(status: std::process::ExitStatus) -> i32 {
    Finished { status, stdout: vec![], stderr: vec![] }.code()
}
