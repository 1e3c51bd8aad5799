//! `mayfly simulate`: the scheduler's core in worlds that are made up.

mod check;

use std::process::ExitCode;

use crate::args::{Simulate, SimulateCommand};
use crate::failure::Failure;

/// Simulates.
///
/// # Errors
/// A rule that is broken.
pub fn simulate(options: Simulate) -> Result<ExitCode, Failure> {
    match options.command {
        SimulateCommand::Check(options) => check::check(&options),
    }
}
