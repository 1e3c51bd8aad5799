//! The VM's process, from its first instruction to its last.
//!
//! Descriptor 0 is the control socket. What the process needs besides comes over it.

use std::convert::Infallible;
use std::fs;
use std::io;
use std::os::fd::{AsFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;

use mayfly_abi::control::{FromVmm, Outcome, Report, ToVmm};
use mayfly_abi::layout::PAGE_SIZE;

use super::control::{self, FrameError};
use crate::{Descriptors, Machine, MachineError, Prepared, Runner, poll, time};

/// Signals that a terminal sends to all of its processes: what they mean is the starter's to decide.
const TERMINAL_SIGNALS: [libc::c_int; 4] =
    [libc::SIGINT, libc::SIGTERM, libc::SIGQUIT, libc::SIGHUP];

/// Serves as a VM's process and ends with it. Its exit status means nothing: the report is what counts.
pub fn child_main() -> ! {
    let started_ns = time::monotonic_ns();
    // SAFETY: whoever starts this process gives it the socket as descriptor 0, which nobody else uses.
    let control = UnixStream::from(unsafe { OwnedFd::from_raw_fd(libc::STDIN_FILENO) });
    let Err(error) = serve(&control, started_ns);
    let report = Report { process_started: started_ns, ..Report::default() };
    tell(&control, Outcome::Failed(error.to_string()), report)
}

/// Tells the starter how it ended, and ends.
fn tell(control: &UnixStream, outcome: Outcome, report: Report) -> ! {
    // A starter that has gone away does not want to know.
    let _ = control::send(control, &FromVmm::Ended { outcome, report }, &[]);
    // SAFETY: nothing is left to flush. The kernel takes VM and memory apart.
    unsafe { libc::_exit(0) }
}

/// Runs one VM and tells how it ended. Comes back only where that fails.
fn serve(control: &UnixStream, started_ns: u64) -> Result<Infallible, MachineError> {
    name_the_process();
    die_with_the_starter()?;
    let prepared = Prepared::new()?;
    prepared.kick().when_ready(control.as_fd())?;
    let (spec, descriptors) = match control::receive(control) {
        Ok((ToVmm::Start(spec), descriptors)) => (*spec, descriptors),
        Ok(_) => return Err(io::Error::other("the starter answers what nobody asked").into()),
        Err(error) => return Err(io::Error::other(error).into()),
    };
    // Had the starter died before its death was to be signalled, nobody would tell.
    if poll::is_ready(control.as_fd(), libc::POLLIN)? {
        return Err(io::Error::other(FrameError::Closed).into());
    }
    let tells_start = spec.tells_start;
    let machine = {
        let descriptors: Descriptors = descriptors.into_iter().collect();
        Machine::new(prepared, spec, &descriptors)?
    };
    let mut runner = Runner::new(machine, Some(control));
    if tells_start {
        runner.tell_start(started_ns);
    }
    let (outcome, report) = runner.run();
    runner.close_streams();
    // The report goes before the machine is taken apart: that would take longer than many a guest runs.
    let resident_bytes = resident_bytes().unwrap_or(0);
    tell(control, outcome, Report { process_started: started_ns, resident_bytes, ..report })
}

/// What this process takes in RAM (proc_pid_statm(5)); `None` where there is no /proc.
fn resident_bytes() -> Option<u64> {
    let text = fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = text.split(' ').nth(1)?.parse().ok()?;
    Some(pages * PAGE_SIZE)
}

/// A forked process bears its starter's name: ps(1) is to tell them apart.
fn name_the_process() {
    // SAFETY: the name is a string of less than 16 bytes. It cannot fail, and nothing depends on it.
    unsafe { libc::prctl(libc::PR_SET_NAME, c"mayfly vmm".as_ptr()) };
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
