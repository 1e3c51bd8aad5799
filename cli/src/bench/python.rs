//! `mayfly bench python`: this host's CPython in a guest, beside itself on the host.
//!
//! Each round starts it to do nothing (`-c pass`, from process start to end) and has it compute (python/work.py, which
//! times itself), there and here, so that both see the same host.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use serde_json::{Map, Value, json};

use super::summary::summary;
use crate::args::BenchPython;
use crate::failure::Failure;
use crate::image::{self, Python};
use crate::platform::print;

/// What computes.
const WORK: &str = include_str!("python/work.py");
/// Its pieces, as it names their times.
const PIECES: [&str; 3] = ["nbody", "json", "regex"];
/// What a boot is asked of its timing file: where its time and its memory went.
const CAUSES: [&str; 9] = [
    "exits",
    "exits_kick",
    "exits_wait",
    "exits_interrupted",
    "block_requests",
    "page_faults",
    "frames",
    "system_calls",
    "jumped_calls",
];

/// Measures.
///
/// # Errors
/// A host without python3 or KVM.
pub fn python(options: &BenchPython) -> Result<ExitCode, Failure> {
    let interpreter = Python::ask(Path::new("python3"))?.executable;
    let place = tempfile::tempdir()?;
    let image = place.path().join("image");
    match &options.image {
        Some(given) => std::os::unix::fs::symlink(std::path::absolute(given)?, &image)?,
        None => {
            let programs = std::slice::from_ref(&interpreter);
            image::from_host(image::Contents { programs, ..Default::default() }, &image)?;
        }
    }
    let bench = Bench { interpreter, image, timing: place.path().join("timing") };
    let (mut starts, mut pieces) = (<[Vec<u64>; 2]>::default(), Map::new());
    let mut samples = <[[Vec<u64>; PIECES.len()]; 2]>::default();
    for _ in 0..options.runs {
        for (is_host, (start, samples)) in starts.iter_mut().zip(&mut samples).enumerate() {
            let began = Instant::now();
            bench.run(is_host == 1, "pass")?;
            start.push(began.elapsed().as_micros() as u64);
            let times: Value = serde_json::from_slice(&bench.run(is_host == 1, WORK)?)?;
            for (name, samples) in PIECES.iter().zip(samples) {
                let ns = times[name].as_u64().ok_or_else(|| Failure::new("a piece has no time"))?;
                samples.push(ns / 1000);
            }
        }
    }
    let [guest, host] = &mut samples;
    pieces.insert("start".into(), side_by_side(&mut starts));
    for (name, (guest, host)) in PIECES.iter().zip(guest.iter_mut().zip(host)) {
        let both = &mut [std::mem::take(guest), std::mem::take(host)];
        pieces.insert((*name).into(), side_by_side(both));
    }
    bench.run(false, "pass")?;
    let timing: Value = serde_json::from_slice(&std::fs::read(&bench.timing)?)?;
    let boot: Map<String, Value> =
        CAUSES.iter().map(|cause| ((*cause).to_owned(), timing[cause].clone())).collect();
    let report = json!({ "runs": options.runs, "us": pieces, "boot": boot });
    let text = if options.json { format!("{report:#}\n") } else { table(&report) };
    print(text.as_bytes())?.done();
    Ok(ExitCode::SUCCESS)
}

/// What is measured with.
struct Bench {
    interpreter: PathBuf,
    image: PathBuf,
    timing: PathBuf,
}

impl Bench {
    /// Has the interpreter run a program, and gives what it prints.
    fn run(&self, on_host: bool, program: &str) -> Result<Vec<u8>, Failure> {
        let mut command =
            Command::new(if on_host { &self.interpreter } else { Path::new("/proc/self/exe") });
        if !on_host {
            command.arg("run").arg("--timing").arg(&self.timing);
            command.arg("--rootfs").arg(&self.image).arg("--").arg(&self.interpreter);
        }
        // Neither the user's variables nor packages: a guest has none.
        command
            .args(["-I", "-c", program])
            .env_clear()
            .stdin(Stdio::null())
            .stderr(Stdio::inherit());
        let output = command.output().map_err(|error| Failure::at(&self.interpreter, error))?;
        match output.status {
            status if status.success() => Ok(output.stdout),
            status => Err(Failure::new(format!("a run failed ({status})"))),
        }
    }
}

/// In the guest, on the host, and the ratio of the medians.
fn side_by_side([guest, host]: &mut [Vec<u64>; 2]) -> Value {
    let (guest, host) = (summary(guest), summary(host));
    let median = |summary: &Value| summary["p50"].as_f64().unwrap_or_default();
    let ratio = median(&guest) / median(&host).max(1.0);
    json!({ "guest": guest, "host": host, "ratio": (ratio * 100.0).round() / 100.0 })
}

fn table(report: &Value) -> String {
    let mut text = format!("{:<10} {:>10} {:>10} {:>8}\n", "µs, median", "guest", "host", "ratio");
    for name in ["start"].iter().chain(&PIECES) {
        let row = &report["us"][name];
        let [guest, host] = ["guest", "host"].map(|place| row[place]["p50"].to_string());
        text += &format!("{name:<10} {guest:>10} {host:>10} {:>8}\n", row["ratio"].to_string());
    }
    text += "\na start:";
    for cause in CAUSES {
        text += &format!(" {} {cause},", report["boot"][cause]);
    }
    text.truncate(text.trim_end_matches(',').len());
    text.replace('_', " ") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_stand_side_by_side() {
        let row = side_by_side(&mut [vec![30, 10, 20], vec![8, 9, 10]]);
        assert_eq!((&row["guest"]["p50"], &row["host"]["p50"]), (&json!(20), &json!(9)));
        assert_eq!(row["ratio"], 2.22);
    }
}
