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

use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus, Stdio};

use mayfly_abi::control::{FRAME_MAX, FromVmm, Outcome, Report, ToVmm, VmSpec};
use thiserror::Error;

use super::child_main;
use super::control::{self, FrameError};
use super::pid::Process;
use crate::embedded;

/// The argument that makes this program a VM's process.
const ARGUMENT: &str = "vmm";

/// A VM's process that does not know yet what to be.
#[derive(Debug)]
pub struct Starting(Vm);

/// A VM in a process of its own. Dropping it kills the process and reaps it.
#[derive(Debug)]
pub struct Vm {
    process: Process,
    control: UnixStream,
}

/// Why there is no VM.
#[derive(Debug, Error)]
pub enum LaunchError {
    /// The process did not start.
    #[error("the VM's process does not start: {0}")]
    Spawn(#[source] io::Error),
    /// What it is to be does not fit a message: the strings are most of it.
    #[error(
        "the arguments and environment are too long: with all else that describes the VM they take {0} \
         bytes, and at most {FRAME_MAX} fit"
    )]
    TooLong(usize),
    /// It could not be told what to be.
    #[error("the VM's process can't be told what to run: {0}")]
    Send(#[from] FrameError),
}

impl Starting {
    /// Starts the VM's process: a copy of this one where it has a single thread, as a command has that runs
    /// one VM; else this program anew, in an address space of its own.
    ///
    /// The process dies with the *thread* that calls this (Linux's parent-death signal goes by threads):
    /// call from one that lives as long as the VM.
    ///
    /// # Errors
    /// [`LaunchError::Spawn`].
    pub fn spawn() -> Result<Starting, LaunchError> {
        let (control, theirs) = UnixStream::pair().map_err(LaunchError::Spawn)?;
        match Process::fork() {
            Ok(Some(process)) => Ok(Starting(Vm { process, control })),
            Ok(None) if take_place(&theirs).is_ok() => child_main(),
            Ok(None) => std::process::abort(),
            Err(error) if error.kind() == io::ErrorKind::Unsupported => Self::spawn_program(),
            Err(error) => Err(LaunchError::Spawn(error)),
        }
    }

    /// As [`Self::spawn`], this program anew in any case.
    ///
    /// # Errors
    /// [`LaunchError::Spawn`].
    pub fn spawn_program() -> Result<Starting, LaunchError> {
        let (control, theirs) = UnixStream::pair().map_err(LaunchError::Spawn)?;
        let mut command = Command::new(embedded::PROGRAM);
        command.arg(ARGUMENT).stdin(OwnedFd::from(theirs)).stdout(Stdio::null());
        let process = Process::spawn(&mut command).map_err(LaunchError::Spawn)?;
        Ok(Starting(Vm { process, control }))
    }

    /// Has the VM run what `spec` says. The indices in it are those of `descriptors`, of which the process
    /// gets copies.
    ///
    /// # Errors
    /// [`LaunchError::TooLong`]: a specification that is too long. A process that has failed already is no
    /// error here: [`Vm::wait`] tells why.
    pub fn start(self, spec: VmSpec, descriptors: &[BorrowedFd<'_>]) -> Result<Vm, LaunchError> {
        match control::send(&self.0.control, &ToVmm::Start(Box::new(spec)), descriptors) {
            Err(FrameError::Io(error)) if is_gone(&error) => Ok(self.0),
            Err(FrameError::TooLong(bytes)) => Err(LaunchError::TooLong(bytes)),
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
        loop {
            match control::receive(&self.control) {
                Ok((FromVmm::Ended { outcome, report }, _)) => return (outcome, report),
                // Not asked for by this starter, and nothing to act on.
                Ok((FromVmm::Begun { .. }, _)) => {}
                // This starter has no services, so a VM that asks all the same has been taken over.
                Ok((FromVmm::Connect { request, .. }, _)) => {
                    // A VM that is gone has said why.
                    let _ = control::send(&self.control, &ToVmm::Refuse { request }, &[]);
                }
                Err(error) => {
                    return (Outcome::Failed(self.post_mortem(&error)), Report::default());
                }
            }
        }
    }

    /// Kills the process and reaps it.
    pub fn kill(&mut self) {
        self.process.kill();
        // Where the wait fails there is nothing to reap.
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

/// In a copy of the starter: takes the descriptors that [`child_main`] expects, and lets go of the
/// starter's own.
fn take_place(control: &UnixStream) -> io::Result<()> {
    put(control.as_fd(), libc::STDIN_FILENO)?;
    // SAFETY: whatever lies above the standard streams belongs to the starter's half of the program, which
    // does not run here.
    if unsafe { libc::close_range(libc::STDERR_FILENO as u32 + 1, u32::MAX, 0) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // Only now is there room for a descriptor, however few this process may have.
    put(OpenOptions::new().write(true).open("/dev/null")?.as_fd(), libc::STDOUT_FILENO)
}

/// Makes the standard stream `to` a copy of `from`.
fn put(from: BorrowedFd<'_>, to: libc::c_int) -> io::Result<()> {
    // SAFETY: both are descriptors; nobody in this process uses the standard streams any more.
    if unsafe { libc::dup2(from.as_raw_fd(), to) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
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
