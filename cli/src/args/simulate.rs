//! The command line of `mayfly simulate`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use mayfly_scheduler::core::KeepAlivePolicy;

pub const SIMULATE_EXAMPLES: &str = "\
Examples:
  mayfly simulate generate trace                 makes a trace: a directory of CSV files
  mayfly simulate trace --svg policies.svg       what each keep-alive policy would have cost
  mayfly simulate azure2019 --functions 2000     the same of the Azure Functions dataset of 2019, unpacked
  mayfly simulate check                          worlds full of faults, and how fast the core decides
  mayfly simulate check --seed 4711 --seeds 1    one of them again

Nothing is started: the scheduler's own core runs in virtual time. Ctrl-C ends it with what is known by then.";

/// `mayfly simulate`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Simulate {
    #[command(subcommand)]
    pub command: Option<SimulateCommand>,
    #[command(flatten)]
    pub replay: Option<Replay>,
}

/// What to simulate, where it is no trace.
#[derive(Debug, Subcommand)]
pub enum SimulateCommand {
    /// Make a trace up, in the schema of the Azure Functions dataset of 2019
    Generate(Generate),
    /// Look for a seed that makes the core break a rule, and measure how fast it decides
    Check(Check),
}

/// `mayfly simulate TRACE`.
#[derive(Debug, Args)]
pub struct Replay {
    /// A directory with files of the Azure Functions dataset of 2019, or of `mayfly simulate generate`
    pub trace: PathBuf,
    /// A keep-alive policy, as of `mayfly serve`; may be repeated [default: six fixed times, lru, hybrid]
    #[arg(long, value_name = "POLICY")]
    pub policy: Vec<KeepAlivePolicy>,
    /// Memory for all environments together
    #[arg(long, value_name = "MIB", default_value_t = 65_536)]
    pub memory: u64,
    /// How long an environment takes to start
    #[arg(long, value_name = "MS", default_value_t = 100, value_parser = clap::value_parser!(u64).range(0..=60_000))]
    pub start: u64,
    /// Take so many functions of it, picked by the seed, where there are more
    #[arg(long, value_name = "N")]
    pub functions: Option<usize>,
    /// Which functions are picked, and how long invocations take
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Where to draw cold starts against wasted memory
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

/// `mayfly simulate generate`.
#[derive(Debug, Args)]
pub struct Generate {
    /// The directory to write to; it is made where it is not there
    pub directory: PathBuf,
    /// How many functions
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..=400_000))]
    pub functions: u64,
    /// How many days
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=28))]
    pub days: u64,
    /// The same seed makes the same trace
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// How many of each kind, for each hundred: periodic, Poisson, bursty, rare
    #[arg(
        long,
        value_name = "P,P,B,R",
        default_value = "40,35,15,10",
        value_delimiter = ',',
        num_args = 4
    )]
    pub mix: Vec<u32>,
}

/// `mayfly simulate check`.
#[derive(Debug, Args)]
pub struct Check {
    /// How many worlds
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    pub seeds: u64,
    /// The first world's seed; each one more has the next
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// How many steps each world lives
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    pub steps: u64,
    /// As JSON
    #[arg(long)]
    pub json: bool,
}
