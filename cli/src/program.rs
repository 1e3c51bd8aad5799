//! The program's file on this host, checked before a VM is asked to run it.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::elf::{self, Kind};
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
pub fn find(name: &OsStr) -> PathBuf {
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
    Ok(match elf::inspect_file(file)? {
        Kind::Static => None,
        Kind::Dynamic(_) => Some("it is dynamically linked: its libraries need a --rootfs".into()),
        Kind::Script(_) => Some("it is a script: its interpreter needs a --rootfs".into()),
        Kind::Foreign(class, machine) => Some(format!(
            "it is for another architecture (ELF class {class}, machine {machine}), not x86-64"
        )),
        Kind::NotExecutable => Some("it is an ELF file, but not an executable".into()),
        Kind::CutShort => Some("it is an ELF file that is cut short".into()),
        Kind::Other => Some("it is not an ELF executable".into()),
    })
}
