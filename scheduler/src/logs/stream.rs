//! What one environment prints: bytes in, lines out, and the end of it for a client that asks.

use std::sync::Arc;

use super::log::Log;
use super::{LINE_BYTES_MAX, TAIL_BYTES_MAX};

/// The log stream of one environment.
#[derive(Debug)]
pub(crate) struct Stream {
    log: Arc<Log>,
    name: String,
    /// A line whose end has not come yet.
    unfinished: Vec<u8>,
    tail: Vec<u8>,
}

impl Stream {
    pub(super) fn new(log: Arc<Log>, name: String) -> Stream {
        Stream { log, name, unfinished: Vec::new(), tail: Vec::new() }
    }

    /// Its name: `2025/01/31/[$LATEST]…`.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Takes what the program printed.
    pub(crate) fn print(&mut self, bytes: &[u8]) {
        self.keep_tail(bytes);
        let Stream { log, name, unfinished, .. } = self;
        let mut appending = log.append(name);
        let mut lines = bytes.split(|&byte| byte == b'\n').peekable();
        while let Some(mut line) = lines.next() {
            let is_ended = lines.peek().is_some();
            while unfinished.len() + line.len() > LINE_BYTES_MAX {
                let (now, later) = line.split_at(LINE_BYTES_MAX - unfinished.len());
                unfinished.extend_from_slice(now);
                appending.line(unfinished);
                unfinished.clear();
                line = later;
            }
            if !is_ended {
                unfinished.extend_from_slice(line);
            } else if unfinished.is_empty() {
                appending.line(line);
            } else {
                unfinished.extend_from_slice(line);
                appending.line(unfinished);
                unfinished.clear();
            }
        }
    }

    /// Takes lines of the platform's own: they begin a line, whatever the program left behind.
    pub(crate) fn say(&mut self, lines: &str) {
        if !self.unfinished.is_empty() {
            self.print(b"\n");
        }
        self.print(lines.as_bytes());
    }

    /// The end of what was printed since the last call.
    pub(crate) fn take_tail(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.tail)
    }

    fn keep_tail(&mut self, bytes: &[u8]) {
        self.tail.extend_from_slice(&bytes[bytes.len().saturating_sub(TAIL_BYTES_MAX)..]);
        let surplus = self.tail.len().saturating_sub(TAIL_BYTES_MAX);
        self.tail.drain(..surplus);
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if !self.unfinished.is_empty() {
            self.log.append(&self.name).line(&self.unfinished);
        }
    }
}
