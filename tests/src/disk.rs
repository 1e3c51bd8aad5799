//! A file system that is soon full.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::Command;

/// What fills it up.
const BALLAST: &str = "ballast";

/// A file system of a few MiB, as root may make one.
#[derive(Debug)]
pub struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    /// One of so many MiB; `None`, and a line that says so, where this user may not mount.
    ///
    /// # Panics
    /// Where there is no temporary directory to be had.
    pub fn new(mib: u32) -> Option<SmallDisk> {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={mib}m"), "tmpfs"]).arg(dir.path());
        let is_mounted = mount.output().is_ok_and(|output| output.status.success());
        if !is_mounted {
            eprintln!("not run: this user may not mount a small file system");
        }
        is_mounted.then_some(SmallDisk(dir))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Takes all the room that is left.
    ///
    /// # Panics
    /// Where that file can't be made.
    pub fn fill(&self) {
        let mut ballast = File::create(self.path().join(BALLAST)).expect("a file");
        // In pages: a page is the least that tmpfs gives.
        while ballast.write_all(&[1; 4096]).is_ok() {}
    }

    /// Gives back what [`SmallDisk::fill`] took.
    ///
    /// # Panics
    /// Where it did not take any.
    pub fn free(&self) {
        fs::remove_file(self.path().join(BALLAST)).expect("the file");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}
