//! Many samples in few numbers.

use serde_json::{Value, json};

/// Least, median, and the value that nine of ten stay below.
pub fn summary(samples: &mut [u64]) -> Value {
    samples.sort_unstable();
    json!({ "min": at(samples, 0.0), "p50": at(samples, 0.5), "p90": at(samples, 0.9) })
}

/// As [`summary`], of samples in ns that are to be told in µs, and further into the tail.
pub fn latencies(samples_ns: &mut [u64]) -> Value {
    samples_ns.sort_unstable();
    let us = |part| at(samples_ns, part).map(|ns| (ns as f64 / 100.0).round() / 10.0);
    json!({ "min": us(0.0), "p50": us(0.5), "p90": us(0.9), "p99": us(0.99), "p999": us(0.999) })
}

/// The sample that `part` of the sorted ones are below.
fn at(sorted: &[u64], part: f64) -> Option<u64> {
    let index = (sorted.len() as f64 * part) as usize;
    sorted.get(index.min(sorted.len().saturating_sub(1))).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_is_of_sorted_samples() {
        assert_eq!(summary(&mut [5, 1, 9, 3]), json!({ "min": 1, "p50": 5, "p90": 9 }));
        assert_eq!(summary(&mut [7]), json!({ "min": 7, "p50": 7, "p90": 7 }));
        assert_eq!(summary(&mut [])["p50"], Value::Null);
    }

    #[test]
    fn the_tail_is_told_apart() {
        let mut samples: Vec<u64> = (0..1000).map(|us| us * 1000).collect();
        assert_eq!(
            latencies(&mut samples),
            json!({ "min": 0.0, "p50": 500.0, "p90": 900.0, "p99": 990.0, "p999": 999.0 })
        );
    }
}
