//! The summary at the end of `cargo xtask test`: what ran where, with counts, and what did not run and
//! why.
//!
//! ```text
//!   release build      host                      ok                        41.0 s
//!   plain tests        host, no VM               212 passed                33.1 s
//!   KVM tests          host's /dev/kvm           18 passed, 1 FAILED        4.0 s
//!   KVM tests          hardware lane             not run: --no-lane
//! ```

use std::fmt::Write;
use std::time::{Duration, Instant};

use crate::command::elapsed;
use crate::failure::Result;
use crate::tally::Tally;

/// The rows so far.
#[derive(Default)]
pub struct Report {
    rows: Vec<Row>,
}

struct Row {
    what: &'static str,
    place: String,
    outcome: Outcome,
}

enum Outcome {
    Built { time: Duration },
    Tested { tally: Tally, time: Duration },
    Failed { why: String, time: Duration },
    NotRun { why: String },
}

impl Report {
    /// Does a step that has nothing to count; tells whether it worked.
    pub fn build(
        &mut self,
        what: &'static str,
        place: &str,
        step: impl FnOnce() -> Result<()>,
    ) -> bool {
        self.step(what, place, step, |(), time| Outcome::Built { time })
    }

    /// Does a step that runs tests.
    pub fn test(
        &mut self,
        what: &'static str,
        place: &str,
        step: impl FnOnce() -> Result<Tally>,
    ) -> bool {
        self.step(what, place, step, |tally, time| Outcome::Tested { tally, time })
    }

    /// Notes a step that is left out.
    pub fn skip(&mut self, what: &'static str, place: &str, why: impl Into<String>) {
        let outcome = Outcome::NotRun { why: why.into() };
        self.rows.push(Row { what, place: place.to_owned(), outcome });
    }

    fn step<T>(
        &mut self,
        what: &'static str,
        place: &str,
        step: impl FnOnce() -> Result<T>,
        done: impl FnOnce(T, Duration) -> Outcome,
    ) -> bool {
        println!("\n━━ {what}: {place}");
        let start = Instant::now();
        let result = step();
        let time = start.elapsed();
        let outcome = match result {
            Ok(value) => done(value, time),
            Err(failure) => {
                println!("{failure}");
                Outcome::Failed { why: failure.to_string(), time }
            }
        };
        println!("━━ {what}: {} after {}", outcome.verdict(), elapsed(time));
        let ok = !outcome.is_bad();
        self.rows.push(Row { what, place: place.to_owned(), outcome });
        ok
    }

    /// Whether no step failed.
    pub fn is_good(&self) -> bool {
        !self.rows.iter().any(|row| row.outcome.is_bad())
    }

    /// The table, the names of what failed or was ignored, and a closing line.
    pub fn text(&self) -> String {
        let width = |cell: fn(&Row) -> &str| {
            self.rows.iter().map(|row| cell(row).chars().count()).max().unwrap_or(0)
        };
        let (what, place) = (width(|row| row.what), width(|row| &row.place));
        let mut text = String::from("\n━━ Summary\n\n");
        for row in &self.rows {
            let outcome = row.outcome.text();
            // Writing to a String cannot fail.
            let _ = writeln!(text, "  {:what$}  {:place$}  {outcome}", row.what, row.place);
        }
        for row in &self.rows {
            let Outcome::Tested { tally, .. } = &row.outcome else { continue };
            for (verdict, names) in [("FAILED", &tally.failures), ("ignored", &tally.ignores)] {
                for name in names {
                    let _ = write!(text, "\n  {verdict}: {name} ({}, {})", row.what, row.place);
                }
            }
        }
        let bad = self.rows.iter().filter(|row| row.outcome.is_bad()).count();
        let left_out = self.rows.iter().filter(|row| row.outcome.is_left_out()).count();
        let closing = match (bad, left_out) {
            (0, 0) => "Everything ran, and everything passed.".to_owned(),
            (0, n) => format!("What ran passed; {n} of {} steps did not run.", self.rows.len()),
            (n, _) => format!("{n} of {} steps failed.", self.rows.len()),
        };
        format!("{}\n\n{closing}", text.trim_end())
    }
}

impl Outcome {
    fn is_bad(&self) -> bool {
        match self {
            Self::Failed { .. } => true,
            Self::Tested { tally, .. } => tally.failed > 0,
            Self::Built { .. } | Self::NotRun { .. } => false,
        }
    }

    fn is_left_out(&self) -> bool {
        matches!(self, Self::NotRun { .. })
    }

    /// One line, with what it took.
    fn text(&self) -> String {
        let (time, why) = match self {
            Self::NotRun { why } => return format!("not run: {why}"),
            Self::Failed { why, time } => (time, why.lines().next().unwrap_or_default()),
            Self::Built { time } | Self::Tested { time, .. } => (time, ""),
        };
        let colon = if why.is_empty() { "" } else { ": " };
        format!("{} ({}){colon}{why}", self.verdict(), elapsed(*time))
    }

    fn verdict(&self) -> String {
        let tally = match self {
            Self::Built { .. } => return "ok".into(),
            Self::Failed { .. } => return "FAILED".into(),
            Self::NotRun { .. } => return "not run".into(),
            Self::Tested { tally, .. } => tally,
        };
        let mut text = format!("{} passed", tally.passed);
        for (count, what) in [(tally.failed, "FAILED"), (tally.ignored, "ignored")] {
            if count > 0 {
                text += &format!(", {count} {what}");
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Failure;

    fn tally(passed: u64, failed: u64) -> Tally {
        let failures = (0..failed).map(|i| format!("test_{i}")).collect();
        Tally { passed, failed, failures, ..Tally::default() }
    }

    #[test]
    fn all_is_well_only_where_everything_ran() {
        let mut report = Report::default();
        report.build("release build", "host", || Ok(()));
        report.test("tests", "host", || Ok(tally(3, 0)));
        assert!(report.is_good());
        assert!(report.text().ends_with("Everything ran, and everything passed."));

        report.skip("KVM tests", "hardware lane", "--no-lane");
        assert!(report.is_good());
        let text = report.text();
        assert!(text.contains("KVM tests      hardware lane  not run: --no-lane"), "{text}");
        assert!(text.ends_with("What ran passed; 1 of 3 steps did not run."), "{text}");
    }

    #[test]
    fn a_failed_test_fails_the_report_and_is_named() {
        let mut report = Report::default();
        assert!(!report.test("tests", "host", || Ok(tally(3, 1))));
        assert!(!report.is_good());
        assert!(report.text().contains("FAILED: test_0 (tests, host)"));
    }

    #[test]
    fn a_step_that_breaks_fails_the_report_and_the_next_is_still_done() {
        let mut report = Report::default();
        assert!(!report.build("a", "host", || Err(Failure::Lane("silence".into()))));
        assert!(report.build("b", "host", || Ok(())));
        assert!(!report.is_good());
        assert!(report.text().ends_with("1 of 2 steps failed."));
    }
}
