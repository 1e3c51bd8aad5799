#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use elf::abi::{DT_SONAME, DT_STRSZ};

use super::*;

const HEADERS: usize = 64 + 3 * 56;
/// Where the made-up file is mapped.
const BASE: u64 = 0x10_0000;

/// A shared library of three segments: all of it, the interpreter's path, the dynamic section.
fn library(tags: &[(i64, u64)], strings: &[u8]) -> Vec<u8> {
    let interpreter = b"/lib64/ld.so\0";
    let dynamic_at = HEADERS + interpreter.len();
    let strings_at = dynamic_at + (tags.len() + 2) * 16;
    let len = (strings_at + strings.len()) as u64;
    let mut file = b"\x7fELF\x02\x01\x01".to_vec();
    file.resize(16, 0);
    let half = |file: &mut Vec<u8>, value: u16| file.extend(value.to_le_bytes());
    let long = |file: &mut Vec<u8>, value: u64| file.extend(value.to_le_bytes());
    half(&mut file, ET_DYN);
    half(&mut file, EM_X86_64);
    file.extend(1u32.to_le_bytes());
    for value in [0, 64, 0] {
        long(&mut file, value);
    }
    file.extend(0u32.to_le_bytes());
    for value in [64, 56, 3, 64, 0, 0] {
        half(&mut file, value);
    }
    let parts = [
        (PT_LOAD, 0, len),
        (PT_INTERP, HEADERS as u64, interpreter.len() as u64),
        (PT_DYNAMIC, dynamic_at as u64, (strings_at - dynamic_at) as u64),
    ];
    for (kind, offset, size) in parts {
        file.extend(kind.to_le_bytes());
        file.extend(4u32.to_le_bytes());
        for value in [offset, BASE + offset, BASE + offset, size, size, 8] {
            long(&mut file, value);
        }
    }
    file.extend(interpreter);
    for (tag, value) in tags.iter().chain(&[(DT_STRTAB, BASE + strings_at as u64), (DT_NULL, 0)]) {
        long(&mut file, *tag as u64);
        long(&mut file, *value);
    }
    file.extend(strings);
    file
}

#[test]
fn a_librarys_wishes_are_read() {
    let strings = b"\0libm.so.6\0libc.so.6\0$ORIGIN/../lib\0/opt\0";
    let tags = [
        (DT_NEEDED, 1),
        (DT_NEEDED, 11),
        (DT_SONAME, 1),
        (DT_RUNPATH, 21),
        (DT_RPATH, 36),
        (DT_STRSZ, 42),
    ];
    let dynamic = Dynamic::parse(&library(&tags, strings)).unwrap();
    assert_eq!(dynamic.interpreter.as_deref(), Some(&b"/lib64/ld.so"[..]));
    assert_eq!(dynamic.needed, [b"libm.so.6", b"libc.so.6"]);
    assert_eq!(dynamic.runpath.as_deref(), Some(&b"$ORIGIN/../lib"[..]));
    assert_eq!(dynamic.rpath.as_deref(), Some(&b"/opt"[..]));
}

#[test]
fn broken_files_are_refused_wherever_they_break() {
    let good = library(&[(DT_NEEDED, 1)], b"\0libc.so.6\0");
    assert!(Dynamic::parse(&good).is_ok());
    for len in 0..good.len() {
        assert_eq!(Dynamic::parse(&good[..len]), Err(NotLoadable), "cut to {len} bytes");
    }
    for (name, at) in [("past the strings", 99), ("far past", u64::MAX)] {
        let bad = library(&[(DT_NEEDED, at)], b"\0libc.so.6\0");
        assert_eq!(Dynamic::parse(&bad), Err(NotLoadable), "{name}");
    }
    let unended = library(&[(DT_NEEDED, 1)], b"\0libc.so.6");
    assert_eq!(Dynamic::parse(&unended), Err(NotLoadable));
    let mut other = good.clone();
    other[18] = 183; // AArch64
    assert_eq!(Dynamic::parse(&other), Err(NotLoadable));
    assert_eq!(Dynamic::parse(b"#!/bin/sh\n"), Err(NotLoadable));
}

#[test]
fn any_byte_may_be_wrong() {
    let good = library(&[(DT_NEEDED, 1), (DT_RPATH, 1)], b"\0libc.so.6\0");
    for at in 0..good.len() {
        for value in [0, 1, 0x7f, 0xff] {
            let mut bad = good.clone();
            bad[at] = value;
            // Whatever it says of the file: it says something, and ends.
            let _ = Dynamic::parse(&bad);
        }
    }
}
