//! A driver's hand on raw rings, for the unit tests: it can write nonsense.

use vm_memory::{Bytes, GuestAddress, GuestMemoryMmap};

use crate::Queue;
use crate::queue::QueueState;

/// Bytes of guest memory in a test.
pub const MEMORY_BYTES: usize = 1 << 20;
/// Entries of a test's queue.
pub const SIZE: u16 = 16;
/// The descriptor has a successor.
pub const NEXT: u16 = 1;
/// The device writes the descriptor's buffer.
pub const WRITE: u16 = 2;
/// The buffer is a table of descriptors.
pub const INDIRECT: u16 = 4;

/// Guest memory, zeroed.
pub fn memory() -> GuestMemoryMmap {
    GuestMemoryMmap::from_ranges(&[(GuestAddress(0), MEMORY_BYTES)]).unwrap()
}

/// One queue's rings, at `base`: descriptors, available ring, used ring, 0x400 bytes each.
#[derive(Clone, Copy)]
pub struct Rings {
    pub base: u64,
}

impl Rings {
    pub fn state(self) -> QueueState {
        QueueState {
            size: SIZE,
            ready: true,
            descriptors: self.base,
            available: self.base + 0x400,
            used: self.base + 0x800,
            ..QueueState::default()
        }
    }

    /// Sets `queue` up on these rings.
    pub fn attach(self, queue: &mut Queue) {
        queue.restore(&self.state()).unwrap();
    }

    pub fn describe(self, mem: &GuestMemoryMmap, index: u16, descriptor: (u64, u32, u16, u16)) {
        self.describe_at(mem, self.base, index, descriptor);
    }

    /// Writes entry `index` of the table at `table`.
    pub fn describe_at(
        self,
        mem: &GuestMemoryMmap,
        table: u64,
        index: u16,
        (address, len, flags, next): (u64, u32, u16, u16),
    ) {
        let at = table + u64::from(index) * 16;
        mem.write_obj(address, GuestAddress(at)).unwrap();
        mem.write_obj(len, GuestAddress(at + 8)).unwrap();
        mem.write_obj(flags, GuestAddress(at + 12)).unwrap();
        mem.write_obj(next, GuestAddress(at + 14)).unwrap();
    }

    /// Writes a chain from `first` on and makes it available.
    pub fn offer(self, mem: &GuestMemoryMmap, first: u16, buffers: &[(u64, u32, u16)]) {
        for (position, &(address, len, flags)) in buffers.iter().enumerate() {
            let index = first + position as u16;
            let more = position + 1 < buffers.len();
            let flags = if more { flags | NEXT } else { flags };
            self.describe(mem, index, (address, len, flags, index + 1));
        }
        self.offer_head(mem, first);
    }

    /// Makes the chain that begins at `head` available.
    pub fn offer_head(self, mem: &GuestMemoryMmap, head: u16) {
        let index = self.available_index(mem);
        let entry = self.base + 0x404 + u64::from(index % SIZE) * 2;
        mem.write_obj(head, GuestAddress(entry)).unwrap();
        self.set_available_index(mem, index.wrapping_add(1));
    }

    pub fn available_index(self, mem: &GuestMemoryMmap) -> u16 {
        mem.read_obj(GuestAddress(self.base + 0x402)).unwrap()
    }

    pub fn set_available_index(self, mem: &GuestMemoryMmap, index: u16) {
        mem.write_obj(index, GuestAddress(self.base + 0x402)).unwrap();
    }

    /// All entries of the used ring so far (less than [`SIZE`]): head and length.
    pub fn used(self, mem: &GuestMemoryMmap) -> Vec<(u32, u32)> {
        let count: u16 = mem.read_obj(GuestAddress(self.base + 0x802)).unwrap();
        let entry = |index: u64| {
            let at = self.base + 0x804 + index * 8;
            let field = |at| mem.read_obj::<u32>(GuestAddress(at)).unwrap();
            (field(at), field(at + 4))
        };
        (0..u64::from(count)).map(entry).collect()
    }
}
