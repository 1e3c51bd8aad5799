//! The clock that a guest reads: a measurement, carried on by its counter (see [`Clock`]), and put right now and then.
//!
//! ```text
//!   measured    ●────────────────────●  moment 2
//!   published   ●━━━━━━━━━━━━━━━━━━━━━━▶   too fast: its rate is lowered until the host's clock has caught up
//!   published   ●━━━━━━━━━━━━━━━━━━▶ ┃     too slow: it moves on at once
//! ```
//!
//! The counter's rate is known to a kHz, and the host's clocks follow NTP: without corrections a millisecond would be lost
//! every minute or so. CLOCK_MONOTONIC never goes back.

use std::io;

use mayfly_abi::channel::{CLOCK_SHIFT, Clock};
use mayfly_abi::layout::CHANNEL;
use zerocopy::IntoBytes;

use crate::kvm::{self, Moment, Vcpu};
use crate::memory::Memory;
use crate::time;

/// How often a clock is corrected at most; and about as often while its guest runs, which the tick interrupts. The host's own rate changes by 500 ppm at
/// most, half a millisecond in this time.
const PERIOD_NS: u64 = 1_000_000_000;
/// A measurement that took longer is not used: the host had other things to do in the middle of it.
const WINDOW_MAX_NS: u64 = 200_000;
/// The largest change of rate: 1/2000, as adjtimex(2).
const SLEW: u64 = 2_000;
/// Rates that differ from the counter's nominal one by more are not believed: one part of so many.
const NOMINAL: u64 = 1_000;
/// Realtime is not set back by less: it slews like the other.
const STEP_NS: u64 = 1_000_000;

/// The clock of one guest.
#[derive(Debug)]
pub struct GuestClock {
    first: Moment,
    nominal: u64,
    published: Clock,
    due_ns: u64,
}

impl GuestClock {
    /// A clock for a counter of `tsc_khz` that is right at `first`.
    pub fn new(first: Moment, tsc_khz: u64) -> GuestClock {
        let mult = Clock::mult_for(tsc_khz);
        let Moment { tsc, monotonic_ns, realtime_ns, .. } = first;
        let published = Clock { base_tsc: tsc, monotonic_ns, realtime_ns, mult, version: 0 };
        let due_ns = monotonic_ns + PERIOD_NS;
        GuestClock { first, nominal: mult, published, due_ns }
    }

    /// What the guest reads.
    pub fn published(&self) -> &Clock {
        &self.published
    }

    /// The moments that a counter's value stands for where it is from before the first correction.
    pub fn at_boot(&self) -> Clock {
        let Moment { tsc, monotonic_ns, realtime_ns, .. } = self.first;
        Clock { base_tsc: tsc, monotonic_ns, realtime_ns, mult: self.nominal, version: 0 }
    }

    /// Puts the clock right if it is time, while the guest is outside.
    ///
    /// # Errors
    /// What the host says.
    pub fn keep(&mut self, vcpu: &Vcpu, memory: &Memory) -> io::Result<()> {
        let now_ns = time::monotonic_ns();
        if now_ns < self.due_ns {
            return Ok(());
        }
        self.due_ns = now_ns + PERIOD_NS;
        let moment = kvm::read_moment(vcpu).map_err(io::Error::other)?;
        if moment.window_ns <= WINDOW_MAX_NS {
            self.correct(&moment);
            memory.write_at(CHANNEL, self.published.as_bytes()).map_err(io::Error::other)?;
        }
        Ok(())
    }

    fn correct(&mut self, moment: &Moment) {
        let &Moment { tsc, monotonic_ns, realtime_ns, .. } = moment;
        let shown_ns = self.published.monotonic_at(tsc);
        let shown_realtime_ns = self.published.realtime_at(tsc);
        let ahead_ns = shown_ns.saturating_sub(monotonic_ns);
        let rate = self.rate(moment);
        let slew = (u128::from(rate) * u128::from(ahead_ns) / u128::from(PERIOD_NS)) as u64;
        let sets_back =
            shown_realtime_ns > realtime_ns && shown_realtime_ns - realtime_ns < STEP_NS;
        self.published = Clock {
            base_tsc: tsc,
            monotonic_ns: shown_ns.max(monotonic_ns),
            realtime_ns: if sets_back { shown_realtime_ns } else { realtime_ns },
            mult: rate - slew.min(rate / SLEW),
            version: self.published.version + 1,
        };
    }

    /// Nanoseconds for a tick since the first measurement, as [`Clock::mult`].
    fn rate(&self, moment: &Moment) -> u64 {
        let ticks = moment.tsc.saturating_sub(self.first.tsc);
        let ns = moment.monotonic_ns.saturating_sub(self.first.monotonic_ns);
        let measured = (u128::from(ns) << CLOCK_SHIFT).checked_div(u128::from(ticks)).unwrap_or(0);
        let off = measured.abs_diff(u128::from(self.nominal));
        let is_likely = off <= u128::from(self.nominal / NOMINAL);
        if is_likely { measured as u64 } else { self.nominal }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KHZ: u64 = 2_000_000;
    const SECOND: u64 = 1_000_000_000;

    /// The host's clocks when the counter shows `tsc`, where it really ticks `ppm` parts of a million faster.
    fn moment(tsc: u64, ppm: i128) -> Moment {
        let ns = (i128::from(tsc) / 2 * 1_000_000 / (1_000_000 + ppm)) as u64;
        Moment { tsc, monotonic_ns: 7 * SECOND + ns, realtime_ns: 900 * SECOND + ns, window_ns: 0 }
    }

    #[test]
    fn a_wrong_rate_is_found_and_time_never_goes_back() {
        for ppm in [-300, -20, 0, 20, 300] {
            let mut clock = GuestClock::new(moment(0, ppm), KHZ);
            let mut last = 0;
            for second in 1..20 {
                let now = moment(second * 2 * SECOND, ppm);
                let before = clock.published().monotonic_at(now.tsc);
                clock.correct(&now);
                let after = clock.published().monotonic_at(now.tsc);
                assert!(before >= last && after >= before, "{ppm} ppm, second {second}");
                last = after;
                let realtime = clock.published().realtime_at(now.tsc);
                let limit = if second > 2 { 2_000 } else { 1_000_000 };
                assert!(after.abs_diff(now.monotonic_ns) < limit, "{ppm} ppm, second {second}");
                assert!(realtime.abs_diff(now.realtime_ns) < limit, "{ppm} ppm, second {second}");
            }
        }
    }

    #[test]
    fn realtime_is_set_where_the_hosts_was() {
        let mut clock = GuestClock::new(moment(0, 0), KHZ);
        let mut now = moment(2 * SECOND, 0);
        now.realtime_ns -= 100 * SECOND;
        clock.correct(&now);
        assert_eq!(clock.published().realtime_at(now.tsc), now.realtime_ns);
        assert_eq!(clock.published().monotonic_at(now.tsc), now.monotonic_ns);
        assert_eq!(clock.published().version, 1);
    }

    #[test]
    fn a_counter_that_jumped_does_not_change_the_rate() {
        let mut clock = GuestClock::new(moment(0, 0), KHZ);
        let now = Moment { tsc: 1 << 60, ..moment(2 * SECOND, 0) };
        clock.correct(&now);
        assert!(clock.published().mult <= Clock::mult_for(KHZ));
        assert!(clock.published().mult >= Clock::mult_for(KHZ) - Clock::mult_for(KHZ) / SLEW);
    }
}
