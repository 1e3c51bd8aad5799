//! The file systems of execution environments.
//!
//! ```text
//!   provided.*    │ a minimal root with the code in it           │ runs /var/task/bootstrap or /opt/bootstrap
//!   pythonX.Y     │ DATA/runtimes/pythonX.Y.img │ code at /var/task │ runs /var/runtime/bootstrap
//! ```
//!
//! Layers, where a function has some, are one more image, at /opt.
//!
//! A runtime's image is shared by all of its functions. Python's is built of the host's own `python3` when
//! the first function asks for that version; any other image may be put there by hand.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use mayfly_scheduler::launcher::{Code, ImageBuilder, RootImage};

use crate::failure::Failure;
use crate::filesystems::Filesystems;
use crate::image::{self, Python};
use crate::root::Root;

/// The program that is a managed runtime.
pub const BOOTSTRAP: &str = "/var/runtime/bootstrap";
/// The program of code that brings its own runtime, and the program of a layer that does.
const TASK_BOOTSTRAP: &str = "/var/task/bootstrap";
const LAYER_BOOTSTRAP: &str = "/opt/bootstrap";
/// Where code is in its environment, and where its layers are.
const TASK: &[u8] = b"/var/task";
const LAYERS: &[u8] = b"/opt";
/// Begins the names of runtimes that are the code's own.
const PROVIDED: &str = "provided.";

/// Runtimes below a data directory.
pub struct Runtimes {
    dir: PathBuf,
    /// Held while an image is built, so that it is built once.
    building: Mutex<()>,
}

impl Runtimes {
    /// Those in `DATA/runtimes`.
    pub fn new(data: &Path) -> Runtimes {
        Runtimes { dir: data.join("runtimes"), building: Mutex::new(()) }
    }

    fn image(&self, runtime: &str) -> PathBuf {
        self.dir.join(format!("{runtime}.img"))
    }

    /// What to do about a runtime that there is not.
    fn advice(&self, runtime: &str, why: &str) -> String {
        format!(
            "{why}; there are provided.al2023, provided.al2 and what is in {}, where an image of `mayfly \
             image` may be put as {runtime}.img",
            self.dir.display()
        )
    }

    /// Builds the image of the host's own Python, if that is the version.
    fn build_python(&self, runtime: &str) -> Result<(), String> {
        let asked = Python::ask(Path::new("python3")).map_err(|failure| {
            self.advice(runtime, &format!("this host has no python3 ({failure})"))
        })?;
        let version: String =
            asked.version.rsplit_once('.').map_or("", |(version, _)| version).into();
        if runtime.strip_prefix("python") != Some(&*version) {
            let why = format!("this host's python3 is python{version}");
            return Err(self.advice(runtime, &why));
        }
        let build = || -> Result<(), Failure> {
            fs::create_dir_all(&self.dir).map_err(|error| Failure::at(&self.dir, error))?;
            // Under another name until it is whole; what a crash leaves is written over.
            let unfinished = self.dir.join(format!(".new-{runtime}.img"));
            image::from_host(&[PathBuf::from("python3")], &[], &unfinished)?;
            let image = self.image(runtime);
            fs::rename(&unfinished, &image).map_err(|error| Failure::at(&image, error))
        };
        build().map_err(|failure| format!("the image of {runtime} can't be built: {failure}"))
    }

    fn try_build(&self, code: Code<'_>) -> Result<Option<RootImage>, Failure> {
        let is_own = code.runtime.starts_with(PROVIDED);
        let program = if is_own { own_bootstrap(code) } else { Some(BOOTSTRAP) };
        let Some(program) = program else { return Ok(None) };
        let mut filesystems = if is_own {
            Filesystems::new(Root::of_task(code.task)?)
        } else {
            let mut filesystems = Filesystems::new(Root::at(&self.image(code.runtime))?);
            filesystems.mount(TASK, Root::at(code.task)?)?;
            filesystems
        };
        if !code.layers.is_empty() {
            filesystems.mount(LAYERS, Root::of_layers(code.layers)?)?;
        }
        let Filesystems { disk, files, mounts } = filesystems;
        Ok(Some(RootImage { disk, files, mounts, program: program.into() }))
    }
}

impl ImageBuilder for Runtimes {
    fn prepare(&self, runtime: &str) -> Result<(), String> {
        if runtime.starts_with(PROVIDED) || self.image(runtime).is_file() {
            return Ok(());
        }
        if !runtime.starts_with("python") {
            return Err(self.advice(runtime, "it is not here"));
        }
        let _alone = self.building.lock().unwrap_or_else(PoisonError::into_inner);
        if self.image(runtime).is_file() { Ok(()) } else { self.build_python(runtime) }
    }

    fn build(&self, code: Code<'_>) -> io::Result<Option<RootImage>> {
        self.try_build(code).map_err(|failure| io::Error::other(failure.to_string()))
    }
}

/// The runtime that the code brings, or that the last layer with one does.
fn own_bootstrap(code: Code<'_>) -> Option<&'static str> {
    let is_in = |dir: &Path| is_program(&dir.join("bootstrap"));
    let layered = |dir: &&PathBuf| fs::symlink_metadata(dir.join("bootstrap")).is_ok();
    if is_in(code.task) {
        Some(TASK_BOOTSTRAP)
    } else {
        let layer = code.layers.iter().rev().find(layered)?;
        is_in(layer).then_some(LAYER_BOOTSTRAP)
    }
}

fn is_program(path: &Path) -> bool {
    let metadata = fs::metadata(path);
    metadata.is_ok_and(|one| one.is_file() && one.permissions().mode() & 0o111 != 0)
}
