//! `mayfly bench process`: what the life of a process costs in a guest, beside the host's own (tests/fixtures/births.c).

use std::process::ExitCode;

use super::own::Own;
use crate::args::BenchOwn;
use crate::failure::Failure;

/// fork, exit and wait; posix_spawn, exec of a static program, its end and wait; fork of a program that has touched 16 MiB.
const OWN: Own = Own {
    places: &[("guest", Some(&[])), ("host", None)],
    loops: &["fork", "spawn", "large_fork"],
    turns: 200,
};

/// Runs the program in each place.
///
/// # Errors
/// As [`Own::measure`].
pub fn process(options: &BenchOwn) -> Result<ExitCode, Failure> {
    OWN.measure(options)
}
