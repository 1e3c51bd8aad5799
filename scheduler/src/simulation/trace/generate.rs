//! Traces that are made up, in the dataset's own schema: functions of a few kinds, whose habits differ as those of
//! real ones do.
//!
//! ```text
//!   periodic  │  │  │  │  │  │     a timer, each minute to each 6 hours
//!   poisson   │ ││   │    ││ │     people: from once a day to ten times a minute
//!   bursty      ▓▓▓        ▓▓      quiet for hours, then many at once
//!   rare      │                    once or twice a day, whenever
//! ```

use std::fmt::Write as _;
use std::io::Write;

use super::{Columns, MINUTES};
use crate::simulation::Random;

/// How many functions of each kind, for each hundred.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mix {
    /// By a timer.
    pub periodic: u32,
    /// At any moment, at the same rate.
    pub poisson: u32,
    /// In bursts.
    pub bursty: u32,
    /// Once or twice a day.
    pub rare: u32,
}

impl Default for Mix {
    /// So that, as in the dataset, somewhat less than half of all is called once an hour or less (section 3 of the paper, of
    /// applications). What is called more than once a minute is rarer than there: no policy makes a difference to it.
    fn default() -> Mix {
        Mix { periodic: 40, poisson: 35, bursty: 15, rare: 10 }
    }
}

/// Periods of timers, minutes; what stands twice is twice as likely.
const PERIODS: [u64; 12] = [1, 5, 5, 10, 15, 15, 30, 30, 60, 60, 120, 360];
/// The dataset's names of what triggers a function.
const TRIGGERS: [&str; 4] = ["timer", "http", "queue", "event"];
/// Where the seven quantiles lie in a normal distribution; least and most as three and a half deviations.
const DEVIATIONS: [f64; 7] = [-3.5, -2.326, -0.674, 0.0, 0.674, 2.326, 3.5];

/// What a function does.
#[derive(Clone, Copy, Debug)]
enum Habit {
    /// Each `period` minutes, from `phase` on.
    Periodic { period: u64, phase: u64 },
    /// So many each minute, on average.
    Poisson { rate: f64 },
    /// Starts a burst with this chance each minute; each burst goes on with that chance, at this rate.
    Bursty { start: f64, stay: f64, rate: f64 },
    /// So many each day.
    Rare { rate: f64 },
}

/// Writes one day: invocations, durations, memory. The same seed gives the same functions on each day.
///
/// # Errors
/// What the writers say.
pub fn generate(
    seed: u64,
    day: u64,
    functions: u64,
    mix: Mix,
    files: [&mut dyn Write; 3],
) -> std::io::Result<()> {
    let [invocations, durations, memory] = files;
    let minutes: String = (1..=MINUTES).fold(String::new(), |mut text, minute| {
        let _ = write!(text, ",{minute}");
        text
    });
    let names = Columns::FUNCTION.join(",");
    writeln!(invocations, "{names},Trigger{minutes}")?;
    let quantiles = Columns::DURATIONS.join(",");
    writeln!(durations, "{names},Average,Count,Minimum,Maximum,{quantiles}")?;
    writeln!(memory, "{},SampleCount,{}", Columns::APP.join(","), Columns::MEMORY)?;
    let root = Random::new(seed);
    for number in 0..functions {
        let mut random = root.fork(number);
        let (trigger, habit) = habit(&mut random, mix);
        let owner = format!("{:016x}", random.number());
        let app = format!("{owner},{:016x}", random.number());
        let name = format!("{app},{:016x}", random.number());
        let (median_ms, spread) = (log_uniform(&mut random, 5.0, 20_000.0), 0.2 + random.unit());
        let mib = 170.0 * (0.6 * normal(&mut random)).exp();

        let mut today = random.fork(1 + day);
        let mut is_in_burst = false;
        write!(invocations, "{name},{trigger}")?;
        let mut count = 0;
        for minute in 0..MINUTES as u64 {
            let now = day * MINUTES as u64 + minute;
            let calls = habit.calls(now, &mut is_in_burst, &mut today);
            count += calls;
            write!(invocations, ",{calls}")?;
        }
        writeln!(invocations)?;

        let quantile = |deviation: f64| median_ms * (spread * deviation).exp();
        write!(durations, "{name},{:.2},{count}", quantile(spread / 2.0))?;
        write!(durations, ",{:.2},{:.2}", quantile(DEVIATIONS[0]), quantile(DEVIATIONS[6]))?;
        for deviation in DEVIATIONS {
            write!(durations, ",{:.2}", quantile(deviation))?;
        }
        writeln!(durations)?;
        writeln!(memory, "{app},{count},{mib:.1}")?;
    }
    Ok(())
}

fn habit(random: &mut Random, mix: Mix) -> (&'static str, Habit) {
    let Mix { periodic, poisson, bursty, rare } = mix;
    let shares = [periodic, poisson, bursty, rare].map(u64::from);
    let mut place = random.below(shares.iter().sum::<u64>().max(1));
    let mut kind = 0;
    while kind + 1 < shares.len() && place >= shares[kind] {
        place -= shares[kind];
        kind += 1;
    }
    let habit = match kind {
        0 => {
            let period = PERIODS[random.below(PERIODS.len() as u64) as usize];
            Habit::Periodic { period, phase: random.below(period) }
        }
        1 => Habit::Poisson { rate: log_uniform(random, 1.0 / MINUTES as f64, 10.0) },
        2 => Habit::Bursty {
            start: log_uniform(random, 2.0 / MINUTES as f64, 0.02),
            stay: 0.5 + random.unit() * 0.45,
            rate: log_uniform(random, 1.0, 30.0),
        },
        _ => Habit::Rare { rate: (1.0 + random.unit()) / MINUTES as f64 },
    };
    (TRIGGERS[kind], habit)
}

impl Habit {
    /// Invocations in a minute.
    fn calls(self, minute: u64, is_in_burst: &mut bool, random: &mut Random) -> u64 {
        match self {
            Habit::Periodic { period, phase } => u64::from(minute % period == phase),
            Habit::Poisson { rate } | Habit::Rare { rate } => poisson(random, rate),
            Habit::Bursty { start, stay, rate } => {
                let chance = if *is_in_burst { stay } else { start };
                *is_in_burst = random.unit() < chance;
                if *is_in_burst { poisson(random, rate) } else { 0 }
            }
        }
    }
}

/// A number from a Poisson distribution (Knuth, TAOCP 2, section 3.4.1, algorithm Q); `mean` is small.
fn poisson(random: &mut Random, mean: f64) -> u64 {
    let limit = (-mean).exp();
    let (mut count, mut product) = (0, random.unit());
    while product > limit {
        count += 1;
        product *= random.unit();
    }
    count
}

/// A number between two, each order of magnitude as likely as the others.
fn log_uniform(random: &mut Random, from: f64, to: f64) -> f64 {
    from * (to / from).powf(random.unit())
}

/// A number from the normal distribution (Box and Muller, 1958).
fn normal(random: &mut Random) -> f64 {
    let radius = (-2.0 * (1.0 - random.unit()).ln()).sqrt();
    radius * (std::f64::consts::TAU * random.unit()).cos()
}
