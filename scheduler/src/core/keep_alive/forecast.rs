//! The next of a few idle times: a first-order autoregression, x' = mean + φ · (x − mean).
//!
//! ```text
//!   24 h, 24 h, 25 h, 24 h, …   φ ≈ 0    the mean
//!    8 h, 16 h, 8 h, 16 h, …    φ ≈ −1   the other one: who is called at nine and at five
//! ```
//!
//! φ is the autocorrelation at lag 1 (Box and Jenkins, "Time Series Analysis", the Yule–Walker estimate), and counts as
//! nothing where chance alone might have made it. A full ARIMA model, which the paper fits, has nothing more to go by in
//! so few times.

use std::collections::VecDeque;
use std::time::Duration;

/// Standard errors of an autocorrelation, 1/√n each where there is none (Bartlett): nineteen of twenty by chance stay
/// within so many.
const ERRORS: f64 = 2.0;

/// What comes after these; within what has been seen. Nothing after nothing.
pub(super) fn forecast(times: &VecDeque<Duration>) -> Duration {
    let count = times.len() as f64;
    let seconds = || times.iter().map(Duration::as_secs_f64);
    let mean = seconds().sum::<f64>() / count.max(1.0);
    let deviations: Vec<f64> = seconds().map(|time| time - mean).collect();
    let variance: f64 = deviations.iter().map(|one| one * one).sum();
    let together: f64 = deviations.windows(2).map(|pair| pair[0] * pair[1]).sum();
    let correlation = if variance > 0.0 { together / variance } else { 0.0 };
    let is_by_chance = correlation.abs() * count.sqrt() <= ERRORS;
    let factor = if is_by_chance { 0.0 } else { correlation };
    let next = mean + factor * deviations.last().copied().unwrap_or_default();
    let (shortest, longest) = (times.iter().min(), times.iter().max());
    let next = Duration::try_from_secs_f64(next).unwrap_or_default();
    next.max(shortest.copied().unwrap_or_default()).min(longest.copied().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(hours: &[u64]) -> f64 {
        let times: VecDeque<Duration> =
            hours.iter().map(|hours| Duration::from_secs(3600 * hours)).collect();
        forecast(&times).as_secs_f64() / 3600.0
    }

    #[test]
    fn times_that_take_turns_are_seen_to() {
        let short = after(&[8, 16, 8, 16, 8, 16, 8, 16]);
        let long = after(&[16, 8, 16, 8, 16, 8, 16, 8]);
        // Well within the policy's margins.
        assert!((8.0..8.6).contains(&short), "{short}");
        assert!((15.4..=16.0).contains(&long), "{long}");
    }

    #[test]
    fn what_may_be_chance_is_the_mean() {
        assert_eq!(after(&[24; 8]), 24.0);
        assert_eq!(after(&[5, 7, 7, 5, 5, 7, 7, 5]), 6.0);
        assert_eq!(after(&[6, 30]), 18.0);
        assert_eq!((after(&[9]), after(&[])), (9.0, 0.0));
    }

    #[test]
    fn a_forecast_is_within_what_was_seen() {
        let growing = after(&[1, 2, 4, 8, 16, 32, 64, 128]);
        assert!((1.0..=128.0).contains(&growing), "{growing}");
        let month = [720, 5, 720, 5, 720, 5, 720, 5];
        assert!((5.0..=720.0).contains(&after(&month)));
        let longest = VecDeque::from([Duration::MAX, Duration::ZERO]);
        assert!(forecast(&longest) <= Duration::MAX, "no panic");
    }
}
