//! `mayfly bench boot`: how long a boot takes, against what KVM itself takes.
//!
//! Each round measures the floor and one whole `mayfly run`, so that both see the same host.

use std::ffi::OsStr;
use std::io::{PipeReader, PipeWriter, Read, Write};
use std::os::fd::AsFd;
use std::process::{Command, ExitCode, Stdio};

use mayfly_abi::control::{Exits, Outcome};
use mayfly_vmm::{kvm, time};
use serde_json::{Value, json};

use super::summary::summary;
use crate::args::Run;
use crate::failure::Failure;
use crate::footprint;
use crate::guest::{Ended, Guest, Standard};
use crate::platform::print;
use crate::sample;
use crate::signals::Signals;
use crate::timing::T0_VARIABLE;

/// The moments of a boot, as `--timing` names them.
const MOMENTS: [&str; 5] = ["kvm_ready", "guest_entered", "kernel_ready", "user_entered", "exited"];

/// Measures `runs` boots.
///
/// # Errors
/// A host that can't run them.
pub fn boot(runs: u16, as_json: bool) -> Result<ExitCode, Failure> {
    let program = sample::find()?;
    let mut floors = Vec::new();
    let mut moments = vec![Vec::new(); MOMENTS.len()];
    for _ in 0..runs {
        floors.push(kvm::floor()?.as_micros() as u64);
        let timing = run_once(&program)?;
        for (name, samples) in MOMENTS.iter().zip(&mut moments) {
            let value = timing[name].as_u64();
            samples.push(value.ok_or_else(|| Failure::new(format!("a run without {name}")))?);
        }
    }
    let (exits, pss_kib) = look_inside(&program)?;
    let floor = summary(&mut floors);
    let names = MOMENTS.into_iter();
    let boot: serde_json::Map<String, Value> = names
        .zip(&mut moments)
        .map(|(name, samples)| (name.to_owned(), summary(samples)))
        .collect();
    let ratio = number(&boot["user_entered"]) / number(&floor).max(1.0);
    let report = json!({
        "runs": runs,
        "floor_us": floor,
        "boot_us": boot,
        "boot_to_floor": (ratio * 100.0).round() / 100.0,
        "exits": exits,
        "vmm_pss_kib": pss_kib,
    });
    let text = if as_json { format!("{report:#}\n") } else { table(&report) };
    print(text.as_bytes())?.done();
    Ok(ExitCode::SUCCESS)
}

/// One `mayfly run` in a process of its own; its timing file.
fn run_once(program: &OsStr) -> Result<Value, Failure> {
    let file = tempfile::NamedTempFile::new()?;
    let mut command = Command::new("/proc/self/exe");
    command.arg("run").arg("--timing").arg(file.path()).arg("--").arg(program).arg("true");
    command.stdin(Stdio::null()).env(T0_VARIABLE, time::monotonic_ns().to_string());
    match command.status()? {
        status if status.success() => Ok(serde_json::from_slice(&std::fs::read(file.path())?)?),
        status => Err(Failure::new(format!("a run failed ({status})"))),
    }
}

/// Runs a guest that waits, to see what its VMM takes; and its exits by cause.
fn look_inside(program: &OsStr) -> Result<(Value, u64), Failure> {
    let signals = Signals::new()?;
    let (stdin, mut to_guest) = std::io::pipe()?;
    let (mut from_guest, stdout) = std::io::pipe()?;
    let run = Run::program([program, "cat".as_ref()]);
    let standard =
        Standard { stdin: stdin.as_fd(), stdout: stdout.as_fd(), stderr: stdout.as_fd() };
    let guest = Guest::spawn()?.start_on(run, standard)?;
    drop((stdin, stdout));
    echo(&mut to_guest, &mut from_guest)?;
    let pss_kib = footprint::pss_besides_guest_kib(guest.id(), crate::args::MEMORY_MIB)?;
    drop(to_guest);
    match guest.wait(&signals)? {
        Ended::Guest(Outcome::Exited(0), report) => {
            let Exits { kick, wait, mmio, interrupted, other } = report.exits;
            let exits = json!({
                "kick": kick, "wait": wait, "mmio": mmio, "interrupted": interrupted, "other": other,
            });
            Ok((exits, pss_kib))
        }
        other => Err(Failure::new(format!("the guest that was to wait ended as {other:?}"))),
    }
}

/// A byte through the guest: after it, the guest waits for more.
fn echo(to_guest: &mut PipeWriter, from_guest: &mut PipeReader) -> Result<(), Failure> {
    let mut byte = [b'.'];
    to_guest.write_all(&byte)?;
    Ok(from_guest.read_exact(&mut byte)?)
}

fn number(summary: &Value) -> f64 {
    summary["p50"].as_f64().unwrap_or_default()
}

fn table(report: &Value) -> String {
    let mut text =
        format!("{:<34} {:>8} {:>8} {:>8}\n", "µs from the process's start", "min", "p50", "p90");
    let mut row = |name: &str, summary: &Value| {
        let [min, p50, p90] = ["min", "p50", "p90"].map(|key| summary[key].to_string());
        text += &format!("{name:<34} {min:>8} {p50:>8} {p90:>8}\n");
    };
    row("floor: bare calls, to the first exit", &report["floor_us"]);
    for name in MOMENTS {
        row(name, &report["boot_us"][name]);
    }
    text + &format!(
        "\nuser_entered is {} times the floor. Beside guest memory the VMM takes {} KiB (PSS).\n",
        report["boot_to_floor"], report["vmm_pss_kib"]
    )
}
