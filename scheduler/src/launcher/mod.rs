//! Who makes execution environments. The scheduler says what one is, and hears what becomes of it.
//!
//! ```text
//!   EnvironmentSpec ──▶ Launcher::launch ──▶ Launched
//!                                              events ─▶ Started(memory) Connected(api, stream)… Ended(ending)
//!                                              kill() ─▶ … Ended
//! ```

mod memory;
mod process;

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;

use mayfly_abi::control::{Disk, Mount};
use tokio::net::UnixStream;
use tokio::sync::mpsc;

use crate::core::Ending;

pub use memory::MemoryGauge;
pub use process::ProcessLauncher;

/// A file system image for environments of one deployment.
#[derive(Debug)]
pub struct RootImage {
    /// The disk; its descriptor indices are those of `files`.
    pub disk: Disk,
    /// What it is made of.
    pub files: Vec<File>,
    /// What is mounted from it besides the root.
    pub mounts: Vec<Mount>,
}

/// Makes root images: the function's files at /var/task in a minimal Linux user space.
pub trait ImageBuilder: Send + Sync {
    /// An image with what is below `task` at /var/task. Called on a thread that may block.
    ///
    /// # Errors
    /// What the file system says, or a file that an image can't hold.
    fn build(&self, task: &Path) -> io::Result<RootImage>;
}

/// What one environment is.
#[derive(Debug)]
pub struct EnvironmentSpec {
    /// RAM, MiB.
    pub memory_mib: u32,
    /// Most bytes of files in /tmp.
    pub tmp_bytes_max: u64,
    /// The root.
    pub image: Arc<RootImage>,
    /// The program in it.
    pub program: String,
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

/// What becomes of an environment.
#[derive(Debug)]
pub enum LaunchEvent {
    /// It has begun to be; this is its memory.
    Started(MemoryGauge),
    /// Its program connected.
    Connected(Api, UnixStream),
    /// It is gone and its memory free; always the last event. The text says more, where there is more.
    Ended(Ending, Option<String>),
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
