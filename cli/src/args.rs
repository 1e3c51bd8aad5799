//! The command line, as types.

use std::ffi::OsString;
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand};
use clap_complete::Shell;

use mayfly_scheduler::core::KeepAlivePolicy;

use crate::failure::{FAILED, MISUSED, say};

mod platform;
mod simulate;

pub use platform::{
    AliasCommand, AliasTarget, Deploy, History, Invoke, LayerCommand, List, Logs, Place, Publish,
    Queue, QueueCommand, Remove, ScheduleCommand, ScheduleTarget, Top,
};
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
    #[command(after_help = SERVE_EXAMPLES)]
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
    #[command(subcommand, after_help = BENCH_EXAMPLES)]
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

The exit status is the program's; 128 + n where signal n killed it; 125 where Mayfly itself failed.";
const SERVE_EXAMPLES: &str = "\
Examples:
  mayfly serve                                   http://127.0.0.1:9000, data in ./mayfly-data
  mayfly serve --listen 127.0.0.1:0              any free port; the first line on stderr names it
  mayfly serve --queue postgres://mayfly@127.0.0.1/mayfly --queue-password-file secret
  aws --endpoint-url http://127.0.0.1:9000 lambda list-functions

SIGINT and SIGTERM end it; running invocations have a few seconds.";
const DEMO_EXAMPLES: &str = "\
It needs nothing but a static busybox (or what MAYFLY_DEMO_PROGRAM names), and leaves nothing behind.";
const DOCTOR_EXAMPLES: &str = "\
The exit status is 0 where everything is well, else 1.";
const BENCH_EXAMPLES: &str = "\
Examples:
  mayfly bench boot --runs 100 --json";
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

/// A part of something: more than nothing, and not more than all.
fn scale(text: &str) -> Result<f64, String> {
    let scale: Option<f64> = text.parse().ok();
    let scale = scale.filter(|scale| *scale > 0.0 && *scale <= 1.0);
    scale.ok_or_else(|| "it is a number above 0, and not above 1".into())
}

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
            no_syscall_rewrite: false,
            mount: Vec::new(),
            env: Vec::new(),
            timing: None,
            program: words.into_iter().map(Into::into).collect(),
        }
    }
}

/// Where the platform listens, and its clients look for it, where nothing else is said.
pub const ADDRESS: &str = "127.0.0.1:9000";

/// `mayfly serve`.
#[derive(Debug, Args)]
pub struct Serve {
    /// Where to listen; loopback only, since signatures are not checked
    #[arg(long, value_name = "ADDR", default_value = ADDRESS)]
    pub listen: SocketAddr,
    /// Where functions, their code and logs are kept
    #[arg(long, value_name = "DIR", default_value = "mayfly-data")]
    pub data: PathBuf,
    #[command(flatten)]
    pub queue: QueueServer,
    /// Memory for all environments together
    #[arg(long, value_name = "MIB", default_value_t = 4096)]
    pub memory: u64,
    /// How long environments without work are kept: fixed:TIME (such as fixed:10m) for this time; lru until their
    /// memory is wanted; hybrid as each function's habits ask for, ended at once and started again before the next
    /// invocation is expected. Under each, an invocation that needs memory takes it from the idle environment that was
    /// used least recently
    #[arg(long, value_name = "POLICY", default_value_t)]
    pub keep_alive: KeepAlivePolicy,
    /// Leave the functions' system calls traps, where they could be made jumps: to compare
    #[arg(long)]
    pub no_syscall_rewrite: bool,
    /// Try events again after this part of Lambda's times, and let them grow as old: 0.01 makes a minute 0.6 s
    #[arg(long, value_name = "PART", default_value_t = 1.0, value_parser = scale)]
    pub retry_scale: f64,
    /// Who may call: `none` takes any signature
    #[arg(long, value_name = "HOW", default_value = "none", value_parser = ["none"])]
    pub auth: String,
}

/// Where events and queues are kept.
#[derive(Debug, Args)]
pub struct QueueServer {
    /// Keep events and queues in a PostgreSQL database, and not in the data directory:
    /// postgres://USER@HOST:PORT/DATABASE, or postgres:///DATABASE?host=DIR where its socket is in DIR. Its password is
    /// taken from PGPASSWORD, or from --queue-password-file. One platform uses a database at a time
    #[arg(long, value_name = "URL")]
    pub queue: Option<String>,
    /// A file with the password and nothing else
    #[arg(long, value_name = "FILE", requires = "queue")]
    pub queue_password_file: Option<PathBuf>,
}

impl QueueServer {
    /// The same words again, for another `mayfly serve`.
    pub fn words(&self) -> impl Iterator<Item = OsString> {
        let url = self.queue.iter().flat_map(|url| ["--queue".into(), url.into()]);
        let file = self.queue_password_file.iter();
        url.chain(file.flat_map(|file| ["--queue-password-file".into(), file.into()]))
    }
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
    /// Many cold starts at once, against as many processes of the same program on the host
    Burst(BenchBurst),
    /// From an HTTP request to a function's answer, cold and warm, against the same HTTP server answering by
    /// itself
    Invoke(BenchInvoke),
    /// Accepted events in a second, beside an append with a flush each; from 202 to the function's start; the rate of
    /// draining a backlog
    Queue(BenchQueue),
    /// What a process costs in a guest, from fork or posix_spawn to its end, against the host's own
    Process(BenchOwn),
    /// This host's python3 in a guest, starting and computing, beside itself on the host
    Python(BenchPython),
    /// What a system call costs in a guest, as a jump and as a trap, against the host's own
    Syscall(BenchOwn),
    /// The server that `invoke` is held against
    #[command(hide = true)]
    Echo,
}

/// `mayfly bench python`.
#[derive(Debug, Args)]
pub struct BenchPython {
    /// An image of `mayfly image from-host python3`; without one it is built
    #[arg(long, value_name = "IMAGE")]
    pub image: Option<PathBuf>,
    /// How often to run each, there and here
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub runs: u16,
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

/// `mayfly bench syscall`, `mayfly bench process`.
#[derive(Debug, Args)]
pub struct BenchOwn {
    /// A static program that measures itself: tests/fixtures/ppid.c for system calls, births.c for processes, built
    #[arg(long, value_name = "FILE")]
    pub program: PathBuf,
    /// How often to run it in each place
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub runs: u16,
    /// How often it does each thing: by default 1,000,000 calls, 200 processes
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    pub turns: Option<u32>,
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

/// `mayfly bench burst`.
#[derive(Debug, Args)]
pub struct BenchBurst {
    /// A static program that answers each event with the event itself
    #[arg(long, value_name = "FILE")]
    pub bootstrap: PathBuf,
    /// How many at once
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub count: u16,
    /// How often
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub rounds: u16,
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

/// `mayfly bench queue`.
#[derive(Debug, Args)]
pub struct BenchQueue {
    /// A static program that answers each event, with its own moments where MOMENTS is set: tests/fixtures/bootstrap.c
    #[arg(long, value_name = "FILE")]
    pub bootstrap: PathBuf,
    /// How many events each number of clients sends
    #[arg(long, default_value_t = 4000, value_parser = clap::value_parser!(u32).range(64..=10_000_000))]
    pub events: u32,
    #[command(flatten)]
    pub server: QueueServer,
    /// How many events are queued to be drained
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(64..=10_000_000))]
    pub backlog: u32,
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

/// `mayfly bench invoke`.
#[derive(Debug, Args)]
pub struct BenchInvoke {
    /// A static program that answers each event with the event itself
    #[arg(long, value_name = "FILE")]
    pub bootstrap: PathBuf,
    /// AWS's Runtime Interface Emulator, to be measured too
    #[arg(long, value_name = "FILE")]
    pub rie: Option<PathBuf>,
    /// How many cold invocations
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub cold: u16,
    /// How many warm invocations for each number of clients
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub warm: u32,
    /// As JSON
    #[arg(long)]
    pub json: bool,
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
        /// A file or a directory of this host to take along, at the path that it has here; may be repeated
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
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            // A reader that has gone away needs no help.
            let _ = write!(std::io::stdout(), "{error}");
            ExitCode::SUCCESS
        }
        _ => {
            let name = std::env::args().nth(1).unwrap_or_default();
            let (text, status) = misuse(&error.to_string(), &name);
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
fn misuse(text: &str, name: &str) -> (String, u8) {
    let first = text.split("\n\n").next().unwrap_or_default();
    let words: Vec<&str> = first.trim_start_matches("error:").split_whitespace().collect();
    let command = CommandLine::command();
    let help = match command.find_subcommand(name) {
        Some(found) => format!("mayfly {} --help", found.get_name()),
        None => "mayfly --help".into(),
    };
    let status = if name == "run" { FAILED } else { MISUSED };
    (format!("{} (see {help})", words.join(" ")), status)
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
        assert_eq!(misuse(text, "rm"), ("missing: <NAME> (see mayfly rm --help)".into(), MISUSED));
        assert_eq!(misuse("x", "run"), ("x (see mayfly run --help)".into(), FAILED));
        assert_eq!(misuse("x", "bogus"), ("x (see mayfly --help)".into(), MISUSED));
    }
}
