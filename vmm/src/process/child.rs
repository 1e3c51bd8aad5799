//! The VM's process, from its first instruction to its last.
//!
//! Descriptor 0 is the control socket. What the process needs besides comes over it.

use std::io;
use std::os::fd::{AsFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;

use mayfly_abi::control::{FromVmm, Outcome, Report, ToVmm};

use super::control::{self, FrameError};
use crate::{Descriptors, Machine, MachineError, Prepared, Runner, poll, time};

/// Signals that a terminal sends to all of its processes: what they mean is the starter's to decide.
const TERMINAL_SIGNALS: [libc::c_int; 4] =
    [libc::SIGINT, libc::SIGTERM, libc::SIGQUIT, libc::SIGHUP];

/// Serves as a VM's process and ends with it. Its exit status means nothing: the report is what counts.
pub fn child_main() -> ! {
    let process_started = time::monotonic_ns();
    // SAFETY: whoever starts this process gives it the socket as descriptor 0, which nobody else uses.
    let control = UnixStream::from(unsafe { OwnedFd::from_raw_fd(libc::STDIN_FILENO) });
    let status = match serve(&control) {
        Ok(Some((outcome, report))) => {
            let report = Report { process_started, ..report };
            control::send(&control, &FromVmm::Ended { outcome, report }, &[]).is_err().into()
        }
        Ok(None) => 1,
        Err(error) => {
            let report = Report { process_started, ..Report::default() };
            let outcome = Outcome::Failed(error.to_string());
            control::send(&control, &FromVmm::Ended { outcome, report }, &[]).is_err().into()
        }
    };
    // The kernel takes memory and VM apart faster than their destructors would.
    // SAFETY: nothing is left to flush.
    unsafe { libc::_exit(status) }
}

/// Runs one VM; `None` where the starter went away before it had said what to run.
fn serve(control: &UnixStream) -> Result<Option<(Outcome, Report)>, MachineError> {
    die_with_the_starter()?;
    let prepared = Prepared::new()?;
    prepared.kick().when_ready(control.as_fd())?;
    let (ToVmm::Start(spec), descriptors) = match control::receive(control) {
        Ok(message) => message,
        Err(FrameError::Closed) => return Ok(None),
        Err(error) => return Err(io::Error::other(error).into()),
    };
    // Had the starter died before its death was to be signalled, nobody would tell.
    if poll::is_ready(control.as_fd(), libc::POLLIN)? {
        return Ok(None);
    }
    let machine = {
        let descriptors: Descriptors = descriptors.into_iter().collect();
        Machine::new(prepared, spec, &descriptors)?
    };
    // The runner ends here and its streams with it: the host's readers see their end before the report.
    Ok(Some(Runner::new(machine, Some(control.as_fd())).run()))
}

fn die_with_the_starter() -> io::Result<()> {
    for signal in TERMINAL_SIGNALS {
        // SAFETY: ignoring a signal runs no code of ours.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
    // SAFETY: the arguments are integers.
    match unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
