//! Mayfly's own failures: one clear line on stderr, and an exit status that no program is likely to use.

use std::fmt::{self, Display};
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

/// The exit status where Mayfly itself failed.
pub const FAILED: u8 = 125;
/// The shell's way to say that a signal ended a program: this and the signal's number.
pub const SIGNALED: u8 = 128;
/// The exit status for words that make no sense: clap's own, and many a tool's.
pub const MISUSED: u8 = 2;

/// A failure, as one line for a person.
#[derive(Debug)]
pub struct Failure(String);

impl Failure {
    /// A failure that `text` explains.
    pub fn new(text: impl Display) -> Failure {
        Failure(text.to_string())
    }

    /// What went wrong with the file at `path`.
    pub fn at(path: &Path, error: impl Display) -> Failure {
        Failure(format!("{}: {error}", path.display()))
    }

    /// Says it, and gives the exit status.
    pub fn report(self) -> ExitCode {
        say(&self.0);
        ExitCode::from(FAILED)
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Failure {
        Failure::new(error)
    }
}

/// Prints one line on stderr, whatever `text` holds. A stderr that is closed is nobody's failure.
pub fn say(text: &str) {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let _ = writeln!(std::io::stderr(), "mayfly: {}", line.trim());
}
