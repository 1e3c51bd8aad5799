//! `mayfly run`: one program in one microVM.

use std::process::ExitCode;

use mayfly_abi::control::{Outcome, Report};

use crate::args::Run;
use crate::failure::{Failure, SIGNALED, say};
use crate::guest::{Ended, Guest};
use crate::signals::Signals;
use crate::timing::{TimeZero, TimingFile};

/// Runs the program and gives its exit status.
///
/// # Errors
/// Where Mayfly itself fails.
pub fn run(run: Run, zero: TimeZero) -> Result<ExitCode, Failure> {
    let guest = Guest::spawn()?;
    let timing = run.timing.as_deref().map(TimingFile::create).transpose()?;
    let running = guest.start(run)?;
    // Up to here, where a large root may have taken its time, a signal ends this process as it ends any.
    let signals = Signals::new()?;
    match running.wait(&signals)? {
        Ended::Signal(signal) => Ok(ExitCode::from(SIGNALED + signal)),
        Ended::Guest(outcome, report) => finish(outcome, report, timing, zero),
    }
}

/// Passes on how the program ended.
fn finish(
    outcome: Outcome,
    report: Report,
    timing: Option<TimingFile>,
    zero: TimeZero,
) -> Result<ExitCode, Failure> {
    if let Some(timing) = timing {
        timing.write(&report, zero)?;
    }
    match outcome {
        Outcome::Exited(status) => Ok(ExitCode::from(status)),
        Outcome::Signaled(signal, message) => {
            if !message.is_empty() {
                say(message.trim_start_matches("mayfly: "));
            }
            Ok(ExitCode::from(SIGNALED.saturating_add(signal)))
        }
        Outcome::NotStarted(message) | Outcome::Failed(message) => Err(Failure::new(message)),
    }
}
