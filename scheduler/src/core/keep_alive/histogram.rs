//! How long one function was idle between its invocations: one bin for each minute, up to four hours.
//!
//! ```text
//!   count │      ▄█▄                         │
//!         │     ▄███▄ ▂                      │ out of bounds
//!         └────┬──────┬──────────────────────┼──────▶ minutes
//!            head   tail                    240
//!         ◀───▶ pre-warming, 10 % shorter
//!               ◀─────▶ keep-alive, to 10 % behind the tail
//! ```
//!
//! Shahrad et al., "Serverless in the Wild", USENIX ATC 2020, section 4.

use std::time::Duration;

use super::Windows;

/// Minutes that are told apart: the range of the paper's own evaluation.
const BINS: usize = 240;
const BIN: Duration = Duration::from_secs(60);
/// The range: an idle time of this or more is out of bounds.
pub(super) const RANGE: Duration = Duration::from_secs(60 * BINS as u64);
/// Of all idle times, so many are shorter than the head, and than the tail, per cent.
const HEAD_PERCENT: u64 = 5;
const TAIL_PERCENT: u64 = 99;
/// Added at both sides for what was not seen yet, per cent.
const MARGIN_PERCENT: u32 = 10;
/// Past so many idle times all counts are halved, so that a function's new habits come to weigh more than its old
/// ones.
const COUNT_MAX: u64 = 1 << 14;

/// The idle times of one function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Histogram {
    bins: Box<[u16; BINS]>,
    /// Idle times in the bins.
    within: u64,
    /// Sum of the squares of the bins' counts.
    squares: u64,
    /// Idle times that no bin holds.
    beyond: u64,
}

impl Default for Histogram {
    fn default() -> Histogram {
        Histogram { bins: Box::new([0; BINS]), within: 0, squares: 0, beyond: 0 }
    }
}

impl Histogram {
    /// Counts an idle time.
    pub fn record(&mut self, idle: Duration) {
        if self.count() >= COUNT_MAX {
            self.halve();
        }
        match self.bins.get_mut((idle.as_secs() / BIN.as_secs()) as usize) {
            Some(bin) => {
                // (n + 1)² - n²
                self.squares += 2 * u64::from(*bin) + 1;
                *bin += 1;
                self.within += 1;
            }
            None => self.beyond += 1,
        }
    }

    fn halve(&mut self) {
        self.bins.iter_mut().for_each(|bin| *bin /= 2);
        self.beyond /= 2;
        self.within = self.bins.iter().map(|bin| u64::from(*bin)).sum();
        self.squares = self.bins.iter().map(|bin| u64::from(*bin).pow(2)).sum();
    }

    /// Idle times seen, in bins or beyond.
    pub fn count(&self) -> u64 {
        self.within + self.beyond
    }

    /// Idle times of four hours or more.
    pub fn beyond(&self) -> u64 {
        self.beyond
    }

    /// The coefficient of variation of the bins' counts: 0 where all bins are alike, greater than 15 where all is in one.
    pub fn variation(&self) -> f64 {
        if self.within == 0 {
            return 0.0;
        }
        let (within, squares) = (self.within as f64, self.squares as f64);
        (BINS as f64 * squares / (within * within) - 1.0).max(0.0).sqrt()
    }

    /// When the next invocation is to be expected, by head and tail; nothing where nothing is in the bins.
    pub fn windows(&self) -> Option<Windows> {
        let head = self.percentile(HEAD_PERCENT)?;
        let tail = self.percentile(TAIL_PERCENT)? + 1;
        let pre_warming = BIN * head as u32 * (100 - MARGIN_PERCENT) / 100;
        let end = BIN * tail as u32 * (100 + MARGIN_PERCENT) / 100;
        Some(Windows { pre_warming, keep_alive: Some(end - pre_warming) })
    }

    /// The bin in which the smallest `percent` of the idle times end.
    fn percentile(&self, percent: u64) -> Option<usize> {
        let rank = (self.within * percent).div_ceil(100).max(1);
        let mut below = 0;
        self.bins.iter().position(|bin| {
            below += u64::from(*bin);
            below >= rank
        })
    }
}
