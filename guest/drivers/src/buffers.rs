//! A pool of equal buffers in one region: the one that was freed last is given first, because its pages
//! have been touched.

use alloc::vec::Vec;

use mayfly_hal::dma::DmaRegion;

/// The pool.
#[derive(Debug)]
pub(crate) struct Buffers {
    region: DmaRegion,
    bytes: usize,
    free: Vec<u16>,
}

impl Buffers {
    /// As many buffers of `bytes` (a multiple of [`DmaRegion::ALIGN`]) as `region` holds.
    pub(crate) fn new(region: DmaRegion, bytes: usize) -> Buffers {
        let count = u16::try_from(region.len() / bytes).unwrap_or(u16::MAX);
        Buffers { region, bytes, free: (0..count).rev().collect() }
    }

    /// Buffers that nobody has.
    pub(crate) fn free(&self) -> usize {
        self.free.len()
    }

    /// Takes a buffer.
    pub(crate) fn take(&mut self) -> Option<u16> {
        self.free.pop()
    }

    /// Gives a buffer back.
    pub(crate) fn put(&mut self, buffer: u16) {
        debug_assert!(!self.free.contains(&buffer));
        self.free.push(buffer);
    }

    /// The memory of a buffer.
    pub(crate) fn region(&self, buffer: u16) -> DmaRegion {
        self.region.sub(usize::from(buffer) * self.bytes, self.bytes)
    }
}
