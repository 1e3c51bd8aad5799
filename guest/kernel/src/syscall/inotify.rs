//! Watching files: inotify_init(2), inotify_add_watch(2), inotify_rm_watch(2).

use alloc::rc::Rc;

use linux_raw_sys::general as linux;

use super::target::{check_flags, opened, resolve};
use super::{Call, CallResult, file};
use crate::errno::Errno;
use crate::fs::inotify::Inotify;
use crate::fs::{FileType, Follow, OpenFlags};

/// inotify_init(2). EMFILE.
pub fn inotify_init(call: &mut Call<'_>) -> CallResult {
    make(call, 0)
}

/// inotify_init1(2). EINVAL, EMFILE.
pub fn inotify_init1(call: &mut Call<'_>) -> CallResult {
    let flags = call.uint(0);
    check_flags(flags, linux::IN_CLOEXEC | linux::IN_NONBLOCK)?;
    make(call, flags)
}

fn make(call: &Call<'_>, flags: u32) -> CallResult {
    let inotify = Inotify::new(Rc::clone(call.kernel.vfs.watches()));
    let flags = OpenFlags::from_bits_truncate(flags) | OpenFlags::RDONLY;
    let name = "anon_inode:inotify";
    let open = call.kernel.vfs.anonymous(inotify, FileType::Regular, name, flags);
    Ok(file::add(call, open, flags)?.into())
}

/// inotify_add_watch(2). EBADF, EEXIST, EINVAL, ENOENT, ENOSPC, ENOTDIR.
pub fn inotify_add_watch(call: &mut Call<'_>) -> CallResult {
    let (open, mask) = (opened(call, 0)?, call.uint(2));
    let inotify = open.file().and_then(|file| file.inotify()).ok_or(Errno::INVAL)?;
    let follow = if mask & linux::IN_DONT_FOLLOW != 0 { Follow::No } else { Follow::Yes };
    let wd = inotify.watch(&*resolve(call, 1, follow)?, mask)?;
    Ok(wd as u64)
}

/// inotify_rm_watch(2). EBADF, EINVAL.
pub fn inotify_rm_watch(call: &mut Call<'_>) -> CallResult {
    let open = opened(call, 0)?;
    let inotify = open.file().and_then(|file| file.inotify()).ok_or(Errno::INVAL)?;
    inotify.forget(call.int(1))?;
    Ok(0)
}
