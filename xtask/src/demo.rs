//! `cargo demo`: the platform's main job, on this host or in the hardware lane.

use std::process::{Command, ExitCode};

use clap::Args;

use crate::cargo::Workspace;
use crate::failure::{Failure, Result};
use crate::lane::{self, Lane};
use crate::pieces::{self, Piece};
use crate::{command, fixtures, host};

/// The function that is shown.
const EXAMPLE: &str = "hello-c";
/// Names its program to `mayfly demo`.
const ENV_FUNCTION: &str = "MAYFLY_DEMO_FUNCTION";

/// What to hand on.
#[derive(Args)]
pub struct Options {
    /// Use the hardware lane even where this host has /dev/kvm.
    #[arg(long)]
    lane: bool,

    /// Arguments for `mayfly demo`.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<String>,
}

/// Builds, then runs `mayfly demo`; its exit status is ours.
pub fn run(options: &Options) -> Result<ExitCode> {
    pieces::ensure(&[Piece::Busybox, Piece::Musl])?;
    let workspace = Workspace::find()?;
    println!("Building mayfly (the first time takes a minute or two) …");
    workspace.build_release()?;
    let function = fixtures::example(&workspace, EXAMPLE)?;

    let obstacle = if options.lane { Some("as you asked".into()) } else { host::kvm().err() };
    if let Some(why) = obstacle {
        println!(
            "\nThe demo runs in the hardware lane ({why}): Debian's own kernel with kvm-amd, inside \
             QEMU's emulated processor.\nEverything works there, about a hundred times slower: look at \
             what happens, not at how fast.\n"
        );
        pieces::ensure(&[Piece::Qemu])?;
        let function = (ENV_FUNCTION, function);
        return lane::demo(&Lane::new(&workspace)?, &workspace, function, &options.args);
    }
    let mut demo = Command::new(workspace.mayfly());
    demo.arg("demo").args(&options.args).env(ENV_FUNCTION, function);
    let status =
        demo.status().map_err(|source| Failure::Start { command: command::line(&demo), source })?;
    // A status above 255 does not exist; a death by signal has none, and counts as a failure.
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, Into::into))
}
