//! The two suites, as cargo commands on this host.
//!
//! - *Plain*: unit tests, pair tests and doc tests: whatever needs no virtual machine.
//! - *KVM*: the test targets named `kvm_*`, which need /dev/kvm, the release binary (`MAYFLY_BIN`) and
//!   the programs for guests (`MAYFLY_FIXTURES`).
//!
//! Both name the whole workspace, so that cargo unifies features once and builds each crate once.

use std::path::PathBuf;
use std::process::Command;

use crate::cargo::{JSON, Workspace, cargo, executables};
use crate::command;
use crate::failure::{Failure, Result};
use crate::tally::Tally;

/// Where the KVM tests find the release binary.
pub const ENV_BINARY: &str = "MAYFLY_BIN";
/// Where the KVM tests find the programs for guests: a directory.
pub const ENV_FIXTURES: &str = "MAYFLY_FIXTURES";

/// Runs unit, pair and doc tests.
pub fn plain(workspace: &Workspace, filter: Option<&str>) -> Result<Tally> {
    let mut seen = run(test(workspace).args(&workspace.plain_targets).args(filter))?;
    seen.add(run(test(workspace).arg("--doc").args(filter))?);
    Ok(seen)
}

/// Runs the KVM tests on this host's /dev/kvm.
pub fn kvm(workspace: &Workspace, filter: Option<&str>) -> Result<Tally> {
    run(kvm_targets(workspace)
        .env(ENV_BINARY, workspace.mayfly())
        .env(ENV_FIXTURES, workspace.fixtures())
        .args(filter))
}

/// Builds the KVM tests and returns their executables, as (target, path), by name.
pub fn kvm_executables(workspace: &Workspace) -> Result<Vec<(String, PathBuf)>> {
    let mut build = kvm_targets(workspace);
    let messages = command::capture_stdout(build.args(["--no-run", JSON]))?;
    let mut executables = executables(&messages, |kind| kind == "test");
    executables.sort();
    Ok(executables)
}

fn test(workspace: &Workspace) -> Command {
    let mut command = cargo();
    command.current_dir(&workspace.root).args(["test", "--workspace", "--no-fail-fast"]);
    // It has been installed: its tests are not left out.
    command.env(mayfly_postgres::REQUIRED, "1");
    command
}

fn kvm_targets(workspace: &Workspace) -> Command {
    let mut command = test(workspace);
    for target in &workspace.kvm_targets {
        command.args(["--test", target]);
    }
    command
}

/// Runs a `cargo test`; a failure without a failed test (it did not compile, or a test program died) is
/// an error.
fn run(command: &mut Command) -> Result<Tally> {
    println!("$ {}", command::line(command));
    let mut seen = Tally::default();
    let status = command::tee(command, |line| seen.line(line))?;
    if status.success() || seen.failed > 0 {
        return Ok(seen);
    }
    Err(Failure::Command { command: command::line(command), status, stderr: String::new() })
}
