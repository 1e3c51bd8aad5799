//! A guest kernel that does what it must not: it harms nobody but itself.
//!
//! The kernel is `tests/guests/hostile`; its scenario is its program's first argument. It either ends with
//! status 0, where the VMM took what it did and went on, or is ended with a line that names what it broke.

#[path = "kvm_hostile/verdict.rs"]
mod verdict;

use std::fs;
use std::process::Stdio;
use std::thread::sleep;
use std::time::Instant;

use mayfly_tests::{Finished, wait};
use verdict::{alive, all_gone, assert_refused, hostile, hostile_with, mark, run, seconds};

/// Something on standard input, for scenarios that ask for it.
const INPUT: &[u8] = &[b'x'; 5000];

fn scenario(words: &[&str]) -> Finished {
    run(hostile(words), INPUT)
}

/// The guest is ended, and the line says `expected`.
fn is_ended(words: &[&str], expected: &str) {
    assert_refused(&scenario(words), expected, &words.join(" "));
}

/// The VMM takes it and the guest goes on.
fn is_survived(words: &[&str]) {
    let finished = scenario(words);
    assert_eq!((finished.code(), finished.complaint().as_str()), (0, ""), "{words:?}");
}

/// The guest may or may not be ended: what it ruined was its own.
fn is_its_own_fault(words: &[&str]) {
    let finished = scenario(words);
    if finished.code() == 0 {
        assert_eq!(finished.complaint(), "", "{words:?}");
    } else {
        assert_refused(&finished, "", &words.join(" "));
    }
}

/// Ways to break a queue that no device may go on with, and what they are called.
const DEFECTS: [(&str, &str); 18] = [
    ("head", "chain does not end"),
    ("far-head", "chain does not end"),
    ("jump", "available index"),
    ("back", "available index"),
    ("loop", "chain does not end"),
    ("itself", "chain does not end"),
    ("next", "chain does not end"),
    ("outside", "4096 bytes at 0x10000000000 lie outside"),
    ("edge", "2 bytes at 0x7ffffff lie outside"),
    ("hole", "4096 bytes at 0xd0000000 lie outside"),
    ("wrap", "4294967295 bytes at 0xfffffffffffffff0 lie outside"),
    ("long", "outside guest memory"),
    ("order", "readable descriptor follows"),
    ("indirect-outside", "chain does not end"),
    ("indirect-odd", "chain does not end"),
    ("indirect-empty", "chain does not end"),
    ("indirect-nested", "chain does not end"),
    ("indirect-long", "too long"),
];

fn breaks(scenario: &str, name: &str) {
    for (defect, expected) in DEFECTS {
        let finished = self::scenario(&[scenario, defect]);
        assert_refused(&finished, expected, &format!("{scenario} {defect}"));
        assert!(finished.complaint().contains(name), "{defect}: {}", finished.complaint());
    }
}

#[test]
fn a_broken_disk_queue_ends_the_guest() {
    breaks("disk", "the root disk: the guest broke virtqueue 0");
}

#[test]
fn a_broken_receive_queue_ends_the_guest() {
    breaks("to-guest", "vsock: the guest broke virtqueue 0");
}

#[test]
fn a_broken_transmit_queue_ends_the_guest() {
    breaks("from-guest", "vsock: the guest broke virtqueue 1");
}

#[test]
fn chains_with_nothing_in_them_are_no_trap() {
    is_ended(&["disk", "empty"], "no room for its status");
    is_ended(&["disk", "tiny"], "no room for its status");
    is_survived(&["disk", "direction"]);
    for how in ["empty", "tiny", "direction"] {
        is_ended(&["to-guest", how], "too small");
        is_survived(&["from-guest", how]);
    }
    is_survived(&["packets", "short"]);
    // Nothing is ever put into the event queue, so nobody looks.
    for how in ["loop", "outside", "jump"] {
        is_survived(&["events", how]);
    }
}

#[test]
fn bad_requests_are_answered_and_the_disk_goes_on() {
    is_survived(&["requests"]);
    is_survived(&["disk", "flood"]);
}

#[test]
fn a_device_that_writes_where_the_guest_says_ruins_only_the_guest() {
    is_its_own_fault(&["disk", "over-page-tables"]);
    is_its_own_fault(&["disk", "over-channel"]);
    is_its_own_fault(&["disk", "over-rings"]);
    for queue in ["disk", "to-guest", "from-guest", "events"] {
        is_its_own_fault(&[queue, "own-rings"]);
    }
}

#[test]
fn packets_that_lie_are_reset_and_forgotten() {
    is_survived(&["packets", "lies"]);
    is_survived(&["packets", "strangers"]);
    is_survived(&["packets", "credit"]);
    is_survived(&["packets", "out-of-turn"]);
}

#[test]
fn thousands_of_streams_are_refused_one_by_one() {
    is_survived(&["packets", "connects"]);
    is_survived(&["packets", "connects-unanswered"]);
    is_survived(&["packets", "one-port"]);
}

#[test]
fn standard_streams_go_one_way_and_no_faster_than_their_reader() {
    let finished = scenario(&["packets", "wrong-way"]);
    assert_eq!((finished.code(), finished.stdout.len()), (0, 16), "{}", finished.complaint());
    is_survived(&["packets", "overrun"]);
}

/// A guest that sends more than anyone reads: the VMM holds its credit's worth, and no more.
#[test]
fn an_unread_stream_takes_no_memory() {
    let mut command = hostile(&["packets", "overrun-and-wait"]);
    let mark = mark(&mut command);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().expect("it starts");
    sleep(seconds(1) / 6);
    let vmm = *alive(&mark).iter().find(|&&pid| pid != child.id()).expect("the VM's process");
    let status = fs::read_to_string(format!("/proc/{vmm}/status")).expect("it is there");
    let resident = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("a number");
    let kib: u64 = resident.trim().trim_end_matches(" kB").parse().expect("a number");
    // Of 64 MiB sent. The host may back the little that the guest has touched with large pages.
    assert!(kib < 16 << 10, "{kib} KiB");
    child.kill().expect("it runs");
    child.wait().expect("it is our child");
    all_gone(&mark);
}

#[test]
fn odd_register_accesses_do_nothing() {
    for how in ["odd", "nowhere", "reset", "half-reset"] {
        is_survived(&["registers", how]);
    }
}

#[test]
fn queues_set_up_anew_are_checked_anew() {
    is_survived(&["registers", "again"]);
    is_ended(
        &["registers", "reset-notify"],
        "root disk: the guest broke virtqueue 0: it was notified",
    );
    is_ended(
        &["registers", "notify-nobody"],
        "vsock: the guest broke virtqueue 7: it was notified",
    );
    is_ended(&["registers", "notify-absurd"], "not ready");
    for how in ["size-0", "size-odd", "size-absurd"] {
        is_ended(&["registers", how], "power of two");
    }
    is_ended(&["registers", "misaligned"], "not aligned");
    for how in ["outside", "beyond", "hole", "null"] {
        is_ended(&["registers", how], "outside guest memory");
    }
    is_its_own_fault(&["registers", "one-place"]);
    is_its_own_fault(&["registers", "page-tables"]);
}

#[test]
fn ports_that_do_not_exist_end_the_guest() {
    // A software KVM may refuse the port itself, with an exception: either way it is the guest's.
    is_ended(&["ports", "unknown"], "mayfly: the guest");
    is_ended(&["ports", "last"], "mayfly: the guest");
    is_ended(&["ports", "in"], "I/O port 0x10");
    is_ended(&["ports", "between"], "I/O port 0x11");
    is_survived(&["ports", "narrow"]);
    is_survived(&["ports", "string"]);
}

#[test]
fn floods_of_exits_and_odd_deadlines_are_taken() {
    is_survived(&["cpu", "flood"]);
    is_survived(&["cpu", "deadlines"]);
    is_survived(&["cpu", "upcalls"]);
}

#[test]
fn a_guest_without_a_way_on_is_one_line() {
    is_ended(&["cpu", "triple-fault"], "triple fault");
    is_ended(&["cpu", "no-memory"], "triple fault");
}

#[test]
fn what_runs_at_cpl_0_stays_in_the_guest() {
    is_ended(&["ring0", "halt"], "halted");
    is_ended(&["ring0", "halt-deaf"], "halted");
    is_ended(&["ring0", "stack"], "triple fault");
    is_ended(&["ring0", "port"], "I/O port 0x3f8");
    for how in [
        "cr3",
        "paging",
        "cr4",
        "idt",
        "efer",
        "kvm-clock",
        "kvm-steal",
        "kvm-faults",
        "string-out",
        "registers",
    ] {
        // What each comes to is the processor's affair.
        assert_refused(&scenario(&["ring0", how]), "", how);
    }
}

#[test]
fn ends_that_make_no_sense_are_failures_of_one_line() {
    for how in ["nothing", "kind", "code", "signal-0", "signal-65"] {
        is_ended(&["end", how], "does not exist");
    }
    is_ended(&["end", "errno"], "could not be started");
    is_ended(&["end", "long"], &"A".repeat(1024));
    let finished = scenario(&["end", "controls"]);
    assert_refused(&finished, "one two", "control characters");
    let complaint = finished.complaint();
    assert!(!complaint.trim_end().chars().any(char::is_control), "{complaint:?}");
}

#[test]
fn impossible_moments_are_moved_to_possible_ones() {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    let path = file.path().to_str().expect("UTF-8");
    let command = hostile_with(&["--timing", path], &["end", "marks"]);
    assert_eq!(run(command, b"").code(), 7);
    let text = fs::read_to_string(file.path()).expect("it was written");
    let timing: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let moments = ["kvm_ready", "guest_entered", "kernel_ready", "user_entered", "exited"];
    let moments = moments.map(|name| timing[name].as_u64().unwrap_or_else(|| panic!("{text}")));
    assert!(moments.is_sorted(), "{moments:?}");
    assert!(u128::from(moments[4]) < seconds(10).as_micros(), "{moments:?}");
}

#[test]
fn a_guest_that_never_ends_goes_with_its_starter() {
    let endless: [&[&str]; 9] = [
        &["cpu", "spin"],
        &["cpu", "kick-for-ever"],
        &["cpu", "registers-for-ever"],
        &["cpu", "wait-for-ever"],
        &["cpu", "far-deadline"],
        &["ring0", "spin"],
        &["ring0", "reload"],
        &["ring0", "hypercall"],
        &["packets", "no-buffers"],
    ];
    for words in endless {
        for signal in [libc::SIGTERM, libc::SIGKILL] {
            let mut command = hostile(words);
            let mark = mark(&mut command);
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            let mut child = command.spawn().expect("it starts");
            sleep(seconds(1) / 30);
            assert!(
                child.try_wait().expect("it is our child").is_none(),
                "{words:?} ended by itself"
            );
            let start = Instant::now();
            // SAFETY: the process is our child, and has not been waited for.
            assert_eq!(unsafe { libc::kill(child.id() as libc::pid_t, signal) }, 0);
            assert!(wait(&mut child, seconds(5)).is_some(), "{words:?} outlives signal {signal}");
            all_gone(&mark);
            assert!(
                start.elapsed() < seconds(2),
                "{words:?}, signal {signal}: {:?}",
                start.elapsed()
            );
        }
    }
}
