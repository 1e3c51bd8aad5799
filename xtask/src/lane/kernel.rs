//! Debian's kernel for the lane: fetched once into target/lane, unpacked there, never installed.
//!
//! `linux-image-cloud-amd64` is an empty package that depends on the current kernel, whose name changes
//! with each security update; the old ones vanish from the archive.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::modules::Modules;
use crate::failure::{Failure, Result};
use crate::{command, host, pieces};

const META_PACKAGE: &str = "linux-image-cloud-amd64";
const PREFIX: &str = "linux-image-";

/// An unpacked kernel package.
pub struct Kernel {
    /// The compressed image that a boot loader takes.
    pub image: PathBuf,
    /// Its modules.
    pub modules: Modules,
}

impl Kernel {
    /// The kernel in `cache`, fetched where it is not there yet.
    pub fn obtain(cache: &Path) -> Result<Self> {
        fs::create_dir_all(cache).map_err(Failure::file("creating", cache))?;
        let dir = match current_package() {
            Ok(package) if cache.join(&package).is_dir() => cache.join(package),
            Ok(package) => fetch(&package, cache)?,
            // No archive within reach: an earlier kernel does as well.
            Err(failure) => newest(cache).ok_or(failure)?,
        };
        let missing = |what: &str| Failure::Missing(format!("{} holds no {what}", dir.display()));
        let image = find(&dir.join("boot"), "vmlinuz-").ok_or_else(|| missing("vmlinuz"))?;
        // Debian 13 moved /lib into /usr/lib.
        let modules = ["lib/modules", "usr/lib/modules"].map(|path| dir.join(path));
        let modules =
            modules.iter().find(|path| path.is_dir()).ok_or_else(|| missing("modules"))?;
        Ok(Self { image, modules: Modules::index(modules)? })
    }

    /// The version, as `uname -r` prints it.
    pub fn version(&self) -> &str {
        let name = self.image.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.trim_start_matches("vmlinuz-")
    }
}

/// The package that [`META_PACKAGE`] depends on today.
fn current_package() -> Result<String> {
    if !host::is_debian() {
        return Err(Failure::Missing(
            "the hardware lane boots Debian's cloud kernel, and this host's packages are not Debian's: \
             run `cargo xtask test --no-lane`, or run it in a Debian container"
                .into(),
        ));
    }
    let ask = || {
        let text =
            command::capture_text(Command::new("apt-cache").args(["depends", META_PACKAGE]))?;
        text.lines()
            .filter_map(|line| line.trim().strip_prefix("Depends: "))
            .find(|package| package.starts_with(PREFIX))
            .map(str::to_owned)
            .ok_or(Failure::Missing(format!(
                "apt does not know {META_PACKAGE}: type `sudo apt-get update`"
            )))
    };
    match ask() {
        Err(_) if host::is_root() => pieces::refresh().and_then(|()| ask()),
        answer => answer,
    }
}

/// Downloads and unpacks `package`. It appears in `cache` under its own name only once it is whole.
fn fetch(package: &str, cache: &Path) -> Result<PathBuf> {
    println!("Fetching {package} (about 30 MB) …");
    let (partial, whole) = (cache.join("partial"), cache.join(package));
    if partial.exists() {
        fs::remove_dir_all(&partial).map_err(Failure::file("removing", &partial))?;
    }
    fs::create_dir_all(&partial).map_err(Failure::file("creating", &partial))?;
    let download = || {
        let mut apt_get = pieces::apt_get();
        // Under the user _apt it could not write here: it says so and goes on as root.
        apt_get.args(["download", "--quiet", package]).current_dir(&partial);
        command::capture(&mut apt_get)
    };
    if let Err(failure) = download() {
        if !host::is_root() {
            return Err(failure);
        }
        pieces::refresh()?;
        download()?;
    }
    let package = find(&partial, PREFIX)
        .ok_or_else(|| Failure::Missing(format!("apt-get download left no {PREFIX}*.deb")))?;
    command::run(Command::new("dpkg").arg("--extract").arg(&package).arg(&partial))?;
    fs::remove_file(&package).map_err(Failure::file("removing", &package))?;
    fs::rename(&partial, &whole).map_err(Failure::file("renaming", &partial))?;
    Ok(whole)
}

/// The entry of `cache` that was fetched last.
fn newest(cache: &Path) -> Option<PathBuf> {
    fs::read_dir(cache)
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.join("boot").is_dir() && !path.ends_with("partial"))
        .max_by_key(|path| path.metadata().and_then(|data| data.modified()).ok())
}

/// The first entry of `dir` whose name starts with `prefix`.
fn find(dir: &Path, prefix: &str) -> Option<PathBuf> {
    fs::read_dir(dir)
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.file_name().is_some_and(|n| n.to_string_lossy().starts_with(prefix)))
}
