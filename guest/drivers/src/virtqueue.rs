//! A split virtqueue from the driver's side (virtio 1.2 §2.7).
//!
//! ```text
//!   descriptors   │ gpa len flags next │ …            a chain: header ─► data ─► data ─► status
//!   available     │ flags idx │ head head head …      "these chains are yours"      driver ► device
//!   used          │ flags idx │ (head, len) …         "these are yours again"       device ► driver
//! ```
//!
//! The device can write to its ring only, but a wild one can write anywhere; so links and lengths are
//! kept a second time in slots that no device sees, and those are what is followed.

use alloc::vec::Vec;
use core::sync::atomic::{Ordering, fence};

use mayfly_hal::dma::DmaRegion;
use thiserror::Error;

/// VIRTQ_DESC_F_NEXT.
const NEXT: u16 = 1;
/// VIRTQ_DESC_F_WRITE: the device writes.
const WRITE: u16 = 2;
/// VIRTQ_USED_F_NO_NOTIFY.
const NO_NOTIFY: u16 = 1;
/// VIRTQ_AVAIL_F_NO_INTERRUPT.
const NO_INTERRUPT: u16 = 1;
/// Offset of `flags` in either ring.
const FLAGS: usize = 0;
/// Offset of `idx` in either ring.
const INDEX: usize = 2;
/// Offset of the entries in either ring.
const ENTRIES: usize = 4;
/// Bytes of a descriptor.
const DESCRIPTOR: usize = 16;
/// Ends the list of free slots.
const NO_SLOT: u16 = u16::MAX;

/// The device has broken the queue: it can't be used any more.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum DeviceFault {
    /// More used entries than chains were given.
    #[error("the device used more buffers than it was given")]
    Index,
    /// A used entry that names no chain in flight.
    #[error("the device used a buffer that it did not have: {0}")]
    Head(u32),
    /// A used entry that claims more bytes than the chain has room for.
    #[error("the device claims to have written {0} bytes, more than there was room for")]
    Length(u32),
    /// Data that makes no sense where the device had the choice.
    #[error("the device's answer makes no sense: {0}")]
    Answer(&'static str),
}

/// Memory for one queue, as the boot information places it.
#[derive(Clone, Debug)]
pub struct QueueMemory {
    /// Entries, a power of two.
    pub size: u16,
    /// The descriptor table: [`QueueMemory::descriptors_bytes`].
    pub descriptors: DmaRegion,
    /// The available ring: [`QueueMemory::available_bytes`].
    pub available: DmaRegion,
    /// The used ring: [`QueueMemory::used_bytes`].
    pub used: DmaRegion,
}

impl QueueMemory {
    /// Bytes of the descriptor table of `size` entries.
    pub const fn descriptors_bytes(size: u16) -> usize {
        DESCRIPTOR * size as usize
    }

    /// Bytes of the available ring of `size` entries, `used_event` included.
    pub const fn available_bytes(size: u16) -> usize {
        ENTRIES + 2 * size as usize + 2
    }

    /// Bytes of the used ring of `size` entries, `avail_event` included.
    pub const fn used_bytes(size: u16) -> usize {
        ENTRIES + 8 * size as usize + 2
    }
}

/// A piece of guest-physical memory in a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Guest-physical address.
    pub gpa: u64,
    /// Bytes.
    pub len: u32,
    /// The device writes here; else it reads.
    pub writable: bool,
}

/// A chain in flight. Heads are small numbers below the queue's size: an index into the driver's tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Head(pub u16);

/// A chain that the device has given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Used {
    /// Which one.
    pub head: Head,
    /// Bytes that the device wrote; no more than the chain has room for.
    pub written: u32,
}

/// The queue has no room for a chain.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("the queue is full")]
pub struct QueueFull;

/// What the driver itself knows of a descriptor.
#[derive(Clone, Copy, Debug)]
struct Slot {
    /// The next of its chain, or of the free list.
    next: u16,
    /// At a head in flight: descriptors in the chain. Else 0.
    count: u16,
    /// At a head in flight: bytes that the device may write.
    room: u32,
}

/// The driver's end of a virtqueue.
#[derive(Debug)]
pub struct VirtQueue {
    memory: QueueMemory,
    slots: Vec<Slot>,
    /// First free slot. The list is a stack, so the same few descriptors are used again and again.
    free_list: u16,
    free_count: u16,
    /// Chains given, modulo 2¹⁶.
    available: u16,
    /// Of those, seen by the device at its last notification.
    kicked: u16,
    /// Chains taken back, modulo 2¹⁶.
    used: u16,
}

impl VirtQueue {
    /// The driver's end of a queue whose memory is zero or fresh from a reset.
    ///
    /// # Panics
    /// Where the size is no power of two, or a region is too small: the kernel's bug.
    pub fn new(memory: QueueMemory) -> VirtQueue {
        let size = memory.size;
        assert!(size.is_power_of_two() && size <= 32_768, "a queue of {size} entries");
        assert!(memory.descriptors.len() >= QueueMemory::descriptors_bytes(size));
        assert!(memory.available.len() >= QueueMemory::available_bytes(size));
        assert!(memory.used.len() >= QueueMemory::used_bytes(size));
        let slot = |index| {
            let next = if index + 1 == size { NO_SLOT } else { index + 1 };
            Slot { next, count: 0, room: 0 }
        };
        VirtQueue {
            slots: (0..size).map(slot).collect(),
            memory,
            free_list: 0,
            free_count: size,
            available: 0,
            kicked: 0,
            used: 0,
        }
    }

    /// Entries.
    pub fn size(&self) -> u16 {
        self.memory.size
    }

    /// Descriptors that are free.
    pub fn free(&self) -> u16 {
        self.free_count
    }

    /// Chains that the device has.
    pub fn in_flight(&self) -> u16 {
        self.available.wrapping_sub(self.used)
    }

    /// The head that the next [`Self::add`] will give, so that a driver can fill that head's own buffers
    /// first.
    pub fn next_head(&self) -> Option<Head> {
        (self.free_count > 0).then_some(Head(self.free_list))
    }

    /// Gives the device a chain, readable segments first. It is not notified: see [`Self::needs_kick`].
    ///
    /// # Errors
    /// [`QueueFull`], with nothing changed: fewer free descriptors than segments, or no segments.
    pub fn add(&mut self, segments: impl IntoIterator<Item = Segment>) -> Result<Head, QueueFull> {
        let head = self.free_list;
        let mut segments = segments.into_iter();
        let mut segment = segments.next().ok_or(QueueFull)?;
        let (mut slot, mut count, mut room) = (head, 0, 0u32);
        loop {
            if count == self.free_count {
                return Err(QueueFull);
            }
            let next = segments.next();
            self.describe(slot, segment, next.is_some());
            if segment.writable {
                room = room.saturating_add(segment.len);
            }
            slot = self.slots[usize::from(slot)].next;
            count += 1;
            match next {
                Some(next) => segment = next,
                None => break,
            }
        }
        self.free_list = slot;
        self.free_count -= count;
        self.slots[usize::from(head)].count = count;
        self.slots[usize::from(head)].room = room;
        self.publish(head);
        Ok(Head(head))
    }

    /// Takes back the next chain that the device is done with.
    ///
    /// # Errors
    /// [`DeviceFault`]: the used ring makes no sense.
    pub fn pop(&mut self) -> Result<Option<Used>, DeviceFault> {
        let ahead = self.memory.used.load_u16(INDEX).wrapping_sub(self.used);
        if ahead == 0 {
            return Ok(None);
        }
        if ahead > self.in_flight() {
            return Err(DeviceFault::Index);
        }
        let entry = ENTRIES + 8 * usize::from(self.used & (self.size() - 1));
        let id = self.memory.used.read_u32(entry);
        let written = self.memory.used.read_u32(entry + 4);
        let head = u16::try_from(id).map_err(|_| DeviceFault::Head(id))?;
        let chain = self.slots.get(usize::from(head)).filter(|slot| slot.count > 0);
        let room = chain.ok_or(DeviceFault::Head(id))?.room;
        if written > room {
            return Err(DeviceFault::Length(written));
        }
        self.free_chain(head);
        self.used = self.used.wrapping_add(1);
        Ok(Some(Used { head: Head(head), written }))
    }

    /// Whether the device has used buffers that [`Self::pop`] will give.
    pub fn has_used(&self) -> bool {
        self.memory.used.load_u16(INDEX) != self.used
    }

    /// Whether the device must be notified of chains that it has not seen, and wants to be.
    pub fn needs_kick(&self) -> bool {
        if self.available == self.kicked {
            return false;
        }
        // The index must be visible before the flag is read (virtio 1.2 §2.7.13.4.1).
        fence(Ordering::SeqCst);
        self.memory.used.read_u16(FLAGS) & NO_NOTIFY == 0
    }

    /// The device is about to be notified: right after this, with nothing added in between.
    pub fn about_to_kick(&mut self) {
        self.kicked = self.available;
    }

    /// Whether the device is to tell when it has used buffers: to end a wait for them, in this kernel.
    pub fn want_interrupts(&mut self, wanted: bool) {
        self.memory.available.write_u16(FLAGS, if wanted { 0 } else { NO_INTERRUPT });
    }

    /// Writes a descriptor; where `more` follow in its chain, linked to the next free slot.
    fn describe(&self, slot: u16, segment: Segment, more: bool) {
        let table = &self.memory.descriptors;
        let at = DESCRIPTOR * usize::from(slot);
        let flags = if segment.writable { WRITE } else { 0 } | if more { NEXT } else { 0 };
        table.write_u64(at, segment.gpa);
        table.write_u32(at + 8, segment.len);
        table.write_u16(at + 12, flags);
        table.write_u16(at + 14, self.slots[usize::from(slot)].next);
    }

    fn publish(&mut self, head: u16) {
        let entry = ENTRIES + 2 * usize::from(self.available & (self.size() - 1));
        self.memory.available.write_u16(entry, head);
        self.available = self.available.wrapping_add(1);
        self.memory.available.store_u16(INDEX, self.available);
    }

    fn free_chain(&mut self, head: u16) {
        let count = core::mem::take(&mut self.slots[usize::from(head)].count);
        let mut last = head;
        for _ in 1..count {
            last = self.slots[usize::from(last)].next;
        }
        self.slots[usize::from(last)].next = self.free_list;
        self.free_list = head;
        self.free_count += count;
    }
}
