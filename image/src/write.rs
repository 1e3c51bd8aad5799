//! An image into a file.

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};

use mayfly_abi::erofs::BLOCK_SIZE;

use crate::{ImageLayout, SegmentSource};

/// Why an image could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The destination failed.
    #[error("writing the image failed: {0}")]
    Write(#[source] io::Error),
    /// An external file could not be opened or read.
    #[error("copying the external file {id} failed: {error}")]
    Copy {
        /// The caller's name for it.
        id: u32,
        /// What failed.
        #[source]
        error: io::Error,
    },
    /// An external file does not have the size that the tree said.
    #[error("the external file {id} has changed: {found} bytes are there, not {expected}")]
    Changed {
        /// The caller's name for it.
        id: u32,
        /// The tree's word.
        expected: u64,
        /// What came.
        found: Found,
    },
}

/// How much of an external file there was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// So many bytes, too few.
    Bytes(u64),
    /// More than there should be.
    More,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Found::Bytes(bytes) => bytes.fmt(f),
            Found::More => f.write_str("more"),
        }
    }
}

impl ImageLayout {
    /// Writes the image from its first to its last byte. `open` gives the bytes of an external file,
    /// from its first on; it is called once for each, in the order of the image.
    pub fn write_to<R: Read>(
        &self,
        to: &mut impl Write,
        mut open: impl FnMut(u32) -> io::Result<R>,
    ) -> Result<(), WriteError> {
        for segment in self.segments() {
            match &segment.source {
                SegmentSource::Bytes(bytes) => to.write_all(bytes).map_err(WriteError::Write)?,
                SegmentSource::Zero => {
                    to.write_all(&ZEROS[..segment.len as usize]).map_err(WriteError::Write)?;
                }
                &SegmentSource::External { id, .. } => {
                    let from = open(id).map_err(|error| WriteError::Copy { id, error })?;
                    copy(id, from, segment.len, to)?;
                }
            }
        }
        Ok(())
    }
}

/// More than the longest [`SegmentSource::Zero`].
const ZEROS: [u8; BLOCK_SIZE] = [0; BLOCK_SIZE];

fn copy(id: u32, from: impl Read, expected: u64, to: &mut impl Write) -> Result<(), WriteError> {
    // Copying does not tell which end failed; for want of room, reading never does.
    let failed = |error: io::Error| match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
            WriteError::Write(error)
        }
        _ => WriteError::Copy { id, error },
    };
    let mut from = from.take(expected);
    let copied = io::copy(&mut from, to).map_err(failed)?;
    if copied < expected {
        return Err(WriteError::Changed { id, expected, found: Found::Bytes(copied) });
    }
    match from.into_inner().read(&mut [0]).map_err(failed)? {
        0 => Ok(()),
        _ => Err(WriteError::Changed { id, expected, found: Found::More }),
    }
}
