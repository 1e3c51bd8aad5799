//! When an asynchronous invocation is tried again (Lambda developer guide, "How Lambda handles errors and retries with
//! asynchronous invocation").
//!
//! ```text
//!   function error           after 1 min, then 2 min                as often as the configuration says, 0 to 2 times
//!   throttled, system error  after 1 s, 2 s, 4 s, … 5 min, jitter   until the event is too old
//! ```

use std::time::Duration;

/// First delay after a function error; each one more adds as much.
const ERROR_DELAY: Duration = Duration::from_secs(60);
/// First delay of what could not be run; doubled from then on.
const REFUSAL_DELAY_MIN: Duration = Duration::from_secs(1);
const REFUSAL_DELAY_MAX: Duration = Duration::from_secs(300);

/// Lambda's times, or, for tests and people at a desk, a part of them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Delays(f64);

impl Default for Delays {
    fn default() -> Delays {
        Delays(1.0)
    }
}

impl Delays {
    /// Each time is `scale` times what it is on Lambda; a scale that makes no sense is none.
    pub fn scaled(scale: f64) -> Delays {
        if scale.is_finite() && scale > 0.0 { Delays(scale) } else { Delays::default() }
    }

    /// How long to wait after a function's error, the `failures`th of this event, ms.
    pub fn after_error_ms(self, failures: u32) -> i64 {
        self.ms(ERROR_DELAY * failures.max(1))
    }

    /// How long to wait when the event could not be run for the `refusals`th time, ms: from half to all of the
    /// delay, as 32 random bits say, so that those refused together don't come back together.
    pub fn after_refusal_ms(self, refusals: u32, random: u32) -> i64 {
        let doublings = refusals.saturating_sub(1).min(16);
        let delay = (REFUSAL_DELAY_MIN * (1 << doublings)).min(REFUSAL_DELAY_MAX);
        self.ms(delay.mul_f64(0.5 + 0.5 * f64::from(random) / f64::from(u32::MAX)))
    }

    /// How old an event may become, ms.
    pub fn age_ms(self, age: Duration) -> i64 {
        self.ms(age)
    }

    /// At least 1 ms: nothing is tried again without a pause.
    fn ms(self, time: Duration) -> i64 {
        ((time.as_secs_f64() * 1e3 * self.0) as i64).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_lambdas() {
        let delays = Delays::default();
        assert_eq!([1, 2].map(|failures| delays.after_error_ms(failures)), [60_000, 120_000]);
        let longest = [1, 2, 3, 9, 10, u32::MAX].map(|n| delays.after_refusal_ms(n, u32::MAX));
        assert_eq!(longest, [1000, 2000, 4000, 256_000, 300_000, 300_000]);
        assert_eq!(delays.after_refusal_ms(1, 0), 500);
    }

    #[test]
    fn a_scale_shortens_all_of_them() {
        let delays = Delays::scaled(0.001);
        assert_eq!(delays.after_error_ms(2), 120);
        assert_eq!(delays.after_refusal_ms(10, u32::MAX), 300);
        assert_eq!(delays.age_ms(Duration::from_secs(60)), 60);
        for senseless in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(Delays::scaled(senseless), Delays::default());
        }
        assert_eq!(Delays::scaled(1e-9).after_error_ms(1), 1);
    }
}
