//! A block device's content: segments of bytes, files and zeros, read straight into guest memory.
//!
//! ```text
//!   disk     │ bytes (metadata) │ file 4, from 0 │ zeros │ file 5 … │
//!   request           ├──────────────────────────────┤
//!   parts             │ copy    │ preadv         │ fill │
//! ```
//!
//! A writable disk is one file. What the files promised and no longer hold is an I/O error for the guest,
//! never a short read taken for data.

use std::fs::File;
use std::rc::Rc;

use mayfly_abi::control::{self, Source};
use mayfly_devices::GuestRange;
use mayfly_devices::block::{BlockFailure, SECTOR_BYTES};
use thiserror::Error;

use crate::descriptors::Descriptors;
use crate::memory::Memory;
use crate::scatter::{self, Span};

/// The content of a disk.
#[derive(Debug)]
pub struct Disk {
    segments: Vec<Segment>,
    writable: bool,
}

#[derive(Debug)]
struct Segment {
    /// Offset of the first byte past it.
    end: u64,
    content: Content,
}

#[derive(Debug)]
enum Content {
    Bytes(Vec<u8>),
    File { file: Rc<File>, offset: u64 },
    Zero,
}

/// A disk that can't be served.
#[derive(Debug, Error)]
pub enum DiskError {
    /// A segment names a descriptor that did not come, or is used elsewhere.
    #[error("the root disk names descriptor {0}, which did not come with it")]
    Descriptor(u8),
    /// Lengths that don't add up.
    #[error("the root disk's segment {0} has a length that can't be")]
    Length(usize),
    /// See [`control::Disk::writable`].
    #[error("a writable root disk must be one file")]
    Writable,
}

impl Disk {
    /// The disk that `spec` describes, with the descriptors that came along.
    ///
    /// # Errors
    /// [`DiskError`]: a specification that makes no sense.
    pub fn new(spec: control::Disk, descriptors: &Descriptors) -> Result<Disk, DiskError> {
        let mut segments: Vec<Segment> = Vec::with_capacity(spec.segments.len());
        for (index, segment) in spec.segments.into_iter().enumerate() {
            let start = segments.last().map_or(0, |before| before.end);
            let end = start.checked_add(segment.len).ok_or(DiskError::Length(index))?;
            let content = match segment.source {
                Source::Bytes(bytes) if bytes.len() as u64 != segment.len => {
                    return Err(DiskError::Length(index));
                }
                Source::Bytes(bytes) => Content::Bytes(bytes),
                Source::File { descriptor, offset } => {
                    offset.checked_add(segment.len).ok_or(DiskError::Length(index))?;
                    let file =
                        descriptors.get(descriptor).ok_or(DiskError::Descriptor(descriptor))?;
                    Content::File { file, offset }
                }
                Source::Zero => Content::Zero,
            };
            segments.push(Segment { end, content });
        }
        let one_file = matches!(segments[..], [Segment { content: Content::File { .. }, .. }]);
        if spec.writable && !one_file {
            return Err(DiskError::Writable);
        }
        Ok(Disk { segments, writable: spec.writable })
    }

    /// Whole sectors of the disk.
    pub fn capacity_sectors(&self) -> u64 {
        self.segments.last().map_or(0, |last| last.end) / SECTOR_BYTES
    }

    /// Whether the guest may only read.
    pub fn read_only(&self) -> bool {
        !self.writable
    }

    /// Fills `ranges` of guest memory from `offset` on.
    ///
    /// # Errors
    /// A file that fails or has become shorter, or an offset past the end.
    pub fn read(
        &self,
        memory: &Memory,
        offset: u64,
        ranges: &[GuestRange],
    ) -> Result<(), BlockFailure> {
        let mut left = memory.spans(ranges);
        let mut at = offset;
        let first = self.segments.partition_point(|segment| segment.end <= at);
        for (segment, start) in self.segments[first..].iter().zip(self.starts(first)) {
            let count = (segment.end - at).min(scatter::bytes(&left));
            let part = scatter::take(&mut left, count as usize);
            segment.read(at - start, &part).ok_or(BlockFailure)?;
            at += count;
            if left.is_empty() {
                return Ok(());
            }
        }
        Err(BlockFailure)
    }

    /// Puts `ranges` of guest memory onto the disk, from `offset` on.
    ///
    /// # Errors
    /// A file that fails, or a disk that is not writable.
    pub fn write(
        &self,
        memory: &Memory,
        offset: u64,
        ranges: &[GuestRange],
    ) -> Result<(), BlockFailure> {
        let mut left = memory.spans(ranges);
        let (file, start) = self.writable_file().ok_or(BlockFailure)?;
        let mut at = start + offset;
        while !left.is_empty() {
            match scatter::write_at(file, &left, at) {
                Ok(0) | Err(_) => return Err(BlockFailure),
                Ok(count) => {
                    at += count as u64;
                    scatter::take(&mut left, count);
                }
            }
        }
        Ok(())
    }

    /// Makes what was written durable.
    ///
    /// # Errors
    /// A file that fails.
    pub fn flush(&self) -> Result<(), BlockFailure> {
        match self.writable_file() {
            Some((file, _)) => file.sync_data().map_err(|_| BlockFailure),
            None => Ok(()),
        }
    }

    fn writable_file(&self) -> Option<(&File, u64)> {
        match &self.segments[..] {
            [Segment { content: Content::File { file, offset }, .. }] if self.writable => {
                Some((file, *offset))
            }
            _ => None,
        }
    }

    /// Where the segments from `first` on begin.
    fn starts(&self, first: usize) -> impl Iterator<Item = u64> {
        let before = first.checked_sub(1).map_or(0, |index| self.segments[index].end);
        std::iter::once(before).chain(self.segments[first..].iter().map(|segment| segment.end))
    }
}

impl Segment {
    /// Fills `spans` from `offset` in the segment; `None` where that fails.
    fn read(&self, offset: u64, spans: &[Span<'_>]) -> Option<()> {
        match &self.content {
            Content::Bytes(bytes) => scatter::copy_in(spans, bytes.get(offset as usize..)?),
            Content::Zero => {
                scatter::zero(spans);
                Some(())
            }
            Content::File { file, offset: start } => {
                let (mut left, mut at) = (spans.to_vec(), start + offset);
                while !left.is_empty() {
                    match scatter::read_at(file.as_ref(), &left, at) {
                        Ok(0) | Err(_) => return None,
                        Ok(count) => {
                            at += count as u64;
                            scatter::take(&mut left, count);
                        }
                    }
                }
                Some(())
            }
        }
    }
}

#[cfg(test)]
mod tests;
