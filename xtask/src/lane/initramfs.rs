//! Packs the lane's first root file system: busybox, the jobs and everything they need.
//!
//! ```text
//!   /init                  lane/init.sh
//!   /bin/busybox           the whole user space
//!   /lane/nonce …          what init.sh reads: nonce, seconds, modules, jobs
//!   /lane/modules.d/*.ko   in the order of their loading
//!   /mayfly/…              the release binary, the tests' executables, the programs for guests
//!   /lib/…, /lib64/…       shared libraries, at the paths they have on this host
//! ```

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::BufWriter;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::cpio::Archive;
use super::modules::Module;
use super::{Job, LANE_SECONDS_MAX};
use crate::failure::{Failure, Result};
use crate::{command, host};

/// Begins the names of directories that are guests' roots.
const GUEST_ROOT: &str = "root.";

/// What jobs find under /mayfly.
pub struct Contents<'a> {
    /// Kernel modules, in the order of their loading.
    pub modules: Vec<Module>,
    /// What to run.
    pub jobs: &'a [Job],
    /// (path in the lane, path on this host); a directory stands for everything below it.
    pub files: &'a [(String, PathBuf)],
    /// The word by which the host knows init.sh.
    pub nonce: &'a str,
}

/// Writes the archive to `path`.
pub fn pack(contents: &Contents, path: &Path) -> Result<()> {
    let file = File::create(path).map_err(Failure::file("creating", path))?;
    let mut packer = Packer {
        archive: Archive::new(BufWriter::new(file)),
        path,
        libraries: BTreeSet::new(),
        stripped: path.with_extension("stripped"),
    };
    packer.lane(contents)?;
    for (inside, outside) in contents.files {
        packer.tree(inside, outside)?;
    }
    for library in std::mem::take(&mut packer.libraries) {
        packer.copy(&library.to_string_lossy(), &library)?;
    }
    packer.archive.finish().map(drop).map_err(Failure::file("writing", path))
}

struct Packer<'a> {
    archive: Archive<BufWriter<File>>,
    /// The archive, for messages.
    path: &'a Path,
    /// What the packed programs load at their start.
    libraries: BTreeSet<PathBuf>,
    /// A scratch file.
    stripped: PathBuf,
}

impl Packer<'_> {
    /// What init.sh and the kernel need.
    fn lane(&mut self, contents: &Contents) -> Result<()> {
        // The kernel opens it for init before anything can be mounted.
        self.archive
            .character_device("/dev/console", 5, 1)
            .map_err(Failure::file("writing", self.path))?;
        self.write("/init", 0o755, include_bytes!("init.sh"))?;
        self.write("/lane/nonce", 0o600, contents.nonce.as_bytes())?;
        self.write("/lane/seconds", 0o644, LANE_SECONDS_MAX.to_string().as_bytes())?;
        self.write("/etc/passwd", 0o644, b"root:x:0:0:root:/root:/bin/sh\n")?;
        self.write("/etc/group", 0o644, b"root:x:0:\n")?;
        self.write("/etc/hosts", 0o644, b"127.0.0.1 localhost lane\n")?;

        let mut list = String::new();
        for module in &contents.modules {
            let path = format!("/lane/modules.d/{}.ko", module.name);
            self.write(&path, 0o644, &module.elf)?;
            list += &format!("{path}\n");
        }
        self.write("/lane/modules", 0o644, list.as_bytes())?;
        let jobs: String = contents
            .jobs
            .iter()
            .map(|job| format!("{} {} {}\n", job.name, job.seconds_max, job.command))
            .collect();
        self.write("/lane/jobs", 0o644, jobs.as_bytes())?;

        let busybox = host::which("busybox").ok_or(Failure::Missing("no busybox".into()))?;
        self.copy("/bin/busybox", &busybox)
    }

    /// Adds a file, or everything below a directory. What is in a guest's root goes as it is: its programs
    /// bring their own libraries.
    fn tree(&mut self, inside: &str, outside: &Path) -> Result<()> {
        if !outside.is_dir() {
            let is_guests = inside.split('/').any(|name| name.starts_with(GUEST_ROOT));
            let add = if is_guests { Self::copy } else { Self::program };
            return add(self, inside, outside);
        }
        self.archive.directory(inside).map_err(Failure::file("writing", self.path))?;
        for entry in fs::read_dir(outside).map_err(Failure::file("listing", outside))? {
            let entry = entry.map_err(Failure::file("listing", outside))?;
            let name = entry.file_name();
            self.tree(&format!("{inside}/{}", name.to_string_lossy()), &entry.path())?;
        }
        Ok(())
    }

    /// Adds a file; notes its libraries where it is a dynamic program.
    fn program(&mut self, inside: &str, outside: &Path) -> Result<()> {
        let mut magic = [0; 4];
        let is_elf = File::open(outside)
            .and_then(|mut file| std::io::Read::read_exact(&mut file, &mut magic))
            .is_ok_and(|()| &magic == b"\x7fELF");
        if !is_elf || host::is_static_elf(outside) {
            return self.copy(inside, outside);
        }
        self.libraries.extend(libraries(outside)?);
        // Debugging information is most of a test program, and the emulated machine has little memory.
        // What cannot be stripped goes as it is.
        let mut strip = Command::new("strip");
        strip.args(["--strip-debug", "-o"]).args([&self.stripped, outside]);
        let source = match command::capture(&mut strip) {
            Ok(_) => self.stripped.clone(),
            Err(_) => outside.to_owned(),
        };
        self.copy(inside, &source)
    }

    fn copy(&mut self, inside: &str, outside: &Path) -> Result<()> {
        let data = fs::read(outside).map_err(Failure::file("reading", outside))?;
        let mode = fs::metadata(outside).map_err(Failure::file("reading", outside))?.permissions();
        self.write(inside, mode.mode() & 0o777, &data)
    }

    fn write(&mut self, path: &str, permissions: u32, data: &[u8]) -> Result<()> {
        self.archive.file(path, permissions, data).map_err(Failure::file("writing", self.path))
    }
}

/// The shared libraries of a program and its dynamic linker, as `ldd` prints them:
/// `libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x…)`, `/lib64/ld-linux-x86-64.so.2 (0x…)`.
fn libraries(program: &Path) -> Result<Vec<PathBuf>> {
    let text = command::capture_text(Command::new("ldd").arg(program))?;
    Ok(text
        .split_ascii_whitespace()
        .filter(|word| word.starts_with('/') && !word.ends_with(':'))
        .map(PathBuf::from)
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_program_needs_libc_and_the_dynamic_linker() {
        let found = libraries(&std::env::current_exe().unwrap()).unwrap();
        let has = |name: &str| found.iter().any(|path| path.ends_with(name) && path.is_file());
        assert!(has("libc.so.6") && has("ld-linux-x86-64.so.2"), "{found:?}");
    }
}
