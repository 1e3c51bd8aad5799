//! Memory that the guest shares with a device: the one place where a driver's loads and stores become
//! raw pointers.
//!
//! ```text
//!   kernel pointer  ptr ───►┌──────────────┐◄─── gpa  guest-physical, what the device is told
//!                           │  len bytes   │
//!                           └──────────────┘
//! ```
//!
//! A device may write here at any moment, so no Rust reference to the bytes ever exists: fields are read
//! and written as atomics, bulk data is copied in and out. Which side owns which bytes at a time is the
//! virtqueue's protocol (virtio 1.2 §2.7); a device that breaks it can garble data, never memory safety.
//! Multi-byte fields are little-endian, as the processor is.

use core::ptr::NonNull;
use core::sync::atomic::{AtomicU16, AtomicU32, AtomicU64, Ordering};

/// A piece of memory that a device can reach, seen from both sides.
///
/// Like a slice it panics on an offset outside: offsets are the driver's own, and what a device says is
/// checked before it becomes one.
#[derive(Clone, Debug)]
pub struct DmaRegion {
    ptr: NonNull<u8>,
    gpa: u64,
    len: usize,
}

// SAFETY: a region is an address and a length; all access is atomic or a raw copy, from any thread.
unsafe impl Send for DmaRegion {}

impl DmaRegion {
    /// Bytes by which a region's start must be aligned, so that every field a virtqueue has can be
    /// accessed as one atomic.
    pub const ALIGN: usize = 8;

    /// A region of `len` bytes that the processor finds at `ptr` and a device at `gpa`.
    ///
    /// # Safety
    /// `ptr..ptr + len` stays mapped and writable for as long as the region or a part of it is used, and
    /// no Rust reference to those bytes exists in that time.
    ///
    /// # Panics
    /// Where `ptr` is not aligned to [`Self::ALIGN`].
    pub unsafe fn from_raw(ptr: NonNull<u8>, gpa: u64, len: usize) -> DmaRegion {
        assert!(ptr.addr().get().is_multiple_of(Self::ALIGN), "an unaligned DMA region");
        DmaRegion { ptr, gpa, len }
    }

    /// Bytes in the region.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Guest-physical address of the first byte.
    pub fn gpa(&self) -> u64 {
        self.gpa
    }

    /// The part of `len` bytes at `offset`, which is a multiple of [`Self::ALIGN`].
    pub fn sub(&self, offset: usize, len: usize) -> DmaRegion {
        assert!(offset.is_multiple_of(Self::ALIGN), "an unaligned part of a DMA region");
        DmaRegion { ptr: self.at(offset, len), gpa: self.gpa + offset as u64, len }
    }

    /// Reads a field. No ordering: pair it with [`Self::load_u16`] on the index that publishes it.
    pub fn read_u16(&self, offset: usize) -> u16 {
        self.atomic_u16(offset).load(Ordering::Relaxed)
    }

    /// Reads a field; see [`Self::read_u16`].
    pub fn read_u32(&self, offset: usize) -> u32 {
        self.atomic_u32(offset).load(Ordering::Relaxed)
    }

    /// Reads a field; see [`Self::read_u16`].
    pub fn read_u64(&self, offset: usize) -> u64 {
        self.atomic_u64(offset).load(Ordering::Relaxed)
    }

    /// Writes a field. No ordering: pair it with [`Self::store_u16`] on the index that publishes it.
    pub fn write_u16(&self, offset: usize, value: u16) {
        self.atomic_u16(offset).store(value, Ordering::Relaxed);
    }

    /// Writes a field; see [`Self::write_u16`].
    pub fn write_u32(&self, offset: usize, value: u32) {
        self.atomic_u32(offset).store(value, Ordering::Relaxed);
    }

    /// Writes a field; see [`Self::write_u16`].
    pub fn write_u64(&self, offset: usize, value: u64) {
        self.atomic_u64(offset).store(value, Ordering::Relaxed);
    }

    /// Reads an index that the device publishes: all it wrote before is visible after (acquire).
    pub fn load_u16(&self, offset: usize) -> u16 {
        self.atomic_u16(offset).load(Ordering::Acquire)
    }

    /// Publishes an index: all that was written before is visible to a device that sees it (release).
    pub fn store_u16(&self, offset: usize, value: u16) {
        self.atomic_u16(offset).store(value, Ordering::Release);
    }

    /// Copies `out.len()` bytes at `offset` out of the region.
    pub fn read(&self, offset: usize, out: &mut [u8]) {
        let from = self.at(offset, out.len());
        // SAFETY: `at` checked the source; the destination is a Rust slice, which no region overlaps.
        unsafe { from.as_ptr().copy_to_nonoverlapping(out.as_mut_ptr(), out.len()) }
    }

    /// Copies `bytes` into the region at `offset`.
    pub fn write(&self, offset: usize, bytes: &[u8]) {
        let to = self.at(offset, bytes.len());
        // SAFETY: `at` checked the destination; the source is a Rust slice, which no region overlaps.
        unsafe { to.as_ptr().copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) }
    }

    /// The checked address of `len` bytes at `offset`.
    fn at(&self, offset: usize, len: usize) -> NonNull<u8> {
        let fits = offset.checked_add(len).is_some_and(|end| end <= self.len);
        assert!(fits, "{len} bytes at {offset} of a DMA region of {}", self.len);
        // SAFETY: offset ≤ self.len, and the constructor's caller vouches for that many bytes.
        unsafe { self.ptr.add(offset) }
    }

    fn atomic_u16(&self, offset: usize) -> &AtomicU16 {
        let ptr = self.aligned::<u16>(offset);
        // SAFETY: in bounds and aligned (checked above), mapped for as long as `self` lives; an atomic
        // may change under our feet.
        unsafe { AtomicU16::from_ptr(ptr) }
    }

    fn atomic_u32(&self, offset: usize) -> &AtomicU32 {
        let ptr = self.aligned::<u32>(offset);
        // SAFETY: as for u16.
        unsafe { AtomicU32::from_ptr(ptr) }
    }

    fn atomic_u64(&self, offset: usize) -> &AtomicU64 {
        let ptr = self.aligned::<u64>(offset);
        // SAFETY: as for u16.
        unsafe { AtomicU64::from_ptr(ptr) }
    }

    fn aligned<T>(&self, offset: usize) -> *mut T {
        assert!(offset.is_multiple_of(align_of::<T>()), "an unaligned field of a DMA region");
        self.at(offset, size_of::<T>()).as_ptr().cast()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs `work` on a region over 64 bytes of the heap.
    fn with_region(work: impl FnOnce(DmaRegion)) {
        let mut backing = std::vec![0u64; 8];
        let ptr = NonNull::new(backing.as_mut_ptr().cast::<u8>()).unwrap();
        // SAFETY: the vector outlives the region and is not touched meanwhile.
        work(unsafe { DmaRegion::from_raw(ptr, 0x1000, 64) });
    }

    #[test]
    fn fields_and_copies_see_the_same_bytes() {
        with_region(|region| {
            region.write_u64(8, 0x1122_3344_5566_7788);
            let mut bytes = [0; 4];
            region.read(10, &mut bytes);
            assert_eq!(bytes, [0x66, 0x55, 0x44, 0x33]);
            region.write(8, &[0xaa]);
            assert_eq!(region.read_u16(8), 0x77aa);
        });
    }

    #[test]
    fn a_part_keeps_both_addresses_in_step() {
        with_region(|region| {
            let part = region.sub(16, 8);
            assert_eq!((part.gpa(), part.len()), (0x1010, 8));
            part.store_u16(2, 7);
            assert_eq!(region.load_u16(18), 7);
        });
    }

    #[test]
    #[should_panic(expected = "of a DMA region of 8")]
    fn a_part_ends_where_it_says() {
        with_region(|region| region.sub(16, 8).write_u32(8, 1));
    }

    #[test]
    #[should_panic(expected = "unaligned field")]
    fn an_unaligned_field_is_refused() {
        with_region(|region| region.write_u32(2, 1));
    }
}
