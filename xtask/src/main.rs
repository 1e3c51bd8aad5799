//! The project's chores: `cargo xtask test`, `cargo demo`, `cargo xtask bench`.
//!
//! ```text
//!   test ──┬── pieces      what Debian must provide: installed, or named
//!          ├── suites      cargo test on this host, its output tallied ── tally
//!          ├── fixtures    programs that guests run                    ── cargo
//!          ├── clients     boto3 and the aws command line, by pytest
//!          ├── lane        the same tests on kvm-amd, inside QEMU's TCG; its power is cut
//!          └── report      what ran where, and what did not and why
//!   demo ──┴── lane        where this host has no /dev/kvm
//! ```
//!
//! Nothing is written outside cargo's target directory.

mod bench;
mod cargo;
mod clients;
mod command;
mod demo;
mod docs;
mod emulator;
mod failure;
mod fixtures;
mod host;
mod lane;
mod pieces;
mod report;
mod suites;
mod tally;
mod test;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The project's chores.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version, about, long_about = None)]
struct Cli {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Build and test everything, on this host's /dev/kvm and in the hardware lane.
    ///
    /// In this order: the release binary; unit, pair and doc tests; the programs that guests run; the
    /// KVM tests on this host's /dev/kvm; AWS's own clients there; the same KVM tests on a real kvm-amd, inside QEMU (the
    /// hardware lane). A summary says what ran where, what did not run, and why. Missing Debian
    /// packages are installed where this runs as root, and named with the command to type where not.
    Test(test::Options),

    /// Build the release binary and run `mayfly demo`, in the hardware lane where there is no KVM.
    Demo(demo::Options),

    /// Run the measurements: criterion's benches, then `mayfly bench`.
    Bench(bench::Options),

    /// Build the programs that guests run in tests, into target/fixtures.
    ///
    /// After this and `cargo build --release`, a single KVM test runs with plain cargo:
    /// `cargo test -p mayfly-tests --test kvm_api`.
    Fixtures,

    /// Cut the power under a platform that takes events, as often as MAYFLY_CUTS says: a step of `test`, alone.
    Power,

    /// Write the documents that are made from data.
    Docs,
}

fn main() -> ExitCode {
    let done = match Cli::parse().chore {
        Chore::Test(options) => test::run(&options),
        Chore::Demo(options) => demo::run(&options),
        Chore::Bench(options) => bench::run(&options),
        Chore::Fixtures => fixtures::run(),
        Chore::Power => lane::power::run(),
        Chore::Docs => docs::run(),
    };
    match done {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("\nxtask: {failure}");
            ExitCode::FAILURE
        }
    }
}
