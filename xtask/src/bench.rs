//! `cargo xtask bench`: criterion's benches, then the measurements that need a virtual machine: boots and invocations.

use std::process::{Command, ExitCode};

use clap::Args;

use crate::cargo::{Workspace, cargo};
use crate::failure::Result;
use crate::pieces::{self, Piece};
use crate::{command, emulator, fixtures, host};

/// What to measure.
#[derive(Args)]
pub struct Options {
    /// Run only criterion benches whose name contains this, and nothing in virtual machines.
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,

    /// What virtual machines take, as JSON.
    #[arg(long)]
    json: bool,
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
    pieces::ensure(&[Piece::Busybox, Piece::Musl])?;
    workspace.build_release()?;
    let json = options.json.then_some("--json");
    let bench = |what: &str| {
        let mut command = Command::new(workspace.mayfly());
        command.args(["bench", what]).args(json);
        command
    };
    command::run(&mut bench("boot"))?;
    let bootstrap = fixtures::build_one(&workspace, "bootstrap")?;
    let mut invoke = bench("invoke");
    invoke.arg("--bootstrap").arg(bootstrap);
    if let Some(emulator) = emulator::find(&workspace) {
        invoke.arg("--rie").arg(emulator);
    }
    command::run(&mut invoke)?;
    command::run(&mut bench("python"))?;
    for (what, program) in [("syscall", "ppid"), ("process", "births")] {
        let program = fixtures::build_one(&workspace, program)?;
        command::run(bench(what).arg("--program").arg(program))?;
    }
    Ok(ExitCode::SUCCESS)
}
