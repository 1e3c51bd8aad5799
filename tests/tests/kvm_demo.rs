//! `mayfly demo`: what it shows, and that it leaves nothing behind.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use mayfly_tests::platform::machines_of;
use mayfly_tests::{finish, fixture, mayfly, wait};

/// Longest time until it has ended: generous, since the hardware lane is emulated.
const PATIENCE: Duration = Duration::from_secs(60);

fn demo(temporary: &Path) -> Command {
    let mut command = Command::new(mayfly());
    command.arg("demo").env("TMPDIR", temporary).env("MAYFLY_DEMO_PROGRAM", fixture("busybox"));
    command.env("MAYFLY_DEMO_FUNCTION", fixture("hello-c"));
    command
}

fn assert_empty(dir: &Path) {
    let left: Vec<_> = dir.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_program_and_a_function_are_shown() {
    let dir = tempfile::tempdir().unwrap();
    let shown = finish(demo(dir.path()), b"");
    let text = shown.text();
    assert_eq!(shown.code(), 0, "{text}{}", shown.complaint());
    assert!(text.contains("\nHello from a microVM: a Linux program, unmodified.\n"), "{text}");
    assert!(
        text.contains("{\"message\":\"Hello, you, from a microVM\",\"events_here\":1}"),
        "{text}"
    );
    let phases = [
        "the program runs",
        "the request asks for an environment",
        "the VM's process starts",
        "the program is loaded",
        "it asks for its first event",
        "it answers, and the client has it",
        "an invocation, there and back",
    ];
    for phase in phases {
        assert!(text.contains(phase), "{phase} is missing in {text}");
    }
    assert_empty(dir.path());
}

#[test]
fn an_interrupted_one_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = demo(dir.path());
    let mut demo = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(demo.stdout.take().unwrap()).lines().map_while(Result::ok);
    assert!(lines.any(|line| line.starts_with("$ mayfly invoke ")), "it comes to the function");
    let servers = machines_of(demo.id());
    assert_eq!(servers.len(), 1, "its platform");
    let rest = thread::spawn(move || lines.count());
    // SAFETY: the process is ours and has not been waited for.
    unsafe { libc::kill(demo.id() as libc::pid_t, libc::SIGINT) };
    let status = wait(&mut demo, PATIENCE).expect("it ends");
    rest.join().unwrap();
    // It may have been done already.
    assert!([Some(0), Some(128 + libc::SIGINT)].contains(&status.code()), "{status}");
    assert!(!Path::new("/proc").join(servers[0].to_string()).exists(), "its platform is gone");
    assert_empty(dir.path());
}
