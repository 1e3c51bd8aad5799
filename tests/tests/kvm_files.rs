//! Files, pipes and what else descriptors stand for: each program says the same in a guest and on the host.
#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use std::process::Command;

use mayfly_tests::{finish, fixture, mayfly_run};

/// How a program ends on a Linux that lacks what it tries: tmpfs keeps users' attributes since 6.6, as fchmodat2.
const NOTHING_TO_TRY: i32 = 77;

/// Runs a program in a fresh directory, in a guest and on the host: both find nothing wrong, and say the same.
fn same(name: &str) {
    let directory = tempfile::tempdir().unwrap();
    let mut command = Command::new(fixture(name));
    command.arg(directory.path());
    let (guest, host) =
        (finish(mayfly_run(&[], fixture(name), ["/tmp"]), b""), finish(command, b""));
    assert_eq!(host.text(), "", "{name} on the host");
    assert!([0, NOTHING_TO_TRY].contains(&host.code()), "{name} on the host: {}", host.code());
    let said = (guest.code(), guest.text(), guest.complaint());
    assert_eq!(said, (0, String::new(), String::new()), "{name} in a guest");
}

#[test]
fn pipes_are_spliced_and_resized() {
    same("splices");
}

#[test]
fn files_have_extended_attributes() {
    same("xattrs");
}

#[test]
fn programs_are_started_as_their_personality_wants() {
    same("personalities");
}

#[test]
fn memory_is_shared_by_key() {
    same("segments");
}

#[test]
fn terminals_have_lines_sessions_and_jobs() {
    same("terminals");
}

#[test]
fn descriptors_are_unnamed_sealed_and_owned() {
    same("descriptors");
}

#[test]
fn ways_are_bounded_and_memory_is_looked_at() {
    same("ways");
}

#[test]
fn files_grow_as_far_as_they_may() {
    same("sizes");
}

#[test]
fn files_and_directories_are_watched() {
    same("watches");
}

/// /tmp may hold 32 MiB here, of which memory has less left: what is refused is the write, and nothing is killed.
#[test]
fn a_full_tmp_leaves_the_program_its_memory() {
    let filling = || fixture("filling");
    let done = finish(mayfly_run(&["--mem", "64"], filling(), ["30", "8"]), b"");
    assert_eq!((done.code(), done.text(), done.complaint()), (0, String::new(), String::new()));
    let all = finish(mayfly_run(&["--mem", "64"], filling(), ["0", "4"]), b"");
    assert_eq!((all.code(), all.text(), all.complaint()), (0, String::new(), String::new()));
}
