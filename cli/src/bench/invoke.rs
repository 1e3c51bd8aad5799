//! `mayfly bench invoke`: from an HTTP request to a function's answer, cold and warm.
//!
//! ```text
//!            ┌─▶ mayfly serve ─▶ microVM ─▶ bootstrap
//!   client ──┼─▶ the same HTTP server, answering by itself          (bench echo)
//!            └─▶ AWS's Runtime Interface Emulator ─▶ bootstrap      (no virtual machine)
//! ```
//!
//! Rounds take turns, so that all see the same host.

use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use bytes::Bytes;
use hyper::Method;
use mayfly_vmm::kvm;
use serde_json::{Map, Value, json};

use super::function::{self, Code};
use super::load::{self, Client, Seen};
use super::parts;
use super::server::Server;
use super::summary::{latencies, summary};
use crate::args::BenchInvoke;
use crate::failure::{Failure, say};
use crate::platform::print;

/// The event, which is also the answer.
const EVENT: &[u8] = br#"{"key1":"value1","key2":"value2","key3":"value3"}"#;
/// The function that is kept warm.
const WARM: &str = "warm";
/// In how many turns warm invocations are measured.
const ROUNDS: usize = 10;
/// How many clients there are at once, beside one.
const CROWDS: [usize; 2] = [2, 8];
/// What the emulator is called in the report.
const EMULATOR: &str = "rie";
/// Where the emulator's one function is (its own documentation).
const EMULATED: &str = "function";

/// What takes invocations.
struct Target {
    name: &'static str,
    path: String,
    server: Server,
}

/// Measures.
///
/// # Errors
/// A host that can't run it.
pub fn invoke(options: &BenchInvoke) -> Result<ExitCode, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let report = runtime.block_on(measure(options))?;
    let text = if options.json { format!("{report:#}\n") } else { table(&report) };
    print(text.as_bytes())?.done();
    Ok(ExitCode::SUCCESS)
}

async fn measure(options: &BenchInvoke) -> Result<Value, Failure> {
    let data = tempfile::tempdir()?;
    let serve = ["serve", "--listen", "127.0.0.1:0", "--data"].map(AsRef::as_ref);
    let platform = Server::of_ours(serve.into_iter().chain([data.path().as_os_str()]))?;
    let code = Code::of(&options.bootstrap)?;

    let cold = cold(platform.address, &code, options.cold).await?;
    code.create(&mut Client::connect(platform.address).await?, WARM).await?;
    let echo = Server::of_ours(["bench", "echo"])?;
    let mut targets = vec![
        Target { name: "mayfly", path: function::path(WARM), server: platform },
        Target { name: "bare", path: "/".into(), server: echo },
    ];
    match options.rie.as_deref().map(|rie| emulator(rie, &options.bootstrap)) {
        Some(Ok(target)) => targets.push(target),
        Some(Err(failure)) => say(&format!("not measured: {failure}")),
        None => say("not measured: AWS's Runtime Interface Emulator (see --rie)"),
    }
    let mut warm = Vec::new();
    warm.push(crowd(&targets, 1, options.warm).await?);
    // The emulator has one environment, and breaks where two invocations meet.
    targets.retain(|target| target.name != EMULATOR);
    for clients in CROWDS {
        warm.push(crowd(&targets, clients, options.warm).await?);
    }
    let parts = parts::measure(&options.bootstrap, options.warm).await?;
    let ratio = number(&warm[0]["mayfly"]["us"]) / number(&warm[0]["bare"]["us"]).max(0.1);
    Ok(json!({
        "event_bytes": EVENT.len(),
        "cold": cold,
        "warm": warm,
        "parts": parts,
        "warm_to_bare": (ratio * 100.0).round() / 100.0,
    }))
}

fn emulator(program: &Path, bootstrap: &Path) -> Result<Target, Failure> {
    let server = Server::emulator(program, bootstrap)?;
    Ok(Target { name: EMULATOR, path: function::path(EMULATED), server })
}

/// The first invocation of a new function, `runs` times, beside the fewest calls to KVM that run any guest.
async fn cold(address: SocketAddr, code: &Code, runs: u16) -> Result<Value, Failure> {
    let mut client = Client::connect(address).await?;
    let (mut floor_us, mut cold_us) = (Vec::new(), Vec::new());
    for run in 0..runs {
        floor_us.push(kvm::floor()?.as_micros() as u64);
        let name = format!("cold-{run}");
        code.create(&mut client, &name).await?;
        let start = Instant::now();
        client.send(Method::POST, &function::path(&name), EVENT.into()).await?;
        cold_us.push(start.elapsed().as_micros() as u64);
        function::delete(&mut client, &name).await?;
    }
    Ok(json!({ "runs": runs, "us": summary(&mut cold_us), "floor_us": summary(&mut floor_us) }))
}

/// `calls` warm invocations of each target by so many clients, in turns.
async fn crowd(targets: &[Target], clients: usize, calls: u32) -> Result<Value, Failure> {
    let event = Bytes::from_static(EVENT);
    let mut crowds = Vec::new();
    for target in targets {
        let mut crowd = Vec::new();
        for _ in 0..clients {
            crowd.push(Client::connect(target.server.address).await?);
        }
        // Environments come to be, and all that is lazy happens.
        load::run(&mut crowd, &target.path, &event, clients * 20).await?;
        crowds.push((target, crowd, Seen::default()));
    }
    for _ in 0..ROUNDS {
        for (target, crowd, seen) in &mut crowds {
            let calls = (calls as usize).div_ceil(ROUNDS);
            seen.extend(load::run(crowd, &target.path, &event, calls).await?);
        }
    }
    let mut report = Map::from_iter([("clients".to_owned(), clients.into())]);
    for (target, _, mut seen) in crowds {
        let (calls, rate) = (seen.latencies_ns.len(), seen.rate().round());
        let us = latencies(&mut seen.latencies_ns);
        report.insert(target.name.into(), json!({ "calls": calls, "per_s": rate, "us": us }));
    }
    Ok(report.into())
}

fn number(summary: &Value) -> f64 {
    summary["p50"].as_f64().unwrap_or_default()
}

fn table(report: &Value) -> String {
    let row = |name: &str, summary: &Value, keys: &[&str]| {
        let cells = keys.iter().map(|key| format!(" {:>8}", summary[*key].to_string()));
        format!("{name:<34}{}\n", cells.collect::<String>())
    };
    let keys = ["min", "p50", "p90"];
    let heading = |name: &str, keys: &[&str]| {
        let cells: String = keys.iter().map(|key| format!(" {key:>8}")).collect();
        format!("{name:<34}{cells}\n")
    };
    let mut text = heading("cold, µs", &keys);
    text += &row("floor: bare calls, to the first exit", &report["cold"]["floor_us"], &keys);
    text += &row("a new function's first invocation", &report["cold"]["us"], &keys);
    let keys = ["min", "p50", "p90", "p99", "p999"];
    for warm in report["warm"].as_array().into_iter().flatten() {
        text += &heading(&format!("\nwarm, {} clients, µs", warm["clients"]), &keys);
        for (name, target) in warm.as_object().into_iter().flatten() {
            if name != "clients" {
                text += row(name, &target["us"], &keys).trim_end();
                text += &format!("  {:>7}/s\n", target["per_s"].to_string());
            }
        }
    }
    text += &heading("\none warm invocation in its VM, µs", &keys);
    for step in parts::STEPS {
        text += &row(step, &report["parts"]["us"][step], &keys);
    }
    text += &format!("exits for each: {}\n", report["parts"]["exits_per_call"]);
    text + &format!("\nA warm invocation takes {} times the bare server.\n", report["warm_to_bare"])
}
