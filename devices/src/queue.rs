//! A split virtqueue as its device sees it (virtio 1.2 §2.7): chains in, used buffers out.
//!
//! ```text
//!   available ring ──pop──► Chain { readable ranges, writable ranges } ──push_used──► used ring
//!   (driver writes)  ◄─unpop─┘                                                 (device writes)
//! ```
//!
//! The rings are walked by `virtio-queue`; this file adds what a hostile guest calls for: a chain is read
//! to its end before a device sees it, every address in it is checked, and whatever is wrong has a name.
//! What it hides: indirect tables, notification suppression, event indices.

use serde::{Deserialize, Serialize};
use virtio_bindings::virtio_ring::VRING_AVAIL_F_NO_INTERRUPT;
use virtio_queue::{DescriptorChain, QueueOwnedT, QueueT};
use vm_memory::{Bytes, GuestAddress, GuestMemory};

use crate::{Fault, GuestFault, GuestRange, Scatter};

/// Tries to catch an entry that the driver adds while notifications are being enabled. A driver that
/// keeps changing its mind gains nothing.
const ENABLE_TRIES: usize = 2;

/// A descriptor chain, read to its end: first what the device reads, then what it writes.
///
/// A device keeps one and refills it, so that no request allocates.
#[derive(Clone, Debug, Default)]
pub struct Chain {
    head: u16,
    /// What the driver wrote for the device.
    pub readable: Scatter,
    /// Room for the device's answer.
    pub writable: Scatter,
}

impl Chain {
    /// Most descriptors of a chain. A block request of [`crate::block::SEGMENTS_MAX`] segments has two
    /// more; no other driver comes near.
    pub const DESCRIPTORS_MAX: usize = 128;

    /// Index of the first descriptor: the chain's name in the used ring.
    pub fn head(&self) -> u16 {
        self.head
    }

    /// Fills the chain from its descriptors.
    fn load<M: GuestMemory>(
        &mut self,
        mem: &M,
        descriptors: DescriptorChain<&M>,
    ) -> Result<(), Fault> {
        self.readable.clear();
        self.writable.clear();
        self.head = descriptors.head_index();
        // The iterator ends early on anything malformed, so the last descriptor must say it is the last.
        let mut ended = false;
        for (count, descriptor) in descriptors.enumerate() {
            if count == Self::DESCRIPTORS_MAX {
                return Err(Fault::LongChain);
            }
            ended = !descriptor.has_next();
            if !descriptor.is_write_only() && !self.writable.is_empty() {
                return Err(Fault::Order);
            }
            let (address, len) = (descriptor.addr(), descriptor.len());
            if len == 0 {
                continue; // holds nothing, so it may be anywhere
            }
            let range = GuestRange::new(mem, address, len)
                .ok_or(Fault::OutsideMemory { address: address.0, len })?;
            match descriptor.is_write_only() {
                true => self.writable.push(range),
                false => self.readable.push(range),
            }
        }
        if ended { Ok(()) } else { Err(Fault::BrokenChain) }
    }
}

/// Where a queue is and how far both sides have come: all there is to know about it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueState {
    /// Entries, a power of two.
    pub size: u16,
    /// The driver has set the queue up.
    pub ready: bool,
    /// VIRTIO_F_EVENT_IDX was negotiated.
    pub event_index: bool,
    /// Guest-physical address of the descriptor table.
    pub descriptors: u64,
    /// … of the available ring.
    pub available: u64,
    /// … of the used ring.
    pub used: u64,
    /// Next entry of the available ring to take, modulo 2¹⁶.
    pub next_available: u16,
    /// Next entry of the used ring to fill, modulo 2¹⁶.
    pub next_used: u16,
}

/// The device's end of a virtqueue.
#[derive(Debug)]
pub struct Queue {
    index: u16,
    inner: virtio_queue::Queue,
    /// The rings were found to lie in guest memory; they can't move while the queue is ready.
    in_memory: bool,
    /// Buffers were used since the driver was last told.
    unannounced: bool,
}

impl Queue {
    /// Queue `index` of its device, not set up, with at most `SIZE_MAX` entries (a power of two).
    pub fn new<const SIZE_MAX: u16>(index: u16) -> Queue {
        const { assert!(SIZE_MAX.is_power_of_two() && SIZE_MAX <= 32_768) };
        let inner = virtio_queue::Queue::new(SIZE_MAX).unwrap_or_default();
        Queue { index, inner, in_memory: false, unannounced: false }
    }

    /// Index of the queue in its device.
    pub fn index(&self) -> u16 {
        self.index
    }

    /// Most entries the device offers.
    pub fn size_max(&self) -> u16 {
        self.inner.max_size()
    }

    /// The driver has set the queue up.
    pub fn ready(&self) -> bool {
        self.inner.ready()
    }

    /// Takes the next available chain into `chain`; `false` where there is none, or no queue yet.
    ///
    /// With event indices the driver is asked for a notification as soon as the queue runs dry.
    ///
    /// # Errors
    /// A queue or chain that is broken ([`Fault`]).
    pub fn pop<M: GuestMemory>(&mut self, mem: &M, chain: &mut Chain) -> Result<bool, GuestFault> {
        if !self.ready() {
            return Ok(false);
        }
        self.check(mem)?;
        let index = self.index;
        let fault = |fault| GuestFault { queue: index, fault };
        for _ in 0..ENABLE_TRIES {
            let next = self.inner.iter(mem).map_err(|_| fault(Fault::AvailableIndex))?.next();
            if let Some(descriptors) = next {
                return chain.load(mem, descriptors).map_err(fault).map(|()| true);
            }
            let raced = self.inner.event_idx_enabled()
                && self.inner.enable_notification(mem).is_ok_and(|more| more);
            if !raced {
                break;
            }
        }
        Ok(false)
    }

    /// Puts the chain that was taken last back: the next [`Self::pop`] gives it again.
    pub fn unpop(&mut self) {
        self.inner.go_to_previous_position();
    }

    /// Gives a chain back to the driver, with `written` bytes at the front of its writable part.
    ///
    /// # Errors
    /// [`Fault::RingOutsideMemory`].
    pub fn push_used<M: GuestMemory>(
        &mut self,
        mem: &M,
        head: u16,
        written: u32,
    ) -> Result<(), GuestFault> {
        self.unannounced = true;
        let added = self.inner.add_used(mem, head, written);
        added.map_err(|_| self.fault(Fault::RingOutsideMemory))
    }

    /// Whether the driver wants an interrupt for what was used since the last time this was asked.
    ///
    /// # Errors
    /// [`Fault::RingOutsideMemory`].
    pub fn wants_interrupt<M: GuestMemory>(&mut self, mem: &M) -> Result<bool, GuestFault> {
        if !std::mem::take(&mut self.unannounced) {
            return Ok(false);
        }
        let wanted = self.inner.needs_notification(mem);
        let wanted = wanted.map_err(|_| self.fault(Fault::RingOutsideMemory))?;
        if self.inner.event_idx_enabled() {
            return Ok(wanted);
        }
        let flags: Result<u16, _> = mem.read_obj(GuestAddress(self.inner.avail_ring()));
        let flags = flags.map_err(|_| self.fault(Fault::RingOutsideMemory))?;
        Ok(u32::from(u16::from_le(flags)) & VRING_AVAIL_F_NO_INTERRUPT == 0)
    }

    /// Where the queue is and how far it has come.
    pub fn state(&self) -> QueueState {
        QueueState {
            size: self.inner.size(),
            ready: self.inner.ready(),
            event_index: self.inner.event_idx_enabled(),
            descriptors: self.inner.desc_table(),
            available: self.inner.avail_ring(),
            used: self.inner.used_ring(),
            next_available: self.inner.next_avail(),
            next_used: self.inner.next_used(),
        }
    }

    /// Puts the queue into `state`.
    ///
    /// # Errors
    /// A size or alignment that virtio 1.2 §2.7 forbids. The queue is then not ready.
    pub fn restore(&mut self, state: &QueueState) -> Result<(), GuestFault> {
        self.reset();
        let placed = self
            .inner
            .try_set_size(state.size)
            .and_then(|()| self.inner.try_set_desc_table_address(GuestAddress(state.descriptors)))
            .and_then(|()| self.inner.try_set_avail_ring_address(GuestAddress(state.available)))
            .and_then(|()| self.inner.try_set_used_ring_address(GuestAddress(state.used)));
        placed.map_err(|error| match error {
            virtio_queue::Error::InvalidSize => self.fault(Fault::Size),
            _ => self.fault(Fault::Alignment),
        })?;
        if state.ready && state.available == 0 {
            return Err(self.fault(Fault::RingOutsideMemory)); // address 0 means "nowhere"
        }
        self.inner.set_event_idx(state.event_index);
        self.inner.set_next_avail(state.next_available);
        self.inner.set_next_used(state.next_used);
        self.inner.set_ready(state.ready);
        Ok(())
    }

    /// Forgets everything that the driver set up.
    pub fn reset(&mut self) {
        self.inner.reset();
        self.in_memory = false;
        self.unannounced = false;
    }

    /// A fault of this queue.
    pub(crate) fn fault(&self, fault: Fault) -> GuestFault {
        GuestFault { queue: self.index, fault }
    }

    fn check<M: GuestMemory>(&mut self, mem: &M) -> Result<(), GuestFault> {
        if !self.in_memory && !self.inner.is_valid(mem) {
            return Err(self.fault(Fault::RingOutsideMemory));
        }
        self.in_memory = true;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
