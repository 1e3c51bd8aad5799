//! `mayfly image from-host`: programs of this host and what they need to run.

use std::path::{Path, PathBuf};

use mayfly_image::walk;

use super::libraries::Program;
use super::mirror::Mirror;
use super::python::{Python, is_python};
use crate::failure::{Failure, say};
use crate::program;

/// Directories that programs expect; the kernel mounts its own over the first three.
const DIRECTORIES: [&str; 8] =
    ["/dev", "/proc", "/tmp", "/sys", "/root", "/run", "/var/task", "/opt"];

/// glibc's C.UTF-8: the only locale that says what text is and is everybody's (CPython prefers it to C, PEP 538).
const LOCALE: &str = "/usr/lib/locale/C.utf8";

/// Files of every system, ours and not this host's: who uses it is nobody's business.
const FILES: [(&str, &str); 4] = [
    (
        "/etc/passwd",
        "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
    ),
    ("/etc/group", "root:x:0:\nnogroup:x:65534:\n"),
    ("/etc/hosts", "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"),
    (
        "/etc/nsswitch.conf",
        "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\nservices: files\nprotocols: files\n",
    ),
];

/// Builds an image of the programs, and of the files and directories in `more`, in the file `out`; how many bytes
/// it has.
///
/// # Errors
/// A program that this host does not have, or what it needs; what the host says.
pub fn from_host(programs: &[PathBuf], more: &[PathBuf], out: &Path) -> Result<u64, Failure> {
    let mut mirror = Mirror::new()?;
    for directory in DIRECTORIES {
        mirror.directory(Path::new(directory))?;
    }
    for (path, text) in FILES {
        mirror.put(Path::new(path), text)?;
    }
    if Path::new(LOCALE).is_dir() {
        mirror.take_tree(Path::new(LOCALE), &|_| false)?;
    }
    for program in programs {
        take(program, &mut mirror)?;
    }
    for path in more {
        say(&format!("with {}", path.display()));
        let path = std::path::absolute(path).map_err(|error| Failure::at(path, error))?;
        match path.is_dir() {
            true => mirror.take_tree(&path, &|_| false)?,
            false => drop(mirror.take(&path)?),
        }
    }
    let (tree, files) = mirror.into_parts();
    say(&format!("writing {} files to {}", files.len(), out.display()));
    super::write(tree, out, |id| walk::open(&files, id))
}

fn take(program: &Path, mirror: &mut Mirror) -> Result<(), Failure> {
    let path = program::find(program.as_os_str());
    if is_python(program) {
        return Python::ask(&path)?.take(mirror);
    }
    let path = std::path::absolute(&path).map_err(|error| Failure::at(&path, error))?;
    say(&format!("program: {}", path.display()));
    Program::take(&path, mirror).map(drop)
}
