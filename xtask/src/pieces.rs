//! What the chores need from Debian: installed where we may, else named with the command to type.

use std::process::Command;

use crate::failure::{Failure, Result};
use crate::{command, host};

/// A Debian package, by what it is needed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece {
    /// A static busybox: the program that guests run most, and the hardware lane's user space.
    Busybox,
    /// `musl-gcc`: static C programs for guests.
    Musl,
    /// `mkfs.erofs` and `fsck.erofs`: the reference that our images are held against.
    Erofs,
    /// PostgreSQL, of which tests start clusters of their own. The one that the package makes is left alone.
    Postgres,
    /// `python3 -m venv`, for AWS's own clients.
    Python,
    /// The machine that the hardware lane runs on.
    Qemu,
    /// `mke2fs`: the disk of a machine whose power is cut.
    Ext4,
    /// A program that guests run as it is.
    Program {
        /// Its name.
        name: &'static str,
        /// Whose it is.
        package: &'static str,
    },
}

impl Piece {
    fn package(self) -> &'static str {
        match self {
            Self::Busybox => "busybox-static",
            Self::Musl => "musl-tools",
            Self::Erofs => "erofs-utils",
            Self::Postgres => "postgresql",
            Self::Python => "python3-venv",
            Self::Qemu => "qemu-system-x86",
            Self::Ext4 => "e2fsprogs",
            Self::Program { package, .. } => package,
        }
    }

    fn is_here(self) -> bool {
        match self {
            // Debian's other busybox package has the same name on disk and is dynamic.
            Self::Busybox => host::which("busybox").is_some_and(|file| host::is_static_elf(&file)),
            Self::Musl => host::which("musl-gcc").is_some(),
            Self::Erofs => host::which("mkfs.erofs").is_some(),
            Self::Postgres => mayfly_postgres::Programs::find().is_ok(),
            // Debian splits off the part of the standard library that makes environments.
            Self::Python => {
                let mut python = Command::new("python3");
                command::capture(python.args(["-c", "import venv, ensurepip"])).is_ok()
            }
            Self::Qemu => host::which("qemu-system-x86_64").is_some(),
            Self::Ext4 => host::which("mke2fs").is_some(),
            Self::Program { name, .. } => host::which(name).is_some(),
        }
    }
}

/// Makes sure that every one of `pieces` is on this host.
///
/// # Errors
///
/// [`Failure::Missing`] with the command to type, where this process may not install packages.
pub fn ensure(pieces: &[Piece]) -> Result<()> {
    let missing: Vec<&str> =
        pieces.iter().filter(|piece| !piece.is_here()).map(|piece| piece.package()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let packages = missing.join(" ");
    if host::which("apt-get").is_none() {
        return Err(Failure::Missing(format!(
            "this host lacks what Debian calls {packages}. Install them with its own package manager."
        )));
    }
    if !host::is_root() {
        return Err(Failure::Missing(format!(
            "this host lacks {packages}. Type:\n\n    sudo apt-get update && sudo apt-get install \
             --yes --no-install-recommends {packages}\n"
        )));
    }
    println!("Installing {packages} …");
    refresh()?;
    command::run(
        apt_get().args(["install", "--yes", "--quiet", "--no-install-recommends"]).args(&missing),
    )?;
    match pieces.iter().find(|piece| !piece.is_here()) {
        None => Ok(()),
        Some(piece) => Err(Failure::Missing(format!(
            "{} is installed, and still its programs are not on the PATH",
            piece.package()
        ))),
    }
}

/// Fetches apt's lists of packages; needs root.
pub fn refresh() -> Result<()> {
    command::run(apt_get().args(["update", "--quiet"]))
}

/// An `apt-get` that asks nothing.
pub fn apt_get() -> Command {
    let mut command = Command::new("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive");
    command
}
