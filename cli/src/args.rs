//! The command line, as types.

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand};
use clap_complete::Shell;

use crate::failure::{FAILED, Failure, MISUSED, say};
use crate::platform::print;

mod bench;
mod platform;
mod serve;
mod simulate;

pub use bench::{BenchBurst, BenchCommand, BenchInvoke, BenchOwn, BenchPython, BenchQueue};
pub use platform::{
    AliasCommand, AliasTarget, Deploy, History, Invoke, LayerCommand, List, Logs, Place, Publish,
    Queue, QueueCommand, Remove, ScheduleCommand, ScheduleTarget, Top,
};
pub use serve::{ADDRESS, QueueServer, Serve};
pub use simulate::{Check, Generate, Replay, Simulate, SimulateCommand};

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
    #[command(after_help = RUN_EXAMPLES)]
    Run(Run),
    /// Serve Lambda's API: functions, each environment a microVM
    #[command(after_help = serve::SERVE_EXAMPLES)]
    Serve(Serve),
    /// Create a function, or replace the one of this name
    #[command(after_help = platform::DEPLOY_EXAMPLES)]
    Deploy(Deploy),
    /// Invoke a function and wait for its answer
    #[command(after_help = platform::INVOKE_EXAMPLES)]
    Invoke(Invoke),
    /// Show what a function has printed
    #[command(after_help = platform::LOGS_EXAMPLES)]
    Logs(Logs),
    /// List the functions
    #[command(visible_alias = "ls", after_help = platform::LIST_EXAMPLES)]
    List(List),
    /// Show what a function was, and what each call changed
    #[command(after_help = platform::HISTORY_EXAMPLES)]
    History(History),
    /// Show what is queued, and redrive or purge it
    #[command(after_help = platform::QUEUE_EXAMPLES)]
    Queue(Queue),
    /// Remove functions; what they have printed stays
    #[command(name = "rm", after_help = platform::REMOVE_EXAMPLES)]
    Remove(Remove),
    /// Publish what a function is now as a version
    #[command(after_help = platform::PUBLISH_EXAMPLES)]
    Publish(Publish),
    /// Names for a function's versions
    #[command(subcommand, after_help = platform::ALIAS_EXAMPLES)]
    Alias(AliasCommand),
    /// Files that functions share
    #[command(subcommand, after_help = platform::LAYER_EXAMPLES)]
    Layer(LayerCommand),
    /// Have the clock invoke functions
    #[command(subcommand, after_help = platform::SCHEDULE_EXAMPLES)]
    Schedule(ScheduleCommand),
    /// Watch the environments come and go
    #[command(after_help = platform::TOP_EXAMPLES)]
    Top(Top),
    /// Show a program's and a function's short lives in microVMs, and where the time goes
    #[command(after_help = DEMO_EXAMPLES)]
    Demo,
    /// Tell what this host can run, and how to fix what it can't
    #[command(after_help = DOCTOR_EXAMPLES)]
    Doctor {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Measure
    #[command(subcommand, after_help = bench::BENCH_EXAMPLES)]
    Bench(BenchCommand),
    /// Write what a shell needs to complete this command's words
    #[command(after_help = COMPLETIONS_EXAMPLES)]
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Run the scheduler's core in a made-up world
    #[command(after_help = simulate::SIMULATE_EXAMPLES)]
    Simulate(Simulate),
    /// Build root images
    #[command(subcommand, after_help = IMAGE_EXAMPLES)]
    Image(ImageCommand),
}

const RUN_EXAMPLES: &str = "\
Examples:
  mayfly run -- ./hello                          a static program, alone
  mayfly run --rootfs DIR -- /bin/sh -c 'ls /'   a program of a directory
  mayfly run --mount /data=DIR -- /program       … which finds more files at /data
  mayfly run --timing t.json -- busybox true     when what happened, as JSON

The exit status is the program's; 128 + n where signal n killed it; 125 where Mayfly itself failed. What ends mayfly,
such as Ctrl-C, ends the program with its machine at once: signals of the host do not get into a guest.";
const DEMO_EXAMPLES: &str = "\
It needs nothing but a static busybox (or what MAYFLY_DEMO_PROGRAM names), and leaves nothing behind.";
const DOCTOR_EXAMPLES: &str = "\
The exit status is 0 where everything is well, else 1.";
const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  mayfly completions bash > ~/.local/share/bash-completion/completions/mayfly
  mayfly completions zsh > ~/.zfunc/_mayfly
  mayfly completions fish > ~/.config/fish/completions/mayfly.fish";
const IMAGE_EXAMPLES: &str = "\
Examples:
  mayfly image from-dir rootfs --out rootfs.img
  mayfly run --rootfs rootfs.img -- /bin/sh";

/// A guest's memory where nothing else is said, MiB.
pub const MEMORY_MIB: u64 = 128;

/// Takes `PATH=DIR|IMAGE` apart.
fn mount(text: &str) -> Result<(PathBuf, PathBuf), String> {
    match text.split_once('=') {
        Some((path, image)) if path.starts_with('/') => Ok((path.into(), image.into())),
        _ => Err("it is an absolute path, `=`, and a directory or an image".into()),
    }
}

/// `mayfly run`.
#[derive(Debug, Args)]
pub struct Run {
    /// The guest's memory
    #[arg(long, value_name = "MIB", default_value_t = MEMORY_MIB, allow_negative_numbers = true)]
    pub mem: u64,
    /// The guest's files: a directory, or an image of `mayfly image`. Without it the program is all
    /// there is
    #[arg(long, value_name = "DIR|IMAGE")]
    pub rootfs: Option<PathBuf>,
    /// A directory or an image that the guest finds at this path, read-only; may be given several times
    #[arg(long, value_name = "PATH=DIR|IMAGE", value_parser = mount)]
    pub mount: Vec<(PathBuf, PathBuf)>,
    /// An ELF file to boot instead of the embedded kernel
    #[arg(long, value_name = "PATH")]
    pub kernel: Option<PathBuf>,
    /// An initial RAM disk, for kernels that want one
    #[arg(long, value_name = "PATH")]
    pub initrd: Option<PathBuf>,
    /// Leave the program's system calls traps, where they could be made jumps: to compare
    #[arg(long)]
    pub no_syscall_rewrite: bool,
    /// A variable of the program's environment; may be repeated
    #[arg(long, value_name = "K=V")]
    pub env: Vec<OsString>,
    /// Where to write when what happened, as JSON
    #[arg(long, value_name = "FILE")]
    pub timing: Option<PathBuf>,
    /// The program and its arguments. Without --rootfs, a static ELF file on this host
    #[arg(required = true, trailing_var_arg = true, value_name = "PROGRAM")]
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
            no_syscall_rewrite: false,
            mount: Vec::new(),
            env: Vec::new(),
            timing: None,
            program: words.into_iter().map(Into::into).collect(),
        }
    }
}

/// `mayfly image`.
#[derive(Debug, Subcommand)]
pub enum ImageCommand {
    /// Build an image of a directory
    #[command(name = "from-dir")]
    Dir {
        /// The directory
        directory: PathBuf,
        /// The image's file
        #[arg(long, value_name = "IMAGE")]
        out: PathBuf,
    },
    /// Build an image of an archive: what `docker export` gives, or an image of `docker save`
    #[command(name = "from-tar")]
    Tar {
        /// The archive
        archive: PathBuf,
        /// The image's file
        #[arg(long, value_name = "IMAGE")]
        out: PathBuf,
    },
    /// Build an image of programs of this host and all that they need: a python3 with its standard
    /// library, any other with its shared libraries
    #[command(name = "from-host")]
    Host {
        /// Paths, or names on the PATH
        #[arg(required = true, value_name = "PROGRAM")]
        programs: Vec<PathBuf>,
        /// A file or a directory of this host to take along, at the path that it has here, with the shared
        /// libraries of the programs in it; may be repeated
        #[arg(long, value_name = "PATH")]
        add: Vec<PathBuf>,
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
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => print(error.to_string().as_bytes())
            .map_or_else(Failure::report, |reader| {
                reader.done();
                ExitCode::SUCCESS
            }),
        // Whoever gives no command asks what there is.
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let _ = write!(std::io::stderr(), "{error}");
            ExitCode::from(MISUSED)
        }
        _ => {
            let words = std::env::args_os().skip(1);
            let words: Vec<_> = words.map(|word| word.to_string_lossy().into_owned()).collect();
            let (text, status) = misuse(&error.to_string(), &words);
            say(&text);
            ExitCode::from(status)
        }
    })
}

/// What a shell needs to complete this command's words.
pub fn completions(shell: Shell) -> Vec<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut CommandLine::command(), "mayfly", &mut script);
    script
}

/// One line for words that make no sense, and a status: of `mayfly run`, any but 125 is the program's.
fn misuse(text: &str, words: &[String]) -> (String, u8) {
    let first = text.split("\n\n").next().unwrap_or_default();
    let what: Vec<&str> = first.trim_start_matches("error:").split_whitespace().collect();
    let mut help = String::from("mayfly");
    let mut command = &CommandLine::command();
    for word in words {
        let Some(found) = command.find_subcommand(word) else { break };
        help = format!("{help} {}", found.get_name());
        command = found;
    }
    let status = if words.first().is_some_and(|word| word == "run") { FAILED } else { MISUSED };
    (format!("{} (see {help} --help)", what.join(" ")), status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn every_command_explains_itself() {
        let mut command = CommandLine::command();
        command.build();
        for one in command.get_subcommands() {
            assert!(one.get_about().is_some(), "{} says nothing", one.get_name());
            assert!(one.get_after_help().is_some(), "{} has no examples", one.get_name());
        }
    }

    #[test]
    fn misuse_is_one_line_and_names_the_help_to_read() {
        let text = "error: missing:\n  <NAME>\n\nUsage: mayfly rm <NAME>...";
        let misuse = |text, words: &str| {
            misuse(text, &words.split(' ').map(str::to_owned).collect::<Vec<_>>())
        };
        assert_eq!(misuse(text, "rm"), ("missing: <NAME> (see mayfly rm --help)".into(), MISUSED));
        assert_eq!(misuse("x", "run"), ("x (see mayfly run --help)".into(), FAILED));
        assert_eq!(misuse("x", "bogus"), ("x (see mayfly --help)".into(), MISUSED));
        let nested = misuse("x", "image from-tar --out");
        assert_eq!(nested, ("x (see mayfly image from-tar --help)".into(), MISUSED));
    }
}
