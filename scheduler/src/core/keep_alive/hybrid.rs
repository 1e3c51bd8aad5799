//! The hybrid histogram policy: what each function has done says what it will do.
//!
//! ```text
//!   idle times seen ── fewer than 10? ───────────────────────── yes ─▶ standard
//!        │ no
//!   more than half of four hours or more? ───────────────────── yes ─▶ forecast
//!        │ no
//!   counts of the bins spread evenly (variation below 2)? ───── yes ─▶ standard
//!        │ no
//!   the histogram's head and tail
//! ```
//!
//! *Standard* is no pre-warming, and to keep for as long as the histogram reaches: the paper's cautious answer where
//! it knows nothing. The *forecast* is where we part from the paper: it fits an ARIMA model to the idle times, and we
//! a first-order autoregression to the last few; the margin around it, 15 %, is the paper's.
//!
//! Shahrad et al., "Serverless in the Wild", USENIX ATC 2020, section 4.2; its unit is an application, ours a
//! function in all its versions.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::forecast::forecast;
use super::histogram::{Histogram, RANGE};
use super::{KeepAlive, Windows};
use crate::core::ids::FunctionId;

/// Fewer idle times than this say nothing. (The paper gives no number.)
const SEEN_MIN: u64 = 10;
/// Below this the histogram shows no habit: the paper's threshold.
const VARIATION_MIN: f64 = 2.0;
/// Idle times that a forecast is made of.
const FORECAST_OF: usize = 8;
/// On both sides of a forecast, per cent.
const FORECAST_MARGIN_PERCENT: u32 = 15;
/// What is longer counts as this: nobody is expected back after a month.
const IDLE_MAX: Duration = Duration::from_secs(30 * 24 * 3600);
/// Functions that are learnt, at half a KiB each; any more are treated as unknown.
const FUNCTIONS_MAX: usize = 1 << 16;

const STANDARD: Windows = Windows { pre_warming: Duration::ZERO, keep_alive: Some(RANGE) };

/// Learns each function's idle times.
#[derive(Debug, Default)]
pub struct Hybrid {
    functions: BTreeMap<FunctionId, History>,
}

/// What is known of one function.
#[derive(Debug)]
struct History {
    histogram: Histogram,
    /// The last idle times, the newest at the end.
    last: VecDeque<Duration>,
    /// Since when nothing of it is under way.
    resting: Option<Duration>,
    /// What follows from all that.
    windows: Windows,
}

impl Default for History {
    fn default() -> History {
        History {
            histogram: Histogram::default(),
            last: VecDeque::new(),
            resting: None,
            windows: STANDARD,
        }
    }
}

impl KeepAlive for Hybrid {
    fn arrived(&mut self, function: FunctionId, now: Duration) {
        let Some(history) = self.functions.get_mut(&function) else { return };
        if let Some(since) = history.resting.take() {
            history.record(now.saturating_sub(since));
        }
    }

    fn rested(&mut self, function: FunctionId, now: Duration) {
        if self.functions.len() < FUNCTIONS_MAX || self.functions.contains_key(&function) {
            self.functions.entry(function).or_default().resting = Some(now);
        }
    }

    fn windows(&mut self, function: FunctionId) -> Windows {
        self.functions.get(&function).map_or(STANDARD, |history| history.windows)
    }

    fn forget(&mut self, function: FunctionId) {
        self.functions.remove(&function);
    }
}

impl History {
    fn record(&mut self, idle: Duration) {
        self.histogram.record(idle);
        if self.last.len() == FORECAST_OF {
            self.last.pop_front();
        }
        self.last.push_back(idle.min(IDLE_MAX));
        self.windows = self.decide();
    }

    fn decide(&self) -> Windows {
        let histogram = &self.histogram;
        if histogram.count() < SEEN_MIN {
            STANDARD
        } else if 2 * histogram.beyond() > histogram.count() {
            self.forecast()
        } else if histogram.variation() < VARIATION_MIN {
            STANDARD
        } else {
            histogram.windows().unwrap_or(STANDARD)
        }
    }

    /// Around the idle time that is next.
    fn forecast(&self) -> Windows {
        let next = forecast(&self.last);
        let margin = next * FORECAST_MARGIN_PERCENT / 100;
        Windows { pre_warming: next - margin, keep_alive: Some(2 * margin) }
    }
}
