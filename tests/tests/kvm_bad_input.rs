//! What a user can get wrong, and what a host can lack: each ends in one line that helps.

#[path = "kvm_bad_input/host.rs"]
mod host;
#[path = "kvm_hostile/verdict.rs"]
#[allow(dead_code, reason = "shared with tests that use all of it")]
mod verdict;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Instant;

use mayfly_tests::{Finished, fixture, mayfly, mayfly_run, wait};
use tempfile::TempDir;
use verdict::{alive, all_gone, assert_refused, mark, run, seconds};

/// `mayfly run OPTIONS -- PROGRAM`.
fn with(options: &[&str], program: impl AsRef<Path>) -> Finished {
    run(mayfly_run(options, program.as_ref(), [""; 0]), b"")
}

fn refused(options: &[&str], program: impl AsRef<Path>, expected: &str) {
    let what = format!("{options:?} {}", program.as_ref().display());
    assert_refused(&with(options, program), expected, &what);
}

fn hello(options: &[&str]) -> Finished {
    with(options, fixture("hello"))
}

/// A place for files that are no good.
struct Files(TempDir);

impl Files {
    fn new() -> Files {
        Files(TempDir::new().expect("a temporary directory"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// An executable file of these bytes.
    fn put(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, bytes).expect("it can be written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("it is ours");
        path
    }

    fn fifo(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        let made = Command::new(fixture("busybox")).arg("mkfifo").arg(&path).status();
        assert!(made.expect("busybox starts").success());
        path
    }
}

#[test]
fn memory_that_cannot_be_is_refused() {
    for (mem, expected) in [
        ("0", "between 16 and 32768"),
        ("15", "between 16 and 32768"),
        ("99999999", "between 16 and 32768"),
        ("18446744073709551615", "between 16 and 32768"),
        ("18446744073709551616", "--mem"),
        ("abc", "--mem"),
        ("-1", "--mem"),
        ("1e3", "--mem"),
        ("", "--mem"),
    ] {
        refused(&["--mem", mem], fixture("hello"), expected);
    }
    assert_eq!(hello(&["--mem", "16"]).code(), 0, "the least is enough");
}

#[test]
fn more_memory_than_the_host_has_is_refused() {
    let text = fs::read_to_string("/proc/meminfo").expect("a host has memory");
    let total = text.lines().find_map(|line| line.strip_prefix("MemTotal:")).expect("MemTotal");
    let kib: u64 = total.trim().trim_end_matches(" kB").parse().expect("a number");
    let wanted = (kib >> 10) + 64;
    if wanted > 32_768 {
        eprintln!("skipped: this host has more memory than any guest may have");
        return;
    }
    refused(&["--mem", &wanted.to_string()], fixture("hello"), "this host has");
}

#[test]
fn a_program_that_is_none_is_refused_with_the_reason() {
    let files = Files::new();
    refused(&[], "/no/such/program", "no such file");
    refused(&[], "no-such-program-anywhere", "no such file");
    refused(&[], "", "name is empty");
    refused(&[], files.path("."), "directory");
    refused(&[], "/dev/null", "not a regular file");
    refused(&[], files.put("empty", b""), "not an ELF");
    refused(&[], files.put("script", b"#!/bin/sh\necho\n"), "script");
    refused(&[], files.put("text", b"hello\n"), "not an ELF");
    let plain = files.put("plain", &fs::read(fixture("hello")).expect("it is there"));
    fs::set_permissions(&plain, fs::Permissions::from_mode(0o644)).expect("it is ours");
    refused(&[], plain, "not executable");
    // The test itself needs libraries.
    refused(&[], std::env::current_exe().expect("it runs"), "dynamically linked");
}

#[test]
fn nothing_waits_for_a_fifo() {
    let files = Files::new();
    let fifo = files.fifo("fifo");
    let name = fifo.to_str().expect("UTF-8");
    refused(&[], &fifo, "not a regular file");
    refused(&["--rootfs", name], "/bin/hello", "a directory or an image");
    refused(&["--kernel", name], fixture("hello"), "kernel");
    refused(&["--timing", name], fixture("hello"), name);
}

/// An ELF file with bytes changed: (offset, new bytes).
fn changed(elf: &[u8], at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut elf = elf.to_vec();
    elf[at..at + bytes.len()].copy_from_slice(bytes);
    elf
}

#[test]
fn an_elf_file_that_is_no_program_is_refused_with_the_reason() {
    let (files, good) = (Files::new(), fs::read(fixture("hello")).expect("it is there"));
    let case = |bytes: &[u8], expected: &str| refused(&[], files.put("program", bytes), expected);
    case(&good[..30], "program");
    case(&good[..3000], "program");
    case(&changed(&good, 4, &[1]), "another architecture");
    case(&changed(&good, 18, &[183]), "another architecture");
    case(&changed(&good, 16, &[1, 0]), "not an executable");
    case(&changed(&good, 32, &(u64::MAX - 7).to_le_bytes()), "cut short");
    case(&changed(&good, 54, &[1, 0]), "program");
    case(&changed(&good, 56, &[0, 0]), "program");
    case(&changed(&good, 56, &[255, 255]), "program");
}

/// Fields of the first PT_LOAD (System V gABI, program header), made absurd.
#[test]
fn segments_that_cannot_be_are_refused() {
    let (files, good) = (Files::new(), fs::read(fixture("hello")).expect("it is there"));
    let headers = u64::from_le_bytes(good[32..40].try_into().expect("8 bytes")) as usize;
    let place = files.path("");
    let root = place.to_str().expect("UTF-8");
    let load = (headers..).step_by(56).find(|&at| good[at] == 1).expect("a PT_LOAD");
    let (offset, virt, file_len, memory_len) = (8, 16, 32, 40);
    for (field, value) in [
        (offset, 1 << 62),
        (virt, 0),
        (virt, u64::MAX - 0xfff),
        (virt, 1 << 47),
        (virt, 0x7f80_0020_0000),
        (file_len, 1 << 40),
        (memory_len, 1),
        (memory_len, 1 << 40),
        (memory_len, u64::MAX),
    ] {
        let bytes = changed(&good, load + field, &value.to_le_bytes());
        // In a root it is the guest that looks at it.
        files.put("program", &bytes);
        refused(&["--rootfs", root], "/program", "cannot run");
    }
    let short = files.put("program", &good[..good.len() / 2]);
    refused(&[], short, "cut short");
    // Where it begins is the program's own affair: it faults.
    for entry in [0, 0xdead_beef_0000, u64::MAX] {
        let bytes = changed(&good, 24, &u64::to_le_bytes(entry));
        let finished = with(&[], files.put("program", &bytes));
        assert_eq!(finished.code(), 139, "{entry:#x}: {}", finished.complaint());
        assert_eq!(finished.complaint().lines().count(), 1, "{}", finished.complaint());
    }
}

#[test]
fn a_root_that_is_no_image_is_refused() {
    let files = Files::new();
    let noise: Vec<u8> =
        (0u32..100_000).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let mut ext4 = vec![0; 1 << 20];
    ext4[1024 + 56..][..2].copy_from_slice(&[0x53, 0xef]);
    for bytes in [&noise[..], b"some text\n", b"", &[0; 1 << 20], &[0; 1025], &ext4] {
        let path = files.put("root", bytes);
        refused(&["--rootfs", path.to_str().expect("UTF-8")], "/bin/x", "not an EROFS image");
    }
    refused(&["--rootfs", "/no/such/root"], "/bin/x", "/no/such/root");
    refused(&["--rootfs", "/dev/null"], "/bin/x", "a directory or an image");
}

#[test]
fn an_image_that_is_cut_short_or_changed_is_never_a_hang() {
    let files = Files::new();
    fs::create_dir(files.path("root")).expect("a directory");
    fs::copy(fixture("hello"), files.path("root/hello")).expect("a copy");
    let image = files.path("image");
    let mut build = Command::new(mayfly());
    build.args(["image", "from-dir"]).arg(files.path("root")).arg("--out").arg(&image);
    assert_eq!(run(build, b"").code(), 0);
    let good = fs::read(&image).expect("it was built");
    let case = |bytes: &[u8]| {
        let path = files.put("bad", bytes);
        with(&["--rootfs", path.to_str().expect("UTF-8")], "/hello")
    };
    assert_eq!(case(&good).code(), 0);
    for len in [1024, 1100, 2000, 4095, 4096, 5000, 8192, 20_000] {
        assert_refused(&case(&good[..len]), "", &format!("{len} bytes"));
    }
    // Behind the superblock's magic lies the metadata.
    let step = if mayfly_tests::in_lane() { 211 } else { 37 };
    for at in (1028..good.len().min(4096)).step_by(step) {
        let finished = case(&changed(&good, at, &[!good[at]]));
        let complaint = finished.complaint();
        assert!(complaint.lines().count() <= 1, "byte {at}: {complaint}");
        assert!(!complaint.contains("kernel failed"), "byte {at}: {complaint}");
    }
}

#[test]
fn a_program_that_the_root_lacks_is_named() {
    let files = Files::new();
    fs::create_dir_all(files.path("root/bin")).expect("a directory");
    fs::copy(fixture("hello"), files.path("root/bin/hello")).expect("a copy");
    let root = files.path("root");
    let options = ["--rootfs", root.to_str().expect("UTF-8")];
    assert_eq!(with(&options, "hello").code(), 0, "found on the PATH");
    refused(&options, "/bin/nope", "/bin/nope");
    refused(&options, "/bin", "/bin");
    refused(&options, "", "empty");
}

#[test]
fn words_that_make_no_sense_are_refused() {
    refused(&["--env", "A"], fixture("hello"), "--env A: not of the form NAME=value");
    refused(&["--env", "=A"], fixture("hello"), "--env =A: not of the form NAME=value");
    refused(&["--initrd", "/dev/null"], fixture("hello"), "--initrd");
    for words in [&["run"][..], &["run", "--"], &["run", "--mem"], &["run", "--bogus", "x"]] {
        let mut command = Command::new(mayfly());
        command.args(words);
        assert_refused(&run(command, b""), "mayfly run --help", &words.join(" "));
    }
    // No program's status can be mistaken for these.
    for (words, help) in [
        (&["bogus"][..], "mayfly --help"),
        (&["image", "bogus"], "image --help"),
        (&["image", "from-tar"], "image from-tar --help"),
    ] {
        let mut command = Command::new(mayfly());
        command.args(words);
        let finished = run(command, b"");
        let complaint = finished.complaint();
        assert_eq!((finished.code(), complaint.lines().count()), (2, 1), "{words:?}: {complaint}");
        assert!(complaint.contains(help), "{words:?}: {complaint}");
    }
    let mut command = mayfly_run(&[], fixture("hello"), [""; 0]);
    command.env("MAYFLY_T0_NS", "noon");
    assert_refused(&run(command, b""), "MAYFLY_T0_NS=noon", "a time zero");
}

#[test]
fn arguments_that_are_too_long_are_refused() {
    let long = "x".repeat(100_000);
    let many = |count: usize| run(mayfly_run(&[], fixture("hello"), vec![&long; count]), b"");
    assert_eq!(many(5).code(), 0);
    assert_refused(&many(6), "arguments and environment", "600,000 bytes");
    assert_refused(&many(13), "arguments and environment", "1,300,000 bytes");
}

#[test]
fn timing_that_cannot_be_written_is_said() {
    let full = hello(&["--timing", "/dev/full"]);
    assert_refused(&full, "/dev/full: No space left", "a full disk");
    refused(&["--timing", "/no/such/directory/file"], fixture("hello"), "/no/such/directory/file");
    refused(&["--timing", "/tmp"], fixture("hello"), "directory");
}

#[test]
fn output_that_is_lost_is_said() {
    let full = || fs::OpenOptions::new().write(true).open("/dev/full").expect("it exists");
    for arguments in [&["echo", "lost"][..], &["yes"]] {
        let mut command = mayfly_run(&[], fixture("busybox"), arguments);
        let mark = mark(&mut command);
        command.stdin(Stdio::null()).stdout(full()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("it starts");
        let status = wait(&mut child, seconds(10)).expect("it ends");
        let complaint = std::io::read_to_string(child.stderr.take().expect("piped")).expect("text");
        assert_eq!(status.code(), Some(verdict::FAILED), "{arguments:?}: {complaint}");
        assert!(complaint.contains("No space left on device"), "{arguments:?}: {complaint}");
        assert_eq!(complaint.lines().count(), 1, "{complaint}");
        all_gone(&mark);
    }
}

#[test]
fn standard_streams_may_be_closed() {
    for closed in [&[0][..], &[1], &[2], &[0, 1], &[0, 1, 2]] {
        let mut command = mayfly_run(&[], fixture("busybox"), ["cat"]);
        host::close(&mut command, closed);
        let finished = run(command, b"to be copied");
        assert_eq!(finished.code(), 0, "{closed:?}: {}", finished.complaint());
    }
    let mut command = mayfly_run(&[], "/no/such/program", [""; 0]);
    host::close(&mut command, &[0, 1, 2]);
    assert_eq!(run(command, b"").code(), verdict::FAILED);
}

#[test]
fn limits_of_the_host_are_named() {
    let limited = |resource, limit| {
        let mut command = mayfly_run(&[], fixture("hello"), [""; 0]);
        host::limit(&mut command, resource, limit);
        run(command, b"")
    };
    assert_eq!(limited(libc::RLIMIT_NOFILE, 16).code(), 0);
    assert_refused(&limited(libc::RLIMIT_NOFILE, 5), "open files", "5 files");
    assert_refused(&limited(libc::RLIMIT_AS, 64 << 20), "128 MiB of guest memory", "64 MiB");
}

#[test]
fn a_host_without_kvm_says_what_to_do() {
    let command = || mayfly_run(&[], fixture("hello"), [""; 0]);
    let mut without = command();
    if !host::without_kvm(&mut without) {
        eprintln!("SKIPPED: only root can take /dev/kvm away");
        return;
    }
    assert_refused(&run(without, b""), "there is no /dev/kvm: enable virtualization", "no device");
    let files = Files::new();
    let mut platform = Command::new(mayfly());
    platform.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(files.path("data"));
    assert!(host::without_kvm(&mut platform));
    assert_refused(&run(platform, b""), "there is no /dev/kvm", "no platform without VMs");
    assert!(!files.path("data").exists(), "nothing has been made");
    let mut doctor = Command::new(mayfly());
    doctor.arg("doctor");
    assert!(host::without_kvm(&mut doctor));
    let findings = run(doctor, b"").text();
    assert!(findings.contains("cargo xtask test --only-lane"), "{findings}");
    let mut other = command();
    host::with_something_else_for_kvm(&mut other);
    assert_refused(&run(other, b""), "/dev/kvm", "a file that is not KVM");
}

#[test]
fn a_user_who_may_not_use_kvm_is_told_how() {
    let mut command = mayfly_run(&[], fixture("hello"), [""; 0]);
    if !host::as_nobody(&mut command) {
        eprintln!("SKIPPED: this is not root, or everybody may open /dev/kvm");
        return;
    }
    let refused = run(command, b"");
    assert_refused(&refused, "may not open /dev/kvm", "no permission");
    let mode = fs::metadata("/dev/kvm").expect("there is a /dev/kvm").permissions().mode();
    if mode & 0o060 != 0o060 {
        assert!(refused.complaint().contains("no group gives access"), "{}", refused.complaint());
    }
}

#[test]
fn a_full_disk_is_said() {
    let files = Files::new();
    fs::create_dir(files.path("root")).expect("a directory");
    fs::copy(fixture("rust-std"), files.path("root/program")).expect("a copy");
    let root = files.path("root");
    let mut command = mayfly_run(&["--rootfs", root.to_str().expect("UTF-8")], "/program", [""; 0]);
    if !host::small_tmp(&mut command, &files.path("small")) {
        eprintln!("SKIPPED: only root can mount a small /tmp");
        return;
    }
    assert_refused(&run(command, b""), "No space left on device", "a full disk");
}

#[test]
fn many_run_at_once() {
    let many: Vec<_> = (0..if mayfly_tests::in_lane() { 8 } else { 50 })
        .map(|_| {
            let mut command = mayfly_run(&[], fixture("hello"), [""; 0]);
            let mark = mark(&mut command);
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
            (command.spawn().expect("it starts"), mark)
        })
        .collect();
    for (child, mark) in many {
        let output = child.wait_with_output().expect("it ends");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(output.stdout.starts_with(b"hello from"));
        all_gone(&mark);
    }
}

/// A program that does nothing for long, and the mark of its processes.
fn sleeper() -> (std::process::Child, String) {
    let mut command = mayfly_run(&[], fixture("busybox"), ["sleep", "1000"]);
    let mark = mark(&mut command);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    (command.spawn().expect("it starts"), mark)
}

fn signal(pid: u32, signal: libc::c_int) {
    // SAFETY: kill(2) takes integers; the process is our child or its child.
    unsafe { libc::kill(pid as libc::pid_t, signal) };
}

/// The VM's process, once there is one.
fn vmm(starter: u32, mark: &str) -> u32 {
    let start = Instant::now();
    loop {
        // Once it has become the VM's process, its standard input is the control socket.
        let is_vmm = |pid: &u32| {
            let stdin = fs::read_link(format!("/proc/{pid}/fd/0")).unwrap_or_default();
            *pid != starter && stdin.to_string_lossy().starts_with("socket:")
        };
        if let Some(vmm) = alive(mark).into_iter().find(is_vmm) {
            return vmm;
        }
        assert!(start.elapsed() < seconds(5), "there is no VM's process");
        sleep(seconds(1) / 1000);
    }
}

#[test]
fn a_killed_starter_takes_its_vm_along_at_any_moment() {
    for step in 0..if mayfly_tests::in_lane() { 5 } else { 40 } {
        let (mut child, mark) = sleeper();
        sleep(seconds(1) * step / 2000);
        child.kill().expect("it runs");
        child.wait().expect("it is our child");
        all_gone(&mark);
    }
}

#[test]
fn a_killed_vm_is_a_failure_of_one_line() {
    for kill in [libc::SIGKILL, libc::SIGABRT, libc::SIGUSR1] {
        let (mut child, mark) = sleeper();
        signal(vmm(child.id(), &mark), kill);
        let status = wait(&mut child, seconds(5)).expect("it ends");
        let complaint = std::io::read_to_string(child.stderr.take().expect("piped")).expect("text");
        assert_eq!(status.code(), Some(verdict::FAILED), "{complaint}");
        assert_eq!(
            complaint,
            format!("mayfly: the VM's process ended without a report (signal {kill})\n")
        );
        all_gone(&mark);
    }
}

#[test]
fn stopped_and_continued_it_goes_on() {
    let mut command = mayfly_run(&[], fixture("busybox"), ["cat"]);
    let mark = mark(&mut command);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("it starts");
    let vmm = vmm(child.id(), &mark);
    for pid in [child.id(), vmm, child.id(), vmm] {
        signal(pid, libc::SIGSTOP);
        sleep(seconds(1) / 50);
        signal(pid, libc::SIGCONT);
        sleep(seconds(1) / 100);
    }
    // What a terminal or a library may send besides changes nothing.
    for harmless in [libc::SIGWINCH, libc::SIGIO, libc::SIGCHLD, libc::SIGTERM] {
        signal(vmm, harmless);
    }
    let mut stdin = child.stdin.take().expect("piped");
    std::io::Write::write_all(&mut stdin, b"still here").expect("somebody reads");
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    assert_eq!((output.status.code(), &output.stdout[..]), (Some(0), &b"still here"[..]));
    all_gone(&mark);
}

#[test]
fn its_own_file_may_go_while_it_runs() {
    let files = Files::new();
    let copy = files.path("mayfly");
    // Not by this process: what another test starts meanwhile would have the copy open for writing (ETXTBSY).
    let copied = Command::new("cp").arg(mayfly()).arg(&copy).status().expect("cp");
    assert!(copied.success());
    let mut command = Command::new(&copy);
    command.args(["run", "--"]).arg(fixture("busybox")).arg("cat").current_dir("/proc");
    let mark = mark(&mut command);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("it starts");
    vmm(child.id(), &mark);
    fs::remove_file(&copy).expect("it is there");
    drop(child.stdin.take());
    let output = child.wait_with_output().expect("it ends");
    assert_eq!((output.status.code(), &output.stderr[..]), (Some(0), &b""[..]));
    all_gone(&mark);
}
