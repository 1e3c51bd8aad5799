//! `mayfly run` as a user and a script meet it: the real binary, the real KVM, a real program.
#![allow(clippy::unwrap_used)]

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// An unmodified static program with many faces (Debian: busybox-static).
fn busybox_path() -> &'static str {
    static PATH: OnceLock<String> = OnceLock::new();
    PATH.get_or_init(|| mayfly_tests::fixture("busybox").to_str().unwrap().to_owned())
}

/// What takes longer hangs: generous, since machines are shared and the hardware lane is emulated.
const PATIENCE: Duration = Duration::from_secs(60);

fn mayfly(arguments: &[&str]) -> Command {
    let mut command = Command::new(mayfly_tests::mayfly());
    command.args(arguments).stdin(Stdio::null());
    command
}

fn run(arguments: &[&str]) -> Output {
    mayfly(&[&["run"], arguments].concat()).output().unwrap()
}

fn busybox(words: &[&str]) -> Output {
    run(&[&["--", busybox_path()], words].concat())
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// Asserts that Mayfly itself failed, with one line that says `why`.
fn assert_refused(output: &Output, why: &str) {
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(125), "{stderr}");
    assert!(stderr.starts_with("mayfly: ") && stderr.contains(why), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(output.stdout.is_empty());
}

fn file(directory: &Path, name: &str, content: &[u8], mode: u32) -> PathBuf {
    let path = directory.join(name);
    fs::write(&path, content).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    path
}

/// The processes below this one that are VMs.
fn vm_of(run: &Child) -> Option<u32> {
    let children = format!("/proc/{0}/task/{0}/children", run.id());
    fs::read_to_string(children).ok()?.split_whitespace().next()?.parse().ok()
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A process that is gone, or is only waiting for its parent to notice.
fn is_dead(id: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().is_none_or(|rest| rest.is_empty() || rest.starts_with(['Z', 'X']))
}

/// A guest that has answered once and now waits for input.
fn waiting() -> (Child, u32) {
    let mut child = mayfly(&["run", "--", busybox_path(), "cat"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.as_mut().unwrap().write_all(b"!").unwrap();
    child.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
    let vm = vm_of(&child).unwrap();
    (child, vm)
}

#[test]
fn streams_and_status_are_the_programs_own() {
    let output = busybox(&["echo", "hello", "there"]);
    assert_eq!((text(&output.stdout), text(&output.stderr)), ("hello there\n", ""));
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(busybox(&["false"]).status.code(), Some(1));
    let output = busybox(&["cat", "/no/such/file"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("No such file") && output.stdout.is_empty());
}

#[test]
fn a_stream_of_ten_megabytes_arrives_whole() {
    let input: Vec<u8> = (0..10_000_000u32).map(|at| ((at * 7) >> 3) as u8).collect();
    let mut child = mayfly(&["run", "--", busybox_path(), "cat"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let sent = input.clone();
    let writer = std::thread::spawn(move || stdin.write_all(&sent).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stdout == input, "{} bytes came back", output.stdout.len());
}

#[test]
fn a_slow_reader_gets_everything_after_the_program_has_ended() {
    let mut child = mayfly(&["run", "--", busybox_path(), "seq", "1", "60000"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_millis(300));
    let mut got = String::new();
    child.stdout.take().unwrap().read_to_string(&mut got).unwrap();
    let wanted: String = (1..=60000).map(|n| format!("{n}\n")).collect();
    assert!(got == wanted, "{} of {} bytes", got.len(), wanted.len());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_reader_that_goes_away_ends_the_program() {
    let mut child =
        mayfly(&["run", "--", busybox_path(), "yes"]).stdout(Stdio::piped()).spawn().unwrap();
    child.stdout.take().unwrap().read_exact(&mut [0; 100]).unwrap();
    // `yes` sees EPIPE or SIGPIPE, as with any pipe.
    let status = child.wait().unwrap();
    assert!(matches!(status.code(), Some(1 | 141)), "{status}");
}

#[test]
fn files_may_be_input_and_output() {
    let directory = tempfile::tempdir().unwrap();
    let input = file(directory.path(), "input", b"from a file\n", 0o600);
    let output = directory.path().join("output");
    let status = mayfly(&["run", "--", busybox_path(), "cat"])
        .stdin(File::open(input).unwrap())
        .stdout(File::create(&output).unwrap())
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(0));
    assert_eq!(fs::read_to_string(output).unwrap(), "from a file\n");
}

#[test]
fn input_that_the_host_cannot_read_is_an_error_and_no_end() {
    let directory = tempfile::tempdir().unwrap();
    let output = mayfly(&["run", "--", busybox_path(), "cat"])
        .stdin(File::open(directory.path()).unwrap())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(text(&output.stderr), "cat: read error: Input/output error\n");
}

#[test]
fn the_environment_is_small_and_adjustable() {
    let output = run(&["--env", "A=1", "--env", "HOME=/x", "--", busybox_path(), "env"]);
    let mut lines: Vec<&str> = text(&output.stdout).lines().collect();
    lines.sort_unstable();
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert_eq!(lines[..2], ["A=1", "HOME=/x"]);
    assert!(lines[2].starts_with("PATH="));
    assert_refused(&run(&["--env", "A", "--", busybox_path()]), "NAME=value");
}

#[test]
fn files_that_are_no_program_are_refused_with_the_reason() {
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path();
    let refused = |name: &str, content: &[u8], mode, why| {
        let path = file(place, name, content, mode);
        assert_refused(&run(&["--", path.to_str().unwrap()]), why);
    };
    let elf = fs::read(busybox_path()).unwrap();
    let with = |at: usize, value: u8| {
        let mut elf = elf.clone();
        elf[at] = value;
        elf
    };
    refused("text", b"hello", 0o755, "not an ELF");
    refused("empty", b"", 0o755, "not an ELF");
    refused("script", b"#!/bin/sh\n", 0o755, "script");
    refused("plain", &elf, 0o644, "not executable");
    refused("arm", &with(18, 183), 0o755, "another architecture");
    refused("object", &with(16, 1), 0o755, "not an executable");
    refused("short", &elf[..40], 0o755, "cut short");
    refused("headers", &elf[..100], 0o755, "cut short");
    refused("half", &elf[..elf.len() / 2], 0o755, "cut short");
    assert_refused(&run(&["--", place.to_str().unwrap()]), "directory");
    assert_refused(&run(&["--", "/no/such/program"]), "no such file");
    assert_refused(&run(&["--", "/dev/null"]), "not a regular file");
}

#[test]
fn options_that_make_no_sense_are_refused() {
    assert_refused(&run(&[]), "PROGRAM");
    assert_refused(&run(&["--mem", "many", "--", busybox_path()]), "many");
    assert_refused(&run(&["--mem", "1", "--", busybox_path()]), "MiB");
    assert_refused(&run(&["--mem", "32768", "--rootfs", "/no/such", "--", "x"]), "/no/such");
    assert_refused(&run(&["--mem", "18446744073709551615", "--", busybox_path()]), "MiB");
    assert_refused(&run(&["--initrd", "/x", "--", busybox_path()]), "--initrd");
    assert_refused(&run(&["--kernel", "/no/such", "--", busybox_path()]), "/no/such");
    assert_refused(&run(&["--kernel", busybox_path(), "--", busybox_path()]), "kernel");
    assert_refused(&run(&["--kernel", "/", "--", busybox_path()]), "kernel");
    assert_refused(&run(&["--rootfs", "/dev/null", "--", "x"]), "directory or an image");
    assert_refused(&run(&["--frobnicate", "--", busybox_path()]), "frobnicate");
}

#[test]
fn a_directory_and_its_image_are_roots() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("root");
    fs::create_dir_all(root.join("usr/bin")).unwrap();
    fs::copy(busybox_path(), root.join("usr/bin/busybox")).unwrap();
    fs::write(root.join("greeting"), "from the root\n").unwrap();
    let image = directory.path().join("image");
    let (root, image) = (root.to_str().unwrap(), image.to_str().unwrap());
    let built = mayfly(&["image", "from-dir", root, "--out", image]).output().unwrap();
    assert_eq!(built.status.code(), Some(0), "{}", text(&built.stderr));
    for root in [root, image] {
        let output = run(&["--rootfs", root, "--", "busybox", "cat", "/greeting"]);
        assert_eq!(text(&output.stdout), "from the root\n", "{}", text(&output.stderr));
        assert_refused(&run(&["--rootfs", root, "--", "/usr/bin/none"]), "/usr/bin/none");
    }
}

#[test]
fn timing_counts_from_time_zero() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("timing.json");
    let path = path.to_str().unwrap();
    assert!(run(&["--timing", path, "--", busybox_path(), "true"]).status.success());
    let timing: serde_json::Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let names = ["kvm_ready", "guest_entered", "kernel_ready", "user_entered", "exited"];
    let moments = names.map(|name| timing[name].as_u64().unwrap());
    assert!(moments.is_sorted() && moments[0] > 0 && moments[4] < 10_000_000, "{moments:?}");
    assert!(timing["exits"].as_u64().unwrap() >= 1);
    assert_refused(
        &run(&["--timing", "/no/such/place", "--", busybox_path(), "true"]),
        "/no/such/place",
    );
    assert_refused(&run(&["--timing", "/dev/full", "--", busybox_path(), "true"]), "/dev/full");
    let bad = mayfly(&["run", "--", busybox_path(), "true"])
        .env("MAYFLY_T0_NS", "soon")
        .output()
        .unwrap();
    assert_refused(&bad, "MAYFLY_T0_NS");
}

#[test]
fn signals_end_it_at_once_and_leave_nothing() {
    for (signal, status) in [(libc::SIGINT, 130), (libc::SIGTERM, 143), (libc::SIGHUP, 129)] {
        let (mut child, vm) = waiting();
        let start = Instant::now();
        // SAFETY: the process is ours and has not been waited for.
        unsafe { libc::kill(child.id() as libc::pid_t, signal) };
        assert_eq!(child.wait().unwrap().code(), Some(status));
        assert!(start.elapsed() < PATIENCE, "{:?}", start.elapsed());
        assert!(is_dead(vm), "it was reaped");
    }
}

/// A program that never waits (tests/fixtures/spin.c).
fn spinning(how: &str) -> Child {
    let program = mayfly_tests::fixture("spin");
    mayfly(&["run", "--", program.to_str().unwrap(), how])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

#[test]
fn what_was_written_arrives_though_the_program_never_comes_back() {
    let mut child = spinning("out");
    let mut byte = [0];
    child.stdout.as_mut().unwrap().read_exact(&mut byte).unwrap();
    assert_eq!(&byte, b"!");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn input_reaches_a_program_that_looks_for_it_and_never_waits() {
    let mut child = spinning("in");
    std::thread::sleep(Duration::from_millis(50));
    child.stdin.as_mut().unwrap().write_all(b"?").unwrap();
    let mut byte = [0];
    child.stdout.as_mut().unwrap().read_exact(&mut byte).unwrap();
    assert_eq!(&byte, b"?");
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_killed_starter_takes_its_vm_along() {
    let (mut child, vm) = waiting();
    child.kill().unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(libc::SIGKILL));
    wait_until("the VM dies", || is_dead(vm));
}

#[test]
fn a_spinning_guest_ends_too() {
    let mut child =
        mayfly(&["run", "--", busybox_path(), "sh", "-c", "while :; do :; done"]).spawn().unwrap();
    wait_until("the VM starts", || vm_of(&child).is_some());
    let vm = vm_of(&child).unwrap();
    std::thread::sleep(Duration::from_millis(100));
    child.kill().unwrap();
    child.wait().unwrap();
    wait_until("the VM dies", || is_dead(vm));
}

#[test]
fn a_vm_that_is_killed_is_reported() {
    let (child, vm) = waiting();
    // SAFETY: the process is a child of ours, and alive.
    unsafe { libc::kill(vm as libc::pid_t, libc::SIGKILL) };
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(125));
}

#[test]
fn a_terminals_signals_do_not_reach_the_vm_itself() {
    let (mut child, vm) = waiting();
    for signal in [libc::SIGINT, libc::SIGTERM] {
        // SAFETY: the process is a child of ours, and alive.
        unsafe { libc::kill(vm as libc::pid_t, signal) };
    }
    drop(child.stdin.take());
    assert_eq!(child.wait().unwrap().code(), Some(0), "the guest saw the end of its input");
}

#[test]
fn many_at_once_do_not_get_in_each_others_way() {
    let children: Vec<(usize, Child)> = (0..50)
        .map(|n| {
            let word = n.to_string();
            let mut command = mayfly(&["run", "--mem", "32", "--", busybox_path(), "echo", &word]);
            (n, command.stdout(Stdio::piped()).spawn().unwrap())
        })
        .collect();
    for (n, child) in children {
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), text(&output.stdout)), (Some(0), &*format!("{n}\n")));
    }
}

#[test]
fn closed_standard_streams_are_no_accident() {
    let shell = |redirections: &str| {
        let script = format!("exec \"$0\" run -- {} cat {redirections}", busybox_path());
        Command::new("/bin/sh").args(["-c", &script]).arg(mayfly_tests::mayfly()).output().unwrap()
    };
    assert_eq!(shell("<&-").status.code(), Some(0), "no input is an empty input");
    assert_eq!(shell("</dev/null >&-").status.code(), Some(0), "nothing was to be written");
    assert_eq!(shell("<&- >&- 2>&-").status.code(), Some(0));
}
