//! A virtqueue from the driver's side, with no scruples (virtio 1.2 §2.7).

use mayfly_abi::QueueInfo;

use crate::memory::{get, put};

/// Descriptor flag: another descriptor follows.
pub const NEXT: u16 = 1;
/// Descriptor flag: the device writes here.
pub const WRITE: u16 = 2;
/// Descriptor flag: this is a table of descriptors.
pub const INDIRECT: u16 = 4;
/// Bytes in a descriptor.
pub const DESCRIPTOR_BYTES: u64 = 16;

/// A descriptor, whatever it says.
#[derive(Clone, Copy, Default)]
pub struct Descriptor {
    pub address: u64,
    pub len: u32,
    pub flags: u16,
    pub next: u16,
}

impl Descriptor {
    /// Writes it as entry `index` of the table at `table`.
    pub fn put(self, table: u64, index: u64) {
        let at = table + index * DESCRIPTOR_BYTES;
        put(at, self.address);
        put(at + 8, self.len);
        put(at + 12, self.flags);
        put(at + 14, self.next);
    }
}

/// The queue, and how far its available ring has come.
pub struct Queue {
    pub info: QueueInfo,
    next: u16,
}

impl Queue {
    /// The queue that the boot plan has placed.
    pub fn new(info: QueueInfo) -> Queue {
        Queue { info, next: 0 }
    }

    /// Writes a descriptor of the table.
    pub fn set(&self, index: u16, descriptor: Descriptor) {
        descriptor.put(self.info.descriptors, index.into());
    }

    /// Writes the descriptors from entry `first` on, as one chain.
    pub fn chain(&self, first: u16, parts: &[(u64, u32, u16)]) {
        let last = parts.len() - 1;
        for (at, &(address, len, flags)) in parts.iter().enumerate() {
            let next = first + at as u16 + 1;
            let flags = if at == last { flags } else { flags | NEXT };
            self.set(first + at as u16, Descriptor { address, len, flags, next });
        }
    }

    /// Makes a chain available by its first descriptor.
    pub fn offer(&mut self, head: u16) {
        let slot = u64::from(self.next) % self.info.size;
        put(self.info.available + 4 + slot * 2, head);
        self.skip(1);
    }

    /// Moves the available index, whatever the ring holds.
    pub fn skip(&mut self, by: u16) {
        self.next = self.next.wrapping_add(by);
        put(self.info.available + 2, self.next);
    }

    /// How many chains were made available, modulo 2¹⁶.
    pub fn offered(&self) -> u16 {
        self.next
    }

    /// The used ring's index: how many chains the device has given back, modulo 2¹⁶.
    pub fn used(&self) -> u16 {
        get(self.info.used + 2)
    }
}
