//! When a mapping may take its next batch: at once, or, where its function is throttled or fails on whole batches, after a
//! pause that grows (Lambda developer guide, "Backoff strategy for failed invocations").
//!
//! ```text
//!   refused ─▶ 1 s, 2 s, 4 s, … 5 min, jitter (queue/retry.rs)        worked ─▶ none
//! ```
//!
//! Batches that were at work together are refused together: that counts once.

use tokio::time::Instant;

use crate::queue::retry::Delays;

/// What became of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The function took it; of some messages it may have said that they failed.
    Worked,
    /// Nothing was wanted of it: it was not asked.
    Passed,
    /// The function could not be run, or failed on all of it.
    Refused,
}

/// The pauses of one mapping.
#[derive(Debug, Default)]
pub(super) struct Pace {
    refusals: u32,
    rests_until: Option<Instant>,
}

impl Pace {
    /// A batch has ended; `random` spreads the pauses of mappings that are refused together.
    pub(super) fn heard(&mut self, outcome: Outcome, delays: Delays, random: u32, now: Instant) {
        match outcome {
            Outcome::Worked => *self = Pace::default(),
            Outcome::Passed => {}
            Outcome::Refused if self.rests(now).is_some() => {}
            Outcome::Refused => {
                self.refusals = self.refusals.saturating_add(1);
                let delay_ms = delays.after_refusal_ms(self.refusals, random).unsigned_abs();
                self.rests_until = Some(now + std::time::Duration::from_millis(delay_ms));
            }
        }
    }

    /// Until when it rests, where it does.
    pub(super) fn rests(&self, now: Instant) -> Option<Instant> {
        self.rests_until.filter(|until| now < *until)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn pauses_grow_with_what_is_refused_and_end_with_what_works() {
        let (mut pace, mut now) = (Pace::default(), Instant::now());
        let refuse = |pace: &mut Pace, now| {
            pace.heard(Outcome::Refused, Delays::default(), u32::MAX, now);
            pace.rests(now).map(|until| until - now)
        };
        for seconds in [1, 2, 4, 8] {
            let pause = Duration::from_secs(seconds);
            assert_eq!(refuse(&mut pace, now), Some(pause));
            // Another one of the same time says nothing new.
            assert_eq!(refuse(&mut pace, now), Some(pause));
            now += pause;
            assert_eq!(pace.rests(now), None);
        }
        pace.heard(Outcome::Passed, Delays::default(), 0, now);
        assert_eq!(
            refuse(&mut pace, now),
            Some(Duration::from_secs(16)),
            "that says nothing of the function"
        );
        pace.heard(Outcome::Worked, Delays::default(), 0, now);
        assert_eq!(pace.rests(now), None);
        assert_eq!(refuse(&mut pace, now), Some(Duration::from_secs(1)));
    }
}
