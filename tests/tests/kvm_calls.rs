//! The table of system calls is what a program meets.
#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use mayfly_kernel::syscall::table::{Support, TABLE};
use mayfly_tests::{finish, fixture, mayfly_run};

/// A number that no Linux has given to a call.
const UNKNOWN: &str = "2000";

#[test]
fn refused_calls_give_their_error() {
    let refused: Vec<(String, u16)> = TABLE
        .iter()
        .filter_map(|row| match row.support {
            Support::Error(errno, _) => Some((row.number.to_string(), errno.number())),
            _ => None,
        })
        .collect();
    let numbers = refused.iter().map(|(number, _)| number);
    let done = finish(mayfly_run(&[], fixture("calls"), numbers), b"");
    assert_eq!(done.code(), 0, "{}", done.complaint());
    let expected: Vec<String> =
        refused.iter().map(|(number, errno)| format!("{number} -1 {errno}")).collect();
    assert_eq!(done.text().lines().collect::<Vec<_>>(), expected);
}

#[test]
fn an_unknown_call_is_enosys_and_is_counted() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let options = ["--timing", file.path().to_str().unwrap()];
    let done = finish(mayfly_run(&options, fixture("calls"), [UNKNOWN, UNKNOWN, "39"]), b"");
    assert_eq!(done.text(), "2000 -1 38\n2000 -1 38\n39 2 0\n");
    let timing: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(file.path()).unwrap()).unwrap();
    assert_eq!(timing["unknown_calls"], 2, "{timing}");
    assert!(timing["system_calls"].as_u64().unwrap() > 3, "{timing}");
}
