//! A place's time: what its wall clock shows, and when that is. The IANA database is part of the program.
//!
//! ```text
//!   clocks go forward:  01:59 │ 03:00        02:30 is never
//!   clocks go back:     02:59 │ 02:00 02:59  02:30 is twice: the first time counts
//! ```
//!
//! As EventBridge Scheduler has it: what falls on a time that does not exist is left out, what falls on a time that comes
//! twice is done once.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};

/// A time zone by its IANA name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone(TimeZone);

impl Zone {
    /// The zone that is called so, to the letter; `None` where there is none.
    pub fn find(name: &str) -> Option<Zone> {
        let zone = TimeZone::get(name).ok()?;
        (zone.iana_name() == Some(name)).then_some(Zone(zone))
    }

    /// What the wall clock shows, ms since 1970 being as given; `None` outside of the calendar.
    pub(super) fn wall_clock(&self, ms: i64) -> Option<DateTime> {
        Some(self.0.to_datetime(Timestamp::from_millisecond(ms).ok()?))
    }

    /// When the wall clock shows this first, ms since 1970; `None` where it never does.
    pub(super) fn moment(&self, at: DateTime) -> Option<i64> {
        let offset = match self.0.to_ambiguous_timestamp(at).offset() {
            AmbiguousOffset::Unambiguous { offset } => offset,
            AmbiguousOffset::Fold { before, .. } => before,
            AmbiguousOffset::Gap { .. } => return None,
        };
        Some(offset.to_timestamp(at).ok()?.as_millisecond())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(zone: &str, at: &str) -> Option<String> {
        let ms = Zone::find(zone).unwrap().moment(at.parse().unwrap())?;
        Some(Timestamp::from_millisecond(ms).unwrap().to_string())
    }

    #[test]
    fn zones_have_iana_names() {
        for name in ["UTC", "Etc/UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "GMT"]
        {
            assert!(Zone::find(name).is_some(), "{name}");
        }
        for none in ["", "utc", "europe/berlin", "Europe", "Europe/Nowhere", "+01:00", "../UTC"] {
            assert!(Zone::find(none).is_none(), "{none}");
        }
    }

    #[test]
    fn summer_time_comes_and_goes() {
        let berlin = |at| moment("Europe/Berlin", at);
        assert_eq!(berlin("2026-03-29T01:59:00").unwrap(), "2026-03-29T00:59:00Z");
        assert_eq!(berlin("2026-03-29T02:30:00"), None);
        assert_eq!(berlin("2026-03-29T03:00:00").unwrap(), "2026-03-29T01:00:00Z");
        assert_eq!(berlin("2026-10-25T02:30:00").unwrap(), "2026-10-25T00:30:00Z");
        assert_eq!(berlin("2026-10-25T03:00:00").unwrap(), "2026-10-25T02:00:00Z");
        // Half an hour, on Lord Howe Island.
        assert_eq!(moment("Australia/Lord_Howe", "2026-10-04T02:15:00"), None);
        // A whole day, on Samoa.
        assert_eq!(moment("Pacific/Apia", "2011-12-30T12:00:00"), None);
    }

    #[test]
    fn a_clock_shows_what_the_moment_was_made_of() {
        let zone = Zone::find("Asia/Kathmandu").unwrap();
        let at: DateTime = "2024-05-06T07:08:09".parse().unwrap();
        assert_eq!(zone.wall_clock(zone.moment(at).unwrap()), Some(at));
        assert_eq!([i64::MIN, i64::MAX].map(|ms| zone.wall_clock(ms)), [None, None]);
    }
}
