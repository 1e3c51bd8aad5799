//! Where blocks come from.

use core::ops::Deref;

use mayfly_abi::erofs::BLOCK_SIZE;

/// A block device, seen through a cache of its blocks.
///
/// The reader asks for the same few blocks again and again (a directory's, an inode's), holds at most
/// two at a time, and never writes: an implementation hands out what it has cached, without a copy.
pub trait BlockSource {
    /// Why a block can't be had.
    type Error;

    /// One block; while it is alive the cache may not evict it.
    type Page<'a>: Deref<Target = [u8; BLOCK_SIZE]>
    where
        Self: 'a;

    /// The block at byte offset `index` × [`BLOCK_SIZE`].
    ///
    /// The reader asks for no block past the end that the superblock states, but that may be a lie:
    /// a block past the device's real end is an error here.
    fn page(&self, index: u64) -> Result<Self::Page<'_>, Self::Error>;
}

/// A block past the end of an image that lies in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("block {0} is past the end of the image")]
pub struct OutOfRange(
    /// The block's index.
    pub u64,
);

/// An image in memory. Bytes after the last whole block are ignored.
impl BlockSource for &[u8] {
    type Error = OutOfRange;
    type Page<'a>
        = &'a [u8; BLOCK_SIZE]
    where
        Self: 'a;

    fn page(&self, index: u64) -> Result<&[u8; BLOCK_SIZE], OutOfRange> {
        let (blocks, _) = self.as_chunks();
        usize::try_from(index).ok().and_then(|index| blocks.get(index)).ok_or(OutOfRange(index))
    }
}
