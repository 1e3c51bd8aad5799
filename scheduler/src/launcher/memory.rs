//! How much of the host's memory an environment takes, as the host counts it: a guest's own word would be
//! a guest's word.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Resident memory of one process, by way of proc_pid_statm(5). Reading it costs a few microseconds.
#[derive(Debug)]
pub struct MemoryGauge(File);

/// More than seven decimal numbers take.
const STATM_BYTES: usize = 256;

impl MemoryGauge {
    /// The gauge of the process with this id.
    ///
    /// # Errors
    /// There is none, or no /proc.
    pub fn of_process(id: u32) -> io::Result<MemoryGauge> {
        File::open(format!("/proc/{id}/statm")).map(MemoryGauge)
    }

    /// Bytes in RAM now; `None` once the process is gone.
    pub fn resident_bytes(&self) -> Option<u64> {
        let mut text = [0; STATM_BYTES];
        let len = self.0.read_at(&mut text, 0).ok()?;
        let resident = str::from_utf8(&text[..len]).ok()?.split(' ').nth(1)?;
        // A process that has let go of its memory and is not reaped yet shows 0.
        let pages = resident.parse::<u64>().ok().filter(|pages| *pages > 0)?;
        Some(pages * rustix::param::page_size() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn memory_that_is_touched_counts() {
        let gauge = MemoryGauge::of_process(std::process::id()).unwrap();
        let before = gauge.resident_bytes().unwrap();
        // Kept from the optimizer, which would leave out what nobody reads.
        let touched = std::hint::black_box(vec![1u8; 64 << 20]);
        let after = gauge.resident_bytes().unwrap();
        assert!(after >= before + (60 << 20), "{before} {after}");
        drop(touched);
    }

    #[test]
    fn a_process_that_is_gone_takes_none() {
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let gauge = MemoryGauge::of_process(child.id()).unwrap();
        assert!(gauge.resident_bytes().unwrap() > 0);
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(gauge.resident_bytes(), None);
    }
}
