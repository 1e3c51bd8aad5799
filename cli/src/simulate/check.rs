//! `mayfly simulate check`: worlds full of faults, and how fast the core decides where there is none.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use mayfly_scheduler::simulation::Crowd;
use mayfly_scheduler::simulation::hostile::{self, Tally};
use serde_json::{Value, json};

use crate::args::Check;
use crate::failure::{FAILED, Failure, say};
use crate::platform::print;
use crate::progress::Progress;
use crate::signals::Signals;

/// How often whoever watches is told, and whoever wants to stop is heard.
const TURN: Duration = Duration::from_millis(200);
/// Pools that placements are measured in, environments.
const CROWDS: [u64; 3] = [100, 1_000, 10_000];
/// How long each measurement takes.
const MEASURED: Duration = Duration::from_millis(500);
/// Placements between two looks at the clock.
const BATCH: u64 = 1000;

/// Lives the worlds and says what came of it.
///
/// # Errors
/// The host refuses something. A broken rule is said, and makes the status 125.
pub fn check(options: &Check) -> Result<ExitCode, Failure> {
    let signals = Signals::new()?;
    let progress = Progress::to_stderr();
    let start = Instant::now();
    let mut tally = Tally::default();
    let (mut lived, mut told) = (0, start);
    let mut broken = None;
    let running = name_the_seed_of_a_panic();
    for seed in options.seed..options.seed.saturating_add(options.seeds) {
        running.store(seed, Ordering::Relaxed);
        match hostile::run(seed, options.steps) {
            Ok(one) => tally.add(&one),
            Err(rule) => broken = Some(rule),
        }
        lived += 1;
        if broken.is_some() || signals.have_come() {
            break;
        }
        if told.elapsed() > TURN {
            told = Instant::now();
            progress.says(&format!("seed {seed}: {} events, nothing broken", tally.events));
        }
    }
    let elapsed = start.elapsed();
    progress.says("measuring placements");
    let placements = if broken.is_some() || signals.have_come() { Vec::new() } else { measure() };
    progress.ends();
    let report =
        report(options.seed, lived, &tally, elapsed, &placements, u64::from(broken.is_some()));
    let text = if options.json { format!("{report:#}\n") } else { table(&report) };
    print(text.as_bytes())?.done();
    if let Some(broken) = broken {
        let (seed, steps) = (broken.seed, options.steps);
        say(&format!(
            "{broken}; again: mayfly simulate check --seeds 1 --seed {seed} --steps {steps}"
        ));
        return Ok(ExitCode::from(FAILED));
    }
    Ok(ExitCode::SUCCESS)
}

/// The core asserts rules of its own; whichever world makes it panic shall be found again.
fn name_the_seed_of_a_panic() -> Arc<AtomicU64> {
    let running = Arc::new(AtomicU64::new(0));
    let seed = Arc::clone(&running);
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |what| {
        say(&format!("the core panicked in the world of seed {}", seed.load(Ordering::Relaxed)));
        before(what);
    }));
    running
}

/// Warm and cold placements in a second, in pools of different sizes.
fn measure() -> Vec<Value> {
    let row = |environments: u64| {
        let mut crowd = Crowd::new(environments);
        let warm = rate(|| crowd.place_warm());
        let cold = rate(|| crowd.place_cold());
        json!({ "environments": environments, "warm_per_s": warm, "cold_per_s": cold })
    };
    CROWDS.into_iter().map(row).collect()
}

fn rate(mut place: impl FnMut()) -> u64 {
    let start = Instant::now();
    let mut count = 0;
    while start.elapsed() < MEASURED {
        (0..BATCH).for_each(|_| place());
        count += BATCH;
    }
    (count as f64 / start.elapsed().as_secs_f64()) as u64
}

fn report(
    first: u64,
    lived: u64,
    tally: &Tally,
    elapsed: Duration,
    placements: &[Value],
    broken: u64,
) -> Value {
    json!({
        "first_seed": first,
        "seeds": lived,
        "events": tally.events,
        "events_per_s": (tally.events as f64 / elapsed.as_secs_f64().max(1e-9)) as u64,
        "invocations": tally.invocations,
        "dispatched": tally.dispatched,
        "refused": tally.refused,
        "started_ahead": tally.started_ahead,
        "provisioned": tally.provisioned,
        "faults": {
            "all": tally.faults(),
            "deaths": tally.deaths,
            "failed_starts": tally.failed_starts,
            "time_outs": tally.time_outs,
            "updates": tally.updates,
            "alias_moves": tally.moves,
            "clock_jumps": tally.jumps,
            "lies": tally.lies,
        },
        "rules_broken": broken,
        "placements": placements,
    })
}

fn table(report: &Value) -> String {
    let faults = &report["faults"];
    let mut text = format!(
        "worlds         {} (seeds from {})\n\
         events         {}, {} a second, each judged\n\
         invocations    {}: {} dispatched, {} refused\n\
         started ahead  {}, and {} to be kept\n\
         faults         {}: {} deaths, {} failed starts, {} time-outs, {} jumps of the clock, {} lies, {} updates\n\
         aliases        {} moved with what is kept for them\n\
         rules broken   {}\n",
        report["seeds"],
        report["first_seed"],
        report["events"],
        report["events_per_s"],
        report["invocations"],
        report["dispatched"],
        report["refused"],
        report["started_ahead"],
        report["provisioned"],
        faults["all"],
        faults["deaths"],
        faults["failed_starts"],
        faults["time_outs"],
        faults["clock_jumps"],
        faults["lies"],
        faults["updates"],
        faults["alias_moves"],
        report["rules_broken"],
    );
    let rows = report["placements"].as_array().map(Vec::as_slice).unwrap_or_default();
    if !rows.is_empty() {
        text += "\nplacements a second, the core alone\nenvironments       warm       cold\n";
    }
    for row in rows {
        let cell = |key: &str| row[key].as_u64().unwrap_or_default();
        let (environments, warm, cold) =
            (cell("environments"), cell("warm_per_s"), cell("cold_per_s"));
        text += &format!("{environments:>12} {warm:>10} {cold:>10}\n");
    }
    text
}
