//! A disk that forgets what was not flushed.
//!
//! Whoever kills QEMU does not cut a disk's power: what the guest has written is in this host's page cache, flushed or not. So
//! each write and each flush also goes into a log (QEMU's driver `blklogwrites`), and a cut makes the disk anew from it:
//!
//! ```text
//!            medium ── copied at the start ──▶ working copy ◀── the guest
//!              ▲                                                   │ the same, in its order
//!              │          ┌───────── log ──────────────┐           │
//!              └── all ───┤ write write FLUSH write …  │ ◀─────────┘
//!                         └────────────────────┬───────┘
//!              ▲                               │ behind the last flush: each is kept or lost, by a coin
//!              └───────────────────────────────┘
//! ```
//!
//! The log's format is dm-log-writes' (Linux, Documentation/admin-guide/device-mapper/log-writes.rst;
//! drivers/md/dm-log-writes.c), whose sectors have 512 bytes here.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, ErrorKind, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::failure::{Failure, Result};
use crate::{command, host};

/// Room for a few functions' images and a queue.
const DISK_BYTES: u64 = 192 << 20;
const SECTOR_BYTES: u64 = 512;
const MAGIC: u64 = 0x6a_736677_736872;
/// An entry's flags: what was written before is on the medium.
const FLUSH: u64 = 1;
/// An entry's flags: a write that is on the medium itself.
const FUA: u64 = 2;
/// An entry's flags: there is no data.
const DISCARD: u64 = 4;

/// A disk with an ext4 file system.
pub struct Disk {
    medium: PathBuf,
    working: PathBuf,
    log: PathBuf,
}

/// What a cut did.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Cut {
    /// Writes since the start.
    pub writes: usize,
    /// Flushes since the start.
    pub flushes: usize,
    /// Writes behind the last flush that are lost.
    pub lost: usize,
}

/// One entry of the log.
#[derive(Debug)]
struct Entry {
    sector: u64,
    flags: u64,
    data: Vec<u8>,
}

impl Disk {
    /// A fresh one, in files of `dir`.
    pub fn make(dir: &Path) -> Result<Disk> {
        let file = |name: &str| dir.join(name);
        let disk = Disk {
            medium: file("disk.medium"),
            working: file("disk.working"),
            log: file("disk.log"),
        };
        File::create(&disk.medium)
            .and_then(|file| file.set_len(DISK_BYTES))
            .map_err(Failure::file("creating", &disk.medium))?;
        let tool = host::which("mke2fs").ok_or(Failure::Missing("no mke2fs".into()))?;
        command::capture(Command::new(tool).args(["-q", "-F", "-t", "ext4"]).arg(&disk.medium))?;
        Ok(disk)
    }

    /// Makes it ready for a machine: QEMU's arguments.
    pub fn plug(&self) -> Result<Vec<String>> {
        fs::copy(&self.medium, &self.working).map_err(Failure::file("writing", &self.working))?;
        File::create(&self.log).map_err(Failure::file("creating", &self.log))?;
        let file = |name: &str, path: &Path| {
            format!("driver=file,node-name={name},filename={}", path.display())
        };
        Ok(vec![
            "-blockdev".into(),
            file("working", &self.working),
            "-blockdev".into(),
            file("log", &self.log),
            "-blockdev".into(),
            format!(
                "driver=blklogwrites,node-name=disk,file=working,log=log,log-sector-size={SECTOR_BYTES}"
            ),
            "-device".into(),
            "virtio-blk-pci,drive=disk".into(),
        ])
    }

    /// Makes of the medium what it is after the power went: `keeps` is asked for each write that was not flushed.
    pub fn cut(&self, keeps: impl FnMut() -> bool) -> Result<Cut> {
        let log = File::open(&self.log).map_err(Failure::file("opening", &self.log))?;
        let entries = entries(log).map_err(Failure::file("reading", &self.log))?;
        let medium = OpenOptions::new().write(true).open(&self.medium);
        medium
            .and_then(|medium| replay(&entries, &medium, keeps))
            .map_err(Failure::file("writing", &self.medium))
    }
}

/// The log's entries, up to where QEMU was when it was killed.
fn entries(log: impl Read) -> io::Result<Vec<Entry>> {
    let odd = |what: &str| io::Error::new(ErrorKind::InvalidData, what.to_owned());
    let mut log = BufReader::new(log);
    let mut sector = [0; SECTOR_BYTES as usize];
    log.read_exact(&mut sector)?;
    if word(&sector, 0) != MAGIC {
        return Err(odd("no log of writes"));
    }
    let mut entries = Vec::new();
    while log.read_exact(&mut sector).is_ok() {
        let [at, sectors, flags, _] = [0, 1, 2, 3].map(|nth| word(&sector, nth));
        // Not written yet. What comes behind has not been answered, either: QEMU was killed in between.
        if sectors == 0 && flags == 0 {
            break;
        }
        let bytes = if flags & DISCARD == 0 { sectors.saturating_mul(SECTOR_BYTES) } else { 0 };
        if bytes > DISK_BYTES {
            return Err(odd("a write that is larger than the disk"));
        }
        let mut data = vec![0; bytes as usize];
        if log.read_exact(&mut data).is_err() {
            break;
        }
        entries.push(Entry { sector: at, flags, data });
    }
    Ok(entries)
}

/// The `nth` little-endian word of 64 bits.
fn word(sector: &[u8], nth: usize) -> u64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&sector[8 * nth..8 * nth + 8]);
    u64::from_le_bytes(bytes)
}

/// Writes what a loss of power leaves.
fn replay(entries: &[Entry], medium: &File, mut keeps: impl FnMut() -> bool) -> io::Result<Cut> {
    let is_flush = |entry: &Entry| entry.flags & FLUSH != 0;
    let flushed = entries.iter().rposition(is_flush).map_or(0, |last| last + 1);
    let mut cut =
        Cut { flushes: entries.iter().filter(|one| is_flush(one)).count(), ..Cut::default() };
    for (nth, entry) in entries.iter().enumerate().filter(|(_, entry)| !entry.data.is_empty()) {
        cut.writes += 1;
        if nth < flushed || entry.flags & FUA != 0 || keeps() {
            medium.write_all_at(&entry.data, entry.sector.saturating_mul(SECTOR_BYTES))?;
        } else {
            cut.lost += 1;
        }
    }
    Ok(cut)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A log as QEMU writes it.
    fn log(entries: &[(u64, u64, &[u8])]) -> Vec<u8> {
        let mut log = Vec::new();
        let mut put = |words: &[u64], data: &[u8]| {
            let mut sector: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
            sector.resize(SECTOR_BYTES as usize, 0);
            log.extend(sector);
            log.extend_from_slice(data);
        };
        put(&[MAGIC, 1, 0], &[]);
        for (sector, flags, data) in entries {
            put(&[*sector, data.len() as u64 / SECTOR_BYTES, *flags, 0], data);
        }
        log
    }

    fn after(log: Vec<u8>, keeps: impl FnMut() -> bool) -> (Vec<u8>, Cut) {
        let entries = entries(&log[..]).unwrap();
        let medium = tempfile::tempfile().unwrap();
        medium.set_len(4 * SECTOR_BYTES).unwrap();
        let cut = replay(&entries, &medium, keeps).unwrap();
        let mut left = vec![0; 4];
        for (nth, byte) in left.iter_mut().enumerate() {
            medium.read_exact_at(std::slice::from_mut(byte), nth as u64 * SECTOR_BYTES).unwrap();
        }
        (left, cut)
    }

    #[test]
    fn what_is_behind_the_last_flush_may_be_lost_and_nothing_else() {
        let [a, b, c, d] = [b'a', b'b', b'c', b'd'].map(|byte| [byte; SECTOR_BYTES as usize]);
        let log = log(&[(0, 0, &a), (1, 0, &b), (0, FLUSH, &[]), (0, 0, &c), (2, FUA, &d)]);
        let cut = |lost| Cut { writes: 4, flushes: 1, lost };
        assert_eq!(after(log.clone(), || false), (b"abd\0".to_vec(), cut(1)));
        assert_eq!(after(log, || true), (b"cbd\0".to_vec(), cut(0)));
    }

    #[test]
    fn a_log_ends_where_its_writer_was_killed() {
        let one = [b'a'; SECTOR_BYTES as usize];
        let whole = log(&[(0, 0, &one), (0, FLUSH, &[]), (1, 0, &one)]);
        for short in [1, 512, 513, 1023] {
            let (left, cut) = after(whole[..whole.len() - short].to_vec(), || true);
            assert_eq!((left, cut.writes), (b"a\0\0\0".to_vec(), 1), "{short}");
        }
        let mut hole = whole[..4 * 512].to_vec();
        hole.resize(whole.len(), 0);
        assert_eq!(after(hole, || true).1.writes, 1);
        assert!(entries(&[0; 2048][..]).is_err());
    }
}
