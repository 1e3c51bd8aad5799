//! `mayfly simulate TRACE`: what each keep-alive policy would have cost.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use mayfly_scheduler::core::{KeepAlivePolicy, Limits};
use mayfly_scheduler::simulation::Random;
use mayfly_scheduler::simulation::replay::{Cost, Replay};
use mayfly_scheduler::simulation::trace::Trace;
use serde_json::{Value, json};

use super::{chart, files};
use crate::args;
use crate::failure::{Failure, say};
use crate::platform::{print, table};
use crate::progress::Progress;
use crate::signals::Signals;

/// What is compared where nothing is named. The first ones are the line that the others are held against.
const POLICIES: [&str; 8] =
    ["fixed:1m", "fixed:5m", "fixed:10m", "fixed:20m", "fixed:1h", "fixed:2h", "lru", "hybrid"];
/// What wasted memory is told in parts of: the paper's own yardstick.
const YARDSTICK: KeepAlivePolicy = KeepAlivePolicy::Fixed(Duration::from_secs(600));
/// The part of all functions whose share of cold starts is told: the paper's measure.
const PART: f64 = 0.75;
/// How often whoever watches is told.
const TURN: Duration = Duration::from_millis(200);
/// Environments at once: only memory shall bound them.
const ENVIRONMENTS_MAX: usize = 1 << 20;
const HEADS: [&str; 8] =
    ["POLICY", "INVOKED", "COLD", "COLD %", "COLD % (P75)", "WASTED GiB·h", "OF 10m", "REFUSED"];

/// What came of one policy.
struct Row {
    policy: KeepAlivePolicy,
    cost: Cost,
}

/// Replays a trace with each policy.
///
/// # Errors
/// Files that are no trace.
pub fn replay(options: &args::Replay) -> Result<ExitCode, Failure> {
    let progress = Progress::to_stderr();
    let mut trace = files::read(&options.trace, |what| progress.says(what))?;
    if let Some(functions) = options.functions {
        trace.sample(functions, &mut Random::new(options.seed));
    }
    // While it reads there is nothing to tell; whoever stops it then stops it.
    let signals = Signals::new()?;
    let mut rows = Vec::new();
    for policy in policies(&options.policy) {
        match live(&trace, policy, options, &progress, &signals) {
            Some(cost) => rows.push(Row { policy, cost }),
            None => break,
        }
    }
    progress.ends();
    if signals.have_come() {
        say("ended early: policies that are missing were not replayed to their end");
    }
    let text = match options.json {
        true => format!("{:#}\n", report(&trace, options, &rows)),
        false => shown(&trace, &rows),
    };
    print(text.as_bytes())?.done();
    if let Some(path) = &options.svg {
        let svg = chart::svg(&points(&rows));
        std::fs::write(path, svg).map_err(|error| Failure::at(path, error))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn policies(named: &[KeepAlivePolicy]) -> Vec<KeepAlivePolicy> {
    match named {
        [] => POLICIES.iter().filter_map(|name| name.parse().ok()).collect(),
        named => named.to_vec(),
    }
}

/// One policy, to the end of the trace; nothing where somebody wants to stop.
fn live(
    trace: &Trace,
    keep_alive: KeepAlivePolicy,
    options: &args::Replay,
    progress: &Progress,
    signals: &Signals,
) -> Option<Cost> {
    let limits = Limits {
        memory_mib: options.memory,
        environments_max: ENVIRONMENTS_MAX,
        keep_alive,
        ..Limits::default()
    };
    let start_time = Duration::from_millis(options.start);
    let mut replay = Replay::new(trace, limits, start_time, options.seed);
    let mut told = None::<Instant>;
    while replay.live() {
        if told.is_none_or(|told| told.elapsed() > TURN) {
            told = Some(Instant::now());
            let done = 100 * replay.minute() / trace.minutes().max(1);
            progress.says(&format!("{keep_alive}: {done} %"));
        }
        if signals.have_come() {
            return None;
        }
    }
    Some(replay.cost())
}

/// Wasted memory in parts of the yardstick's, where that was replayed.
fn to_yardstick(rows: &[Row], cost: &Cost) -> Option<f64> {
    let yardstick = rows.iter().find(|row| row.policy == YARDSTICK)?;
    Some(cost.wasted_mib_s / yardstick.cost.wasted_mib_s.max(1e-9))
}

fn points(rows: &[Row]) -> Vec<chart::Point> {
    let point = |row: &Row| chart::Point {
        name: row.policy.to_string(),
        wasted: to_yardstick(rows, &row.cost).unwrap_or(row.cost.wasted_mib_s / 1024.0 / 3600.0),
        cold: row.cost.cold_share_at(PART),
        is_on_line: matches!(row.policy, KeepAlivePolicy::Fixed(_)),
    };
    rows.iter().map(point).collect()
}

fn shown(trace: &Trace, rows: &[Row]) -> String {
    let cells = |row: &Row| {
        let cost = &row.cost;
        [
            row.policy.to_string(),
            cost.invocations.to_string(),
            cost.cold.to_string(),
            format!("{:.2}", 100.0 * cost.cold_share()),
            format!("{:.2}", 100.0 * cost.cold_share_at(PART)),
            format!("{:.2}", cost.wasted_mib_s / 1024.0 / 3600.0),
            to_yardstick(rows, cost).map_or("-".into(), |part| format!("{:.0} %", 100.0 * part)),
            cost.refused.to_string(),
        ]
    };
    let rows: Vec<[String; 8]> = rows.iter().map(cells).collect();
    format!(
        "{} functions, {} invocations, {} minutes\n\n{}",
        trace.functions().len(),
        trace.invocations(),
        trace.minutes(),
        table(HEADS, &rows)
    )
}

fn report(trace: &Trace, options: &args::Replay, rows: &[Row]) -> Value {
    let policy = |row: &Row| {
        let cost = &row.cost;
        json!({
            "policy": row.policy.to_string(),
            "invocations": cost.invocations,
            "cold": cost.cold,
            "cold_share": cost.cold_share(),
            "cold_share_p75_of_functions": cost.cold_share_at(PART),
            "refused": cost.refused,
            "environments_started": cost.started,
            "wasted_mib_s": cost.wasted_mib_s,
            "held_mib_s": cost.held_mib_s,
            "wasted_to_fixed_10m": to_yardstick(rows, cost),
            "memory_mib_max": cost.memory_mib_max,
        })
    };
    json!({
        "functions": trace.functions().len(),
        "invocations": trace.invocations(),
        "minutes": trace.minutes(),
        "memory_mib": options.memory,
        "start_ms": options.start,
        "seed": options.seed,
        "policies": rows.iter().map(policy).collect::<Vec<_>>(),
    })
}
