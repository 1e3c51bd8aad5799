//! The command line, as types.

use std::ffi::OsString;
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Args, Parser, Subcommand};

use crate::failure::{FAILED, say};

/// MicroVMs for functions that live for one call.
#[derive(Debug, Parser)]
#[command(name = "mayfly", version, disable_help_subcommand = true)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run an unmodified Linux program in a microVM
    Run(Run),
    /// Serve Lambda's API: functions, each environment a microVM
    Serve(Serve),
    /// Run a real program in a microVM and show where the time goes
    Demo,
    /// Tell what this host can run, and how to fix what it can't
    Doctor {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Measure
    #[command(subcommand)]
    Bench(BenchCommand),
    /// Build root images
    #[command(subcommand)]
    Image(ImageCommand),
}

/// A guest's memory where nothing else is said, MiB.
pub const MEMORY_MIB: u64 = 128;

/// `mayfly run`.
#[derive(Debug, Args)]
pub struct Run {
    /// The guest's memory
    #[arg(long, value_name = "MIB", default_value_t = MEMORY_MIB)]
    pub mem: u64,
    /// The guest's files: a directory, or an image of `mayfly image`. Without it the program is all
    /// there is
    #[arg(long, value_name = "DIR|IMAGE")]
    pub rootfs: Option<PathBuf>,
    /// An ELF file to boot instead of the embedded kernel
    #[arg(long, value_name = "PATH")]
    pub kernel: Option<PathBuf>,
    /// An initial RAM disk, for kernels that want one
    #[arg(long, value_name = "PATH")]
    pub initrd: Option<PathBuf>,
    /// A variable of the program's environment; may be repeated
    #[arg(long, value_name = "K=V")]
    pub env: Vec<OsString>,
    /// Where to write when what happened, as JSON
    #[arg(long, value_name = "FILE")]
    pub timing: Option<PathBuf>,
    /// The program and its arguments. Without --rootfs, a static ELF file on this host
    #[arg(
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "PROGRAM"
    )]
    pub program: Vec<OsString>,
}

impl Run {
    /// A static program of this host and its arguments, and nothing else.
    pub fn program(words: impl IntoIterator<Item = impl Into<OsString>>) -> Run {
        Run {
            mem: MEMORY_MIB,
            rootfs: None,
            kernel: None,
            initrd: None,
            env: Vec::new(),
            timing: None,
            program: words.into_iter().map(Into::into).collect(),
        }
    }
}

/// `mayfly serve`.
#[derive(Debug, Args)]
pub struct Serve {
    /// Where to listen; loopback only, since signatures are not checked
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9000")]
    pub listen: SocketAddr,
    /// Where functions, their code and logs are kept
    #[arg(long, value_name = "DIR", default_value = "mayfly-data")]
    pub data: PathBuf,
    /// Memory for all environments together
    #[arg(long, value_name = "MIB", default_value_t = 4096)]
    pub memory: u64,
    /// Who may call: `none` takes any signature
    #[arg(long, value_name = "HOW", default_value = "none", value_parser = ["none"])]
    pub auth: String,
}

/// `mayfly bench`.
#[derive(Debug, Subcommand)]
pub enum BenchCommand {
    /// From the start of a process to the first instruction of a program in a guest, against the fewest
    /// calls to KVM that run any guest
    Boot {
        /// How often
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=10_000))]
        runs: u16,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

/// `mayfly image`.
#[derive(Debug, Subcommand)]
pub enum ImageCommand {
    /// Build an image of a directory
    FromDir {
        /// The directory
        directory: PathBuf,
        /// The image's file
        #[arg(long, value_name = "IMAGE")]
        out: PathBuf,
    },
}

/// Parses the process's arguments.
///
/// # Errors
/// The status to exit with: help has been printed, or a line that says what is wrong.
pub fn parse() -> Result<Command, ExitCode> {
    CommandLine::try_parse().map(|line| line.command).map_err(|error| match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            // A reader that has gone away needs no help.
            let _ = write!(std::io::stdout(), "{error}");
            ExitCode::SUCCESS
        }
        _ => {
            let text = error.to_string();
            let first = text.split("\n\n").next().unwrap_or_default();
            let words: Vec<&str> = first.trim_start_matches("error:").split_whitespace().collect();
            say(&format!("{} (see mayfly --help)", words.join(" ")));
            ExitCode::from(FAILED)
        }
    })
}
