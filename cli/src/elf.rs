//! What kind of program a file is, from its first bytes (System V gABI, ch. 4 and 5).

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// What a file is to a guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An x86-64 executable that needs nothing else.
    Static,
    /// An x86-64 executable that this dynamic linker must load.
    Dynamic(String),
    /// A text that this program must interpret.
    Script(String),
    /// An ELF file for another architecture: its class and machine.
    Foreign(u8, u16),
    /// An ELF file that is not to be executed: an object, a core dump.
    NotExecutable,
    /// An ELF file that ends too early.
    CutShort,
    /// No program at all.
    Other,
}

/// Bytes of an ELF64 header, and of one program header.
const HEADER: usize = 64;
const PROGRAM_HEADER: usize = 56;
const EM_X86_64: u16 = 62;
const ET_EXEC: u16 = 2;
const ET_DYN: u16 = 3;
const PT_LOAD: u32 = 1;
const PT_INTERP: u32 = 3;
/// Most program headers to look through for an interpreter; Linux allows a page of them.
const PROGRAM_HEADERS_MAX: u16 = 73;
/// Longest name of an interpreter: PATH_MAX for Linux too.
const INTERPRETER_BYTES_MAX: u64 = 4096;

/// Looks at a file.
///
/// # Errors
/// What the host says.
pub fn inspect_file(file: &File) -> io::Result<Kind> {
    inspect(|into, at| file.read_at(into, at))
}

/// Looks at a file through `read_at`, which is as [`std::os::unix::fs::FileExt::read_at`].
///
/// # Errors
/// What `read_at` says.
pub fn inspect(read_at: impl Fn(&mut [u8], u64) -> io::Result<usize>) -> io::Result<Kind> {
    let read = |into: &mut [u8], at: u64| read_up_to(&read_at, into, at);
    let mut header = [0; HEADER];
    let len = read(&mut header, 0)?;
    if header.starts_with(b"#!") {
        let mut line = [0; 256];
        let len = read(&mut line, 2)?;
        let line = String::from_utf8_lossy(&line[..len]).into_owned();
        let words = line.lines().next().unwrap_or_default().split_whitespace().next();
        return Ok(Kind::Script(words.unwrap_or_default().into()));
    }
    if !header.starts_with(b"\x7fELF") {
        return Ok(Kind::Other);
    }
    if len < HEADER {
        return Ok(Kind::CutShort);
    }
    let half = |at: usize| u16::from_le_bytes([header[at], header[at + 1]]);
    let (class, kind, machine) = (header[4], half(16), half(18));
    if class != 2 || header[5] != 1 || machine != EM_X86_64 {
        return Ok(Kind::Foreign(class, machine));
    }
    if !matches!(kind, ET_EXEC | ET_DYN) {
        return Ok(Kind::NotExecutable);
    }
    let table = u64::from_le_bytes(std::array::from_fn(|at| header[32 + at]));
    let mut interpreter = None;
    for index in 0..half(56).min(PROGRAM_HEADERS_MAX) {
        let mut entry = [0; PROGRAM_HEADER];
        let at = table.saturating_add(u64::from(index) * PROGRAM_HEADER as u64);
        if at > i64::MAX as u64 || read(&mut entry, at)? < entry.len() {
            return Ok(Kind::CutShort);
        }
        let kind = u32::from_le_bytes(std::array::from_fn(|at| entry[at]));
        if !matches!(kind, PT_LOAD | PT_INTERP) {
            continue;
        }
        let word = |at: usize| u64::from_le_bytes(std::array::from_fn(|n| entry[at + n]));
        let (offset, len) = (word(8), word(32));
        let Some(end) = offset.checked_add(len).filter(|end| *end <= i64::MAX as u64) else {
            return Ok(Kind::CutShort);
        };
        // A segment is there where its last byte is.
        if len > 0 && read(&mut [0], end - 1)? == 0 {
            return Ok(Kind::CutShort);
        }
        if kind == PT_INTERP {
            let mut name = vec![0; len.min(INTERPRETER_BYTES_MAX) as usize];
            let len = read(&mut name, offset)?;
            let name = String::from_utf8_lossy(&name[..len]);
            interpreter = Some(name.trim_end_matches('\0').into());
        }
    }
    Ok(interpreter.map_or(Kind::Static, Kind::Dynamic))
}

fn read_up_to(
    read_at: impl Fn(&mut [u8], u64) -> io::Result<usize>,
    into: &mut [u8],
    at: u64,
) -> io::Result<usize> {
    let mut done = 0;
    while done < into.len() {
        match read_at(&mut into[done..], at.saturating_add(done as u64))? {
            0 => break,
            count => done += count,
        }
    }
    Ok(done)
}

/// Looks at a file that is in memory.
pub fn inspect_bytes(bytes: &[u8]) -> Kind {
    let kind = inspect(|into, at| {
        let rest = usize::try_from(at).ok().and_then(|at| bytes.get(at..)).unwrap_or_default();
        let count = rest.len().min(into.len());
        into[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    });
    // Reading from memory does not fail.
    kind.unwrap_or(Kind::Other)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header of this class, type and machine, with one program header of this kind behind it.
    fn elf(class: u8, kind: u16, machine: u16, entry: u32) -> Vec<u8> {
        let mut file = vec![0; HEADER + PROGRAM_HEADER];
        file[..6].copy_from_slice(&[0x7f, b'E', b'L', b'F', class, 1]);
        file[16..18].copy_from_slice(&kind.to_le_bytes());
        file[18..20].copy_from_slice(&machine.to_le_bytes());
        file[32] = HEADER as u8;
        file[56] = 1;
        file[HEADER..HEADER + 4].copy_from_slice(&entry.to_le_bytes());
        file[HEADER + 8] = (HEADER + PROGRAM_HEADER) as u8;
        file[HEADER + 32] = 7;
        file.extend(b"/ld.so\0rest");
        file
    }

    #[test]
    fn each_kind_is_told() {
        let program = elf(2, ET_EXEC, EM_X86_64, 1);
        assert_eq!(inspect_bytes(&program), Kind::Static);
        assert_eq!(inspect_bytes(&program[..HEADER + 8]), Kind::CutShort);
        let dynamic = elf(2, ET_DYN, EM_X86_64, PT_INTERP);
        assert_eq!(inspect_bytes(&dynamic), Kind::Dynamic("/ld.so".into()));
        for len in [4, HEADER - 1, HEADER, HEADER + PROGRAM_HEADER, HEADER + PROGRAM_HEADER + 6] {
            assert_eq!(inspect_bytes(&program[..len]), Kind::CutShort, "{len}");
            assert_eq!(inspect_bytes(&dynamic[..len]), Kind::CutShort, "{len}");
        }
        let mut endless = elf(2, ET_EXEC, EM_X86_64, 1);
        endless[HEADER + 32..HEADER + 40].fill(0xff);
        assert_eq!(inspect_bytes(&endless), Kind::CutShort);
        assert_eq!(inspect_bytes(&elf(2, ET_EXEC, 183, 1)), Kind::Foreign(2, 183));
        assert_eq!(inspect_bytes(&elf(1, ET_EXEC, 3, 1)), Kind::Foreign(1, 3));
        assert_eq!(inspect_bytes(&elf(2, 1, EM_X86_64, 1)), Kind::NotExecutable);
        assert_eq!(inspect_bytes(b"#! /bin/sh -e\nexit"), Kind::Script("/bin/sh".into()));
        assert_eq!(inspect_bytes(b"#!"), Kind::Script(String::new()));
        assert_eq!(inspect_bytes(b""), Kind::Other);
    }
}
