//! Programs that measure themselves, in guests and on the host: loops of one thing each, whose times they print as JSON.

use std::ffi::{OsStr, OsString};
use std::process::{Command, ExitCode, Stdio};

use serde_json::{Map, Value, json};

use crate::args::BenchOwn;
use crate::failure::Failure;
use crate::platform::print;

/// What such a program is asked.
pub struct Own {
    /// Where it runs, as the report names it, and what makes `mayfly run` do so; the host has none.
    pub places: &'static [(&'static str, Option<&'static [&'static str]>)],
    /// The names of the times that it prints.
    pub loops: &'static [&'static str],
    /// How often it goes round each loop, unless it is told.
    pub turns: u32,
}

impl Own {
    /// Runs the program in each place, round by round, so that all see the same host.
    ///
    /// # Errors
    /// A host that can't run it, or a program that does not print what it should.
    pub fn measure(&self, options: &BenchOwn) -> Result<ExitCode, Failure> {
        let turns = options.turns.unwrap_or(self.turns);
        let mut samples = vec![vec![Vec::new(); self.loops.len()]; self.places.len()];
        for _ in 0..options.runs {
            for ((_, guest), samples) in self.places.iter().zip(&mut samples) {
                let times = run_once(*guest, options, turns)?;
                for (name, samples) in self.loops.iter().zip(samples) {
                    let time = times[name].as_f64();
                    let time =
                        time.ok_or_else(|| Failure::new(format!("no time of {name}: {times}")));
                    samples.push(time?);
                }
            }
        }
        let mut ns = Map::new();
        for ((place, _), samples) in self.places.iter().zip(&mut samples) {
            let medians = self.loops.iter().zip(samples);
            let medians: Map<String, Value> =
                medians.map(|(name, samples)| ((*name).to_owned(), summary(samples))).collect();
            ns.insert((*place).to_owned(), medians.into());
        }
        let report = json!({ "runs": options.runs, "turns": turns, "ns": ns });
        let text = if options.json { format!("{report:#}\n") } else { self.table(&report) };
        print(text.as_bytes())?.done();
        Ok(ExitCode::SUCCESS)
    }

    fn table(&self, report: &Value) -> String {
        let mut text = format!("{:<28}", "ns for each, median");
        for name in self.loops {
            text += &format!(" {name:>10}");
        }
        for (place, _) in self.places {
            text += &format!("\n{place:<28}");
            for name in self.loops {
                text += &format!(" {:>10}", report["ns"][place][name]["p50"].to_string());
            }
        }
        text + "\n"
    }
}

/// What the program prints, run in a guest with these options, or here.
fn run_once(guest: Option<&[&str]>, options: &BenchOwn, turns: u32) -> Result<Value, Failure> {
    let mut words: Vec<OsString> = Vec::new();
    if let Some(switches) = guest {
        words.extend(["/proc/self/exe", "run"].map(Into::into));
        words.extend(switches.iter().map(Into::into));
        words.push("--".into());
    }
    words.extend([options.program.clone().into(), turns.to_string().into()]);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_is_of_sorted_samples() {
        assert_eq!(summary(&mut [5.5, 1.5, 9.0]), json!({ "min": 1.5, "p50": 5.5 }));
        assert_eq!(summary(&mut [])["p50"], Value::Null);
    }
}
