//! Scripts: a first line `#!interpreter [argument]` (execve(2)).

use alloc::vec::Vec;

/// Longest first line that counts (Linux's BINPRM_BUF_SIZE).
const LINE_MAX: usize = 256;

/// What the first line says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// Path of the program that runs the script.
    pub interpreter: Vec<u8>,
    /// The rest of the line, one argument, if there is any.
    pub argument: Option<Vec<u8>>,
}

impl Script {
    /// Parses the start of a file.
    pub fn parse(start: &[u8]) -> Option<Script> {
        let line = start[..start.len().min(LINE_MAX)].strip_prefix(b"#!")?;
        let line = line.split(|byte| *byte == b'\n').next()?.trim_ascii();
        let end = line.iter().position(|byte| matches!(byte, b' ' | b'\t')).unwrap_or(line.len());
        let (interpreter, rest) = line.split_at(end);
        let rest = rest.trim_ascii_start();
        (!interpreter.is_empty()).then(|| Script {
            interpreter: interpreter.to_vec(),
            argument: (!rest.is_empty()).then(|| rest.to_vec()),
        })
    }

    /// The arguments with which to run the interpreter of the script at `path`.
    pub fn arguments(&self, path: &[u8], argv: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let mut all = alloc::vec![self.interpreter.clone()];
        all.extend(self.argument.clone());
        all.push(path.to_vec());
        all.extend_from_slice(argv.get(1..).unwrap_or(&[]));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_is_split_once() {
        let script = Script::parse(b"#! /usr/bin/env  -S a b \nrest").unwrap();
        assert_eq!(script.interpreter, b"/usr/bin/env");
        assert_eq!(script.argument.as_deref(), Some(&b"-S a b"[..]));
        assert_eq!(Script::parse(b"#!/bin/sh").unwrap().argument, None);
        assert_eq!(Script::parse(b"#!\n"), None);
        assert_eq!(Script::parse(b"\x7fELF"), None);
        assert_eq!(Script::parse(b""), None);
    }
}
