//! The file systems of execution environments.
//!
//! ```text
//!   provided.*    │ static bootstrap: a minimal root with the code in it │ runs /var/task/bootstrap or /opt/bootstrap
//!                 │ any other: this host's shell, tools and libraries, code at /var/task │ the same
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

use crate::elf::{self, Kind};
use crate::failure::Failure;
use crate::files;
use crate::filesystems::Filesystems;
use crate::image::{self, Contents, Python};
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
/// What this host's own tools and libraries are kept as: no runtime has this name.
const HOST: &str = "_host";

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
        self.build_image(runtime, &["python3".into()])
            .map_err(|failure| format!("the image of {runtime} can't be built: {failure}"))
    }

    /// Builds an image of programs of this host, with a shell and tools.
    fn build_image(&self, runtime: &str, programs: &[PathBuf]) -> Result<(), Failure> {
        fs::create_dir_all(&self.dir).map_err(|error| Failure::at(&self.dir, error))?;
        // Under another name until it is whole; what a crash leaves is written over.
        let unfinished = self.dir.join(format!(".new-{runtime}.img"));
        let contents = Contents { programs, has_tools: true, ..Contents::default() };
        image::from_host(contents, &unfinished)?;
        let image = self.image(runtime);
        fs::rename(&unfinished, &image).map_err(|error| Failure::at(&image, error))
    }

    /// The image that code with its own runtime runs on: the one that was put there by hand, or, for a bootstrap that is
    /// no static program, this host's shell, tools and libraries. `None`: the code is all that it needs.
    fn base(&self, runtime: &str, bootstrap: &Path) -> Result<Option<PathBuf>, Failure> {
        let image = self.image(runtime);
        if image.is_file() {
            return Ok(Some(image));
        }
        let failed = |error: io::Error| Failure::at(bootstrap, error);
        let kind = elf::inspect_file(&files::open(bootstrap).map_err(failed)?).map_err(failed)?;
        if !matches!(kind, Kind::Dynamic(_) | Kind::Script(_)) {
            return Ok(None);
        }
        let _alone = self.building.lock().unwrap_or_else(PoisonError::into_inner);
        let image = self.image(HOST);
        if !image.is_file() {
            self.build_image(HOST, &["/bin/sh".into()])?;
        }
        Ok(Some(image))
    }

    fn try_build(&self, code: Code<'_>) -> Result<Option<RootImage>, Failure> {
        let (program, base) = if code.runtime.starts_with(PROVIDED) {
            let Some((program, file)) = own_bootstrap(code) else { return Ok(None) };
            (program, self.base(code.runtime, &file)?)
        } else {
            (BOOTSTRAP, Some(self.image(code.runtime)))
        };
        let mut filesystems = match base {
            None => Filesystems::new(Root::of_task(code.task)?),
            Some(base) => {
                let mut filesystems = Filesystems::new(Root::at(&base)?);
                filesystems.mount(TASK, Root::at(code.task)?)?;
                filesystems
            }
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

/// The runtime that the code brings, or that the last layer with one does: where it is there, and here.
fn own_bootstrap(code: Code<'_>) -> Option<(&'static str, PathBuf)> {
    let of = |dir: &Path| Some(dir.join("bootstrap")).filter(|file| is_program(file));
    let layered = |dir: &&PathBuf| fs::symlink_metadata(dir.join("bootstrap")).is_ok();
    if let Some(file) = of(code.task) {
        Some((TASK_BOOTSTRAP, file))
    } else {
        let layer = code.layers.iter().rev().find(layered)?;
        Some((LAYER_BOOTSTRAP, of(layer)?))
    }
}

fn is_program(path: &Path) -> bool {
    let metadata = fs::metadata(path);
    metadata.is_ok_and(|one| one.is_file() && one.permissions().mode() & 0o111 != 0)
}
