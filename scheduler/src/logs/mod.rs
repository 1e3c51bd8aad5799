//! What functions print: kept line by line, each with its time and its environment's stream.
//!
//! ```text
//!   environment ─ bytes ─▶ Stream ─ lines ─▶ Log: a bounded buffer ─▶ writer thread ─▶ DATA/logs/NAME/N.log
//!                            │ the last 4 KB                                               ▲
//!                            ▼                                                             │ scan
//!                     X-Amz-Log-Result                                     api::logs ──────┘
//! ```
//!
//! Nobody waits for a disk but the writer and those who read. A function that prints faster than that takes loses
//! lines, and its log says how many. A log is bounded on disk: the oldest segment goes as a new one comes. Nothing
//! is flushed to the medium: after a loss of power the end of a log may be gone, and a torn line is cut off.

pub(crate) mod group;
mod log;
mod record;
mod scan;
mod segments;
mod stream;
mod writer;

use std::collections::HashMap;
use std::fs;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::UNIX_EPOCH;

use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use crate::clock;
use log::Log;
pub(crate) use scan::{Event, Position};
pub(crate) use stream::Stream;

/// A segment is closed here, so a function's log takes about eight times as much at most.
const SEGMENT_BYTES_MAX: u64 = 2 << 20;
/// Segments of a log.
const SEGMENTS_MAX: usize = 8;
/// What a function may print before any of it is written; what is more is dropped and counted.
const BUFFER_BYTES_MAX: usize = 1 << 20;
/// Longest line; a longer one is cut into several (CloudWatch Logs quotas: 256 KB for an event).
const LINE_BYTES_MAX: usize = 256 << 10;
/// Reads at once: each holds a segment in memory, and reads as fast as it can.
const READERS_MAX: usize = 4;
/// What a client that asks for the tail gets (X-Amz-Log-Result).
pub(crate) const TAIL_BYTES_MAX: usize = 4096;

/// All logs of a data directory.
#[derive(Debug)]
pub(crate) struct Logs {
    dir: PathBuf,
    /// Those that are written to, by name.
    open: Mutex<HashMap<String, Arc<Log>>>,
    writer: mpsc::Sender<Arc<Log>>,
    readers: Semaphore,
}

/// A log, from outside.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Summary {
    /// The name of its group.
    pub(crate) group: String,
    /// When it was begun, ms since 1970.
    pub(crate) created_ms: i64,
    /// Its size on disk.
    pub(crate) bytes: u64,
}

impl Logs {
    /// The logs below `data`, and a thread that writes them.
    pub(crate) fn open(data: &Path) -> io::Result<Logs> {
        let dir = data.join("logs");
        fs::create_dir_all(&dir)?;
        let readers = Semaphore::new(READERS_MAX);
        Ok(Logs { dir, open: Mutex::default(), writer: writer::start()?, readers })
    }

    /// Has `work` read logs on a thread that may block, when it is its turn.
    pub(crate) async fn read<T: Send + 'static>(
        self: &Arc<Logs>,
        work: impl FnOnce(&Logs) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let _turn = self.readers.acquire().await.map_err(io::Error::other)?;
        let logs = Arc::clone(self);
        spawn_blocking(move || work(&logs)).await.map_err(io::Error::other)?
    }

    /// What one environment will print into the log of this name, under the name `stream`. Both names are checked ones.
    pub(crate) fn stream(&self, name: &str, stream: String) -> Stream {
        Stream::new(self.of(name), stream)
    }

    /// Writes a line of the platform's own into the log of this name, about what a function was to run: its events and
    /// messages.
    pub(crate) fn say_of_events(&self, name: &str, line: &str) {
        let stream = format!("{}/[events]", clock::day(clock::unix_ms()));
        self.stream(name, stream).say(&format!("{line}\n"));
    }

    fn of(&self, name: &str) -> Arc<Log> {
        let mut open = lock(&self.open);
        // Logs that no environment writes to are closed, so the map stays as small as the pool.
        open.retain(|_, log| Arc::strong_count(log) > 1);
        let log = open.entry(name.to_owned());
        let new = || Arc::new(Log::new(self.dir.join(name), self.writer.clone()));
        Arc::clone(log.or_insert_with(new))
    }

    /// Writes what has been printed so far. Takes as long as the disk does.
    pub(crate) fn flush(&self) {
        let open: Vec<Arc<Log>> = lock(&self.open).values().cloned().collect();
        for log in open {
            log.write_out();
        }
    }

    /// Shows `visit` each event of a log from `from` on, in the order of their coming, until it breaks.
    /// Returns the position behind the last one seen, or `None` where there is no log of this name, a checked
    /// one. What has been printed so far is among them. Takes as long as the disk does.
    pub(crate) fn scan(
        &self,
        name: &str,
        from: Position,
        visit: impl FnMut(Event<'_>) -> ControlFlow<()>,
    ) -> io::Result<Option<Position>> {
        let open = lock(&self.open).get(name).cloned();
        if let Some(log) = open {
            log.write_out();
        }
        match scan::scan(&self.dir.join(name), from, visit) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            result => result.map(Some),
        }
    }

    /// All logs, by group.
    pub(crate) fn list(&self) -> io::Result<Vec<Summary>> {
        self.flush();
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            if metadata.is_dir() {
                let since = metadata.created().or_else(|_| metadata.modified())?;
                let since = since.duration_since(UNIX_EPOCH).unwrap_or_default();
                let sizes = segments::list(&entry.path())?;
                let sizes =
                    sizes.iter().map(|(_, path)| fs::metadata(path).map_or(0, |one| one.len()));
                let created_ms = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
                let group = group::of_directory(&name);
                found.push(Summary { group, created_ms, bytes: sizes.sum() });
            }
        }
        found.sort_by(|one, other| one.group.cmp(&other.group));
        Ok(found)
    }

    /// Removes a log. False where there is none of this name, a checked one.
    pub(crate) fn delete(&self, name: &str) -> io::Result<bool> {
        // Also where nobody writes to it: whoever begins to waits for the end of this.
        match self.of(name).delete() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            result => result.map(|()| true),
        }
    }
}

/// What these guard is sound after each step: no panic leaves it half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
