//! Scripts: who runs them, by their first line (execve(2), "Interpreter scripts").

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// Longest first line that the kernel looks at (Linux's BINPRM_BUF_SIZE).
pub const LINE_BYTES_MAX: usize = 256;

/// The programs that a script's `head` names, the interpreter first, and behind env(1) the one that it looks for; none where
/// it is no script.
pub fn programs(head: &[u8]) -> Vec<PathBuf> {
    let Some(line) = head.strip_prefix(b"#!") else { return Vec::new() };
    let line = line.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let words = line.split(|byte| matches!(byte, b' ' | b'\t' | b'\r'));
    let mut words =
        words.filter(|word| !word.is_empty()).map(|word| PathBuf::from(OsStr::from_bytes(word)));
    let Some(interpreter) = words.next() else { return Vec::new() };
    let is_env = interpreter.file_name() == Some(OsStr::new("env"));
    let is_plain = |word: &PathBuf| {
        let word = word.as_os_str().as_bytes();
        !word.starts_with(b"-") && !word.contains(&b'=')
    };
    let looked_for = words.find(is_plain).filter(|_| is_env);
    [interpreter].into_iter().chain(looked_for).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_says_who_runs_it() {
        for (head, wanted) in [
            ("#!/bin/sh\necho", &["/bin/sh"][..]),
            ("#! /usr/bin/perl -w", &["/usr/bin/perl"]),
            ("#!/usr/bin/env python3\r\n", &["/usr/bin/env", "python3"]),
            ("#!/usr/bin/env -S A=b node --flag", &["/usr/bin/env", "node"]),
            ("#!/usr/bin/env", &["/usr/bin/env"]),
            ("#!\n/bin/sh", &[]),
            ("\u{7f}ELF", &[]),
            ("", &[]),
        ] {
            let wanted: Vec<PathBuf> = wanted.iter().map(PathBuf::from).collect();
            assert_eq!(programs(head.as_bytes()), wanted, "{head:?}");
        }
    }
}
