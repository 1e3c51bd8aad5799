//! `mayfly bench syscall`: what a system call costs a program in a guest, as a jump and as a trap, beside the host's own
//! and a plain call.
//!
//! A program measures itself (tests/fixtures/ppid.c): loops of one libc function each, whose times it prints as JSON.
//! Each round runs it in all three places, so that they see the same host.

use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::process::{Command, ExitCode, Stdio};

use serde_json::{Map, Value, json};

use crate::args::BenchSyscall;
use crate::failure::Failure;

/// Where the program runs, as the report names it, and what makes `mayfly run` do so; the host has none.
const PLACES: [(&str, Option<&[&str]>); 3] =
    [("rewritten", Some(&[])), ("trapped", Some(&["--no-syscall-rewrite"])), ("host", None)];
/// What it measures: a call that is answered at the kernel's door, one that the kernel itself must answer, and a function
/// call.
const LOOPS: [&str; 3] = ["getppid", "umask", "call"];

/// Runs the program `runs` times in each place.
///
/// # Errors
/// A host that can't run it, or a program that does not print what it should.
pub fn syscall(options: &BenchSyscall) -> Result<ExitCode, Failure> {
    let mut samples = [[(); LOOPS.len()]; PLACES.len()].map(|row| row.map(|()| Vec::new()));
    for _ in 0..options.runs {
        for ((_, guest), samples) in PLACES.iter().zip(&mut samples) {
            let times = run_once(*guest, options)?;
            for (name, samples) in LOOPS.iter().zip(samples) {
                let time = times[name].as_f64();
                samples
                    .push(time.ok_or_else(|| Failure::new(format!("no time of {name}: {times}")))?);
            }
        }
    }
    let mut ns = Map::new();
    for ((place, _), samples) in PLACES.iter().zip(&mut samples) {
        let medians = LOOPS.iter().zip(samples);
        let medians: Map<String, Value> =
            medians.map(|(name, samples)| ((*name).to_owned(), summary(samples))).collect();
        ns.insert((*place).to_owned(), medians.into());
    }
    let report = json!({ "runs": options.runs, "turns": options.turns, "ns": ns });
    let text = if options.json { format!("{report:#}\n") } else { table(&report) };
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

/// What the program prints, run in a guest with these options, or here.
fn run_once(guest: Option<&[&str]>, options: &BenchSyscall) -> Result<Value, Failure> {
    let mut words: Vec<OsString> = Vec::new();
    if let Some(switches) = guest {
        words.extend(["/proc/self/exe", "run"].map(Into::into));
        words.extend(switches.iter().map(Into::into));
        words.push("--".into());
    }
    words.extend([options.program.clone().into(), options.turns.to_string().into()]);
    let output = Command::new(&words[0])
        .args(&words[1..])
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| Failure::at(OsStr::new(&words[0]).as_ref(), error))?;
    if !output.status.success() {
        return Err(Failure::new(format!("a run failed ({})", output.status)));
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Least and median, ns.
fn summary(samples: &mut [f64]) -> Value {
    samples.sort_unstable_by(f64::total_cmp);
    json!({ "min": samples.first(), "p50": samples.get(samples.len() / 2) })
}

fn table(report: &Value) -> String {
    let mut text = format!("{:<28}", "ns for each, median");
    for name in LOOPS {
        text += &format!(" {name:>10}");
    }
    for (place, _) in PLACES {
        text += &format!("\n{place:<28}");
        for name in LOOPS {
            text += &format!(" {:>10}", report["ns"][place][name]["p50"].to_string());
        }
    }
    text + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_is_of_sorted_samples() {
        assert_eq!(summary(&mut [5.5, 1.5, 9.0]), json!({ "min": 1.5, "p50": 5.5 }));
        assert_eq!(summary(&mut [])["p50"], Value::Null);
    }
}
