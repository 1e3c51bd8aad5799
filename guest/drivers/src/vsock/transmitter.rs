//! The transmit queue: headers in their slots, data in buffers that the driver owns.
//!
//! ```text
//!   header slot of head h │ data buffer │ data buffer │ …       one packet, at most 64 KiB of data
//! ```

use alloc::vec::Vec;

use mayfly_hal::dma::DmaRegion;
use zerocopy::IntoBytes;

use super::packet::{HEADER_BYTES, Header};
use crate::buffers::Buffers;
use crate::virtqueue::{DeviceFault, Segment, VirtQueue};

/// Bytes of a buffer for data to send.
pub const TX_BUFFER_BYTES: usize = 16 << 10;
/// Most buffers of one packet: Linux's bound on its data (VIRTIO_VSOCK_MAX_PKT_BUF_SIZE, 64 KiB).
const PACKET_BUFFERS_MAX: usize = 4;
/// Bytes between header slots.
const SLOT: usize = HEADER_BYTES.next_multiple_of(DmaRegion::ALIGN);
/// Descriptors that data leaves to control packets.
const LEFT_TO_CONTROL: u16 = 8;

/// The buffers of a packet in flight.
#[derive(Clone, Copy, Debug, Default)]
struct InFlight {
    buffers: [u16; PACKET_BUFFERS_MAX],
    count: usize,
}

#[derive(Debug)]
pub(super) struct Transmitter {
    queue: VirtQueue,
    headers: DmaRegion,
    buffers: Buffers,
    /// By head.
    in_flight: Vec<InFlight>,
}

impl Transmitter {
    /// Bytes of the header slots of a queue of `size` entries.
    pub(super) const fn headers_bytes(size: u16) -> usize {
        SLOT * size as usize
    }

    pub(super) fn new(queue: VirtQueue, headers: DmaRegion, region: DmaRegion) -> Transmitter {
        assert!(headers.len() >= Self::headers_bytes(queue.size()));
        let in_flight = alloc::vec![InFlight::default(); usize::from(queue.size())];
        Transmitter { queue, headers, buffers: Buffers::new(region, TX_BUFFER_BYTES), in_flight }
    }

    /// Takes back what the device has sent; `true` where that was anything.
    pub(super) fn reap(&mut self) -> Result<bool, DeviceFault> {
        let mut any = false;
        while let Some(used) = self.queue.pop()? {
            let packet = core::mem::take(&mut self.in_flight[usize::from(used.head.0)]);
            // In the order they were taken, reversed: the first is taken first again.
            packet.buffers[..packet.count]
                .iter()
                .rev()
                .for_each(|&buffer| self.buffers.put(buffer));
            any = true;
        }
        Ok(any)
    }

    /// Bytes of data that the next packet can carry.
    pub(super) fn room(&self) -> usize {
        let descriptors = self.queue.free().saturating_sub(LEFT_TO_CONTROL + 1);
        let buffers = self.buffers.free().min(usize::from(descriptors)).min(PACKET_BUFFERS_MAX);
        buffers * TX_BUFFER_BYTES
    }

    /// Queues a packet with data, no more than [`Self::room`].
    pub(super) fn data(&mut self, header: &Header, bytes: &[u8]) {
        debug_assert!(bytes.len() <= self.room());
        let mut segments = [Segment { gpa: 0, len: 0, writable: false }; PACKET_BUFFERS_MAX];
        let mut packet = InFlight::default();
        for piece in bytes.chunks(TX_BUFFER_BYTES) {
            let Some(buffer) = self.buffers.take() else { break };
            let region = self.buffers.region(buffer);
            region.write(0, piece);
            segments[packet.count].gpa = region.gpa();
            segments[packet.count].len = piece.len() as u32;
            packet.buffers[packet.count] = buffer;
            packet.count += 1;
        }
        self.packet(header, packet, &segments[..packet.count]);
    }

    /// Whether [`Self::control`] has room.
    pub(super) fn has_room_for_control(&self) -> bool {
        self.queue.free() > 0
    }

    /// Queues a packet without data, where there is room.
    pub(super) fn control(&mut self, header: &Header) {
        self.packet(header, InFlight::default(), &[]);
    }

    fn packet(&mut self, header: &Header, packet: InFlight, data: &[Segment]) {
        let Some(head) = self.queue.next_head() else { return };
        let slot = self.headers.sub(usize::from(head.0) * SLOT, SLOT);
        slot.write(0, header.as_bytes());
        let first = Segment { gpa: slot.gpa(), len: HEADER_BYTES as u32, writable: false };
        if self.queue.add([first].into_iter().chain(data.iter().copied())).is_ok() {
            self.in_flight[usize::from(head.0)] = packet;
        }
    }

    pub(super) fn has_used(&self) -> bool {
        self.queue.has_used()
    }

    pub(super) fn needs_kick(&self) -> bool {
        self.queue.needs_kick()
    }

    /// As [`VirtQueue::about_to_kick`]. That something is sent is no news, unless more could be then.
    pub(super) fn about_to_kick(&mut self) {
        self.queue.want_interrupts(self.room() == 0);
        self.queue.about_to_kick();
    }
}
