//! Runs `mayfly` on something bad and judges how it took it.
//!
//! Whatever comes in, the same must hold: it ends in good time, no process is left behind, and a failure of
//! Mayfly's own is one line on stderr with status 125.

use std::fs;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use mayfly_tests::{Finished, finish, fixture, in_lane, mayfly_run};

/// The exit status where Mayfly itself failed.
pub const FAILED: i32 = 125;

/// Marks a command's processes in their environment, which the VM's process inherits.
const MARK: &str = "MAYFLY_TEST_MARK";

/// A mark that no other command has.
pub fn mark(command: &mut Command) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let mark = format!("{}-{number}", std::process::id());
    command.env(MARK, &mark);
    mark
}

/// The processes with this mark that are alive. One that has ended and waits for init to take note of it
/// has no environment any more.
pub fn alive(mark: &str) -> Vec<u32> {
    let wanted = format!("{MARK}={mark}");
    let has_mark = |pid: &u32| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|&byte| byte == 0).any(|variable| variable == wanted.as_bytes())
    };
    let entries = fs::read_dir("/proc").expect("/proc is mounted");
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.filter(has_mark).collect()
}

/// Waits until no process with this mark is alive.
///
/// # Panics
/// Where one stays.
pub fn all_gone(mark: &str) {
    let start = Instant::now();
    while !alive(mark).is_empty() {
        assert!(start.elapsed() < seconds(20), "processes are left: {:?}", alive(mark));
        sleep(Duration::from_millis(2));
    }
}

/// So long on a usual machine, and more in the lane.
pub fn seconds(count: u64) -> Duration {
    Duration::from_secs(if in_lane() { count * 30 } else { count })
}

/// Runs a command to its end, which must come soon and leave nothing behind.
pub fn run(mut command: Command, stdin: &[u8]) -> Finished {
    let mark = mark(&mut command);
    let text = format!("{command:?}");
    let start = Instant::now();
    let finished = finish(command, stdin);
    let took = start.elapsed();
    assert!(took < seconds(60), "{text} took {took:?}");
    all_gone(&mark);
    finished
}

/// Asserts that Mayfly has failed with one clear line that contains `expected`.
pub fn assert_refused(finished: &Finished, expected: &str, what: &str) {
    let complaint = finished.complaint();
    assert_eq!(finished.code(), FAILED, "{what}: {complaint}");
    assert!(complaint.starts_with("mayfly: "), "{what}: {complaint}");
    assert!(complaint.ends_with('\n') && complaint.lines().count() == 1, "{what}: {complaint}");
    assert!(!complaint.contains("panicked"), "{what}: {complaint}");
    assert!(complaint.contains(expected), "{what}: not '{expected}', but {complaint}");
}

/// `mayfly run` of the hostile kernel with a scenario.
pub fn hostile(words: &[&str]) -> Command {
    hostile_with(&[], words)
}

/// The same with more options.
pub fn hostile_with(options: &[&str], words: &[&str]) -> Command {
    let kernel = fixture("guests/hostile");
    let kernel = ["--kernel", kernel.to_str().expect("a path in UTF-8")];
    mayfly_run(&[&kernel[..], options].concat(), fixture("hello"), words)
}
