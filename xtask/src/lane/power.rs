//! The power is cut, again and again, under a platform that takes events; afterwards none that it accepted is missing.
//!
//! ```text
//!   create ──▶ "ready"       ✕     each on the same disk,
//!   load ────▶ "accepted ID" ✕     which forgets what was not flushed
//!   load ────▶ "accepted ID" ✕     (disk.rs)
//!   tell ────▶ "told ID" for every ID
//! ```
//!
//! The other half runs in the machine: tests/src/bin/power_cut.rs. What was accepted is known by what came out of the serial
//! port before the cut: an event whose 202 came, but not that line, is not asked for.
//!
//! MAYFLY_CUTS says how often.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::ExitCode;

use super::console::Event;
use super::disk::Disk;
use super::{FIXTURES, FUNCTION, JOB_SECONDS_MAX, Job, Lane, MAYFLY};
use crate::cargo::{JSON, Workspace, cargo, executables};
use crate::failure::{Failure, Result};
use crate::pieces::{self, Piece};
use crate::suites::{ENV_BINARY, ENV_FIXTURES};
use crate::tally::Tally;
use crate::{command, fixtures};

/// The test's name.
pub const NAME: &str = "no_accepted_event_is_lost_by_power_cuts";

const ENV_CUTS: &str = "MAYFLY_CUTS";
/// Each takes about 10 s.
const CUTS: usize = 3;
/// A cut comes behind so many more accepted events, at most.
const ACCEPTED_MAX: u64 = 150;

const PROGRAM: &str = "power-cut";
const INSIDE: &str = "/mayfly/bin/power-cut";
const DATA: &str = "/disk/data";
const READY: &str = "ready";
const ACCEPTED: &str = "accepted ";
const TOLD: &str = "told ";

/// `cargo xtask power`.
pub fn run() -> Result<ExitCode> {
    pieces::ensure(&[Piece::Busybox, Piece::Musl, Piece::Qemu, Piece::Ext4])?;
    let workspace = Workspace::find()?;
    workspace.build_release()?;
    let seen = test(&Lane::new(&workspace)?, &workspace)?;
    Ok(if seen.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Cuts the power as often as is asked for.
pub fn test(lane: &Lane, workspace: &Workspace) -> Result<Tally> {
    let cuts = match std::env::var(ENV_CUTS) {
        Ok(count) => count.parse().map(NonZeroUsize::get).map_err(|error| {
            Failure::Missing(format!(
                "{ENV_CUTS} is a number of cuts, from 1 on, not {count:?}: {error}"
            ))
        })?,
        Err(_) => CUTS,
    };
    let mut house = House {
        lane,
        disk: Disk::make(&lane.dir)?,
        files: vec![
            (MAYFLY.to_owned(), workspace.mayfly()),
            (FUNCTION.to_owned(), fixtures::build_one(workspace, "function")?),
            (INSIDE.to_owned(), program(workspace)?),
        ],
        random: Box::new(random()),
    };
    house.until("create", |line| line == READY)?;
    let mut accepted = BTreeSet::new();
    for _ in 0..cuts {
        let enough = accepted.len() + 1 + (house.random)() as usize % ACCEPTED_MAX as usize;
        house.until("load", |line| {
            accepted.extend(line.strip_prefix(ACCEPTED).map(str::to_owned));
            accepted.len() >= enough
        })?;
        println!("  {} events accepted so far", accepted.len());
    }
    let count = accepted.len();
    house.to_the_end("tell", |line| {
        if let Some(id) = line.strip_prefix(TOLD) {
            accepted.remove(id);
        }
    })?;
    let mut tally = Tally { programs: 1, ..Tally::default() };
    if accepted.is_empty() {
        println!("  the ends of all {count} accepted events are known");
        tally.passed = 1;
    } else {
        println!("  {} of {count} accepted events are lost: {accepted:?}", accepted.len());
        tally.failed = 1;
        tally.failures.push(NAME.to_owned());
    }
    Ok(tally)
}

/// A disk, and the machines that it is in, one after the other.
struct House<'a> {
    lane: &'a Lane,
    disk: Disk,
    files: Vec<(String, PathBuf)>,
    random: Box<dyn FnMut() -> u64>,
}

impl House<'_> {
    /// Runs one of the program's parts and cuts the power where `is_enough` says so of a line.
    fn until(&mut self, part: &str, mut is_enough: impl FnMut(&str) -> bool) -> Result<()> {
        let mut was_cut = false;
        self.boot(part, |event| match event {
            Event::Output(line) if is_enough(&line) => {
                was_cut = true;
                ControlFlow::Break(())
            }
            other => shown(&other),
        })?;
        if !was_cut {
            return Err(Failure::Lane(format!("{PROGRAM} {part} ended before the power did")));
        }
        let cut = self.disk.cut(|| (self.random)() & 1 == 0)?;
        println!(
            "  power cut: {} writes, {} flushes; {} writes behind the last flush are lost",
            cut.writes, cut.flushes, cut.lost
        );
        Ok(())
    }

    /// Runs one of the program's parts to its end.
    fn to_the_end(&self, part: &str, mut look: impl FnMut(&str)) -> Result<()> {
        let mut status = None;
        self.boot(part, |event| {
            match &event {
                Event::Output(line) => look(line),
                Event::End(_, code) => status = Some(*code),
                _ => {}
            }
            shown(&event)
        })?;
        match status {
            Some(0) => Ok(()),
            _ => Err(Failure::Lane(format!("{PROGRAM} {part} ended with {status:?}"))),
        }
    }

    fn boot(&self, part: &str, look: impl FnMut(Event) -> ControlFlow<()>) -> Result<()> {
        let job = Job {
            name: part.to_owned(),
            seconds_max: JOB_SECONDS_MAX,
            command: format!(
                "env {ENV_BINARY}={MAYFLY} {ENV_FIXTURES}={FIXTURES} {INSIDE} {part} {DATA}"
            ),
        };
        self.lane.boot(&[job], &self.files, &self.disk.plug()?, look)
    }
}

/// Shows what is no word for this test: a panic, or a kernel's message.
fn shown(event: &Event) -> ControlFlow<()> {
    if let Event::Output(line) = event
        && ![ACCEPTED, TOLD].iter().any(|word| line.starts_with(word))
    {
        println!("    {line}");
    }
    ControlFlow::Continue(())
}

/// Builds the half that runs in the machine.
fn program(workspace: &Workspace) -> Result<PathBuf> {
    let mut build = cargo();
    build.current_dir(&workspace.root);
    build.args(["build", "--package", "mayfly-tests", "--bin", PROGRAM, JSON]);
    let built = executables(&command::capture_stdout(&mut build)?, |kind| kind == "bin");
    let program = built.into_iter().find(|(name, _)| name == PROGRAM).map(|(_, path)| path);
    program.ok_or(Failure::Output { tool: "cargo build", what: format!("no {PROGRAM}") })
}

/// Numbers that nobody can foresee: the standard library's keyed hash, of 1, 2, 3, …
fn random() -> impl FnMut() -> u64 {
    let (keyed, mut count) = (RandomState::new(), 0_u64);
    move || {
        count += 1;
        keyed.hash_one(count)
    }
}
