//! Debian's unmodified programs do a real piece of work each, and print what they print on this host.
#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use std::fs;

use mayfly_tests::{finish, fixture, mayfly_run};

/// Runs the work of `program` in a guest.
fn works(program: &str) {
    let work = fixture("programs").join(program);
    let arguments = fs::read_to_string(work.join("arguments")).unwrap();
    let image = fixture("programs.erofs");
    // xz keeps a dictionary of 8 MiB and more beside its input; the others' data are small.
    let mut options = vec!["--mem", "256", "--rootfs", image.to_str().unwrap()];
    options.extend(["--env", "LANG=C.UTF-8", "--env", "TZ=UTC"]);
    let stdin = fs::read(work.join("stdin")).unwrap();
    let done = finish(mayfly_run(&options, program, arguments.lines()), &stdin);
    let expected = fs::read(work.join("expected")).unwrap();
    assert!(!expected.is_empty(), "{program}: this host printed nothing");
    assert_eq!((done.complaint().as_str(), done.code()), ("", 0), "{program}: {}", done.text());
    assert!(
        done.stdout == expected,
        "{program} printed\n{}\nand on this host\n{}",
        done.text(),
        String::from_utf8_lossy(&expected)
    );
}

#[test]
fn perl() {
    works("perl");
}

#[test]
fn sqlite3() {
    works("sqlite3");
}

#[test]
fn jq() {
    works("jq");
}

#[test]
fn gawk() {
    works("gawk");
}

#[test]
fn lua() {
    works("lua5.4");
}

#[test]
fn ruby() {
    works("ruby");
}

#[test]
fn xz() {
    works("xz");
}
