//! System calls that are jumps: what a program can see of it, and that it sees nothing else.
//!
//! Each program runs in a guest, in a guest that keeps its calls, and on the host. They must agree in all but this: what
//! is hot is rewritten in the first.
#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use std::fs;

use mayfly_tests::platform::{Platform, bootstrap};
use mayfly_tests::{Finished, finish, fixture, in_lane, mayfly_run};
use serde_json::{Value, json};

const KEEP: &str = "--no-syscall-rewrite";

fn ran(done: Finished, arguments: &[&str]) -> String {
    assert_eq!(done.code(), 0, "{arguments:?}: {}{}", done.text(), done.complaint());
    done.text()
}

/// What `rewrite ARGUMENTS` says of its places in a guest.
fn places(arguments: &[&str]) -> String {
    let guest = |options: &[&str]| {
        ran(finish(mayfly_run(options, fixture("rewrite"), arguments), b""), arguments)
    };
    let mut host = std::process::Command::new(fixture("rewrite"));
    host.args(arguments);
    let host = ran(finish(host, b""), arguments);
    assert_eq!(guest(&[KEEP]), host, "{arguments:?}: where nothing may be rewritten");
    let rewritten = guest(&[]);
    let unnamed =
        |text: &str| text.replace(": rewritten", ": as compiled").replace("named: 1", "named: 0");
    assert_eq!(unnamed(&rewritten), host, "{arguments:?}");
    rewritten
}

/// A number of turns for this machine.
fn turns(here: &'static str, lane: &'static str) -> &'static str {
    if in_lane() { lane } else { here }
}

#[test]
fn the_red_zone_of_a_leaf_function_is_untouched() {
    assert_eq!(places(&["red-zone"]), "leaf: rewritten\n");
}

#[test]
fn registers_and_flags_are_as_linux_leaves_them() {
    assert_eq!(places(&["registers"]), "answered: rewritten\ncalled: rewritten\n");
}

#[test]
fn a_jump_into_the_middle_makes_the_call_that_eax_names() {
    assert_eq!(places(&["middle"]), "parent: rewritten\n");
}

#[test]
fn the_file_and_its_other_mappings_keep_their_bytes() {
    let wanted = "memory: rewritten\nread: as compiled\nto be written: as compiled\n\
                  writable: as compiled\nwritten: as compiled\n";
    assert_eq!(places(&["file"]), wanted);
}

#[test]
fn code_that_is_remapped_is_forgotten_and_the_tables_place_is_given_up() {
    let wanted = "mapped: rewritten\nnamed: 1\nmoved: as compiled\nmoved and used: rewritten\n\
                  mapped again: as compiled\ndiscarded: as compiled\nwithout a table: as compiled\n\
                  and used: as compiled\nnamed: 0\n";
    assert_eq!(places(&["moves"]), wanted);
}

#[test]
fn what_the_program_made_itself_and_what_is_no_such_pair_stay() {
    let wanted = "anonymous: as compiled\nanonymous, not writable: as compiled\nshared: as compiled\n\
                  a file that can change: as compiled\nlonger: as compiled\non two pages: as compiled\n\
                  other: rewritten\n";
    assert_eq!(places(&["jit"]), wanted);
}

#[test]
fn threads_that_hammer_one_place_each_get_their_own_answer() {
    let turns = turns("300000", "2000");
    assert_eq!(places(&["threads", turns]), "gettid: rewritten\ngetpgid: rewritten\n");
}

#[test]
fn signals_arrive_in_a_loop_of_jumps_and_a_call_that_waits_is_made_again() {
    let wanted = "getppid: rewritten\nread: rewritten\n";
    assert_eq!(places(&["signals", turns("50", "5")]), wanted);
}

#[test]
fn a_program_that_executes_itself_begins_as_compiled() {
    let once = "at first: as compiled\nthen: rewritten\n";
    assert_eq!(places(&["again", "2"]), once.repeat(3));
}

#[test]
fn what_was_rewritten_is_counted() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_str().unwrap();
    let counts = |options: &[&str]| -> [u64; 3] {
        ran(finish(mayfly_run(options, fixture("rewrite"), ["middle"]), b""), options);
        let timing: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        ["jumped_calls", "rewritten_sites", "system_calls"]
            .map(|name| timing[name].as_u64().unwrap())
    };
    let [jumped, sites, calls] = counts(&["--timing", path]);
    // 400 times `parent`, 16 or 17 of them before it was hot; and the library's own places.
    assert!((300..calls).contains(&jumped) && (1..10).contains(&sites), "{jumped} {sites} {calls}");
    assert_eq!(counts(&["--timing", path, KEEP]), [0, 0, calls]);
}

#[test]
fn functions_have_jumps_too_unless_the_platform_keeps_their_calls() {
    for (options, is_jump) in [(&[][..], "1"), (&[KEEP], "0")] {
        let platform = Platform::start_with(options);
        platform.create("f", &bootstrap(&fixture("function")), json!({ "Timeout": 60 }));
        assert_eq!(platform.invoke("f", br#""jumps""#).text(), is_jump, "{options:?}");
    }
}
