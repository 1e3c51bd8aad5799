//! A disk (virtio 1.2 §5.2): several requests in flight, each straight into memory that the caller names.
//!
//! ```text
//!   slot of head h, 32 bytes:   │ type │ 0 │ sector │ status │   → h's first and last descriptor
//!   the caller's segments:      ────────────────────            → those between
//! ```

use alloc::vec::Vec;

use mayfly_hal::dma::DmaRegion;
use thiserror::Error;

use crate::virtqueue::{DeviceFault, Head, QueueFull, Segment, VirtQueue};

/// Bytes in a sector: offsets and lengths are multiples of it (virtio 1.2 §5.2.4).
pub const SECTOR_BYTES: u64 = 512;
/// Most segments of one request that any device of ours takes (its seg_max).
pub const SEGMENTS_MAX: usize = 126;

/// Bytes for header and status of one request.
const SLOT: usize = 32;
const HEADER: usize = 16;
const STATUS: usize = 16;
/// VIRTIO_BLK_T_*.
const T_IN: u32 = 0;
const T_OUT: u32 = 1;
const T_FLUSH: u32 = 4;
/// VIRTIO_BLK_S_*.
const S_OK: u8 = 0;
const S_UNSUPP: u8 = 2;
/// What the status byte holds until the device has written it: no status.
const S_NONE: u8 = 0xff;

/// A piece of guest-physical memory that a disk reads or fills.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Guest-physical address.
    pub gpa: u64,
    /// Bytes.
    pub len: u32,
}

/// Why a request was not taken.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum SubmitError {
    /// Too many requests are in flight: poll and try again.
    #[error(transparent)]
    Full(#[from] QueueFull),
    /// The range is empty, no whole number of sectors, of too many pieces, or leaves the disk.
    #[error("the range is not on the disk")]
    Range,
    /// A write to a read-only disk.
    #[error("the disk is read-only")]
    ReadOnly,
}

/// How a request failed.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum BlockError {
    /// The host could not do it.
    #[error("an I/O error of the disk")]
    Io,
    /// The disk does not know the request.
    #[error("the disk does not support the request")]
    Unsupported,
}

/// A request that is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Completed {
    /// What [`Block::read`], [`Block::write`] or [`Block::flush`] gave.
    pub request: Head,
    /// How it went.
    pub result: Result<(), BlockError>,
}

/// The driver of one disk.
#[derive(Debug)]
pub struct Block {
    queue: VirtQueue,
    slots: DmaRegion,
    capacity_bytes: u64,
    read_only: bool,
    /// By head: bytes that a successful request fills, its status included.
    filled: Vec<u32>,
}

impl Block {
    /// Bytes of `slots` for a queue of `size` entries.
    pub const fn slots_bytes(size: u16) -> usize {
        SLOT * size as usize
    }

    /// A driver on `queue`. `slots` is memory of [`Self::slots_bytes`], `capacity_sectors` the device's
    /// configuration.
    ///
    /// # Panics
    /// Where `slots` is too small: the kernel's bug.
    pub fn new(
        queue: VirtQueue,
        slots: DmaRegion,
        capacity_sectors: u64,
        read_only: bool,
    ) -> Block {
        assert!(slots.len() >= Self::slots_bytes(queue.size()));
        let filled = alloc::vec![0; usize::from(queue.size())];
        let capacity_bytes = capacity_sectors.saturating_mul(SECTOR_BYTES);
        Block { queue, slots, capacity_bytes, read_only, filled }
    }

    /// Bytes on the disk.
    pub fn capacity_bytes(&self) -> u64 {
        self.capacity_bytes
    }

    /// Whether writes are refused.
    pub fn read_only(&self) -> bool {
        self.read_only
    }

    /// Most pieces of one request: what the device takes and the queue holds.
    pub fn pieces_max(&self) -> usize {
        SEGMENTS_MAX.min(usize::from(self.queue.size()).saturating_sub(2))
    }

    /// Requests in flight.
    pub fn in_flight(&self) -> u16 {
        self.queue.in_flight()
    }

    /// Starts to fill `pieces` from the disk at `offset_bytes`. They belong to the device until
    /// [`Self::poll`] gives the request back.
    ///
    /// # Errors
    /// [`SubmitError`], with nothing started.
    pub fn read(&mut self, offset_bytes: u64, pieces: &[Piece]) -> Result<Head, SubmitError> {
        self.transfer(T_IN, offset_bytes, pieces)
    }

    /// Starts to put `pieces` onto the disk at `offset_bytes`. They must not change until
    /// [`Self::poll`] gives the request back.
    ///
    /// # Errors
    /// [`SubmitError`], with nothing started.
    pub fn write(&mut self, offset_bytes: u64, pieces: &[Piece]) -> Result<Head, SubmitError> {
        if self.read_only {
            return Err(SubmitError::ReadOnly);
        }
        self.transfer(T_OUT, offset_bytes, pieces)
    }

    /// Starts to make durable what was written and is complete.
    ///
    /// # Errors
    /// [`SubmitError`], with nothing started.
    pub fn flush(&mut self) -> Result<Head, SubmitError> {
        if self.read_only {
            return Err(SubmitError::ReadOnly);
        }
        self.submit(T_FLUSH, 0, &[])
    }

    /// A request that is done, if there is one.
    ///
    /// # Errors
    /// [`DeviceFault`]: the device can't be used any more.
    pub fn poll(&mut self) -> Result<Option<Completed>, DeviceFault> {
        let Some(used) = self.queue.pop()? else {
            return Ok(None);
        };
        let index = usize::from(used.head.0);
        let mut status = [S_NONE];
        self.slots.read(index * SLOT + STATUS, &mut status);
        let result = match status {
            [S_OK] if used.written < self.filled[index] => {
                return Err(DeviceFault::Answer("a disk read is done but short"));
            }
            [S_OK] => Ok(()),
            [S_UNSUPP] => Err(BlockError::Unsupported),
            _ => Err(BlockError::Io),
        };
        Ok(Some(Completed { request: used.head, result }))
    }

    /// Whether the device must be notified; see [`VirtQueue::needs_kick`].
    pub fn needs_kick(&self) -> bool {
        self.queue.needs_kick()
    }

    /// The device is about to be notified; see [`VirtQueue::about_to_kick`].
    pub fn about_to_kick(&mut self) {
        self.queue.about_to_kick();
    }

    fn transfer(&mut self, kind: u32, offset: u64, pieces: &[Piece]) -> Result<Head, SubmitError> {
        let bytes: u64 = pieces.iter().map(|piece| u64::from(piece.len)).sum();
        let whole = bytes.is_multiple_of(SECTOR_BYTES) && offset.is_multiple_of(SECTOR_BYTES);
        let within = offset.checked_add(bytes).is_some_and(|end| end <= self.capacity_bytes);
        let short = bytes < u64::from(u32::MAX); // what a chain may hold (virtio 1.2 §2.7.5)
        if bytes == 0 || !short || !whole || !within || pieces.len() > self.pieces_max() {
            return Err(SubmitError::Range);
        }
        self.submit(kind, offset / SECTOR_BYTES, pieces)
    }

    fn submit(&mut self, kind: u32, sector: u64, pieces: &[Piece]) -> Result<Head, SubmitError> {
        let head = self.queue.next_head().ok_or(QueueFull)?;
        let slot = self.slots.sub(usize::from(head.0) * SLOT, SLOT);
        slot.write_u32(0, kind);
        slot.write_u32(4, 0);
        slot.write_u64(8, sector);
        slot.write(STATUS, &[S_NONE]);
        let writable = kind == T_IN;
        let header = Segment { gpa: slot.gpa(), len: HEADER as u32, writable: false };
        let status = Segment { gpa: slot.gpa() + STATUS as u64, len: 1, writable: true };
        let data = pieces.iter().map(|&Piece { gpa, len }| Segment { gpa, len, writable });
        let added = self.queue.add([header].into_iter().chain(data).chain([status]))?;
        debug_assert_eq!(added, head);
        let bytes: u32 = pieces.iter().map(|piece| piece.len).sum();
        self.filled[usize::from(head.0)] = if writable { bytes + 1 } else { 1 };
        Ok(head)
    }
}
