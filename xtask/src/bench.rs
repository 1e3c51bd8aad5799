//! `cargo xtask bench`: criterion's benches, then the measurements that need a virtual machine.

use std::process::{Command, ExitCode};

use clap::Args;

use crate::cargo::{Workspace, cargo};
use crate::failure::Result;
use crate::pieces::{self, Piece};
use crate::{command, host};

/// What to measure.
#[derive(Args)]
pub struct Options {
    /// Run only criterion benches whose name contains this, and nothing in virtual machines.
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,

    /// Arguments for `mayfly bench`.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<String>,
}

/// Runs the measurements one after the other: they would disturb one another.
pub fn run(options: &Options) -> Result<ExitCode> {
    let workspace = Workspace::find()?;
    command::run(
        cargo()
            .current_dir(&workspace.root)
            .args(["bench", "--package", "mayfly-benches", "--benches"])
            .args(options.filter.as_ref().map(|_| "--"))
            .args(&options.filter),
    )?;
    if options.filter.is_some() {
        return Ok(ExitCode::SUCCESS);
    }
    if let Err(why) = host::kvm() {
        println!("Not measured: virtual machines ({why}).");
        return Ok(ExitCode::SUCCESS);
    }
    pieces::ensure(&[Piece::Busybox])?;
    workspace.build_release()?;
    command::run(Command::new(workspace.mayfly()).arg("bench").args(&options.args))?;
    Ok(ExitCode::SUCCESS)
}
