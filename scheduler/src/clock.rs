//! Wall-clock time, for what people and runtimes read, and moments on the host. Deadlines go by [`std::time::Instant`].

use std::time::{SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use rustix::time::{ClockId, clock_gettime};

/// Milliseconds since 1970.
pub(crate) fn unix_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// CLOCK_MONOTONIC, ns: the clock in which VMs tell their moments.
pub(crate) fn monotonic_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    u64::try_from(now.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0)
}

/// `ms` since 1970 as Lambda writes time: `2025-01-31T12:34:56.789+0000`.
pub(crate) fn lambda_time(ms: i64) -> String {
    let time = Timestamp::from_millisecond(ms).unwrap_or(Timestamp::UNIX_EPOCH);
    time.strftime("%Y-%m-%dT%H:%M:%S.%3f+0000").to_string()
}

/// `ms` since 1970 as web servers' logs write time: `31/Jan/2025:12:34:56 +0000`.
pub(crate) fn common_log_time(ms: i64) -> String {
    let time = Timestamp::from_millisecond(ms).unwrap_or(Timestamp::UNIX_EPOCH);
    time.strftime("%d/%b/%Y:%H:%M:%S +0000").to_string()
}

/// `ms` since 1970 as records write it: `2019-11-14T18:16:05.568Z`.
pub(crate) fn iso_time(ms: i64) -> String {
    let time = Timestamp::from_millisecond(ms).unwrap_or(Timestamp::UNIX_EPOCH);
    time.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

/// The day of `ms` since 1970 as log streams are named: `2025/01/31`.
pub(crate) fn day(ms: i64) -> String {
    Timestamp::from_millisecond(ms)
        .unwrap_or(Timestamp::UNIX_EPOCH)
        .strftime("%Y/%m/%d")
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_written_as_lambda_does() {
        assert_eq!(lambda_time(1_738_326_896_007), "2025-01-31T12:34:56.007+0000");
        assert_eq!(common_log_time(1_738_326_896_007), "31/Jan/2025:12:34:56 +0000");
        assert_eq!(day(1_738_326_896_007), "2025/01/31");
    }
}
