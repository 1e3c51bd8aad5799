//! What a VMM's process takes besides the guest's memory, from /proc/PID/smaps (proc(5)).

use std::fs;

use crate::failure::Failure;

/// Proportional set size of all mappings of a process but its guest's `memory_mib`, KiB.
///
/// # Errors
/// A process that is gone, or that has no such memory.
pub fn pss_besides_guest_kib(id: u32, memory_mib: u64) -> Result<u64, Failure> {
    let smaps = fs::read_to_string(format!("/proc/{id}/smaps"))?;
    besides_guest(&mappings(&smaps), memory_mib << 20).ok_or_else(|| {
        Failure::new(format!("process {id} has no {memory_mib} MiB of guest memory"))
    })
}

/// One mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mapping {
    start: u64,
    end: u64,
    pss_kib: u64,
}

fn mappings(smaps: &str) -> Vec<Mapping> {
    let mut mappings: Vec<Mapping> = Vec::new();
    for line in smaps.lines() {
        if let Some((start, end)) = range(line) {
            mappings.push(Mapping { start, end, pss_kib: 0 });
        } else if let (Some(last), Some(rest)) = (mappings.last_mut(), line.strip_prefix("Pss:")) {
            let kib = rest.split_whitespace().next().and_then(|kib| kib.parse().ok());
            last.pss_kib = kib.unwrap_or_default();
        }
    }
    mappings
}

/// The addresses with which a mapping's first line begins.
fn range(line: &str) -> Option<(u64, u64)> {
    let (start, end) = line.split_whitespace().next()?.split_once('-')?;
    let address = |text| u64::from_str_radix(text, 16).ok();
    Some((address(start)?, address(end)?))
}

/// The sum over all but the neighbours that together are the guest's `guest_bytes`; `None` where there are
/// none. Guest memory is several mappings, since part of it is the kernel's file.
fn besides_guest(mappings: &[Mapping], guest_bytes: u64) -> Option<u64> {
    let guest = (0..mappings.len()).find_map(|first| {
        let start = mappings[first].start;
        let past =
            mappings[first..].windows(2).take_while(|two| two[0].end == two[1].start).count();
        let run = &mappings[first..=first + past];
        let count = run.iter().position(|mapping| mapping.end - start == guest_bytes)?;
        Some(first..=first + count)
    })?;
    let others = mappings.iter().enumerate().filter(|(index, _)| !guest.contains(index));
    Some(others.map(|(_, mapping)| mapping.pss_kib).sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMAPS: &str = "1000-3000 r-xp 0 0 0 /bin/x\nSize:    8 kB\nRss: 8 kB\nPss:    5 kB\n\
                         Pss_Dirty: 3 kB\nVmFlags: rd\n\
                         8000-9000 rw-p 0 0 0\nPss:   900 kB\n\
                         9000-a000 rw-p 0 0 0 /bin/x\nPss:   90 kB\n\
                         a000-c000 rw-p 0 0 0\nPss:   9 kB\n\
                         f000-10000 rw-p 0 0 0 [stack]\nPss:   2 kB\n";

    #[test]
    fn the_guests_mappings_do_not_count() {
        let mappings = mappings(SMAPS);
        assert_eq!(mappings.len(), 5);
        assert_eq!(besides_guest(&mappings, 0x4000), Some(7));
        assert_eq!(besides_guest(&mappings, 0x3000), Some(907), "the last two of the three");
        assert_eq!(besides_guest(&mappings, 0x5000), None);
    }
}
