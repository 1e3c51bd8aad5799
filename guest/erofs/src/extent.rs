//! From a place in a file to a place in the image.

use mayfly_abi::erofs::{BLOCK_BITS, ChunkIndex, NULL_ADDR};
use zerocopy::little_endian::U32;

use crate::inode::Contents;
use crate::{BlockSource, Corrupt, Erofs, Error, Inode, Unsupported};

/// Where a run of a file's bytes is. Lengths are bytes, more than 0, and end with the file's size at
/// the latest: what follows in the last block is not the file's, and whoever maps that block must
/// show zeros there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// In whole blocks of their own: where the place in the file is a multiple of the block size, so
    /// is `offset`, and the blocks can be mapped.
    Blocks {
        /// The first byte's offset in the image.
        offset: u64,
        /// How many bytes follow one another.
        len: u64,
    },
    /// Among metadata, inside one block.
    Inline {
        /// The first byte's offset in the image.
        offset: u64,
        /// How many bytes follow one another; no more than a block.
        len: u64,
    },
    /// Zeros that are not stored.
    Hole {
        /// How many.
        len: u64,
    },
}

impl Extent {
    /// The extent's length in bytes.
    pub fn bytes(&self) -> u64 {
        let (Extent::Blocks { len, .. } | Extent::Inline { len, .. } | Extent::Hole { len }) = self;
        *len
    }
}

impl<S: BlockSource> Erofs<S> {
    /// Where the bytes of `inode` from `file_offset` on are, as far as they follow one another in the
    /// image. `None` at and past the end, and for what has no contents.
    pub fn extent(
        &self,
        inode: &Inode,
        file_offset: u64,
    ) -> Result<Option<Extent>, Error<S::Error>> {
        if file_offset >= inode.size {
            return Ok(None);
        }
        let left = inode.size - file_offset;
        Ok(match inode.contents {
            Contents::None => None,
            Contents::Hole => Some(Extent::Hole { len: left }),
            Contents::Flat { start, tail_from, .. } if file_offset < tail_from => {
                Some(Extent::Blocks { offset: start + file_offset, len: tail_from - file_offset })
            }
            Contents::Flat { tail_from, tail_at, .. } => {
                Some(Extent::Inline { offset: tail_at + (file_offset - tail_from), len: left })
            }
            Contents::Chunks { table, chunk_bits, indexes } => {
                let within = file_offset & ((1 << chunk_bits) - 1);
                let len = left.min((1 << chunk_bits) - within);
                let block = self.chunk(inode.nid, table, file_offset >> chunk_bits, indexes)?;
                Some(self.chunk_extent(inode.nid, block, within, len)?)
            }
            Contents::Compressed => return Err(Unsupported::Compressed { nid: inode.nid }.into()),
        })
    }

    /// The first block of a chunk, [`NULL_ADDR`] for a hole. The table is inside the image.
    fn chunk(
        &self,
        nid: u64,
        table: u64,
        number: u64,
        indexes: bool,
    ) -> Result<u32, Error<S::Error>> {
        if !indexes {
            let raw: U32 = self.read_metadata(table + number * size_of::<U32>() as u64)?;
            return Ok(raw.get());
        }
        let raw: ChunkIndex =
            self.read_metadata(table + number * size_of::<ChunkIndex>() as u64)?;
        if raw.device_id != 0 {
            return Err(Unsupported::Chunks { nid }.into());
        }
        Ok(raw.blkaddr.get())
    }

    fn chunk_extent(&self, nid: u64, block: u32, within: u64, len: u64) -> Result<Extent, Corrupt> {
        if block == NULL_ADDR {
            return Ok(Extent::Hole { len });
        }
        let offset = (u64::from(block) << BLOCK_BITS) + within;
        if !self.volume().holds(offset, len) {
            return Err(Corrupt::Contents { nid });
        }
        Ok(Extent::Blocks { offset, len })
    }
}
