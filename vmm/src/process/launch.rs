//! The starter's side: makes the VM's process, tells it what to be, and hears how it ended.
//!
//! ```text
//!   Starting::spawn()            the process creates its VM meanwhile
//!        │ start(spec, descriptors)
//!        ▼
//!       Vm ── wait() ──▶ Outcome, Report
//!        │
//!      drop: killed if need be, and reaped
//! ```

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

use mayfly_abi::control::{FromVmm, Outcome, Report, ToVmm, VmSpec};
use thiserror::Error;

use super::control::{self, FrameError};

/// This very program, also where its file has been replaced meanwhile.
const OWN_PROGRAM: &str = "/proc/self/exe";
/// The argument that makes it a VM's process.
const ARGUMENT: &str = "vmm";

/// A VM's process that does not know yet what to be.
#[derive(Debug)]
pub struct Starting(Vm);

/// A VM in a process of its own. Dropping it kills the process and reaps it.
#[derive(Debug)]
pub struct Vm {
    process: Child,
    control: UnixStream,
}

/// Why there is no VM.
#[derive(Debug, Error)]
pub enum LaunchError {
    /// The process did not start.
    #[error("the VM's process does not start: {0}")]
    Spawn(#[source] io::Error),
    /// It could not be told what to be.
    #[error("the VM's process can't be told what to run: {0}")]
    Send(#[from] FrameError),
}

impl Starting {
    /// Starts the VM's process: this program again.
    ///
    /// The process dies with the *thread* that calls this (Linux's parent-death signal goes by threads):
    /// call from one that lives as long as the VM.
    ///
    /// # Errors
    /// [`LaunchError::Spawn`].
    pub fn spawn() -> Result<Starting, LaunchError> {
        Self::spawn_program(Path::new(OWN_PROGRAM), &[])
    }

    /// As [`Self::spawn`], with another program's file and more arguments behind `vmm`.
    ///
    /// # Errors
    /// [`LaunchError::Spawn`].
    pub fn spawn_program(program: &Path, arguments: &[OsString]) -> Result<Starting, LaunchError> {
        let (control, theirs) = UnixStream::pair().map_err(LaunchError::Spawn)?;
        let process = Command::new(program)
            .arg(ARGUMENT)
            .args(arguments)
            .stdin(OwnedFd::from(theirs))
            .stdout(Stdio::null())
            .spawn()
            .map_err(LaunchError::Spawn)?;
        Ok(Starting(Vm { process, control }))
    }

    /// Has the VM run what `spec` says. The indices in it are those of `descriptors`, of which the process
    /// gets copies.
    ///
    /// # Errors
    /// [`LaunchError::Send`]: a specification that is too long. A process that has failed already is no
    /// error here: [`Vm::wait`] tells why.
    pub fn start(self, spec: VmSpec, descriptors: &[BorrowedFd<'_>]) -> Result<Vm, LaunchError> {
        match control::send(&self.0.control, &ToVmm::Start(spec), descriptors) {
            Err(FrameError::Io(error)) if is_gone(&error) => Ok(self.0),
            result => result.map(|()| self.0).map_err(LaunchError::Send),
        }
    }
}

fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset)
}

impl Vm {
    /// The process's id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Waits for the VM's end. Its process may need a little longer to give its memory back: that is not
    /// waited for.
    pub fn wait(&mut self) -> (Outcome, Report) {
        match control::receive::<FromVmm>(&self.control) {
            Ok((FromVmm::Ended { outcome, report }, _)) => (outcome, report),
            Err(error) => (Outcome::Failed(self.post_mortem(&error)), Report::default()),
        }
    }

    /// Kills the process and reaps it.
    pub fn kill(&mut self) {
        // An error says that it has ended already; the wait then returns at once.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    /// Leaves the process, which has told its end, to be reaped by whoever comes after.
    pub fn forget(self) {
        std::mem::forget(self);
    }

    /// Why no report came.
    fn post_mortem(&mut self, error: &FrameError) -> String {
        if !matches!(error, FrameError::Closed | FrameError::Truncated | FrameError::Io(_)) {
            self.kill();
            return format!("the VM's process can't be understood: {error}");
        }
        match self.process.wait() {
            Ok(status) => format!("the VM's process ended without a report ({})", describe(status)),
            Err(error) => format!("the VM's process is lost: {error}"),
        }
    }
}

fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("status {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "no status".into(),
    }
}

impl AsFd for Vm {
    /// Readable when [`Vm::wait`] won't have to wait.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.control.as_fd()
    }
}

impl Drop for Vm {
    fn drop(&mut self) {
        self.kill();
    }
}
