//! When what happened: moments of a VM's life, counted from one time zero.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use mayfly_abi::control::Report;
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::files;

/// CLOCK_MONOTONIC of the moment from which everything is counted, ns.
#[derive(Clone, Copy, Debug)]
pub struct TimeZero(u64);

/// Names a time zero that lies before this process: CLOCK_MONOTONIC, ns.
pub const T0_VARIABLE: &str = "MAYFLY_T0_NS";

impl TimeZero {
    /// What the environment says, else when this process began.
    ///
    /// # Errors
    /// A variable that is no number.
    pub fn new(started_ns: u64) -> Result<TimeZero, Failure> {
        match std::env::var_os(T0_VARIABLE) {
            None => Ok(TimeZero(started_ns)),
            Some(text) => match text.to_string_lossy().trim().parse() {
                Ok(zero) => Ok(TimeZero(zero)),
                Err(_) => Err(Failure::new(format!(
                    "{T0_VARIABLE}={}: not a number of nanoseconds",
                    text.to_string_lossy()
                ))),
            },
        }
    }

    /// Microseconds from time zero to a moment; `None` for one that did not come.
    pub fn us_to(self, moment_ns: u64) -> Option<u64> {
        (moment_ns != 0).then(|| moment_ns.saturating_sub(self.0) / 1000)
    }
}

/// The file of `--timing`, open before anything runs, so that a bad path costs nothing.
#[derive(Debug)]
pub struct TimingFile {
    path: PathBuf,
    file: File,
}

impl TimingFile {
    /// Creates the file, or empties it.
    ///
    /// # Errors
    /// What the host says.
    pub fn create(path: &Path) -> Result<TimingFile, Failure> {
        let file = files::create(path).map_err(|error| Failure::at(path, error))?;
        Ok(TimingFile { path: path.to_owned(), file })
    }

    /// Writes the moments.
    ///
    /// # Errors
    /// What the host says, a full disk among it.
    pub fn write(mut self, report: &Report, zero: TimeZero) -> Result<(), Failure> {
        let text = format!("{:#}\n", json(report, zero));
        self.file.write_all(text.as_bytes()).map_err(|error| Failure::at(&self.path, error))
    }
}

/// The moments in µs since time zero (null where one did not come), and what was counted.
fn json(report: &Report, zero: TimeZero) -> Value {
    json!({
        "kvm_ready": zero.us_to(report.kvm_ready),
        "guest_entered": zero.us_to(report.guest_entered),
        "kernel_ready": zero.us_to(report.kernel_ready),
        "user_entered": zero.us_to(report.user_entered),
        "exited": zero.us_to(report.exited),
        "exits": report.exits.total(),
        "exits_kick": report.exits.kick,
        "exits_wait": report.exits.wait,
        "exits_mmio": report.exits.mmio,
        "exits_interrupted": report.exits.interrupted,
        "system_calls": report.guest.system_calls,
        "unknown_calls": report.guest.unknown_calls,
        "page_faults": report.guest.page_faults,
        "frames": report.guest.frames,
        "block_requests": report.guest.block_requests,
        "jumped_calls": report.guest.jumped_calls,
        "rewritten_sites": report.guest.rewritten_sites,
        "trapping_sites": report.guest.trapping_sites,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_microseconds_since_zero() {
        let report = Report { kvm_ready: 5_000, exited: 1_234_999, ..Report::default() };
        let json = json(&report, TimeZero(4_000));
        assert_eq!(json["kvm_ready"], 1);
        assert_eq!(json["exited"], 1230);
        assert_eq!(json["user_entered"], Value::Null);
        assert_eq!(json["exits"], 0);
    }
}
