//! What all commands have in common: how they take words that make no sense, and a reader that has gone away.
#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use std::ffi::OsStr;
use std::fs::OpenOptions;
use std::os::unix::ffi::OsStrExt;
use std::process::{Command, Output, Stdio};

use mayfly_tests::{fixture, mayfly};

/// Commands that say something without a platform.
const TALKATIVE: [&[&str]; 7] = [
    &["--help"],
    &["--version"],
    &["serve", "--help"],
    &["completions", "bash"],
    &["doctor"],
    &["doctor", "--json"],
    &["bench", "boot", "--runs", "1", "--json"],
];

fn command(words: &[&str]) -> Command {
    let mut command = Command::new(mayfly());
    command.args(words).stdin(Stdio::null()).env("MAYFLY_DEMO_PROGRAM", fixture("busybox"));
    command
}

fn complaint(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn whoever_gives_no_command_is_told_which_there_are() {
    for (words, expected) in [(&[][..], "doctor"), (&["image"], "from-tar"), (&["alias"], "Usage")]
    {
        let output = command(words).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{words:?}");
        assert!(complaint(&output).contains(expected), "{words:?}: {}", complaint(&output));
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn words_that_are_no_text_are_refused_in_one_line() {
    let bad = OsStr::from_bytes(b"\xff\xfe");
    for words in [&[][..], &["serve"], &["serve", "--listen"], &["logs"], &["simulate", "replay"]] {
        let output = command(words).arg(bad).output().unwrap();
        let complaint = complaint(&output);
        assert!(matches!(output.status.code(), Some(2 | 125)), "{words:?}: {complaint}");
        assert!(complaint.starts_with("mayfly: "), "{words:?}: {complaint}");
        assert_eq!(complaint.lines().count(), 1, "{words:?}: {complaint}");
    }
}

#[test]
fn a_reader_that_has_gone_away_is_no_failure() {
    for words in TALKATIVE {
        let read = command(words).output().unwrap();
        assert!(!read.stdout.is_empty(), "{words:?} says nothing");
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = command(words).stdout(writer).output().unwrap();
        assert_eq!(output.status, read.status, "{words:?}: {}", complaint(&output));
        assert!(!complaint(&output).contains("pipe"), "{words:?}: {}", complaint(&output));
    }
}

#[test]
fn an_output_that_is_lost_is_one() {
    for words in TALKATIVE {
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = command(words).stdout(full).output().unwrap();
        assert_eq!(output.status.code(), Some(125), "{words:?}: {}", complaint(&output));
        assert!(complaint(&output).contains("No space left"), "{words:?}: {}", complaint(&output));
    }
}
