//! Why a chore could not go on. Each message says what to do where there is something to do.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

/// Why a chore could not go on.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// A file could not be read or written.
    #[error("{doing} {}: {source}", path.display())]
    File {
        /// The verb: "reading", "writing".
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// A command could not be started.
    #[error("cannot start `{command}`: {source}")]
    Start {
        /// The command line.
        command: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// A command ran and failed.
    #[error("`{command}` failed: {status}{}", indent(.stderr))]
    Command {
        /// The command line.
        command: String,
        /// How it ended.
        status: ExitStatus,
        /// What it wrote to stderr, where that was captured.
        stderr: String,
    },
    /// Something this host lacks, with the remedy in the text.
    #[error("{0}")]
    Missing(String),
    /// A tool's output has a shape that this code does not know.
    #[error("cannot understand the output of {tool}: {what}")]
    Output {
        /// The tool.
        tool: &'static str,
        /// What was expected or seen.
        what: String,
    },
    /// The hardware lane did not come to its end.
    #[error("the hardware lane failed: {0}")]
    Lane(String),
}

/// The result of a chore or a part of one.
pub type Result<T, E = Failure> = std::result::Result<T, E>;

impl Failure {
    /// For `map_err`: wraps the error of reading or writing `path`.
    pub fn file(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::File { doing, path: path.to_owned(), source }
    }
}

fn indent(text: &str) -> String {
    text.lines().map(|line| format!("\n    {line}")).collect()
}
