//! virtio-blk (virtio 1.2 §5.2): disk requests in, ranges to read and write out.
//!
//! ```text
//!   header (type, sector)   data …            status
//!   └──── device reads ────┘└─ reads or writes ─┘└─ writes
//!
//!   poll ──► Request { op: Read { offset, ranges } , token } ──► preadv by the VMM ──► token.complete(…)
//! ```
//!
//! The device decides what a request means and whether it may be done; the VMM does it. A request that
//! is wrong is answered here with the status that §5.2.6 asks for and never reaches the VMM. Nothing
//! about a request in flight is kept in the device: the token is all of it.

use thiserror::Error;
use virtio_bindings::virtio_blk::*;
use virtio_bindings::virtio_ids::VIRTIO_ID_BLOCK;
use vm_memory::{Bytes, GuestMemory};
use zerocopy::FromBytes;
use zerocopy::little_endian::{U32, U64};

use crate::mmio::{CONFIG_BYTES, VirtioDevice};
use crate::{Chain, Fault, GuestFault, GuestRange, Queue, Scatter};

/// Bytes in a sector, whatever the disk's block size (virtio 1.2 §5.2.4).
pub const SECTOR_BYTES: u64 = 512;
/// Block size that we tell: a page, so that a guest reads whole pages.
pub const BLOCK_BYTES: u32 = 4096;
/// Most data segments of one request: what leaves room for header and status in a chain.
pub const SEGMENTS_MAX: usize = Chain::DESCRIPTORS_MAX - 2;
/// Entries in the queue. Deeper than any guest of ours needs; a kernel's default.
pub const QUEUE_SIZE_MAX: u16 = 256;
/// Bytes of a disk's identifier (virtio 1.2 §5.2.6).
pub const ID_BYTES: usize = VIRTIO_BLK_ID_BYTES as usize;

/// The header of every request (virtio 1.2 §5.2.6).
#[derive(FromBytes)]
#[repr(C)]
struct Header {
    kind: U32,
    reserved: U32,
    sector: U64,
}

const HEADER_BYTES: usize = size_of::<Header>();

/// A disk. The bytes are the VMM's; this knows how many there are and what may be done with them.
#[derive(Debug)]
pub struct Block {
    capacity_sectors: u64,
    read_only: bool,
    id: [u8; ID_BYTES],
    /// The request at hand.
    chain: Chain,
}

/// What the VMM must do.
#[derive(Debug)]
pub struct Request<'a> {
    /// How to answer, once it is done.
    pub token: Token,
    /// The work.
    pub op: Op<'a>,
}

/// Work on the disk's bytes. Offsets and lengths are multiples of [`SECTOR_BYTES`] within the disk.
#[derive(Debug)]
pub enum Op<'a> {
    /// Fill the ranges from the disk.
    Read {
        /// Where to begin, in bytes.
        offset_bytes: u64,
        /// Where the data goes, in order.
        ranges: &'a Scatter,
    },
    /// Put the ranges onto the disk.
    Write {
        /// Where to begin, in bytes.
        offset_bytes: u64,
        /// Where the data is, in order.
        ranges: &'a Scatter,
    },
    /// Make what was written durable.
    Flush,
}

/// A request in flight.
#[derive(Debug)]
#[must_use = "the guest waits for an answer"]
pub struct Token {
    head: u16,
    status: GuestRange,
    /// Bytes of data that the device writes where all goes well.
    filled: u32,
}

/// The host could not do what was asked; the guest sees an I/O error.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("the disk's backing failed")]
pub struct BlockFailure;

/// A request, parsed.
#[derive(Clone, Copy)]
enum Parsed {
    Read {
        offset_bytes: u64,
    },
    Write {
        offset_bytes: u64,
    },
    Flush,
    Identify,
    /// To be answered with this status.
    Refused(u32),
}

impl Block {
    /// A disk of `capacity_sectors` × [`SECTOR_BYTES`]. `id` is what a guest reads as its serial number,
    /// padded with NUL.
    pub fn new(capacity_sectors: u64, read_only: bool, id: [u8; ID_BYTES]) -> Block {
        Block { capacity_sectors, read_only, id, chain: Chain::default() }
    }

    /// The next request that means work, or `None` where the queue has run dry.
    ///
    /// # Errors
    /// [`GuestFault`]: the queue or a chain is broken beyond answering.
    pub fn poll<M: GuestMemory>(
        &mut self,
        mem: &M,
        queue: &mut Queue,
    ) -> Result<Option<Request<'_>>, GuestFault> {
        for _ in 0..=queue.size_max() {
            if !queue.pop(mem, &mut self.chain)? {
                return Ok(None);
            }
            let header = self.read_header(mem);
            let status = self.chain.writable.pop_byte().ok_or(queue.fault(Fault::NoStatus))?;
            let mut token = Token { head: self.chain.head(), status, filled: 0 };
            match header.map_or(Parsed::Refused(VIRTIO_BLK_S_IOERR), |header| self.parse(&header)) {
                Parsed::Refused(status) => token.answer(mem, queue, status)?,
                Parsed::Identify => {
                    let written = self.chain.writable.write(mem, &self.id);
                    token.filled = ID_BYTES as u32;
                    let status = written.map_or(VIRTIO_BLK_S_IOERR, |()| VIRTIO_BLK_S_OK);
                    token.answer(mem, queue, status)?;
                }
                Parsed::Read { offset_bytes } => {
                    // A chain holds less than 2³² bytes (virtio 1.2 §2.7.5), so this is exact.
                    token.filled = self.chain.writable.bytes() as u32;
                    let op = Op::Read { offset_bytes, ranges: &self.chain.writable };
                    return Ok(Some(Request { token, op }));
                }
                Parsed::Write { offset_bytes } => {
                    let op = Op::Write { offset_bytes, ranges: &self.chain.readable };
                    return Ok(Some(Request { token, op }));
                }
                Parsed::Flush => return Ok(Some(Request { token, op: Op::Flush })),
            }
        }
        Err(queue.fault(Fault::Flood))
    }

    fn read_header<M: GuestMemory>(&mut self, mem: &M) -> Option<Header> {
        let mut bytes = [0; HEADER_BYTES];
        self.chain.readable.read(mem, &mut bytes)?;
        Header::read_from_bytes(&bytes).ok()
    }

    /// What the chain, now without header and status, asks for.
    fn parse(&self, header: &Header) -> Parsed {
        let (from_guest, to_guest) = (&self.chain.readable, &self.chain.writable);
        match header.kind.get() {
            VIRTIO_BLK_T_IN if from_guest.is_empty() => self
                .place(header.sector.get(), to_guest)
                .map_or(Parsed::Refused(VIRTIO_BLK_S_IOERR), |offset_bytes| Parsed::Read {
                    offset_bytes,
                }),
            VIRTIO_BLK_T_OUT if to_guest.is_empty() && !self.read_only => self
                .place(header.sector.get(), from_guest)
                .map_or(Parsed::Refused(VIRTIO_BLK_S_IOERR), |offset_bytes| Parsed::Write {
                    offset_bytes,
                }),
            VIRTIO_BLK_T_FLUSH if !self.read_only => Parsed::Flush,
            VIRTIO_BLK_T_GET_ID if to_guest.bytes() == ID_BYTES as u64 => Parsed::Identify,
            VIRTIO_BLK_T_IN | VIRTIO_BLK_T_OUT | VIRTIO_BLK_T_GET_ID => {
                Parsed::Refused(VIRTIO_BLK_S_IOERR)
            }
            _ => Parsed::Refused(VIRTIO_BLK_S_UNSUPP),
        }
    }

    /// Byte offset of a transfer; `None` where it is empty, no whole number of sectors, of too many
    /// segments, or leaves the disk.
    fn place(&self, sector: u64, data: &Scatter) -> Option<u64> {
        let bytes = data.bytes();
        if bytes == 0 || !bytes.is_multiple_of(SECTOR_BYTES) || data.len() > SEGMENTS_MAX {
            return None;
        }
        let end = sector.checked_add(bytes / SECTOR_BYTES)?;
        (end <= self.capacity_sectors).then(|| sector.checked_mul(SECTOR_BYTES))?
    }
}

impl Token {
    /// Answers the request.
    ///
    /// # Errors
    /// [`GuestFault`]: the used ring is broken.
    pub fn complete<M: GuestMemory>(
        self,
        mem: &M,
        queue: &mut Queue,
        result: Result<(), BlockFailure>,
    ) -> Result<(), GuestFault> {
        let status = result.map_or(VIRTIO_BLK_S_IOERR, |()| VIRTIO_BLK_S_OK);
        self.answer(mem, queue, status)
    }

    fn answer<M: GuestMemory>(
        self,
        mem: &M,
        queue: &mut Queue,
        status: u32,
    ) -> Result<(), GuestFault> {
        let Token { head, status: place, filled } = self;
        let outside = Fault::OutsideMemory { address: place.address().0, len: 1 };
        mem.write_obj(status as u8, place.address()).map_err(|_| queue.fault(outside))?;
        // The count says how much from the buffer's start is good (virtio 1.2 §2.7.8): nothing before the
        // status, where data was wanted and did not come.
        let written = match status {
            VIRTIO_BLK_S_OK => filled.saturating_add(1),
            _ => u32::from(filled == 0),
        };
        queue.push_used(mem, head, written)
    }
}

impl VirtioDevice for Block {
    const DEVICE_ID: u32 = VIRTIO_ID_BLOCK;
    type Queues = [Queue; 1];

    fn queues() -> [Queue; 1] {
        [Queue::new::<QUEUE_SIZE_MAX>(0)]
    }

    fn features(&self) -> u64 {
        let access = if self.read_only { VIRTIO_BLK_F_RO } else { VIRTIO_BLK_F_FLUSH };
        1 << access | 1 << VIRTIO_BLK_F_SEG_MAX | 1 << VIRTIO_BLK_F_BLK_SIZE
    }

    /// virtio 1.2 §5.2.4: capacity at 0, seg_max at 12, blk_size at 20.
    fn config(&self) -> [u8; CONFIG_BYTES] {
        let mut config = [0; CONFIG_BYTES];
        config[0..8].copy_from_slice(&self.capacity_sectors.to_le_bytes());
        config[12..16].copy_from_slice(&(SEGMENTS_MAX as u32).to_le_bytes());
        config[20..24].copy_from_slice(&BLOCK_BYTES.to_le_bytes());
        config
    }

    fn reset(&mut self) {}
}

#[cfg(test)]
mod tests;
