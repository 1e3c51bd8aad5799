//! The superblock: what the image says about itself.

use mayfly_abi::erofs::{
    self as disk, BLOCK_BITS, BLOCK_SIZE, COMPAT_SB_CHKSUM, SUPER_MAGIC, SUPER_OFFSET, SuperBlock,
    Timestamp,
};
use zerocopy::FromBytes;

use crate::{Corrupt, Error, Unsupported};

/// The `feature_incompat` bits that this reader can live with. All but CHUNKED_FILE just change how
/// compressed contents or extended attributes are stored, and it opens neither.
const FEATURES: u32 = disk::INCOMPAT_ZERO_PADDING
    | disk::INCOMPAT_COMPR_CFGS
    | disk::INCOMPAT_CHUNKED_FILE
    | disk::INCOMPAT_ZTAILPACKING
    | disk::INCOMPAT_FRAGMENTS
    | disk::INCOMPAT_XATTR_PREFIXES;

/// What a superblock says, checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Volume {
    /// Blocks in the image (of [`BLOCK_SIZE`] bytes).
    pub blocks: u32,
    /// Inodes in the image, by its own account.
    pub inodes: u64,
    /// The root directory.
    pub root_nid: u64,
    /// The time of the image, and of the inodes that have none of their own.
    pub build_time: Timestamp,
    /// The volume's UUID.
    pub uuid: [u8; 16],
    /// The volume's name, filled up with NULs.
    pub name: [u8; 16],
    /// The byte that nid 0 would begin at.
    pub(crate) meta_start: u64,
}

impl Volume {
    /// Reads the superblock out of an image's first block.
    pub(crate) fn parse<E>(first_block: &[u8; BLOCK_SIZE]) -> Result<Volume, Error<E>> {
        // A block is longer than what is read here: the error can't come up.
        let Ok((raw, _)) = SuperBlock::read_from_prefix(&first_block[SUPER_OFFSET..]) else {
            return Err(Corrupt::Magic(0).into());
        };
        if raw.magic != SUPER_MAGIC {
            return Err(Corrupt::Magic(raw.magic.get()).into());
        }
        // The block's size first, since the sum is of a block.
        if raw.blkszbits != BLOCK_BITS {
            return Err(Unsupported::BlockBits(raw.blkszbits).into());
        }
        check_sum(&raw, first_block)?;
        check_features(&raw)?;
        let root_nid = raw.root_nid.get().into();
        let build_time = Timestamp {
            seconds: raw.build_time.get().cast_signed(),
            nanoseconds: raw.build_time_nsec.get(),
        };
        if !build_time.is_valid() {
            let nanoseconds = build_time.nanoseconds;
            return Err(Corrupt::Time { nid: root_nid, nanoseconds }.into());
        }
        Ok(Volume {
            blocks: raw.blocks.get(),
            inodes: raw.inos.get(),
            root_nid,
            build_time,
            uuid: raw.uuid,
            name: raw.volume_name,
            meta_start: u64::from(raw.meta_blkaddr.get()) << BLOCK_BITS,
        })
    }

    /// The image's size in bytes.
    pub fn size(&self) -> u64 {
        u64::from(self.blocks) << BLOCK_BITS
    }

    /// Whether `len` bytes from `offset` on lie inside the image.
    pub(crate) fn holds(&self, offset: u64, len: u64) -> bool {
        offset.checked_add(len).is_some_and(|end| end <= self.size())
    }
}

fn check_features(raw: &SuperBlock) -> Result<(), Unsupported> {
    let unknown = raw.feature_incompat.get() & !FEATURES;
    if unknown != 0 {
        return Err(Unsupported::Features(unknown));
    }
    match raw.dirblkbits {
        0 => Ok(()),
        bits => Err(Unsupported::DirBlockBits(bits)),
    }
}

fn check_sum(raw: &SuperBlock, first_block: &[u8; BLOCK_SIZE]) -> Result<(), Corrupt> {
    if raw.feature_compat.get() & COMPAT_SB_CHKSUM == 0 {
        return Ok(());
    }
    let (stored, computed) = (raw.checksum.get(), disk::super_checksum(first_block));
    if stored == computed { Ok(()) } else { Err(Corrupt::Checksum { stored, computed }) }
}
