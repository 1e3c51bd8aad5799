//! The receive queue and its buffers.
//!
//! The device fills buffers in the order they were posted, so as many pages are touched as buffers are
//! posted. A guest that says little gets by with [`POSTED_AT_FIRST`]; each time the device uses up all,
//! twice as many are posted.

use alloc::vec::Vec;

use mayfly_hal::dma::DmaRegion;

use crate::buffers::Buffers;
use crate::virtqueue::{DeviceFault, Segment, VirtQueue};

/// Bytes of a receive buffer: a packet's header and data.
pub const RX_BUFFER_BYTES: usize = 16 << 10;
/// Buffers that are posted before there is any traffic.
const POSTED_AT_FIRST: u16 = 4;
/// Buffers that streams leave to the device: with more in their hands they copy.
const LEFT_TO_DEVICE: u16 = 8;

/// A packet that has come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Received {
    /// Its buffer; to be given back by [`Receiver::release`].
    pub buffer: u16,
    /// Bytes in it, no more than [`RX_BUFFER_BYTES`].
    pub bytes: usize,
}

#[derive(Debug)]
pub(super) struct Receiver {
    queue: VirtQueue,
    buffers: Buffers,
    /// By head: its buffer.
    posted: Vec<u16>,
    /// Buffers to keep posted.
    target: u16,
    /// Buffers in all: what region and queue have room for.
    total: u16,
    /// Buffers that streams hold.
    held: u16,
    /// Buffers taken since the last [`Self::adapt`].
    taken: u16,
}

impl Receiver {
    pub(super) fn new(queue: VirtQueue, region: DmaRegion) -> Receiver {
        let buffers = Buffers::new(region, RX_BUFFER_BYTES);
        let total = (buffers.free() as u16).min(queue.size());
        let posted = alloc::vec![0; usize::from(queue.size())];
        let target = POSTED_AT_FIRST.min(total);
        let mut receiver = Receiver { queue, buffers, posted, target, total, held: 0, taken: 0 };
        receiver.post();
        receiver
    }

    /// The next packet.
    pub(super) fn pop(&mut self) -> Result<Option<Received>, DeviceFault> {
        let Some(used) = self.queue.pop()? else { return Ok(None) };
        self.held += 1;
        self.taken += 1;
        let buffer = self.posted[usize::from(used.head.0)];
        Ok(Some(Received { buffer, bytes: used.written as usize }))
    }

    /// Posts more where the device has just used up all there was.
    pub(super) fn adapt(&mut self) {
        if self.taken >= self.target {
            self.target = (self.target * 2).min(self.total);
        }
        self.taken = 0;
        self.post();
    }

    /// Gives a buffer back.
    pub(super) fn release(&mut self, buffer: u16) {
        self.held -= 1;
        self.buffers.put(buffer);
        self.post();
    }

    /// Whether streams hold so many buffers that data must be copied out.
    pub(super) fn scarce(&self) -> bool {
        self.held + LEFT_TO_DEVICE > self.total
    }

    /// Entries of the queue.
    pub(super) fn size(&self) -> u16 {
        self.queue.size()
    }

    pub(super) fn region(&self, buffer: u16) -> DmaRegion {
        self.buffers.region(buffer)
    }

    pub(super) fn has_used(&self) -> bool {
        self.queue.has_used()
    }

    pub(super) fn needs_kick(&self) -> bool {
        self.queue.needs_kick()
    }

    pub(super) fn about_to_kick(&mut self) {
        self.queue.about_to_kick();
    }

    fn post(&mut self) {
        while self.queue.in_flight() < self.target {
            let Some(buffer) = self.buffers.take() else { return };
            let gpa = self.buffers.region(buffer).gpa();
            let segment = Segment { gpa, len: RX_BUFFER_BYTES as u32, writable: true };
            match self.queue.add([segment]) {
                Ok(head) => self.posted[usize::from(head.0)] = buffer,
                Err(_) => return self.buffers.put(buffer),
            }
        }
    }
}
