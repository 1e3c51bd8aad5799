//! Our own kernel as a file does what the embedded one does; a file that is no kernel does nothing.

#[path = "kvm_hostile/verdict.rs"]
#[allow(dead_code, reason = "shared with tests that use all of it")]
mod verdict;

use std::fs;
use std::path::Path;

use mayfly_tests::{Finished, fixture, mayfly_run};
use tempfile::NamedTempFile;
use verdict::{assert_refused, run};

fn with_kernel(kernel: &Path, program: &str, arguments: &[&str], stdin: &[u8]) -> Finished {
    let options = ["--mem", "64", "--kernel", kernel.to_str().expect("UTF-8")];
    run(mayfly_run(&options, fixture(program), arguments), stdin)
}

#[test]
fn it_boots_and_runs_programs() {
    let kernel = fixture("guests/mayfly-kernel");
    let hello = with_kernel(&kernel, "hello", &["a", "b"], b"");
    assert_eq!((hello.code(), hello.complaint().as_str()), (0, ""));
    assert!(hello.text().ends_with("2 argument(s)\n"), "{}", hello.text());
    let cat = with_kernel(&kernel, "busybox", &["cat"], b"through the kernel in a file");
    assert_eq!((cat.code(), cat.text().as_str()), (0, "through the kernel in a file"));
    assert_eq!(with_kernel(&kernel, "endings", &["exit", "42"], b"").code(), 42);
}

/// A kernel's file of these bytes is refused.
fn refused(bytes: &[u8], expected: &str) {
    let file = NamedTempFile::new().expect("a temporary file");
    fs::write(file.path(), bytes).expect("it can be written");
    assert_refused(&with_kernel(file.path(), "hello", &[], b""), expected, expected);
}

#[test]
fn what_is_no_kernel_is_refused_with_the_reason() {
    refused(b"", "0 bytes");
    refused(b"\x7fEL", "too short");
    refused(b"#!/bin/sh\necho a kernel\n", "not an ELF file");
    refused(&vec![0; 1 << 20], "not an ELF file");
    let program = fs::read(fixture("hello")).expect("it is there");
    refused(&program, "no Mayfly kernel header");
}

#[test]
fn a_kernel_that_is_not_whole_is_refused_with_the_reason() {
    let good = fs::read(fixture("guests/mayfly-kernel")).expect("it is there");
    for len in [40, 64, 100, 200, 5000, good.len() / 4] {
        refused(&good[..len], "");
    }
    // The file's class is at 4, its machine at 18 (System V gABI, ELF header).
    for (at, value) in [(4, 1), (18, 183), (18, 3)] {
        let mut other = good.clone();
        other[at] = value;
        refused(&other, "another architecture");
    }
}

/// Fields of the first PT_LOAD (System V gABI, program header), made absurd.
#[test]
fn segments_that_cannot_be_are_refused() {
    let good = fs::read(fixture("guests/mayfly-kernel")).expect("it is there");
    let headers = u64::from_le_bytes(good[32..40].try_into().expect("8 bytes")) as usize;
    let kinds = (headers..).step_by(56).map(|at| (at, good[at]));
    let (load, _) = kinds.into_iter().find(|&(_, kind)| kind == 1).expect("a PT_LOAD");
    let (offset, physical, file_len, memory_len) = (8, 24, 32, 40);
    for (field, value) in [
        (offset, u64::MAX),
        (offset, good.len() as u64),
        (physical, 1 << 40),
        (physical, u64::MAX - 100),
        (physical, 63 << 20),
        (physical, 0x1000),
        (physical, 0),
        (file_len, u64::MAX),
        (file_len, 1 << 40),
        (memory_len, u64::MAX),
        (memory_len, 1 << 40),
        (memory_len, 64 << 20),
    ] {
        let mut bad = good.clone();
        bad[load + field..load + field + 8].copy_from_slice(&value.to_le_bytes());
        refused(&bad, "");
    }
    let mut many = good.clone();
    many[56..58].copy_from_slice(&u16::MAX.to_le_bytes());
    refused(&many, "");
    let mut nowhere = good;
    nowhere[32..40].copy_from_slice(&(u64::MAX - 7).to_le_bytes());
    refused(&nowhere, "");
}

#[test]
fn places_that_are_no_kernel_are_refused() {
    let at = |path: &str| with_kernel(Path::new(path), "hello", &[], b"");
    assert_refused(&at("/no/such/kernel"), "/no/such/kernel: No such file", "missing");
    assert_refused(&at("/"), "directory", "a directory");
    assert_refused(&at("/dev/null"), "0 bytes", "/dev/null");
    assert_refused(&at("/dev/zero"), "not an ELF file", "/dev/zero");
}
