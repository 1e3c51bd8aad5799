//! Guest memory that has been checked: [`GuestRange`], and lists of such ranges read as one stream.

use core::ops::Deref;

use vm_memory::bitmap::BS;
use vm_memory::{Address, Bytes, GuestAddress, GuestMemory, Permissions, VolatileSlice};

/// A range of guest-physical memory that exists, in one piece of host memory.
///
/// The only way to make one checks that. Guest memory never shrinks, so the check holds for good. (What
/// the bytes *say* may change at any moment.)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GuestRange {
    address: GuestAddress,
    len: u32,
}

impl GuestRange {
    /// The range of `len` bytes at `address`; `None` where guest memory does not hold all of it in one
    /// piece, or `len` is 0.
    pub fn new<M: GuestMemory + ?Sized>(mem: &M, address: GuestAddress, len: u32) -> Option<Self> {
        address.checked_add(u64::from(len))?;
        let range = GuestRange { address, len };
        range.slice(mem).map(|_| range)
    }

    /// Guest-physical address of the first byte.
    pub fn address(&self) -> GuestAddress {
        self.address
    }

    /// Bytes in the range, at least 1.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> u32 {
        self.len
    }

    /// The host's memory behind the range, for an iovec. `None` only with another `mem` than the one that
    /// the range was checked against.
    pub fn slice<'a, M: GuestMemory + ?Sized>(
        &self,
        mem: &'a M,
    ) -> Option<VolatileSlice<'a, BS<'a, M::Bitmap>>> {
        let len = self.len as usize;
        let mut slices = mem.get_slices(self.address, len, Permissions::ReadWrite).ok()?;
        slices.next()?.ok().filter(|slice| slice.len() == len)
    }

    /// The range without its first `count` bytes; `count` is less than its length.
    fn after(self, count: u32) -> GuestRange {
        debug_assert!(count < self.len);
        GuestRange { address: self.address.unchecked_add(u64::from(count)), len: self.len - count }
    }
}

/// Ranges that together are one stream of bytes, as a request's descriptors are: a device must not care
/// how the driver cut them (virtio 1.2 §2.7.4).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scatter(Vec<GuestRange>);

impl Deref for Scatter {
    type Target = [GuestRange];

    fn deref(&self) -> &[GuestRange] {
        &self.0
    }
}

impl Scatter {
    /// Bytes in all ranges.
    pub fn bytes(&self) -> u64 {
        self.0.iter().map(|range| u64::from(range.len)).sum()
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    pub(crate) fn push(&mut self, range: GuestRange) {
        self.0.push(range);
    }

    /// Drops the first `count` bytes, or all where there are fewer.
    pub(crate) fn advance(&mut self, count: u64) {
        let mut left = count;
        let whole = self.0.iter().take_while(|range| take_whole(&mut left, range)).count();
        self.0.drain(..whole);
        if let Some(first) = self.0.first_mut() {
            *first = first.after(left as u32);
        }
    }

    /// Keeps the first `count` bytes, or all where there are fewer.
    pub(crate) fn truncate(&mut self, count: u64) {
        let mut left = count;
        let whole = self.0.iter().take_while(|range| take_whole(&mut left, range)).count();
        match self.0.get_mut(whole) {
            Some(cut) if left > 0 => {
                cut.len = left as u32;
                self.0.truncate(whole + 1);
            }
            _ => self.0.truncate(whole),
        }
    }

    /// Takes off the last byte.
    pub(crate) fn pop_byte(&mut self) -> Option<GuestRange> {
        let last = self.0.pop()?;
        if last.len == 1 {
            return Some(last);
        }
        self.0.push(GuestRange { len: last.len - 1, ..last });
        Some(last.after(last.len - 1))
    }

    /// Copies the first `out.len()` bytes out and drops them. `None`, with nothing dropped, where there
    /// are fewer.
    pub(crate) fn read<M: GuestMemory>(&mut self, mem: &M, out: &mut [u8]) -> Option<()> {
        if self.bytes() < out.len() as u64 {
            return None;
        }
        let mut done = 0;
        for range in &self.0 {
            let count = (range.len as usize).min(out.len() - done);
            mem.read_slice(&mut out[done..done + count], range.address).ok()?;
            done += count;
        }
        self.advance(out.len() as u64);
        Some(())
    }

    /// Copies `bytes` to the front and drops what they fill. `None`, with nothing dropped, where there is
    /// less room.
    pub(crate) fn write<M: GuestMemory>(&mut self, mem: &M, bytes: &[u8]) -> Option<()> {
        if self.bytes() < bytes.len() as u64 {
            return None;
        }
        let mut done = 0;
        for range in &self.0 {
            let count = (range.len as usize).min(bytes.len() - done);
            mem.write_slice(&bytes[done..done + count], range.address).ok()?;
            done += count;
        }
        self.advance(bytes.len() as u64);
        Some(())
    }
}

/// Whether `range` lies within the next `left` bytes; takes it off them where it does.
fn take_whole(left: &mut u64, range: &GuestRange) -> bool {
    match left.checked_sub(u64::from(range.len)) {
        Some(rest) => {
            *left = rest;
            true
        }
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use vm_memory::GuestMemoryMmap;

    /// Two pieces of memory that touch in guest-physical space but not on the host.
    fn memory() -> GuestMemoryMmap {
        let ranges = [(GuestAddress(0), 0x1000), (GuestAddress(0x1000), 0x1000)];
        GuestMemoryMmap::from_ranges(&ranges).unwrap()
    }

    #[test]
    fn a_range_exists_in_one_piece_or_not_at_all() {
        let mem = memory();
        let range = |address, len| GuestRange::new(&mem, GuestAddress(address), len);
        assert!(range(0xfff, 1).is_some());
        assert!(range(0x1000, 0x1000).is_some());
        assert!(range(0xfff, 2).is_none(), "it spans two pieces");
        assert!(range(0x1fff, 2).is_none());
        assert!(range(0x2000, 1).is_none());
        assert!(range(u64::MAX, 2).is_none());
        assert!(range(0, 0).is_none());
    }

    proptest! {
        /// However a stream is cut, reading it gives the same bytes and leaves the same rest.
        #[test]
        fn cuts_do_not_matter(
            cuts in proptest::collection::vec(1u32..40, 1..12),
            first in 0usize..60,
            keep in 0u64..300,
        ) {
            let mem = memory();
            let bytes: Vec<u8> = (0..=255).cycle().take(0x800).collect();
            mem.write_slice(&bytes, GuestAddress(0)).unwrap();
            let mut scatter = Scatter::default();
            let mut total = 0;
            for len in cuts {
                scatter.push(GuestRange::new(&mem, GuestAddress(total), len).unwrap());
                total += u64::from(len);
            }
            let mut head = vec![0; first];
            let read = scatter.read(&mem, &mut head);
            prop_assert_eq!(read.is_some(), first as u64 <= total);
            let skipped = if read.is_some() { first } else { 0 };
            prop_assert_eq!(&head[..skipped], &bytes[..skipped]);
            scatter.truncate(keep);
            let rest = (total - skipped as u64).min(keep);
            prop_assert_eq!(scatter.bytes(), rest);
            let mut tail = vec![0; rest as usize];
            scatter.clone().read(&mem, &mut tail).unwrap();
            prop_assert_eq!(&tail[..], &bytes[skipped..skipped + rest as usize]);
            if let Some(last) = scatter.pop_byte() {
                prop_assert_eq!(last.address().0, skipped as u64 + rest - 1);
                prop_assert_eq!((last.len(), scatter.bytes()), (1, rest - 1));
            }
        }
    }
}
