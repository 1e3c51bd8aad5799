//! What functions print: into a bounded file for each function, and the last 4 KB to a client that asks.
//!
//! ```text
//!   DATA/logs/NAME.log    grows to LOG_BYTES_MAX, then becomes
//!   DATA/logs/NAME.log.1  which replaces the one before
//! ```

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A log file is turned over here, so a function's logs take twice as much at most.
pub const LOG_BYTES_MAX: u64 = 4 << 20;
/// What a client that asks for the tail gets (X-Amz-Log-Result).
pub const TAIL_BYTES_MAX: usize = 4096;

/// All logs of a data directory.
#[derive(Debug)]
pub(crate) struct Logs {
    dir: PathBuf,
    open: Mutex<HashMap<String, Arc<Log>>>,
}

/// The log of one function, shared by its environments.
#[derive(Debug)]
pub(crate) struct Log {
    path: PathBuf,
    file: Mutex<Option<(File, u64)>>,
}

impl Logs {
    /// The logs below `data`.
    pub(crate) fn open(data: &Path) -> io::Result<Logs> {
        let dir = data.join("logs");
        fs::create_dir_all(&dir)?;
        Ok(Logs { dir, open: Mutex::default() })
    }

    /// The log of the function of this name, a checked one.
    pub(crate) fn of(&self, name: &str) -> Arc<Log> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        // Logs that no environment writes to are closed, so the map stays as small as the pool.
        open.retain(|_, log| Arc::strong_count(log) > 1);
        let path = self.dir.join(format!("{name}.log"));
        let log = open.entry(name.to_owned());
        Arc::clone(log.or_insert_with(|| Arc::new(Log { path, file: Mutex::new(None) })))
    }
}

impl Log {
    /// Appends. A full disk costs the log, not the call.
    pub(crate) fn write(&self, bytes: &[u8]) {
        let mut file = lock(&self.file);
        if self.try_write(&mut file, bytes).is_err() {
            *file = None;
        }
    }

    fn try_write(&self, place: &mut Option<(File, u64)>, bytes: &[u8]) -> io::Result<()> {
        if place.as_ref().is_some_and(|(_, size)| *size >= LOG_BYTES_MAX) {
            *place = None;
            fs::rename(&self.path, self.path.with_extension("log.1"))?;
        }
        let (file, size) = match place {
            Some(open) => open,
            None => {
                let file = OpenOptions::new().create(true).append(true).open(&self.path)?;
                let size = file.metadata()?.len();
                place.insert((file, size))
            }
        };
        file.write_all(bytes)?;
        *size += bytes.len() as u64;
        Ok(())
    }
}

/// The end of what one invocation printed.
#[derive(Debug, Default)]
pub(crate) struct Tail(Vec<u8>);

impl Tail {
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(&bytes[bytes.len().saturating_sub(TAIL_BYTES_MAX)..]);
        let surplus = self.0.len().saturating_sub(TAIL_BYTES_MAX);
        self.0.drain(..surplus);
    }

    pub(crate) fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.0)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_are_bounded() {
        let data = tempfile::tempdir().unwrap();
        let logs = Logs::open(data.path()).unwrap();
        let log = logs.of("f");
        for _ in 0..20 {
            log.write(&vec![b'x'; 1 << 20]);
        }
        let sizes = fs::read_dir(data.path().join("logs")).unwrap();
        let sizes: Vec<u64> = sizes.map(|entry| entry.unwrap().metadata().unwrap().len()).collect();
        assert_eq!(sizes.len(), 2);
        assert!(sizes.iter().all(|size| *size <= LOG_BYTES_MAX), "{sizes:?}");
    }

    #[test]
    fn a_tail_is_the_end() {
        let mut tail = Tail::default();
        tail.push(b"first");
        tail.push(&[b'y'; 5000]);
        tail.push(b"last");
        let got = tail.take();
        assert_eq!(got.len(), TAIL_BYTES_MAX);
        assert!(got.ends_with(b"ylast"));
        assert!(tail.take().is_empty());
    }
}
