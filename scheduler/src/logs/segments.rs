//! The files of one log: segments with ascending numbers, of which the last one grows.
//!
//! ```text
//!   0000000000000007.log  0000000000000008.log  0000000000000009.log ◀── append
//!   ▲ removed as number 15 begins
//! ```

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use super::{SEGMENT_BYTES_MAX, SEGMENTS_MAX};

const EXTENSION: &str = "log";
/// Bytes of the disk that logs leave to the stores: a line may be lost, what was accepted may not.
const LEFT_BYTES: u64 = 1 << 20;

/// The files, from the side that writes.
#[derive(Debug)]
pub(super) struct Segments {
    dir: PathBuf,
    last: Option<Segment>,
}

#[derive(Debug)]
struct Segment {
    file: File,
    bytes: u64,
}

impl Segments {
    /// Those in `dir`, which need not exist yet.
    pub(super) fn new(dir: PathBuf) -> Segments {
        Segments { dir, last: None }
    }

    /// Appends whole records. After an error none of them is there, unless the file system fails twice.
    pub(super) fn append(&mut self, records: &[u8]) -> io::Result<()> {
        if self.last.as_ref().is_none_or(|last| last.bytes >= SEGMENT_BYTES_MAX) {
            self.last = None;
            let last = self.open()?;
            self.last = Some(last);
        }
        let Some(last) = &mut self.last else { return Ok(()) };
        let disk = rustix::fs::fstatvfs(&last.file)?;
        let room = disk.f_bavail.saturating_mul(disk.f_frsize);
        if room < LEFT_BYTES + records.len() as u64 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        if let Err(error) = last.file.write_all(records) {
            // A full disk: what fitted would be a torn record. Where even that fails, the next one that opens
            // the file cuts it off.
            if last.file.set_len(last.bytes).is_err() {
                self.last = None;
            }
            return Err(error);
        }
        last.bytes += records.len() as u64;
        Ok(())
    }

    /// Removes them all.
    pub(super) fn delete(&mut self) -> io::Result<()> {
        self.last = None;
        fs::remove_dir_all(&self.dir)
    }

    /// The last segment, mended, or a new one where that is full.
    fn open(&self) -> io::Result<Segment> {
        fs::create_dir_all(&self.dir)?;
        let present = list(&self.dir)?;
        if let Some((_, path)) = present.last() {
            let mut file = OpenOptions::new().read(true).append(true).open(path)?;
            let bytes = mend(&mut file)?;
            if bytes < SEGMENT_BYTES_MAX {
                return Ok(Segment { file, bytes });
            }
        }
        let surplus = (present.len() + 1).saturating_sub(SEGMENTS_MAX);
        for (_, path) in &present[..surplus] {
            fs::remove_file(path)?;
        }
        let number = present.last().map_or(1, |(number, _)| number + 1);
        let path = self.dir.join(format!("{number:016}.{EXTENSION}"));
        let file = OpenOptions::new().create_new(true).append(true).open(path)?;
        Ok(Segment { file, bytes: 0 })
    }
}

/// Cuts off what an interrupted write has left behind the last whole record. The bytes that stay.
fn mend(file: &mut File) -> io::Result<u64> {
    let mut content = Vec::new();
    file.read_to_end(&mut content)?;
    let whole = content.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
    if whole < content.len() {
        file.set_len(whole as u64)?;
    }
    Ok(whole as u64)
}

/// The segments in a directory, by number; other files are none of ours.
pub(super) fn list(dir: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == EXTENSION)
            && let Some(number) = path.file_stem().and_then(|stem| stem.to_str()?.parse().ok())
        {
            found.push((number, path));
        }
    }
    found.sort_unstable();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_bounded_and_loses_its_oldest_segment_whole() {
        let dir = tempfile::tempdir().unwrap();
        let mut segments = Segments::new(dir.path().join("f"));
        let mut line = vec![b'x'; 1 << 20];
        line.push(b'\n');
        for _ in 0..40 {
            segments.append(&line).unwrap();
        }
        let present = list(&dir.path().join("f")).unwrap();
        assert_eq!(present.len(), SEGMENTS_MAX);
        assert_eq!(present.last().unwrap().0, 20);
        for (_, path) in &present {
            assert_eq!(fs::metadata(path).unwrap().len() as usize, 2 * line.len());
        }
    }

    #[test]
    fn a_torn_record_is_cut_off_and_the_segment_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        Segments::new(dir.path().into()).append(b"one\n").unwrap();
        let path = &list(dir.path()).unwrap()[0].1;
        let mut file = OpenOptions::new().append(true).open(path).unwrap();
        file.write_all(b"torn").unwrap();
        Segments::new(dir.path().into()).append(b"two\n").unwrap();
        assert_eq!(fs::read(path).unwrap(), b"one\ntwo\n");
        fs::write(path, b"torn").unwrap();
        Segments::new(dir.path().into()).append(b"three\n").unwrap();
        assert_eq!(fs::read(path).unwrap(), b"three\n");
    }
}
