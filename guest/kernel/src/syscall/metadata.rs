//! Permissions, owners and times of files: access(2), chmod(2), chown(2), utimensat(2), umask(2).

use alloc::rc::Rc;

use linux_raw_sys::general as linux;

use super::target::{check_flags, opened, resolve, resolve_at};
use super::{Call, CallResult};
use crate::clock;
use crate::errno::{Errno, Result};
use crate::fs::stat::{PERMISSIONS, TimeNs};
use crate::fs::{Dentry, FileType, Follow, SetAttributes};

/// Nanoseconds in a second.
const SECOND: i64 = 1_000_000_000;
/// Nanoseconds in a microsecond.
const MICROSECOND: i64 = 1_000;
/// Permissions that umask(2) may deny: set-id and sticky bits are not among them.
const UMASK_BITS: u32 = 0o777;
/// The owner or group that chown(2) leaves as it is: −1.
const UNCHANGED: u32 = u32::MAX;

/// access(2). EACCES, EINVAL, ENOENT, EROFS.
pub fn access(call: &mut Call<'_>) -> CallResult {
    let dentry = resolve(call, 0, Follow::Yes)?;
    check_access(call, &dentry, call.uint(1))
}

/// faccessat(2), the call without flags. As access(2), EBADF.
pub fn faccessat(call: &mut Call<'_>) -> CallResult {
    let dentry = resolve_at(call, 0, 0, 0)?;
    check_access(call, &dentry, call.uint(2))
}

/// faccessat2(2). As access(2), EBADF.
pub fn faccessat2(call: &mut Call<'_>) -> CallResult {
    let allowed = linux::AT_EACCESS | linux::AT_SYMLINK_NOFOLLOW | linux::AT_EMPTY_PATH;
    let dentry = resolve_at(call, 0, call.uint(3), allowed)?;
    check_access(call, &dentry, call.uint(2))
}

fn check_access(call: &Call<'_>, dentry: &Rc<Dentry>, mode: u32) -> CallResult {
    check_flags(mode, linux::R_OK | linux::W_OK | linux::X_OK)?;
    call.kernel.vfs.access(dentry, mode)?;
    Ok(0)
}

/// chmod(2). ENOENT, EROFS.
pub fn chmod(call: &mut Call<'_>) -> CallResult {
    let dentry = resolve(call, 0, Follow::Yes)?;
    set_mode(call, &dentry, call.uint(1))
}

/// fchmod(2). EBADF, EROFS.
pub fn fchmod(call: &mut Call<'_>) -> CallResult {
    let file = opened(call, 0)?;
    set_mode(call, file.dentry(), call.uint(1))
}

/// fchmodat(2), the call without flags. As chmod(2), EBADF.
pub fn fchmodat(call: &mut Call<'_>) -> CallResult {
    let dentry = resolve_at(call, 0, 0, 0)?;
    set_mode(call, &dentry, call.uint(2))
}

/// fchmodat2(2). As fchmodat(2), EINVAL; EOPNOTSUPP for a link itself.
pub fn fchmodat2(call: &mut Call<'_>) -> CallResult {
    let allowed = linux::AT_SYMLINK_NOFOLLOW | linux::AT_EMPTY_PATH;
    let dentry = resolve_at(call, 0, call.uint(3), allowed)?;
    set_mode(call, &dentry, call.uint(2))
}

fn set_mode(call: &Call<'_>, dentry: &Rc<Dentry>, mode: u32) -> CallResult {
    call.kernel.vfs.chmod(dentry, mode & PERMISSIONS)?;
    Ok(0)
}

/// chown(2). ENOENT, EROFS.
pub fn chown(call: &mut Call<'_>) -> CallResult {
    let dentry = resolve(call, 0, Follow::Yes)?;
    set_owner(call, &dentry, 1)
}

/// lchown(2). As chown(2), for the link itself.
pub fn lchown(call: &mut Call<'_>) -> CallResult {
    let dentry = resolve(call, 0, Follow::No)?;
    set_owner(call, &dentry, 1)
}

/// fchown(2). EBADF, EROFS.
pub fn fchown(call: &mut Call<'_>) -> CallResult {
    let file = opened(call, 0)?;
    set_owner(call, file.dentry(), 1)
}

/// fchownat(2). As chown(2), EBADF, EINVAL.
pub fn fchownat(call: &mut Call<'_>) -> CallResult {
    let allowed = linux::AT_SYMLINK_NOFOLLOW | linux::AT_EMPTY_PATH;
    let dentry = resolve_at(call, 0, call.uint(4), allowed)?;
    set_owner(call, &dentry, 2)
}

/// The owner is argument `index`, the group the next. A program that changes hands is no longer set-id
/// (chown(2), for root too).
fn set_owner(call: &Call<'_>, dentry: &Rc<Dentry>, index: usize) -> CallResult {
    let id = |index| Some(call.uint(index)).filter(|id| *id != UNCHANGED);
    let stat = dentry.inode().stat();
    let set_group_id = if stat.mode & linux::S_IXGRP != 0 { linux::S_ISGID } else { 0 };
    let set_ids = stat.mode & (linux::S_ISUID | set_group_id);
    let is_dir = stat.file_type() == FileType::Directory;
    let set = SetAttributes {
        permissions: (set_ids != 0 && !is_dir).then_some(stat.mode & PERMISSIONS & !set_ids),
        uid: id(index),
        gid: id(index + 1),
        ..SetAttributes::default()
    };
    call.kernel.vfs.set_attributes(dentry, &set)?;
    Ok(0)
}

/// utime(2): whole seconds; no times: now. EFAULT, ENOENT, EROFS.
pub fn utime(call: &mut Call<'_>) -> CallResult {
    let times = match call.args[1] {
        0 => both_now(),
        address => call.get_words(address)?.map(|seconds: u64| Some(time(seconds as i64, 0))),
    };
    let dentry = resolve(call, 0, Follow::Yes)?;
    set_times(call, &dentry, times)
}

/// utimes(2): microseconds; no times: now. As utime(2); EINVAL.
pub fn utimes(call: &mut Call<'_>) -> CallResult {
    let times = match call.args[1] {
        0 => both_now(),
        address => {
            let [accessed, accessed_us, modified, modified_us] = call.get_words(address)?;
            let timeval = |seconds: u64, us: u64| match us {
                0..1_000_000 => Ok(Some(time(seconds as i64, us as i64 * MICROSECOND))),
                _ => Err(Errno::INVAL),
            };
            [timeval(accessed, accessed_us)?, timeval(modified, modified_us)?]
        }
    };
    let dentry = resolve(call, 0, Follow::Yes)?;
    set_times(call, &dentry, times)
}

/// utimensat(2): nanoseconds, UTIME_NOW, UTIME_OMIT; no times: now; no path: the descriptor itself.
/// EBADF, EFAULT, EINVAL, ENOENT, EROFS.
pub fn utimensat(call: &mut Call<'_>) -> CallResult {
    let [_, path, address, ..] = call.args;
    let flags = call.uint(3);
    let times = match address {
        0 => both_now(),
        _ => {
            let [accessed, accessed_ns, modified, modified_ns] = call.get_words(address)?;
            [timespec(accessed, accessed_ns)?, timespec(modified, modified_ns)?]
        }
    };
    if times == [None, None] {
        return Ok(0);
    }
    let by_descriptor = path == 0 && call.int(0) != linux::AT_FDCWD;
    let dentry = if by_descriptor {
        check_flags(flags, 0)?;
        opened(call, 0)?.dentry().clone()
    } else {
        resolve_at(call, 0, flags, linux::AT_SYMLINK_NOFOLLOW | linux::AT_EMPTY_PATH)?
    };
    set_times(call, &dentry, times)
}

/// Sets the times of access and modification; `None` leaves one as it is.
fn set_times(
    call: &Call<'_>,
    dentry: &Rc<Dentry>,
    [accessed, modified]: [Option<TimeNs>; 2],
) -> CallResult {
    let set = SetAttributes { accessed, modified, ..SetAttributes::default() };
    call.kernel.vfs.set_attributes(dentry, &set)?;
    Ok(0)
}

/// A struct timespec of utimensat(2). EINVAL.
fn timespec(seconds: u64, nanoseconds: u64) -> Result<Option<TimeNs>> {
    const NOW: u64 = linux::UTIME_NOW as u64;
    const OMIT: u64 = linux::UTIME_OMIT as u64;
    match nanoseconds {
        NOW => Ok(Some(now())),
        OMIT => Ok(None),
        0..1_000_000_000 => Ok(Some(time(seconds as i64, nanoseconds as i64))),
        _ => Err(Errno::INVAL),
    }
}

/// A time, or the nearest that can be kept.
fn time(seconds: i64, nanoseconds: i64) -> TimeNs {
    seconds.saturating_mul(SECOND).saturating_add(nanoseconds)
}

fn now() -> TimeNs {
    i64::try_from(clock::realtime_ns()).unwrap_or(i64::MAX)
}

fn both_now() -> [Option<TimeNs>; 2] {
    [Some(now()); 2]
}

/// umask(2): the mask before.
pub fn umask(call: &mut Call<'_>) -> CallResult {
    let mask = call.uint(0) & UMASK_BITS;
    let before = core::mem::replace(&mut call.process.paths.borrow_mut().umask, mask);
    Ok(before.into())
}
