//! `mayfly bench syscall`: what a system call costs a program in a guest, as a jump and as a trap, beside the host's own
//! and a plain call (tests/fixtures/ppid.c).

use std::process::ExitCode;

use super::own::Own;
use crate::args::BenchOwn;
use crate::failure::Failure;

/// A call that is answered at the kernel's door, one that the kernel itself must answer, and a function call.
const OWN: Own = Own {
    places: &[
        ("rewritten", Some(&[])),
        ("trapped", Some(&["--no-syscall-rewrite"])),
        ("host", None),
    ],
    loops: &["getppid", "umask", "call"],
    turns: 1_000_000,
};

/// Runs the program in each place.
///
/// # Errors
/// As [`Own::measure`].
pub fn syscall(options: &BenchOwn) -> Result<ExitCode, Failure> {
    OWN.measure(options)
}
