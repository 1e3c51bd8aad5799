//! `mayfly simulate`: the scheduler's core in worlds that are made up, or were recorded.
//!
//! ```text
//!   generate ─▶ CSV files ─▶ files ─▶ replay: one policy after the other ─▶ a table, chart (SVG)
//!                                       check: worlds full of faults     ─▶ what was broken
//! ```

mod chart;
mod check;
mod files;
mod generate;
mod replay;

use std::process::ExitCode;

use crate::args::{Simulate, SimulateCommand};
use crate::failure::{Failure, MISUSED, say};

/// Simulates.
///
/// # Errors
/// Files that are no trace, or a host that refuses something.
pub fn simulate(options: Simulate) -> Result<ExitCode, Failure> {
    match (options.command, options.replay) {
        (Some(SimulateCommand::Check(options)), _) => check::check(&options),
        (Some(SimulateCommand::Generate(options)), _) => generate::generate(&options),
        (None, Some(options)) => replay::replay(&options),
        (None, None) => {
            say("a trace is needed (see mayfly simulate --help)");
            Ok(ExitCode::from(MISUSED))
        }
    }
}
