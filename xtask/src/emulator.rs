//! AWS's Runtime Interface Emulator, which is inside the Python package `aws-sam-cli`: what a warm invocation is
//! measured beside. It is fetched once, unpacked and never installed; without it the measurements go on.
//!
//! ```text
//!   pip download aws-sam-cli ─▶ target/rie/….whl ─▶ target/rie/samcli/local/rapid/aws-lambda-rie-x86_64
//! ```

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cargo::Workspace;
use crate::command;
use crate::failure::{Failure, Result};

/// Where the package has it.
const PROGRAM: &str = "samcli/local/rapid/aws-lambda-rie-x86_64";

/// The emulator, fetched where it is not here yet; `None`, and why, where that fails.
pub fn find(workspace: &Workspace) -> Option<PathBuf> {
    let dir = workspace.target.join("rie");
    let program = dir.join(PROGRAM);
    if !program.is_file()
        && let Err(failure) = fetch(&dir, &program)
    {
        println!("Not measured: AWS's Runtime Interface Emulator ({failure})");
        return None;
    }
    Some(program)
}

fn fetch(dir: &Path, program: &Path) -> Result<()> {
    println!("Fetching AWS's Runtime Interface Emulator …");
    fs::create_dir_all(dir).map_err(Failure::file("creating", dir))?;
    let pip =
        ["-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:", "aws-sam-cli"];
    command::capture(Command::new("python3").args(pip).arg("--dest").arg(dir))?;
    let entries = fs::read_dir(dir).map_err(Failure::file("listing", dir))?;
    let mut files = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let wheel = files.find(|file| file.extension().is_some_and(|extension| extension == "whl"));
    let wheel = wheel.ok_or(Failure::Missing("pip has fetched no wheel".into()))?;
    command::capture(Command::new("python3").args(["-m", "zipfile", "-e"]).args([&wheel, dir]))?;
    // The archive's module does not restore permissions.
    fs::set_permissions(program, fs::Permissions::from_mode(0o755))
        .map_err(Failure::file("making executable", program))
}
