//! The suite of AWS's own clients, boto3 and the aws command line: tests/python, by pytest.
//!
//! ```text
//!   tests/python/requirements.txt ── python3 -m venv, pip ──▶ target/python ──▶ pytest tests/python
//!   tests/python/requirements-2022.txt … target/python-2022 ──▶ pytest tests/python/test_sqs.py
//! ```

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cargo::Workspace;
use crate::command;
use crate::failure::{Failure, Result};
use crate::suites::{ENV_BINARY, ENV_FIXTURES};
use crate::tally::Tally;

const SUITE: &str = "tests/python";

/// Clients, and what they run.
struct Round {
    /// The environment's directory in target/.
    directory: &'static str,
    /// What is installed there, in the suite.
    requirements: &'static str,
    /// Files of the suite; all, where none is named.
    files: &'static [&'static str],
}

const ROUNDS: [Round; 2] = [
    Round { directory: "python", requirements: "requirements.txt", files: &[] },
    // Clients that speak SQS' older protocol.
    Round {
        directory: "python-2022",
        requirements: "requirements-2022.txt",
        files: &["test_sqs.py"],
    },
];

/// Runs the suite on this host's /dev/kvm.
pub fn test(workspace: &Workspace, filter: Option<&str>) -> Result<Tally> {
    let mut seen = Tally::default();
    for round in &ROUNDS {
        run(workspace, round, filter, &mut seen)?;
    }
    Ok(seen)
}

fn run(workspace: &Workspace, round: &Round, filter: Option<&str>, seen: &mut Tally) -> Result<()> {
    let suite = workspace.root.join(SUITE);
    let directory = workspace.target.join(round.directory);
    let python = environment(&directory, &suite.join(round.requirements))?;
    let mut pytest = Command::new(python);
    // Its own directory of caches would lie in the source tree.
    pytest.args(["-m", "pytest", "-p", "no:cacheprovider", "-rfEs", "--tb=short", "--color=no"]);
    match round.files {
        [] => pytest.arg(&suite),
        files => pytest.args(files.iter().map(|file| suite.join(file))),
    };
    pytest.env("PYTHONDONTWRITEBYTECODE", "1");
    pytest.env(ENV_BINARY, workspace.mayfly()).env(ENV_FIXTURES, workspace.fixtures());
    if let Some(filter) = filter {
        pytest.args(["-k", filter]);
    }
    println!("$ {}", command::line(&pytest));
    let failed = seen.failed;
    let status = command::tee(&mut pytest, |line| seen.pytest_line(line))?;
    // 5: the filter fits no test.
    if status.success() || status.code() == Some(5) || seen.failed > failed {
        return Ok(());
    }
    Err(Failure::Command { command: command::line(&pytest), status, stderr: String::new() })
}

/// A Python of our own in `dir` that has what `requirements` names; made anew where that has changed.
fn environment(dir: &Path, requirements: &Path) -> Result<PathBuf> {
    let python = dir.join("bin/python");
    let wanted = fs::read(requirements).map_err(Failure::file("reading", requirements))?;
    let stamp = dir.join("requirements.txt");
    if fs::read(&stamp).is_ok_and(|made| made == wanted) {
        return Ok(python);
    }
    println!("Installing AWS's clients into {} …", dir.display());
    command::run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(dir))?;
    command::run(
        Command::new(&python)
            .args([
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
                "--requirement",
            ])
            .arg(requirements),
    )?;
    fs::write(&stamp, wanted).map_err(Failure::file("writing", &stamp))?;
    Ok(python)
}
