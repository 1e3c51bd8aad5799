//! `mayfly image from-host`: programs of this host and what they need to run.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::libraries::Program;
use super::mirror::Mirror;
use super::python::{Python, is_python};
use super::{script, tools};
use crate::elf::{self, Kind};
use crate::failure::{Failure, say};
use crate::{files, program};

/// Where the guest's kernel mounts its own: nobody sees what an image has there.
const MOUNTS: [&str; 3] = ["/dev", "/proc", "/tmp"];
/// Other directories that programs expect.
const DIRECTORIES: [&str; 5] = ["/sys", "/root", "/run", "/var/task", "/opt"];

/// Where programs look for others, and for their libraries; links, on a host that has all of it in /usr.
const LINKS: [&str; 4] = ["/bin", "/sbin", "/lib", "/lib64"];

/// Scripts that scripts run: Linux follows as many.
const NESTED_MAX: u32 = 5;

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

/// What of this host an image is to have.
#[derive(Clone, Copy, Debug, Default)]
pub struct Contents<'a> {
    /// Programs, with what they need.
    pub programs: &'a [PathBuf],
    /// Files and directories.
    pub more: &'a [PathBuf],
    /// Whether there are to be a shell and tools: `tools.rs`.
    pub has_tools: bool,
}

/// Builds an image in the file `out`; how many bytes it has.
///
/// # Errors
/// A program that this host does not have, or what it needs; what the host says.
pub fn from_host(contents: Contents<'_>, out: &Path) -> Result<u64, Failure> {
    let Contents { programs, more, has_tools } = contents;
    if programs.iter().any(|program| files::are_same(&program::find(program.as_os_str()), out)) {
        return Err(Failure::at(out, "it is a program of the image, which that must not replace"));
    }
    let mut mirror = Mirror::new()?;
    for directory in MOUNTS.into_iter().chain(DIRECTORIES) {
        mirror.directory(Path::new(directory))?;
    }
    for (path, text) in FILES {
        mirror.put(Path::new(path), text)?;
    }
    if Path::new(LOCALE).is_dir() {
        mirror.take_tree(Path::new(LOCALE), &|_| false)?;
    }
    for link in LINKS.map(Path::new) {
        if link.is_symlink() {
            mirror.take(link)?;
        }
    }
    let mut loaders = Vec::new();
    for program in programs {
        loaders.extend(take(program, &mut mirror, NESTED_MAX)?);
    }
    if has_tools {
        tools::take(&mut mirror, &mut loaders)?;
    }
    for path in more {
        say(&format!("with {}", path.display()));
        add(&visible(path)?, &mut mirror, &mut loaders)?;
    }
    let (tree, files) = mirror.into_parts();
    say(&format!("writing {} files to {}", files.len(), out.display()));
    super::write_files(tree, out, &files)
}

/// Takes a program with its libraries, or a script with who runs it; gives the dynamic programs among them.
fn take(program: &Path, mirror: &mut Mirror, nested_max: u32) -> Result<Vec<Program>, Failure> {
    let path = program::find(program.as_os_str());
    if is_python(program) {
        return Ok(Python::ask(&path)?.take(mirror)?.into_iter().collect());
    }
    let path = visible(&path)?;
    let file = open(&path)?;
    let failed = |error: io::Error| Failure::at(&path, error);
    match elf::inspect_file(&file).map_err(failed)? {
        Kind::Static | Kind::Dynamic(_) => {
            say(&format!("program: {}", path.display()));
            Ok(Program::take(&path, mirror)?.into_iter().collect())
        }
        Kind::Script(_) => {
            let nested_max = nested_max.checked_sub(1);
            let nested_max =
                nested_max.ok_or_else(|| Failure::at(&path, "a script, run by too many others"))?;
            say(&format!("script: {}", path.display()));
            mirror.take(&path)?;
            let mut head = [0; script::LINE_BYTES_MAX];
            let len = file.read_at(&mut head, 0).map_err(failed)?;
            let mut taken = Vec::new();
            for program in script::programs(&head[..len]) {
                taken.extend(take(&program, mirror, nested_max)?);
            }
            Ok(taken)
        }
        _ => Err(Failure::at(&path, "neither an x86-64 program nor a script that begins with #!")),
    }
}

/// Takes a file or a directory, and what the programs and the libraries in it load as the first of the `loaders` would.
fn add(path: &Path, mirror: &mut Mirror, loaders: &mut Vec<Program>) -> Result<(), Failure> {
    let first = mirror.taken().len();
    match path.is_dir() {
        true => mirror.take_tree(path, &|_| false)?,
        false => drop(mirror.take(path)?),
    }
    let added = mirror.taken()[first..].to_vec();
    for path in &added {
        let file = files::open(path).map_err(|error| Failure::at(path, error))?;
        let kind = elf::inspect_file(&file);
        match (kind.map_err(|error| Failure::at(path, error))?, loaders.first_mut()) {
            (Kind::Static | Kind::Dynamic(_), Some(loader)) => loader.take_plugin(path, mirror)?,
            (Kind::Dynamic(_), None) => loaders.extend(Program::take(path, mirror)?),
            _ => {}
        }
    }
    Ok(())
}

/// A path from the root on, where a guest can see what is there.
fn visible(path: &Path) -> Result<PathBuf, Failure> {
    let failed = |error: io::Error| Failure::at(path, error);
    let real = fs::canonicalize(path).map_err(failed)?;
    let path = std::path::absolute(path).map_err(failed)?;
    let is_under = |mount: &&&str| path.starts_with(mount) || real.starts_with(mount);
    match MOUNTS.iter().find(is_under) {
        Some(mount) => Err(Failure::at(
            &path,
            format!(
                "guests have a {mount} of their own over it: copy it elsewhere, to /opt for one"
            ),
        )),
        None => Ok(path),
    }
}

/// Opens a file that may be run.
fn open(path: &Path) -> Result<File, Failure> {
    let failed = |error: io::Error| Failure::at(path, error);
    let file = files::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err(Failure::at(path, "no regular file; what a program reads is taken with --add"));
    }
    if metadata.permissions().mode() & 0o111 == 0 {
        return Err(Failure::at(path, "not executable: chmod +x makes it a program"));
    }
    Ok(file)
}
