//! Counts what Rust's test harness, and Python's, print.
//!
//! ```text
//!   running 3 tests
//!   test queue::wraps ... ok
//!   test queue::refuses_a_loop ... FAILED
//!   test slow ... ignored, takes an hour
//!   test result: FAILED. 1 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in …
//! ```
//!
//! Counts come from the `test result` lines alone: a program under test may print anything between
//! the others.

/// What one or more test programs printed, counted.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Tests that passed.
    pub passed: u64,
    /// Tests that failed.
    pub failed: u64,
    /// Tests marked `#[ignore]`.
    pub ignored: u64,
    /// How many test programs came to their `test result` line.
    pub programs: u64,
    /// The names of those that failed.
    pub failures: Vec<String>,
    /// The names of those ignored, with their reason.
    pub ignores: Vec<String>,
}

impl Tally {
    /// Looks at one line of output.
    pub fn line(&mut self, line: &str) {
        let line = line.trim();
        if let Some(counts) = line.strip_prefix("test result: ") {
            self.result(counts);
        } else if let Some((name, verdict)) =
            line.strip_prefix("test ").and_then(|test| test.split_once(" ... "))
        {
            if verdict.ends_with("FAILED") {
                self.failures.push(name.to_owned());
            } else if let Some(reason) = verdict.strip_prefix("ignored") {
                self.ignores.push(format!("{name}{reason}"));
            }
        }
    }

    /// Looks at one line of pytest's output, of which the summary and its last line count:
    ///
    /// ```text
    ///   FAILED tests/python/test_lambda.py::test_pages - assert …
    ///   ========= 1 failed, 20 passed, 1 skipped in 3.05s =========
    /// ```
    pub fn pytest_line(&mut self, line: &str) {
        let line = line.trim();
        if let Some(failure) = line.strip_prefix("FAILED ").or(line.strip_prefix("ERROR ")) {
            let name = failure.split(" - ").next().unwrap_or(failure);
            self.failures.push(name.to_owned());
        } else if let Some(reason) = line.strip_prefix("SKIPPED ") {
            self.ignores.push(reason.to_owned());
        } else if let Some((counts, _)) =
            line.strip_prefix("==").and_then(|line| line.rsplit_once(" in "))
        {
            self.programs += 1;
            for count in counts.trim_start_matches(['=', ' ']).split(", ") {
                let Some((number, what)) = count.split_once(' ') else { continue };
                let Ok(number) = number.parse::<u64>() else { continue };
                match what {
                    "passed" => self.passed += number,
                    "failed" | "error" | "errors" => self.failed += number,
                    "skipped" => self.ignored += number,
                    _ => {}
                }
            }
        }
    }

    /// Adds another tally to this one.
    pub fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.ignored += other.ignored;
        self.programs += other.programs;
        self.failures.extend(other.failures);
        self.ignores.extend(other.ignores);
    }

    /// `ok. 5 passed; 0 failed; …`
    fn result(&mut self, counts: &str) {
        let Some((_, counts)) = counts.split_once(". ") else { return };
        self.programs += 1;
        for count in counts.split("; ") {
            let Some((number, what)) = count.split_once(' ') else { continue };
            let Ok(number) = number.parse::<u64>() else { continue };
            match what {
                "passed" => self.passed += number,
                "failed" => self.failed += number,
                "ignored" => self.ignored += number,
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(text: &str) -> Tally {
        let mut tally = Tally::default();
        text.lines().for_each(|line| tally.line(line));
        tally
    }

    #[test]
    fn counts_and_names() {
        let seen = tally(
            "running 3 tests\r\n\
             test queue::wraps ... ok\r\n\
             test queue::refuses_a_loop ... FAILED\r\n\
             test slow ... ignored, takes an hour\r\n\
             test result: FAILED. 1 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s\r\n\
             test result: ok. 40 passed; 0 failed; 0 ignored; 0 measured; 2 filtered out; finished in 1s",
        );
        assert_eq!((seen.passed, seen.failed, seen.ignored, seen.programs), (41, 1, 1, 2));
        assert_eq!(seen.failures, ["queue::refuses_a_loop"]);
        assert_eq!(seen.ignores, ["slow, takes an hour"]);
    }

    #[test]
    fn pytests_summary_counts() {
        let mut seen = Tally::default();
        for line in [
            "tests/python/test_lambda.py ..F.s    [100%]",
            "======= short test summary info =======",
            "FAILED tests/python/test_lambda.py::test_pages - assert 1 in 2",
            "ERROR tests/python/test_logs.py - ImportError",
            "==== 1 failed, 20 passed, 1 skipped, 2 warnings, 1 error in 3.05s ====",
        ] {
            seen.pytest_line(line);
        }
        assert_eq!((seen.passed, seen.failed, seen.ignored, seen.programs), (20, 2, 1, 1));
        assert_eq!(seen.failures.len(), 2);
    }

    #[test]
    fn what_a_program_prints_is_not_counted() {
        assert_eq!(tally("5 passed; 9 failed\nthe test result: ok. 3 passed"), Tally::default());
        assert_eq!(tally("test result: ok"), Tally::default());
    }

    #[test]
    fn a_kernel_message_in_the_middle_of_a_line_does_not_hide_a_failure() {
        let seen = tally("test boots ... [    3.1] kvm: odd MSR FAILED");
        assert_eq!(seen.failures, ["boots"]);
    }
}
