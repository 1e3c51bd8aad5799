//! What is known of files: stat(2), statx(2), statfs(2), and the structures they fill.

use alloc::rc::Rc;

use linux_raw_sys::general as linux;
use zerocopy::{Immutable, IntoBytes};

use super::target::{resolve, resolve_at};
use super::{Call, CallResult};
use crate::errno::Errno;
use crate::fs::path::NAME_MAX;
use crate::fs::stat::TimeNs;
use crate::fs::{Dentry, Follow, MountFlags, Stat};

/// Nanoseconds in a second.
const SECOND: i64 = 1_000_000_000;
/// AT_… flags of newfstatat(2).
const STAT_FLAGS: u32 = linux::AT_SYMLINK_NOFOLLOW | linux::AT_NO_AUTOMOUNT | linux::AT_EMPTY_PATH;
/// `f_flags`: nothing in it changes (statvfs(3)).
const ST_RDONLY: u64 = 1;
/// `f_flags`: these flags are meant (Linux's include/linux/statfs.h).
const ST_VALID: u64 = 0x20;
/// `f_flags`: reading changes no access time.
const ST_NOATIME: u64 = 0x400;

/// stat(2). EFAULT, ELOOP, ENOENT, ENOTDIR.
pub fn stat(call: &mut Call<'_>) -> CallResult {
    let stat = resolve(call, 0, Follow::Yes)?.inode().stat();
    put_stat(call, 1, &stat)
}

/// lstat(2). As stat(2), for the link itself.
pub fn lstat(call: &mut Call<'_>) -> CallResult {
    let stat = resolve(call, 0, Follow::No)?.inode().stat();
    put_stat(call, 1, &stat)
}

/// fstat(2). EBADF, EFAULT.
pub fn fstat(call: &mut Call<'_>) -> CallResult {
    let stat = call.file(0)?.stat();
    put_stat(call, 1, &stat)
}

/// fstatat(2). As stat(2), EBADF, EINVAL.
pub fn newfstatat(call: &mut Call<'_>) -> CallResult {
    let stat = resolve_at(call, 0, call.uint(3), STAT_FLAGS)?.inode().stat();
    put_stat(call, 2, &stat)
}

/// statx(2). As fstatat(2); all fields that are known are given, whichever are asked for.
pub fn statx(call: &mut Call<'_>) -> CallResult {
    let (flags, mask) = (call.uint(2), call.uint(3));
    let both_syncs = flags & linux::AT_STATX_SYNC_TYPE == linux::AT_STATX_SYNC_TYPE;
    if both_syncs || mask & linux::STATX__RESERVED != 0 {
        return Err(Errno::INVAL.into());
    }
    let dentry = resolve_at(call, 0, flags, STAT_FLAGS | linux::AT_STATX_SYNC_TYPE)?;
    let mut record = Statx::from(&dentry.inode().stat());
    if let Some(id) = call.kernel.vfs.mount_id(&dentry) {
        record.mask |= linux::STATX_MNT_ID;
        record.mount_id = id;
    }
    call.put(call.args[4], record.as_bytes())?;
    Ok(0)
}

/// statfs(2). As stat(2).
pub fn statfs(call: &mut Call<'_>) -> CallResult {
    let dentry = resolve(call, 0, Follow::Yes)?;
    put_statfs(call, &dentry)
}

/// fstatfs(2). EBADF, EFAULT.
pub fn fstatfs(call: &mut Call<'_>) -> CallResult {
    let file = call.file(0)?;
    put_statfs(call, file.dentry())
}

fn put_stat(call: &Call<'_>, index: usize, stat: &Stat) -> CallResult {
    call.put(call.args[index], StatRecord::from(stat).as_bytes())?;
    Ok(0)
}

fn put_statfs(call: &Call<'_>, dentry: &Rc<Dentry>) -> CallResult {
    let statfs = call.kernel.vfs.statfs(dentry);
    let read_only = dentry.mount().is_some_and(|mount| mount.flags().contains(MountFlags::RDONLY));
    let record = StatfsRecord {
        magic: statfs.magic.into(),
        block_size: statfs.block_size.into(),
        blocks: statfs.blocks,
        blocks_free: statfs.blocks_free,
        blocks_available: statfs.blocks_free,
        files: statfs.files,
        files_free: statfs.files_free,
        fsid: dentry.inode().stat().dev,
        name_max: NAME_MAX as u64,
        fragment_size: statfs.block_size.into(),
        flags: ST_VALID | ST_NOATIME | if read_only { ST_RDONLY } else { 0 },
        spare: [0; 4],
    };
    call.put(call.args[1], record.as_bytes())?;
    Ok(0)
}

/// Seconds since 1970 and nanoseconds from there on, a struct timespec.
#[derive(IntoBytes, Immutable)]
#[repr(C)]
struct Timespec {
    seconds: i64,
    nanoseconds: i64,
}

impl From<TimeNs> for Timespec {
    fn from(time: TimeNs) -> Timespec {
        Timespec { seconds: time.div_euclid(SECOND), nanoseconds: time.rem_euclid(SECOND) }
    }
}

/// struct stat of x86-64 (Linux's arch/x86/include/uapi/asm/stat.h).
#[derive(IntoBytes, Immutable)]
#[repr(C)]
struct StatRecord {
    dev: u64,
    ino: u64,
    nlink: u64,
    mode: u32,
    uid: u32,
    gid: u32,
    padding: u32,
    rdev: u64,
    size: u64,
    block_size: u64,
    blocks: u64,
    accessed: Timespec,
    modified: Timespec,
    changed: Timespec,
    unused: [u64; 3],
}

const _: () = assert!(size_of::<StatRecord>() == 144);

impl From<&Stat> for StatRecord {
    fn from(stat: &Stat) -> StatRecord {
        StatRecord {
            dev: stat.dev,
            ino: stat.ino,
            nlink: stat.nlink.into(),
            mode: stat.mode,
            uid: stat.uid,
            gid: stat.gid,
            padding: 0,
            rdev: stat.rdev,
            size: stat.size,
            block_size: stat.block_size.into(),
            blocks: stat.blocks,
            accessed: stat.times.accessed.into(),
            modified: stat.times.modified.into(),
            changed: stat.times.changed.into(),
            unused: [0; 3],
        }
    }
}

/// struct statx_timestamp.
#[derive(IntoBytes, Immutable, Default)]
#[repr(C)]
struct StatxTimestamp {
    seconds: i64,
    nanoseconds: u32,
    reserved: u32,
}

impl From<TimeNs> for StatxTimestamp {
    fn from(time: TimeNs) -> StatxTimestamp {
        let (seconds, nanoseconds) = (time.div_euclid(SECOND), time.rem_euclid(SECOND) as u32);
        StatxTimestamp { seconds, nanoseconds, reserved: 0 }
    }
}

/// A device's number as statx(2) gives it, in two parts.
#[derive(IntoBytes, Immutable)]
#[repr(C)]
struct StatxDevice {
    major: u32,
    minor: u32,
}

impl From<u64> for StatxDevice {
    /// Takes apart what `device_number` put together.
    fn from(number: u64) -> StatxDevice {
        StatxDevice {
            major: (number >> 8) as u32 & 0xfff | (number >> 32) as u32 & !0xfff,
            minor: number as u32 & 0xff | (number >> 12) as u32 & !0xff,
        }
    }
}

/// struct statx (Linux's include/uapi/linux/stat.h). What `mask` does not name is zero.
#[derive(IntoBytes, Immutable)]
#[repr(C)]
struct Statx {
    mask: u32,
    block_size: u32,
    attributes: u64,
    nlink: u32,
    uid: u32,
    gid: u32,
    mode: u16,
    padding: u16,
    ino: u64,
    size: u64,
    blocks: u64,
    attributes_mask: u64,
    accessed: StatxTimestamp,
    created: StatxTimestamp,
    changed: StatxTimestamp,
    modified: StatxTimestamp,
    rdev: StatxDevice,
    dev: StatxDevice,
    mount_id: u64,
    /// What direct and atomic writes need.
    rest: [u64; 13],
}

const _: () = assert!(size_of::<Statx>() == 256);

impl From<&Stat> for Statx {
    fn from(stat: &Stat) -> Statx {
        let born = if stat.times.created != 0 { linux::STATX_BTIME } else { 0 };
        Statx {
            mask: linux::STATX_BASIC_STATS | born,
            block_size: stat.block_size,
            attributes: 0,
            nlink: stat.nlink,
            uid: stat.uid,
            gid: stat.gid,
            mode: stat.mode as u16,
            padding: 0,
            ino: stat.ino,
            size: stat.size,
            blocks: stat.blocks,
            attributes_mask: 0,
            accessed: stat.times.accessed.into(),
            created: stat.times.created.into(),
            changed: stat.times.changed.into(),
            modified: stat.times.modified.into(),
            rdev: stat.rdev.into(),
            dev: stat.dev.into(),
            mount_id: 0,
            rest: [0; 13],
        }
    }
}

/// struct statfs of x86-64 (Linux's include/uapi/asm-generic/statfs.h).
#[derive(IntoBytes, Immutable)]
#[repr(C)]
struct StatfsRecord {
    magic: u64,
    block_size: u64,
    blocks: u64,
    blocks_free: u64,
    blocks_available: u64,
    files: u64,
    files_free: u64,
    fsid: u64,
    name_max: u64,
    fragment_size: u64,
    flags: u64,
    spare: [u64; 4],
}

const _: () = assert!(size_of::<StatfsRecord>() == 120);
