//! `mayfly demo`: a program's short life in a microVM, and a function's.
//!
//! The function is what [`FUNCTION`] names; `cargo demo` builds examples/hello-c for it. Its platform is a
//! `mayfly serve` of its own, on a temporary data directory, which goes with the demonstration, however that ends.

mod function;
mod program;
mod server;
mod timeline;

use std::process::ExitCode;

use crate::failure::{Failure, SIGNALED};
use crate::platform::print;
use crate::signals::Signals;

/// Names the program of the function: a static ELF file.
const FUNCTION: &str = "MAYFLY_DEMO_FUNCTION";

/// Runs the demonstration.
///
/// # Errors
/// A host that can't run it, and what to do.
pub fn demo() -> Result<ExitCode, Failure> {
    let signals = Signals::new()?;
    let mut signal = program::show(&signals)?;
    if signal.is_none() {
        match std::env::var_os(FUNCTION) {
            Some(program) => signal = function::show(&signals, program.into())?,
            None => print(
                format!(
                    "\n  There is more to see with a Lambda function: `cargo demo` builds one; or name its \
                     program in {FUNCTION}.\n"
                )
                .as_bytes(),
            )?
            .done(),
        }
    }
    Ok(signal.map_or(ExitCode::SUCCESS, |signal| ExitCode::from(SIGNALED + signal)))
}
