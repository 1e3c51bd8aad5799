//! The program's file on this host, checked before a VM is asked to run it.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::failure::Failure;
use crate::files;

/// A static ELF executable, open.
#[derive(Debug)]
pub struct Program {
    /// The file.
    pub file: File,
    /// Bytes in it.
    pub len: u64,
    /// Its last name.
    pub name: Vec<u8>,
}

/// Bytes of an ELF64 header, and of one program header (System V gABI, ch. 4 and 5).
const HEADER: usize = 64;
const PROGRAM_HEADER: usize = 56;
const EM_X86_64: u16 = 62;
const ET_EXEC: u16 = 2;
const ET_DYN: u16 = 3;
const PT_INTERP: u32 = 3;
/// Most program headers to look through for an interpreter; Linux allows a page of them.
const PROGRAM_HEADERS_MAX: u16 = 73;

impl Program {
    /// Opens the program that the user calls `name`: a path, or else a file on the host's PATH.
    ///
    /// # Errors
    /// A file that a guest could not run, and why.
    pub fn open(name: &OsStr) -> Result<Program, Failure> {
        if name.is_empty() {
            return Err(Failure::new("the program's name is empty"));
        }
        let path = find(name);
        let file = files::open(&path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Failure::at(&path, "no such file on this host"),
            io::ErrorKind::PermissionDenied => Failure::at(&path, "permission denied"),
            _ => Failure::at(&path, error),
        })?;
        let metadata = file.metadata().map_err(|error| Failure::at(&path, error))?;
        let problem = if metadata.is_dir() {
            Some("it is a directory")
        } else if !metadata.is_file() {
            Some("it is not a regular file")
        } else if metadata.permissions().mode() & 0o111 == 0 {
            Some("it is not executable (chmod +x)")
        } else {
            None
        };
        if let Some(problem) = problem {
            return Err(Failure::at(&path, problem));
        }
        if let Some(problem) = unfit(&file).map_err(|error| Failure::at(&path, error))? {
            return Err(Failure::at(&path, problem));
        }
        let name = path.file_name().map_or(&b"program"[..], OsStr::as_bytes).to_vec();
        Ok(Program { file, len: metadata.len(), name })
    }
}

/// Where the program is: as for a shell, a name without a slash may be on the PATH.
fn find(name: &OsStr) -> PathBuf {
    let path = Path::new(name);
    if name.as_bytes().contains(&b'/') || path.exists() {
        return path.to_owned();
    }
    let places = std::env::var_os("PATH").unwrap_or_default();
    let mut candidates = std::env::split_paths(&places).map(|place| place.join(name));
    candidates.find(|candidate| candidate.is_file()).unwrap_or_else(|| path.to_owned())
}

/// Why the file is no program for a guest that has nothing else.
fn unfit(file: &File) -> io::Result<Option<String>> {
    let mut header = [0; HEADER];
    let len = read_up_to(file, &mut header)?;
    if header.starts_with(b"#!") {
        return Ok(Some("it is a script: its interpreter needs a --rootfs".into()));
    }
    if !header.starts_with(b"\x7fELF") {
        return Ok(Some("it is not an ELF executable".into()));
    }
    let half = |at: usize| u16::from_le_bytes([header[at], header[at + 1]]);
    let (class, kind, machine) = (header[4], half(16), half(18));
    if class != 2 || header[5] != 1 || machine != EM_X86_64 {
        return Ok(Some(format!(
            "it is for another architecture (ELF class {class}, machine {machine}), not x86-64"
        )));
    }
    if len < HEADER || !matches!(kind, ET_EXEC | ET_DYN) {
        return Ok(Some("it is an ELF file, but not an executable".into()));
    }
    let offset = u64::from_le_bytes(std::array::from_fn(|at| header[32 + at]));
    for index in 0..half(56).min(PROGRAM_HEADERS_MAX) {
        let mut entry = [0; 4];
        let at = offset.saturating_add(u64::from(index) * PROGRAM_HEADER as u64);
        if at > i64::MAX as u64 || file.read_at(&mut entry, at)? < entry.len() {
            return Ok(Some("it is an ELF file that is cut short".into()));
        }
        if u32::from_le_bytes(entry) == PT_INTERP {
            return Ok(Some("it is dynamically linked: its libraries need a --rootfs".into()));
        }
    }
    Ok(None)
}

fn read_up_to(file: &File, into: &mut [u8]) -> io::Result<usize> {
    let mut done = 0;
    while done < into.len() {
        match file.read_at(&mut into[done..], done as u64)? {
            0 => break,
            count => done += count,
        }
    }
    Ok(done)
}
