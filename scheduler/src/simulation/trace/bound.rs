//! A reader that gives up on a line without an end, before memory does.

use std::io::{self, Read};

/// Longest line: 1440 counts of ten digits, and three names.
pub(super) const LINE_BYTES_MAX: usize = 64 * 1024;

/// Reads from another one, as long as lines end.
pub(super) struct Bounded<R> {
    from: R,
    /// Bytes since the last line's end.
    length: usize,
}

impl<R> Bounded<R> {
    pub(super) fn new(from: R) -> Bounded<R> {
        Bounded { from, length: 0 }
    }
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.from.read(buffer)?;
        for part in buffer[..count].split_inclusive(|byte| *byte == b'\n') {
            self.length += part.len();
            if self.length > LINE_BYTES_MAX {
                return Err(io::Error::other(format!(
                    "a line of more than {LINE_BYTES_MAX} bytes"
                )));
            }
            if part.ends_with(b"\n") {
                self.length = 0;
            }
        }
        Ok(count)
    }
}
