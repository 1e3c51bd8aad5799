//! The command line of `mayfly simulate`.

use clap::{Args, Subcommand};

pub const SIMULATE_EXAMPLES: &str = "\
Examples:
  mayfly simulate check                          worlds full of faults, and how fast the core decides
  mayfly simulate check --seed 4711 --seeds 1    one of them again";

/// `mayfly simulate`.
#[derive(Debug, Args)]
pub struct Simulate {
    #[command(subcommand)]
    pub command: SimulateCommand,
}

/// What to simulate.
#[derive(Debug, Subcommand)]
pub enum SimulateCommand {
    /// Look for a seed that makes the core break a rule, and measure how fast it decides
    Check(Check),
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
