//! The log of one function, shared by its environments: a bounded buffer before its files.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, mpsc};

use super::record::Record;
use super::segments::Segments;
use super::{BUFFER_BYTES_MAX, lock};
use crate::clock;

/// The log of one function.
#[derive(Debug)]
pub(super) struct Log {
    buffer: Mutex<Buffer>,
    /// Held while the disk works. Whoever holds it may take the buffer's lock, not the other way round.
    segments: Mutex<Segments>,
    writer: mpsc::Sender<Arc<Log>>,
}

#[derive(Debug, Default)]
struct Buffer {
    /// Encoded.
    records: Vec<u8>,
    /// Lines that found no room since the last write, and who printed the last of them.
    dropped: u64,
    dropped_by: String,
    /// The last record's time: a log's clock does not run backwards.
    last_ms: i64,
    /// Whether the writer has been told.
    is_queued: bool,
}

impl Log {
    /// The log whose files are in `dir`.
    pub(super) fn new(dir: PathBuf, writer: mpsc::Sender<Arc<Log>>) -> Log {
        Log { buffer: Mutex::default(), segments: Mutex::new(Segments::new(dir)), writer }
    }

    /// Begins to add lines of one stream. Never waits for a disk.
    pub(super) fn append<'a>(self: &'a Arc<Log>, stream: &'a str) -> Appending<'a> {
        let mut buffer = lock(&self.buffer);
        buffer.last_ms = clock::unix_ms().max(buffer.last_ms);
        Appending { log: self, stream, buffer }
    }

    /// Writes what is in the buffer. A full disk costs the log, not the call.
    pub(super) fn write_out(&self) {
        let mut segments = lock(&self.segments);
        let (records, lines) = lock(&self.buffer).take();
        if !records.is_empty() && segments.append(&records).is_err() {
            lock(&self.buffer).dropped += lines;
        }
    }

    /// Removes its files, and what would be written to them.
    pub(super) fn delete(&self) -> io::Result<()> {
        let mut segments = lock(&self.segments);
        drop(lock(&self.buffer).take());
        segments.delete()
    }
}

impl Buffer {
    /// Takes all records, with a word on those that are missing; and how many lines that is.
    fn take(&mut self) -> (Vec<u8>, u64) {
        self.is_queued = false;
        let mut records = std::mem::take(&mut self.records);
        let lines = records.iter().filter(|&&byte| byte == b'\n').count() as u64;
        let dropped = std::mem::take(&mut self.dropped);
        if dropped > 0 {
            let message = format!(
                "[mayfly] {dropped} lines are missing here: they came faster than they could be kept"
            );
            let (time_ms, stream) = (self.last_ms, &*self.dropped_by);
            Record { time_ms, stream, message: message.as_bytes() }.encode(&mut records);
        }
        (records, lines + dropped)
    }
}

/// Lines on their way into the buffer.
pub(super) struct Appending<'a> {
    log: &'a Arc<Log>,
    stream: &'a str,
    buffer: MutexGuard<'a, Buffer>,
}

impl Appending<'_> {
    /// Adds a line, without its end, which it must not hold.
    pub(super) fn line(&mut self, message: &[u8]) {
        let buffer = &mut *self.buffer;
        let record = Record { time_ms: buffer.last_ms, stream: self.stream, message };
        if buffer.records.len() + record.len_max() > BUFFER_BYTES_MAX {
            buffer.dropped += 1;
            self.stream.clone_into(&mut buffer.dropped_by);
        } else {
            record.encode(&mut buffer.records);
        }
    }
}

impl Drop for Appending<'_> {
    fn drop(&mut self) {
        let has_news = !self.buffer.records.is_empty() || self.buffer.dropped > 0;
        if has_news && !std::mem::replace(&mut self.buffer.is_queued, true) {
            // The writer lives as long as any log does.
            let _ = self.log.writer.send(Arc::clone(self.log));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::segments;

    fn rig() -> (tempfile::TempDir, Arc<Log>, mpsc::Receiver<Arc<Log>>) {
        let dir = tempfile::tempdir().unwrap();
        let (writer, queue) = mpsc::channel();
        let log = Arc::new(Log::new(dir.path().join("f"), writer));
        (dir, log, queue)
    }

    fn content(dir: &tempfile::TempDir) -> String {
        let files = segments::list(&dir.path().join("f")).unwrap();
        files.iter().map(|(_, path)| std::fs::read_to_string(path).unwrap()).collect()
    }

    #[test]
    fn a_flood_is_cut_off_and_the_log_says_so() {
        let (dir, log, queue) = rig();
        let line = [b'x'; 1000];
        for _ in 0..3000 {
            log.append("s").line(&line);
        }
        assert_eq!(queue.try_iter().count(), 1, "the writer is told once");
        log.write_out();
        let text = content(&dir);
        let kept = text.lines().filter(|line| line.ends_with('x')).count();
        assert!((900..=1048).contains(&kept), "{kept}");
        let last = text.lines().last().unwrap();
        let wanted = format!("s [mayfly] {} lines are missing here: ", 3000 - kept);
        assert!(last.contains(&wanted), "{last}");
        log.append("s").line(b"then");
        assert_eq!(queue.try_iter().count(), 1, "and told again");
        log.write_out();
        assert!(content(&dir).ends_with(" s then\n"));
    }

    #[test]
    fn lines_that_a_disk_refused_are_counted() {
        let (dir, log, _queue) = rig();
        std::fs::write(dir.path().join("f"), b"in the way").unwrap();
        log.append("s").line(b"one");
        log.append("s").line(b"two");
        log.write_out();
        std::fs::remove_file(dir.path().join("f")).unwrap();
        log.append("s").line(b"three");
        log.write_out();
        let text = content(&dir);
        assert!(text.contains(" s three\n") && text.contains(" 2 lines are missing"), "{text}");
    }

    #[test]
    fn a_deleted_log_begins_anew() {
        let (dir, log, _queue) = rig();
        assert!(log.delete().is_err(), "there is none yet");
        log.append("s").line(b"one");
        log.write_out();
        log.append("s").line(b"two");
        log.delete().unwrap();
        log.append("s").line(b"three");
        log.write_out();
        assert!(content(&dir).ends_with(" s three\n"));
        assert_eq!(content(&dir).lines().count(), 1);
    }
}
