//! The on-disk format of EROFS, as far as an uncompressed image needs it.
//!
//! ```text
//!  block 0                         meta_blkaddr
//!  ┌──────┬────────────┬───────┬───┬───────────────────────────────┬──────────────────────┐
//!  │ 1 KiB│ SuperBlock │ inode │ … │ inode  xattrs  chunks  tail │ …│ whole 4 KiB blocks of │
//!  │ free │ 128 bytes  │       │   │ └─ at meta_blkaddr·4096 + 32·nid│ files and directories │
//!  └──────┴────────────┴───────┴───┴───────────────────────────────┴──────────────────────┘
//! ```
//!
//! An inode has no table: its number (*nid*) is its place, in slots of 32 bytes. Its contents lie in
//! consecutive blocks elsewhere ([`Layout::FlatPlain`]), or the same with the last, partial block
//! directly behind the inode ([`Layout::FlatInline`], "tail packing"), or in chunks.
//!
//! A directory's contents are blocks of [`Dirent`]s followed by the names, sorted by name as bytes
//! both inside a block and from block to block, so that two binary searches find a name:
//!
//! ```text
//!  ┌──────────┬──────────┬─────┬────────┬────────┬─────┬─────────┐
//!  │ Dirent 0 │ Dirent 1 │  …  │ name 0 │ name 1 │  …  │ NUL fill│   one block; nameoff of Dirent 0
//!  └────┬─────┴──────────┴─────┴▲───────┴────────┴─────┴─────────┘   ÷ 12 = how many Dirents
//!       └───────nameoff─────────┘
//! ```
//!
//! Source: Linux, Documentation/filesystems/erofs.rst and fs/erofs/erofs_fs.h. Everything is little
//! endian. Field names are the kernel's, without the `i_` of its inodes.

use core::mem::{offset_of, size_of};

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Bytes in a block; the format allows others, Mayfly uses just this one.
pub const BLOCK_SIZE: usize = 1 << BLOCK_BITS;
/// log₂ of [`BLOCK_SIZE`], as [`SuperBlock::blkszbits`] holds it.
pub const BLOCK_BITS: u8 = 12;
/// Byte offset of the [`SuperBlock`] in the image.
pub const SUPER_OFFSET: usize = 1024;
/// [`SuperBlock::magic`].
pub const SUPER_MAGIC: u32 = 0xe0f5_e1e2;
/// Bytes in one inode slot, the unit of a nid.
pub const SLOT_SIZE: usize = 32;
/// The longest name of a directory entry, in bytes.
pub const NAME_LEN_MAX: usize = 255;
/// The longest target of a symbolic link, in bytes: Linux's PATH_MAX without its NUL.
pub const SYMLINK_LEN_MAX: usize = 4095;
/// A block address that stands for zeros that are not stored.
pub const NULL_ADDR: u32 = u32::MAX;

/// `feature_compat`: [`SuperBlock::checksum`] is filled in.
pub const COMPAT_SB_CHKSUM: u32 = 1 << 0;
/// `feature_compat`: the times in the image are modification times.
pub const COMPAT_MTIME: u32 = 1 << 1;

/// `feature_incompat`: compressed data is padded with zeros in front.
pub const INCOMPAT_ZERO_PADDING: u32 = 1 << 0;
/// `feature_incompat`: the compressors' settings follow the superblock.
pub const INCOMPAT_COMPR_CFGS: u32 = 1 << 1;
/// `feature_incompat`: there are [`Layout::ChunkBased`] inodes.
pub const INCOMPAT_CHUNKED_FILE: u32 = 1 << 2;
/// `feature_incompat`: data lies on further devices, or a second compressor is in use.
pub const INCOMPAT_DEVICE_TABLE: u32 = 1 << 3;
/// `feature_incompat`: compressed tails are packed behind their inodes.
pub const INCOMPAT_ZTAILPACKING: u32 = 1 << 4;
/// `feature_incompat`: compressed tails are packed into one special inode.
pub const INCOMPAT_FRAGMENTS: u32 = 1 << 5;
/// `feature_incompat`: names of extended attributes have long prefixes, stored once.
pub const INCOMPAT_XATTR_PREFIXES: u32 = 1 << 6;
/// `feature_incompat`: block addresses have 48 bits.
pub const INCOMPAT_48BIT: u32 = 1 << 7;
/// `feature_incompat`: inodes lie inside a special inode.
pub const INCOMPAT_METABOX: u32 = 1 << 8;

/// The superblock, at [`SUPER_OFFSET`].
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct SuperBlock {
    /// [`SUPER_MAGIC`].
    pub magic: U32,
    /// [`super_checksum`] of the first block.
    pub checksum: U32,
    /// `COMPAT_*` bits: a reader may ignore those that it does not know.
    pub feature_compat: U32,
    /// log₂ of the block size.
    pub blkszbits: u8,
    /// 16-byte extensions that follow this structure.
    pub sb_extslots: u8,
    /// The root directory's nid.
    pub root_nid: U16,
    /// How many inodes there are.
    pub inos: U64,
    /// Seconds since 1970 that compact inodes' times count from.
    pub build_time: U64,
    /// The nanoseconds of every compact inode's time.
    pub build_time_nsec: U32,
    /// Blocks in the image.
    pub blocks: U32,
    /// The block that nid 0 would begin at.
    pub meta_blkaddr: U32,
    /// The block where shared extended attributes begin.
    pub xattr_blkaddr: U32,
    /// The volume's UUID.
    pub uuid: [u8; 16],
    /// The volume's name, ended by a NUL.
    pub volume_name: [u8; 16],
    /// `INCOMPAT_*` bits: a reader must refuse those that it does not know.
    pub feature_incompat: U32,
    /// Bits of the compressors in use.
    pub available_compr_algs: U16,
    /// Devices besides this one.
    pub extra_devices: U16,
    /// Where their table is.
    pub devt_slotoff: U16,
    /// log₂ of (directory block size ÷ block size); 0 is all that Linux takes.
    pub dirblkbits: u8,
    /// How many long prefixes of extended attributes there are.
    pub xattr_prefix_count: u8,
    /// Where those are.
    pub xattr_prefix_start: U32,
    /// The inode of packed fragments.
    pub packed_nid: U64,
    /// What an image without 48-bit addresses, filters and metabox leaves as 0.
    pub reserved: [u8; 24],
}

/// An inode in one slot: 16-bit owners and link count, 32-bit size, and no time but the volume's.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct InodeCompact {
    /// See [`inode_format`].
    pub format: U16,
    /// Size of the extended attributes behind the inode: see [`xattr_size`].
    pub xattr_icount: U16,
    /// File type and permission bits, as in `st_mode`.
    pub mode: U16,
    /// Hard links.
    pub nlink: U16,
    /// Size in bytes.
    pub size: U32,
    /// Seconds after [`SuperBlock::build_time`]; Linux before 6.15 takes it as 0.
    pub mtime: U32,
    /// See [`InodeExtended::data`].
    pub data: U32,
    /// A serial number, for `stat` with 32-bit inode numbers.
    pub ino: U32,
    /// Owner.
    pub uid: U16,
    /// Group.
    pub gid: U16,
    /// 0.
    pub reserved: U32,
}

/// An inode in two slots.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct InodeExtended {
    /// See [`inode_format`].
    pub format: U16,
    /// Size of the extended attributes behind the inode: see [`xattr_size`].
    pub xattr_icount: U16,
    /// File type and permission bits, as in `st_mode`.
    pub mode: U16,
    /// 0.
    pub reserved: U16,
    /// Size in bytes.
    pub size: U64,
    /// Flat layouts: the first block of the contents. Chunks: the `CHUNK_*` format. Devices: the
    /// number as [`encode_dev`] makes it.
    pub data: U32,
    /// A serial number, for `stat` with 32-bit inode numbers.
    pub ino: U32,
    /// Owner.
    pub uid: U32,
    /// Group.
    pub gid: U32,
    /// Modification time, in seconds since 1970 (two's complement before).
    pub mtime: U64,
    /// Its nanoseconds.
    pub mtime_nsec: U32,
    /// Hard links.
    pub nlink: U32,
    /// 0.
    pub reserved2: [u8; 16],
}

/// One entry in the first part of a directory block.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct Dirent {
    /// The inode.
    pub nid: U64,
    /// Where in this block the name begins; it ends where the next begins.
    pub nameoff: U16,
    /// [`FileType::dirent_code`].
    pub file_type: u8,
    /// 0.
    pub reserved: u8,
}

/// One chunk of a [`Layout::ChunkBased`] inode where [`CHUNK_FORMAT_INDEXES`] is set.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct ChunkIndex {
    /// 0 without 48-bit addresses.
    pub startblk_hi: U16,
    /// 0 is this device.
    pub device_id: U16,
    /// The chunk's first block, or [`NULL_ADDR`].
    pub blkaddr: U32,
}

const _: () = assert!(size_of::<SuperBlock>() == 128);
const _: () = assert!(size_of::<InodeCompact>() == SLOT_SIZE);
const _: () = assert!(size_of::<InodeExtended>() == 2 * SLOT_SIZE);
const _: () = assert!(size_of::<Dirent>() == 12);
const _: () = assert!(size_of::<ChunkIndex>() == 8);

/// Chunk format: log₂ of (chunk size ÷ block size).
pub const CHUNK_FORMAT_BLKBITS_MASK: u16 = 0x1f;
/// Chunk format: an array of [`ChunkIndex`] and not of 32-bit block addresses.
pub const CHUNK_FORMAT_INDEXES: u16 = 0x20;

/// Where an inode's contents are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// In consecutive blocks.
    FlatPlain,
    /// In consecutive blocks, and the last, partial one behind the inode.
    FlatInline,
    /// In chunks whose addresses follow the inode.
    ChunkBased,
    /// Compressed, in one of two ways.
    Compressed,
}

/// A point in time, as `struct timespec` holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Timestamp {
    /// Seconds since 1970, UTC.
    pub seconds: i64,
    /// Nanoseconds after that: less than 1,000,000,000.
    pub nanoseconds: u32,
}

impl Timestamp {
    /// Whether the nanoseconds are in their range.
    pub const fn is_valid(&self) -> bool {
        self.nanoseconds < 1_000_000_000
    }
}

/// The `format` field of an inode: bit 0 says extended, bits 1–3 the layout, others are 0.
///
/// [`Layout::Compressed`] stands for two codes; this gives the first.
pub const fn inode_format(extended: bool, layout: Layout) -> u16 {
    let code = match layout {
        Layout::FlatPlain => 0,
        Layout::Compressed => 1,
        Layout::FlatInline => 2,
        Layout::ChunkBased => 4,
    };
    code << 1 | extended as u16
}

/// The reverse of [`inode_format`]: whether the inode is extended, and its layout. `None` where the
/// field holds a bit or a code without a meaning here.
pub const fn parse_inode_format(format: u16) -> Option<(bool, Layout)> {
    let layout = match format >> 1 {
        0 => Layout::FlatPlain,
        1 | 3 => Layout::Compressed,
        2 => Layout::FlatInline,
        4 => Layout::ChunkBased,
        _ => return None,
    };
    Some((format & 1 == 1, layout))
}

/// Bytes of extended attributes behind an inode: none, or a header of 12 and `icount - 1` words.
pub const fn xattr_size(icount: u16) -> u64 {
    if icount == 0 { 0 } else { 12 + 4 * (icount as u64 - 1) }
}

/// What an inode is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FileType {
    /// A file of bytes.
    Regular,
    /// A directory.
    Directory,
    /// A character device.
    CharDevice,
    /// A block device.
    BlockDevice,
    /// A named pipe.
    Fifo,
    /// A Unix socket's name.
    Socket,
    /// A symbolic link.
    Symlink,
}

impl FileType {
    /// All of them, in the order of their codes in a directory entry, which begin with 1.
    pub const ALL: [FileType; 7] = [
        FileType::Regular,
        FileType::Directory,
        FileType::CharDevice,
        FileType::BlockDevice,
        FileType::Fifo,
        FileType::Socket,
        FileType::Symlink,
    ];

    /// The bits of `st_mode` that say the type (S_IFMT).
    pub const MODE_MASK: u16 = 0o170000;

    /// The type's bits in `st_mode`.
    pub const fn mode_bits(self) -> u16 {
        match self {
            FileType::Fifo => 0o010000,
            FileType::CharDevice => 0o020000,
            FileType::Directory => 0o040000,
            FileType::BlockDevice => 0o060000,
            FileType::Regular => 0o100000,
            FileType::Symlink => 0o120000,
            FileType::Socket => 0o140000,
        }
    }

    /// The type that a mode says, if any.
    pub fn from_mode(mode: u16) -> Option<FileType> {
        Self::ALL.into_iter().find(|kind| kind.mode_bits() == mode & Self::MODE_MASK)
    }

    /// The type's code in [`Dirent::file_type`].
    pub const fn dirent_code(self) -> u8 {
        match self {
            FileType::Regular => 1,
            FileType::Directory => 2,
            FileType::CharDevice => 3,
            FileType::BlockDevice => 4,
            FileType::Fifo => 5,
            FileType::Socket => 6,
            FileType::Symlink => 7,
        }
    }

    /// The type with this code in [`Dirent::file_type`], if any.
    pub fn from_dirent_code(code: u8) -> Option<FileType> {
        Self::ALL.get(usize::from(code).checked_sub(1)?).copied()
    }
}

/// The largest major device number that the format holds (12 bits).
pub const DEV_MAJOR_MAX: u32 = (1 << 12) - 1;
/// The largest minor device number that the format holds (20 bits).
pub const DEV_MINOR_MAX: u32 = (1 << 20) - 1;

/// A device number as inodes hold it (Linux's `new_encode_dev`). Bits beyond [`DEV_MAJOR_MAX`] and
/// [`DEV_MINOR_MAX`] are lost.
pub const fn encode_dev(major: u32, minor: u32) -> u32 {
    let (major, minor) = (major & DEV_MAJOR_MAX, minor & DEV_MINOR_MAX);
    (minor & 0xff) | major << 8 | (minor & !0xff) << 12
}

/// The reverse of [`encode_dev`]: major and minor number.
pub const fn decode_dev(dev: u32) -> (u32, u32) {
    (dev >> 8 & DEV_MAJOR_MAX, (dev & 0xff) | (dev >> 12 & 0xfff00))
}

/// What [`SuperBlock::checksum`] must hold in an image that begins with this block: the CRC-32C of
/// the block from [`SUPER_OFFSET`] on, begun with all ones and **not** inverted in the end, with the
/// field itself taken as zeros.
pub fn super_checksum(first_block: &[u8; BLOCK_SIZE]) -> u32 {
    let (_, super_block) = first_block.split_at(SUPER_OFFSET);
    let (magic, rest) = super_block.split_at(offset_of!(SuperBlock, checksum));
    let after = &rest[size_of::<U32>()..];
    [magic, &[0; size_of::<U32>()], after].into_iter().fold(!0, crc32c)
}

/// CRC-32C (Castagnoli, reflected) of `bytes`, going on from `crc`, without the usual inversions.
fn crc32c(crc: u32, bytes: &[u8]) -> u32 {
    bytes.iter().fold(crc, |crc, &byte| crc >> 8 ^ CRC32C_TABLE[usize::from((crc as u8) ^ byte)])
}

const CRC32C_POLYNOMIAL: u32 = 0x82f6_3b78;

static CRC32C_TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = crc >> 1 ^ (if crc & 1 == 1 { CRC32C_POLYNOMIAL } else { 0 });
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crc32c_has_the_published_check_value() {
        // The catalogue's check value for "123456789" is of the inverted form.
        assert_eq!(!crc32c(!0, b"123456789"), 0xe306_9283);
    }

    #[test]
    fn device_numbers_survive() {
        for (major, minor) in [(0, 0), (1, 3), (8, 255), (259, 256), (4095, 0xfffff)] {
            assert_eq!(decode_dev(encode_dev(major, minor)), (major, minor));
        }
        assert_eq!(encode_dev(1, 3), 0x103, "old numbers keep their old form");
    }

    #[test]
    fn file_types_agree_with_themselves() {
        for kind in FileType::ALL {
            assert_eq!(FileType::from_dirent_code(kind.dirent_code()), Some(kind));
            assert_eq!(FileType::from_mode(kind.mode_bits() | 0o7777), Some(kind));
        }
        assert_eq!(FileType::from_dirent_code(0), None);
        assert_eq!(FileType::from_dirent_code(8), None);
        assert_eq!(FileType::from_mode(0o777), None);
    }

    #[test]
    fn inode_formats_survive() {
        for layout in [Layout::FlatPlain, Layout::FlatInline, Layout::ChunkBased] {
            for extended in [false, true] {
                let format = inode_format(extended, layout);
                assert_eq!(parse_inode_format(format), Some((extended, layout)));
            }
        }
        assert_eq!(parse_inode_format(0x10), None);
        assert_eq!(parse_inode_format(5 << 1), None);
    }
}
