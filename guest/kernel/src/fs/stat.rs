//! What stat(2) and statfs(2) tell, as plain data.

use linux_raw_sys::general as linux;

/// Nanoseconds since 1970, UTC. Reaches from 1677 to 2262.
pub type TimeNs = i64;

/// What kind of thing an inode is (inode(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileType {
    /// A file of bytes.
    Regular,
    /// Names of other inodes.
    Directory,
    /// A path to go on with.
    Symlink,
    /// A device that is a stream.
    CharDevice,
    /// A device of blocks.
    BlockDevice,
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
}

impl FileType {
    /// The type in a `st_mode`; `None` for a number that is none.
    pub const fn of(mode: u32) -> Option<FileType> {
        Some(match mode & linux::S_IFMT {
            linux::S_IFREG => FileType::Regular,
            linux::S_IFDIR => FileType::Directory,
            linux::S_IFLNK => FileType::Symlink,
            linux::S_IFCHR => FileType::CharDevice,
            linux::S_IFBLK => FileType::BlockDevice,
            linux::S_IFIFO => FileType::Fifo,
            linux::S_IFSOCK => FileType::Socket,
            _ => return None,
        })
    }

    /// The type's bits of `st_mode`.
    pub const fn mode_bits(self) -> u32 {
        match self {
            FileType::Regular => linux::S_IFREG,
            FileType::Directory => linux::S_IFDIR,
            FileType::Symlink => linux::S_IFLNK,
            FileType::CharDevice => linux::S_IFCHR,
            FileType::BlockDevice => linux::S_IFBLK,
            FileType::Fifo => linux::S_IFIFO,
            FileType::Socket => linux::S_IFSOCK,
        }
    }

    /// `d_type` of getdents64(2): `DT_DIR` and so on.
    pub const fn dirent_type(self) -> u8 {
        (self.mode_bits() >> 12) as u8
    }
}

/// The permission bits of a mode, set-id and sticky bits included (chmod(2)).
pub const PERMISSIONS: u32 = 0o7777;

/// When an inode was touched (inode(7), "File timestamps").
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// Last read. Reading does not change it: every mount is `noatime`.
    pub accessed: TimeNs,
    /// Last change of the contents.
    pub modified: TimeNs,
    /// Last change of the inode.
    pub changed: TimeNs,
    /// Creation; 0 where nobody knows.
    pub created: TimeNs,
}

impl Times {
    /// All the same, but for creation.
    pub const fn all(now: TimeNs) -> Times {
        Times { accessed: now, modified: now, changed: now, created: 0 }
    }

    /// Of what is made now.
    pub const fn born(now: TimeNs) -> Times {
        Times { created: now, ..Times::all(now) }
    }
}

/// What stat(2) tells about an inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// The file system, as [`device_number`] encodes it.
    pub dev: u64,
    /// The inode's number, unique in its file system.
    pub ino: u64,
    /// Type and permissions.
    pub mode: u32,
    /// Hard links.
    pub nlink: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// The device that a device file stands for, as [`device_number`] encodes it.
    pub rdev: u64,
    /// Size in bytes.
    pub size: u64,
    /// Storage in use, in units of 512 bytes whatever the block size.
    pub blocks: u64,
    /// The size that reads are best done in, bytes.
    pub block_size: u32,
    /// Timestamps.
    pub times: Times,
}

impl Stat {
    /// What the inode is.
    pub const fn file_type(&self) -> FileType {
        match FileType::of(self.mode) {
            Some(file_type) => file_type,
            None => FileType::Regular,
        }
    }
}

/// What statfs(2) tells about a file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatFs {
    /// The type's magic number (statfs(2)).
    pub magic: u32,
    /// Bytes in a block.
    pub block_size: u32,
    /// Blocks in all.
    pub blocks: u64,
    /// Blocks that are free.
    pub blocks_free: u64,
    /// Inodes in all.
    pub files: u64,
    /// Inodes that are free.
    pub files_free: u64,
}

/// `st_dev` and `st_rdev` of a device, as makedev(3) encodes them.
pub const fn device_number(major: u32, minor: u32) -> u64 {
    let (major, minor) = (major as u64, minor as u64);
    (major & 0xfff) << 8 | (major & !0xfff) << 32 | (minor & 0xff) | (minor & !0xff) << 12
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn device_numbers_are_those_of_makedev() {
        // printf("%lx", makedev(…)) with glibc 2.36.
        assert_eq!(device_number(1, 3), 0x103);
        assert_eq!(device_number(8, 0x12345), 0x1230_0845);
        assert_eq!(device_number(0x12345, 1), 0x1_2000_0003_4501);
    }

    #[test]
    fn types_survive_the_mode() {
        for bits in 0..16 {
            if let Some(file_type) = FileType::of(bits << 12 | 0o644) {
                assert_eq!(file_type.mode_bits(), bits << 12);
                assert_eq!(u32::from(file_type.dirent_type()), bits);
            }
        }
        assert_eq!(FileType::of(0o644), None);
    }
}
