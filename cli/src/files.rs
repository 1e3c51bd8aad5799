//! Opens what the command line names, without ever waiting for it.
//!
//! Opening a FIFO waits for whoever holds its other end, perhaps for ever; with O_NONBLOCK it does not. To a
//! regular file the flag means nothing.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

/// Opens a file to be read.
///
/// # Errors
/// What the host says.
pub fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)
}

/// Creates a file to be written, or empties it.
///
/// # Errors
/// What the host says: for a FIFO that nobody reads, that there is no such device (ENXIO, fifo(7)).
pub fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).custom_flags(libc::O_NONBLOCK).open(path)
}

/// Whether two paths lead to one file.
pub fn are_same(one: &Path, other: &Path) -> bool {
    let of = |path| fs::metadata(path).map(|metadata| (metadata.dev(), metadata.ino())).ok();
    of(one).is_some_and(|file| of(other) == Some(file))
}
