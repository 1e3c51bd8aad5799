//! What a platform was asked to do, minute by minute: the schema of the Azure Functions dataset of 2019, which came
//! with Shahrad et al., "Serverless in the Wild" (USENIX ATC 2020).
//!
//! ```text
//!   invocations_per_function_md.anon.dNN.csv       HashOwner,HashApp,HashFunction,Trigger,1,2,…,1440
//!   function_durations_percentiles.anon.dNN.csv    HashOwner,HashApp,HashFunction,Average,…,percentile_Average_P,… ms
//!   app_memory_percentiles.anon.dNN.csv            HashOwner,HashApp,SampleCount,AverageAllocatedMb,…              MiB
//! ```
//!
//! A day has one file of each kind. A function that a day's durations or memory say nothing of keeps what an earlier
//! day said, else gets the defaults here.

mod bound;
mod generate;
mod parse;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::simulation::Random;
pub use generate::{Mix, generate};
pub use parse::{Columns, TraceError};

/// Minutes in a file of invocations.
pub const MINUTES: usize = 1440;
/// The quantiles that the durations' file has.
const QUANTILES: [f64; 7] = [0.0, 0.01, 0.25, 0.5, 0.75, 0.99, 1.0];
/// Where no file says otherwise: Mayfly's own default, MiB.
const MEMORY_MIB: u64 = 128;
/// Where no file says otherwise, ms.
const DURATION_MS: f64 = 1000.0;
/// Longest that an invocation runs: Lambda's limit.
pub const DURATION_MAX: Duration = Duration::from_secs(900);

/// A function, as far as a trace knows it.
#[derive(Clone, Debug, PartialEq)]
pub struct Function {
    /// Its application's place among all: memory is known by that.
    app: usize,
    /// How long invocations take, ms, at each of the quantiles.
    durations_ms: [f64; QUANTILES.len()],
    /// What an environment takes.
    pub memory_mib: u64,
}

/// Some days of a platform.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trace {
    functions: Vec<Function>,
    /// For each minute: which functions, in order, and how often.
    minutes: Vec<Vec<(u32, u32)>>,
    by_name: BTreeMap<(String, String, String), usize>,
    apps: BTreeMap<(String, String), usize>,
}

impl Trace {
    /// All functions; a minute names them by their place here.
    pub fn functions(&self) -> &[Function] {
        &self.functions
    }

    /// How long it is.
    pub fn minutes(&self) -> usize {
        self.minutes.len()
    }

    /// Who is invoked in a minute: functions, and how often. A minute past the end has nobody.
    pub fn minute(&self, minute: usize) -> &[(u32, u32)] {
        self.minutes.get(minute).map(Vec::as_slice).unwrap_or_default()
    }

    /// Invocations altogether.
    pub fn invocations(&self) -> u64 {
        self.minutes.iter().flatten().map(|(_, count)| u64::from(*count)).sum()
    }

    /// Leaves `count` functions that `random` picks, where there are more.
    pub fn sample(&mut self, count: usize, random: &mut Random) {
        let all = self.functions.len();
        if count >= all {
            return;
        }
        // Selection sampling (Knuth, TAOCP 2, algorithm 3.4.2S): in order, each with the same chance.
        let mut places: Vec<Option<u32>> = vec![None; all];
        let mut picked = Vec::with_capacity(count);
        for (index, function) in self.functions.iter().enumerate() {
            let wanted = count - picked.len();
            if (random.below((all - index) as u64) as usize) < wanted {
                places[index] = Some(picked.len() as u32);
                picked.push(function.clone());
            }
        }
        self.functions = picked;
        self.by_name.retain(|_, index| match places[*index] {
            Some(place) => {
                *index = place as usize;
                true
            }
            None => false,
        });
        for minute in &mut self.minutes {
            minute.retain_mut(|(function, _)| match places[*function as usize] {
                Some(place) => {
                    *function = place;
                    true
                }
                None => false,
            });
        }
    }
}

impl Function {
    fn new(app: usize) -> Function {
        Function { app, durations_ms: [DURATION_MS; QUANTILES.len()], memory_mib: MEMORY_MIB }
    }

    /// How long one invocation takes, by its place among all, from 0 to 1: between two quantiles on a straight line.
    pub fn duration(&self, place: f64) -> Duration {
        let next = QUANTILES.iter().position(|quantile| place <= *quantile);
        let ms = match next {
            Some(0) => self.durations_ms[0],
            None => self.durations_ms[QUANTILES.len() - 1],
            Some(next) => {
                let (from, to) = (self.durations_ms[next - 1], self.durations_ms[next]);
                let share = (place - QUANTILES[next - 1]) / (QUANTILES[next] - QUANTILES[next - 1]);
                from + (to - from) * share
            }
        };
        Duration::try_from_secs_f64(ms / 1000.0).map_or(DURATION_MAX, |time| time.min(DURATION_MAX))
    }
}
