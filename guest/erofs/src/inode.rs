//! One inode, read once and checked whole.

use mayfly_abi::erofs::{
    self as disk, BLOCK_BITS, BLOCK_SIZE, CHUNK_FORMAT_BLKBITS_MASK, CHUNK_FORMAT_INDEXES,
    ChunkIndex, FileType, InodeCompact, InodeExtended, Layout, NULL_ADDR, SYMLINK_LEN_MAX,
    Timestamp,
};

use crate::{Corrupt, Error, Unsupported, Volume};

/// A file, directory, link or device. Its contents are known to lie inside the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inode {
    /// Its number, which is its place in the image, and what Linux shows as `st_ino`.
    pub nid: u64,
    /// What it is.
    pub file_type: FileType,
    /// `st_mode`: the type and the permission bits.
    pub mode: u16,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Size in bytes, no more than [`i64::MAX`].
    pub size: u64,
    /// Modification time.
    pub mtime: Timestamp,
    /// Hard links, by the image's account.
    pub nlink: u32,
    /// The major and minor number of a device, (0, 0) for all else.
    pub rdev: (u32, u32),
    pub(crate) contents: Contents,
}

/// Where an inode's bytes are. Offsets are bytes in the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Contents {
    /// There are none: a device, a pipe, a socket.
    None,
    /// Zeros that are not stored.
    Hole,
    /// Bytes before `tail_from` are at `start` and on, the rest at `tail_at` and on.
    Flat { start: u64, tail_from: u64, tail_at: u64 },
    /// An array at `table` says where each chunk of `1 << chunk_bits` bytes is.
    Chunks { table: u64, chunk_bits: u8, indexes: bool },
    /// Somewhere, in a form that this reader does not know.
    Compressed,
}

impl Inode {
    /// Checks an inode. `raw` is its extended form (see [`widen`]), and `end` the byte behind it and
    /// its extended attributes.
    pub(crate) fn check<E>(
        nid: u64,
        layout: Layout,
        raw: &InodeExtended,
        end: u64,
        volume: &Volume,
    ) -> Result<Inode, Error<E>> {
        let mode = raw.mode.get();
        let file_type = FileType::from_mode(mode).ok_or(Corrupt::Mode { nid, mode })?;
        let size = raw.size.get();
        let size_max = match file_type {
            FileType::Symlink => SYMLINK_LEN_MAX as u64,
            _ => i64::MAX.cast_unsigned(),
        };
        if size > size_max || (file_type == FileType::Symlink && size == 0) {
            return Err(Corrupt::Size { nid, size }.into());
        }
        let mtime =
            Timestamp { seconds: raw.mtime.get().cast_signed(), nanoseconds: raw.mtime_nsec.get() };
        if !mtime.is_valid() {
            return Err(Corrupt::Time { nid, nanoseconds: mtime.nanoseconds }.into());
        }
        let place = Place { nid, size, end, data: raw.data.get(), volume };
        let is_device = matches!(file_type, FileType::CharDevice | FileType::BlockDevice);
        Ok(Inode {
            nid,
            file_type,
            mode,
            uid: raw.uid.get(),
            gid: raw.gid.get(),
            size,
            mtime,
            nlink: raw.nlink.get(),
            rdev: if is_device { disk::decode_dev(raw.data.get()) } else { (0, 0) },
            contents: match file_type {
                FileType::Regular => place.of_file(layout)?,
                FileType::Directory | FileType::Symlink => place.of_metadata(layout)?,
                _ => Contents::None,
            },
        })
    }
}

/// The extended form of a compact inode.
pub(crate) fn widen(raw: &InodeCompact, volume: &Volume) -> InodeExtended {
    let mtime = volume.build_time.seconds.saturating_add(raw.mtime.get().into());
    InodeExtended {
        format: raw.format,
        xattr_icount: raw.xattr_icount,
        mode: raw.mode,
        reserved: 0.into(),
        size: raw.size.into(),
        data: raw.data,
        ino: raw.ino,
        uid: raw.uid.into(),
        gid: raw.gid.into(),
        mtime: mtime.cast_unsigned().into(),
        mtime_nsec: volume.build_time.nanoseconds.into(),
        nlink: raw.nlink.into(),
        reserved2: [0; 16],
    }
}

/// What decides where an inode's contents are.
struct Place<'a> {
    nid: u64,
    size: u64,
    end: u64,
    data: u32,
    volume: &'a Volume,
}

impl Place<'_> {
    fn of_file<E>(&self, layout: Layout) -> Result<Contents, Error<E>> {
        match layout {
            Layout::FlatPlain if self.data == NULL_ADDR && self.size > 0 => Ok(Contents::Hole),
            Layout::FlatPlain => Ok(self.plain()?),
            Layout::FlatInline => Ok(self.inline()?),
            Layout::ChunkBased => self.chunks(),
            Layout::Compressed => Ok(Contents::Compressed),
        }
    }

    fn of_metadata<E>(&self, layout: Layout) -> Result<Contents, Error<E>> {
        match layout {
            Layout::FlatPlain => Ok(self.plain()?),
            Layout::FlatInline => Ok(self.inline()?),
            _ => Err(Unsupported::Layout { nid: self.nid }.into()),
        }
    }

    fn plain(&self) -> Result<Contents, Corrupt> {
        let start = u64::from(self.data) << BLOCK_BITS;
        if self.size > 0 && !self.volume.holds(start, self.size) {
            return Err(Corrupt::Contents { nid: self.nid });
        }
        Ok(Contents::Flat { start, tail_from: self.size, tail_at: 0 })
    }

    /// The last block, even a whole one, lies behind the inode, and all of it in one block there.
    fn inline(&self) -> Result<Contents, Corrupt> {
        let nid = self.nid;
        let tail_from = self.size.saturating_sub(1) & !(BLOCK_SIZE as u64 - 1);
        let tail_len = self.size - tail_from;
        let start = u64::from(self.data) << BLOCK_BITS;
        if tail_from > 0 && !self.volume.holds(start, tail_from) {
            return Err(Corrupt::Contents { nid });
        }
        if self.end % BLOCK_SIZE as u64 + tail_len > BLOCK_SIZE as u64 {
            return Err(Corrupt::Tail { nid });
        }
        if tail_len > 0 && !self.volume.holds(self.end, tail_len) {
            return Err(Corrupt::Contents { nid });
        }
        Ok(Contents::Flat { start, tail_from, tail_at: self.end })
    }

    fn chunks<E>(&self) -> Result<Contents, Error<E>> {
        let nid = self.nid;
        let format = self.data as u16;
        if format & !(CHUNK_FORMAT_BLKBITS_MASK | CHUNK_FORMAT_INDEXES) != 0 {
            return Err(Unsupported::Chunks { nid }.into());
        }
        let indexes = format & CHUNK_FORMAT_INDEXES != 0;
        let entry = if indexes { size_of::<ChunkIndex>() } else { size_of::<u32>() } as u64;
        let chunk_bits = BLOCK_BITS + (format & CHUNK_FORMAT_BLKBITS_MASK) as u8;
        let table = self.end.next_multiple_of(entry);
        let chunks = self.size.div_ceil(1 << chunk_bits);
        // At most 2^51 chunks of 8 bytes: no overflow.
        if !self.volume.holds(table, chunks * entry) {
            return Err(Corrupt::Contents { nid }.into());
        }
        Ok(Contents::Chunks { table, chunk_bits, indexes })
    }
}
