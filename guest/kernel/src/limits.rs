//! Resource limits (getrlimit(2)): data for the program, and what /proc/self/limits shows.

use alloc::format;
use alloc::vec::Vec;

use crate::errno::{Errno, Result};
use crate::exec::STACK_BYTES;

/// RLIM_INFINITY.
pub const INFINITY: u64 = u64::MAX;

/// Names and units as /proc/self/limits shows them, and the values at the start, soft and hard.
const TABLE: [(&str, &str, u64, u64); 16] = [
    ("Max cpu time", "seconds", INFINITY, INFINITY),
    ("Max file size", "bytes", INFINITY, INFINITY),
    ("Max data size", "bytes", INFINITY, INFINITY),
    ("Max stack size", "bytes", STACK_BYTES, INFINITY),
    ("Max core file size", "bytes", 0, INFINITY),
    ("Max resident set", "bytes", INFINITY, INFINITY),
    ("Max processes", "processes", 1024, 1024),
    ("Max open files", "files", 1024, 1 << 20),
    ("Max locked memory", "bytes", 8 << 20, 8 << 20),
    ("Max address space", "bytes", INFINITY, INFINITY),
    ("Max file locks", "locks", INFINITY, INFINITY),
    ("Max pending signals", "signals", 1024, 1024),
    ("Max msgqueue size", "bytes", 819_200, 819_200),
    ("Max nice priority", "", 0, 0),
    ("Max realtime priority", "", 0, 0),
    ("Max realtime timeout", "us", INFINITY, INFINITY),
];

/// RLIMIT_CPU, in seconds.
pub const PROCESSOR_TIME: usize = 0;
/// RLIMIT_FSIZE.
pub const FILE_SIZE: usize = 1;
/// RLIMIT_NPROC.
pub const PROCESSES: usize = 6;
/// RLIMIT_NOFILE.
pub const OPEN_FILES: usize = 7;

/// Soft and hard limits, by the numbers of getrlimit(2).
#[derive(Clone, Debug)]
pub struct Limits([(u64, u64); 16]);

impl Default for Limits {
    fn default() -> Limits {
        Limits(TABLE.map(|(_, _, soft, hard)| (soft, hard)))
    }
}

impl Limits {
    /// A limit, soft and hard. EINVAL where there is none of that number.
    pub fn get(&self, number: usize) -> Result<(u64, u64)> {
        self.0.get(number).copied().ok_or(Errno::INVAL)
    }

    /// Sets a limit. EINVAL where soft is above hard; EPERM where RLIMIT_NOFILE would pass its bound.
    pub fn set(&mut self, number: usize, (soft, hard): (u64, u64)) -> Result<()> {
        let limit = self.0.get_mut(number).ok_or(Errno::INVAL)?;
        if soft > hard {
            return Err(Errno::INVAL);
        }
        if number == OPEN_FILES && hard > TABLE[OPEN_FILES].3 {
            return Err(Errno::PERM);
        }
        *limit = (soft, hard);
        Ok(())
    }

    /// The text of /proc/self/limits.
    pub fn text(&self) -> Vec<u8> {
        let mut text =
            format!("{:<26}{:<21}{:<21}{:<10}\n", "Limit", "Soft Limit", "Hard Limit", "Units");
        let show = |value: u64| match value {
            INFINITY => "unlimited".into(),
            value => format!("{value}"),
        };
        for ((name, unit, ..), (soft, hard)) in TABLE.iter().zip(&self.0) {
            text += &format!("{name:<26}{:<21}{:<21}{unit:<10}\n", show(*soft), show(*hard));
        }
        text.into_bytes()
    }
}
