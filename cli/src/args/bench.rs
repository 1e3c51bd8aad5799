//! `mayfly bench` and what it measures.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::QueueServer;

pub(super) const BENCH_EXAMPLES: &str = "\
Examples:
  mayfly bench boot --runs 100 --json";

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
