//! What can go wrong, and whose fault it is.

use core::fmt;

use mayfly_abi::erofs as disk;

/// Why an operation on an image failed. `E` is the block source's own error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error<E> {
    /// The device failed.
    #[error("reading a block failed: {0}")]
    Source(E),
    /// The image lies: EUCLEAN in Linux.
    #[error("the image is corrupt: {0}")]
    Corrupt(#[from] Corrupt),
    /// The image may be sound, but this reader does not know what it uses.
    #[error("not supported: {0}")]
    Unsupported(#[from] Unsupported),
    /// The caller took a file for a directory.
    #[error("not a directory")]
    NotADirectory,
    /// The caller took something else for a symbolic link.
    #[error("not a symbolic link")]
    NotASymlink,
}

/// A claim of the image that does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Corrupt {
    /// Not an EROFS superblock.
    #[error("the superblock's magic is {0:#010x}")]
    Magic(u32),
    /// The superblock's block is not what its writer summed up.
    #[error("the superblock's checksum is {stored:#010x}, not {computed:#010x}")]
    Checksum {
        /// What the superblock says.
        stored: u32,
        /// What its bytes give.
        computed: u32,
    },
    /// The root inode is something else.
    #[error("the root inode {nid} is no directory")]
    Root {
        /// The root's nid.
        nid: u64,
    },
    /// An inode that would lie outside the image.
    #[error("inode {nid} is outside the image")]
    Nid {
        /// The inode.
        nid: u64,
    },
    /// A mode that says no file type.
    #[error("inode {nid} has the mode {mode:o}")]
    Mode {
        /// The inode.
        nid: u64,
        /// Its mode.
        mode: u16,
    },
    /// A size that no file, or no symbolic link, can have.
    #[error("inode {nid} has the size {size}")]
    Size {
        /// The inode.
        nid: u64,
        /// Its size in bytes.
        size: u64,
    },
    /// A time of a second's fraction of a second or more.
    #[error("inode {nid} has {nanoseconds} ns in its time")]
    Time {
        /// The inode.
        nid: u64,
        /// What should be less than 1,000,000,000.
        nanoseconds: u32,
    },
    /// Contents, or the table of their chunks, outside the image.
    #[error("the contents of inode {nid} are outside the image")]
    Contents {
        /// The inode.
        nid: u64,
    },
    /// A packed tail that leaves its block.
    #[error("the tail of inode {nid} crosses the end of its block")]
    Tail {
        /// The inode.
        nid: u64,
    },
    /// A directory block that makes no sense.
    #[error("block {block} of directory {nid}: {fault}")]
    Directory {
        /// The directory's inode.
        nid: u64,
        /// The block, counted in the directory.
        block: u64,
        /// What is wrong with it.
        fault: DirFault,
    },
}

/// What is wrong with a directory block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DirFault {
    /// The first name's offset, which says how many entries there are.
    #[error("the count of entries is wrong")]
    Count,
    /// An offset of a name that is outside the block or goes backwards.
    #[error("a name's offset is wrong")]
    NameOffset,
    /// A name that is empty, too long, or holds a slash or a NUL.
    #[error("a name is not a name")]
    Name,
    /// An entry that does not come after the one before it.
    #[error("the names are not sorted")]
    Order,
    /// An entry with an unknown type.
    #[error("an entry's type is unknown")]
    Type,
}

/// A use of the format that is beyond this reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsupported {
    /// Bits of `feature_incompat`.
    #[error("the features {}", FeatureNames(*.0))]
    Features(u32),
    /// Another block size: its log₂.
    #[error("blocks of 2^{0} bytes")]
    BlockBits(u8),
    /// Directory blocks of another size than blocks.
    #[error("directory blocks of 2^{0} blocks")]
    DirBlockBits(u8),
    /// An inode's `format` with unknown bits.
    #[error("the format {format:#06x} of inode {nid}")]
    InodeFormat {
        /// The inode.
        nid: u64,
        /// Its format.
        format: u16,
    },
    /// A directory or symbolic link whose contents are laid out as just a file's may be.
    #[error("the layout of directory or link {nid}")]
    Layout {
        /// The inode.
        nid: u64,
    },
    /// Compressed contents.
    #[error("the compressed contents of inode {nid}")]
    Compressed {
        /// The inode.
        nid: u64,
    },
    /// An unknown form of chunks, or a chunk on another device.
    #[error("the chunks of inode {nid}")]
    Chunks {
        /// The inode.
        nid: u64,
    },
}

/// Shows the names of `feature_incompat` bits, and unknown ones as a number.
struct FeatureNames(u32);

impl fmt::Display for FeatureNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMES: [(u32, &str); 9] = [
            (disk::INCOMPAT_ZERO_PADDING, "zero_padding"),
            (disk::INCOMPAT_COMPR_CFGS, "compr_cfgs"),
            (disk::INCOMPAT_CHUNKED_FILE, "chunked_file"),
            (disk::INCOMPAT_DEVICE_TABLE, "device_table"),
            (disk::INCOMPAT_ZTAILPACKING, "ztailpacking"),
            (disk::INCOMPAT_FRAGMENTS, "fragments"),
            (disk::INCOMPAT_XATTR_PREFIXES, "xattr_prefixes"),
            (disk::INCOMPAT_48BIT, "48bit"),
            (disk::INCOMPAT_METABOX, "metabox"),
        ];
        let known = NAMES.iter().fold(0, |bits, (bit, _)| bits | bit);
        let named = NAMES.iter().filter(|(bit, _)| self.0 & bit != 0);
        for (n, (_, name)) in named.enumerate() {
            write!(f, "{}{name}", if n == 0 { "" } else { ", " })?;
        }
        match self.0 & !known {
            0 => Ok(()),
            rest if rest == self.0 => write!(f, "{rest:#x}"),
            rest => write!(f, ", {rest:#x}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    extern crate std;
    use std::string::ToString;

    #[test]
    fn refused_features_are_named() {
        let text = |bits| Unsupported::Features(bits).to_string();
        assert_eq!(text(0x88), "the features device_table, 48bit");
        assert_eq!(text(0x8000_0100), "the features metabox, 0x80000000");
        assert_eq!(text(0x1000), "the features 0x1000");
    }
}
