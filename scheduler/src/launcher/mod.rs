//! Who makes execution environments. The scheduler says what one is, and hears what becomes of it.
//!
//! ```text
//!   EnvironmentSpec ──▶ Launcher::launch ──▶ Launched
//!                                              events ─▶ Started(memory) Connected(api, stream)… Ended(ending)
//!                                              kill() ─▶ … Ended
//! ```

mod memory;
mod process;
mod stream;

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mayfly_abi::control::{Disk, Mount, Report};
use tokio::sync::mpsc;

use crate::core::Ending;

pub use memory::MemoryGauge;
pub use process::ProcessLauncher;
pub use stream::GuestStream;

/// A file system image for environments of one deployment.
#[derive(Debug)]
pub struct RootImage {
    /// The disk; its descriptor indices are those of `files`.
    pub disk: Disk,
    /// What it is made of.
    pub files: Vec<File>,
    /// What is mounted from it besides the root.
    pub mounts: Vec<Mount>,
    /// The program that is the runtime.
    pub program: String,
}

/// What a root image is made of.
#[derive(Clone, Copy, Debug)]
pub struct Code<'a> {
    /// The runtime, by its Lambda name: `provided.al2023`, `python3.11`.
    pub runtime: &'a str,
    /// The directory that becomes /var/task.
    pub task: &'a Path,
    /// The directories that are merged into /opt, a later one over an earlier one.
    pub layers: &'a [PathBuf],
}

/// Makes root images: the function's files at /var/task and its layers' at /opt, in its runtime's file system
/// or a minimal one. Its methods may block, some for seconds.
pub trait ImageBuilder: Send + Sync {
    /// Makes sure that there is such a runtime.
    ///
    /// # Errors
    /// A sentence for a client, about what there is instead, or what can be done.
    fn prepare(&self, runtime: &str) -> Result<(), String>;

    /// An image for this code; `None` where there is nothing in it to run.
    ///
    /// # Errors
    /// What the file system says, or a file that an image can't hold.
    fn build(&self, code: Code<'_>) -> io::Result<Option<RootImage>>;
}

/// What one environment is.
#[derive(Debug)]
pub struct EnvironmentSpec {
    /// RAM, MiB.
    pub memory_mib: u32,
    /// Most bytes of files in /tmp.
    pub tmp_bytes_max: u64,
    /// The root, and the program in it.
    pub image: Arc<RootImage>,
    /// Its environment, each `NAME=value`.
    pub variables: Vec<String>,
    /// Its working directory.
    pub directory: String,
    /// Where its standard output and error go.
    pub output: OwnedFd,
}

/// What a program in an environment may connect to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Api {
    /// AWS_LAMBDA_RUNTIME_API.
    Runtime,
    /// The platform's own, AWS_ENDPOINT_URL.
    Platform,
}

/// How an environment ended, and what is known about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// How.
    pub ending: Ending,
    /// A line that says more, where there is more.
    pub detail: Option<String>,
    /// Bytes of the host's memory that it took at its end, where it said so; its own word.
    pub resident_bytes: Option<u64>,
}

impl Ended {
    /// An end about which no more is known.
    pub fn new(ending: Ending) -> Ended {
        Ended { ending, detail: None, resident_bytes: None }
    }

    /// An end with a line about it.
    pub fn because(ending: Ending, detail: impl ToString) -> Ended {
        Ended { detail: Some(detail.to_string()), ..Ended::new(ending) }
    }
}

/// What becomes of an environment.
#[derive(Debug)]
pub enum LaunchEvent {
    /// It has begun to be; this is its memory.
    Started(MemoryGauge),
    /// Its program connected.
    Connected(Api, GuestStream),
    /// Its program has begun and waits for the first time: how the boot went.
    Begun(Report),
    /// It is gone and its memory free; always the last event.
    Ended(Ended),
}

/// An environment that has been asked for.
pub struct Launched {
    /// What becomes of it. A closed channel means `Ended(Failed)`.
    pub events: mpsc::Receiver<LaunchEvent>,
    /// Destroys it: `Ended` follows soon.
    pub kill: Box<dyn Fn() + Send + Sync>,
}

/// Makes environments.
pub trait Launcher: Send + Sync {
    /// Asks for an environment. Returns at once; a failure is an [`LaunchEvent::Ended`].
    fn launch(&self, spec: EnvironmentSpec) -> Launched;
}
