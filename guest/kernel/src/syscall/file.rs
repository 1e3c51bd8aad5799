//! Descriptors: how they come, multiply and go.

use core::ops::RangeInclusive;

use alloc::rc::Rc;
use linux_raw_sys::general as linux;

use super::target::{PathArgument, check_flags};
use super::{Call, CallResult, storage, terminal};
use crate::errno::{Errno, Result};
use crate::fs::stat::PERMISSIONS;
use crate::fs::{Dentry, Fd, OpenFile, OpenFlags, Seals};

/// Mark the descriptors instead of closing them (close_range(2), <linux/close_range.h>).
const CLOSE_RANGE_CLOEXEC: u32 = 4;
/// Give the caller descriptors of its own first.
const CLOSE_RANGE_UNSHARE: u32 = 2;
/// Longest name of a file in memory (memfd_create(2)).
const MEMFD_NAME_MAX: usize = 249;

/// open(2). See openat.
pub fn open(call: &mut Call<'_>) -> CallResult {
    let argument = PathArgument::from_cwd(call, 0)?;
    open_at(call, &argument, call.uint(1), call.uint(2))
}

/// openat(2). EEXIST, EINVAL, EISDIR, ELOOP, EMFILE, ENOENT, ENOTDIR, ENXIO, EOPNOTSUPP, EROFS.
pub fn openat(call: &mut Call<'_>) -> CallResult {
    let argument = PathArgument::at(call, 0)?;
    open_at(call, &argument, call.uint(2), call.uint(3))
}

/// creat(2): open with O_CREAT, O_WRONLY and O_TRUNC.
pub fn creat(call: &mut Call<'_>) -> CallResult {
    let argument = PathArgument::from_cwd(call, 0)?;
    open_at(call, &argument, linux::O_CREAT | linux::O_WRONLY | linux::O_TRUNC, call.uint(1))
}

fn open_at(call: &Call<'_>, argument: &PathArgument, flags: u32, mode: u32) -> CallResult {
    let flags = OpenFlags::from_bits_truncate(flags) | OpenFlags::LARGEFILE;
    let mode = mode & PERMISSIONS & !call.process.paths.borrow().umask;
    let file = call.kernel.vfs.open(&argument.base, &argument.path, flags, mode)?;
    terminal::opened(call, &file, flags)?;
    if flags.contains(OpenFlags::TRUNC) && file.is_stored() {
        storage::shortened(call, file.dentry().inode(), 0);
    }
    Ok(add(call, file, flags)?.into())
}

/// A new descriptor, the lowest that is free. EMFILE.
pub(super) fn add(call: &Call<'_>, file: Rc<OpenFile>, flags: OpenFlags) -> Result<Fd> {
    call.process.files.add(file, 0, flags.contains(OpenFlags::CLOEXEC))
}

/// close(2). EBADF.
pub fn close(call: &mut Call<'_>) -> CallResult {
    let closed = call.process.files.close(call.uint(0))?;
    // The last descriptor's file ends here, with the table free for what that may cause.
    drop(closed);
    Ok(0)
}

/// close_range(2). EINVAL, also where other threads would keep what is closed: a process's threads share its descriptors.
pub fn close_range(call: &mut Call<'_>) -> CallResult {
    let range: RangeInclusive<Fd> = call.uint(0)..=call.uint(1);
    let flags = call.uint(2);
    check_flags(flags, CLOSE_RANGE_CLOEXEC | CLOSE_RANGE_UNSHARE)?;
    let is_shared = call.process.threads.borrow().len() > 1;
    if range.is_empty() || flags & CLOSE_RANGE_UNSHARE != 0 && is_shared {
        return Err(Errno::INVAL.into());
    }
    let files = &call.process.files;
    match flags & CLOSE_RANGE_CLOEXEC {
        0 => files.close_range(range),
        _ => files.set_close_on_exec_range(range),
    }
    Ok(0)
}

/// dup(2). EBADF, EMFILE.
pub fn dup(call: &mut Call<'_>) -> CallResult {
    Ok(call.process.files.dup(call.uint(0), 0, false)?.into())
}

/// dup2(2). EBADF.
pub fn dup2(call: &mut Call<'_>) -> CallResult {
    Ok(call.process.files.dup2(call.uint(0), call.uint(1))?.into())
}

/// dup3(2). EBADF, EINVAL.
pub fn dup3(call: &mut Call<'_>) -> CallResult {
    let flags = call.uint(2);
    check_flags(flags, linux::O_CLOEXEC)?;
    let files = &call.process.files;
    Ok(files.dup3(call.uint(0), call.uint(1), flags != 0)?.into())
}

/// pipe(2). EFAULT, EMFILE.
pub fn pipe(call: &mut Call<'_>) -> CallResult {
    make_pipe(call, OpenFlags::empty())
}

/// pipe2(2). EFAULT, EINVAL, EMFILE.
pub fn pipe2(call: &mut Call<'_>) -> CallResult {
    let flags = call.uint(1);
    check_flags(flags, linux::O_CLOEXEC | linux::O_NONBLOCK | linux::O_DIRECT)?;
    make_pipe(call, OpenFlags::from_bits_truncate(flags))
}

fn make_pipe(call: &Call<'_>, flags: OpenFlags) -> CallResult {
    let (reader, writer) = call.kernel.vfs.pipe(flags)?;
    let reader = add(call, reader, flags)?;
    let writer = add(call, writer, flags);
    let told = writer.and_then(|writer| {
        let pair = u64::from(writer) << 32 | u64::from(reader);
        call.put_words(call.args[0], &[pair])
    });
    if let Err(errno) = told {
        let files = &call.process.files;
        for fd in [Ok(reader), writer].into_iter().flatten() {
            drop(files.close(fd)?);
        }
        return Err(errno.into());
    }
    Ok(0)
}

/// memfd_create(2): a file in memory without a name. EFAULT, EINVAL, EMFILE, ENOSPC.
pub fn memfd_create(call: &mut Call<'_>) -> CallResult {
    let name = call.string(call.args[0], MEMFD_NAME_MAX, Errno::INVAL)?;
    let flags = call.uint(1);
    let executable = flags & linux::MFD_NOEXEC_SEAL == 0;
    check_flags(
        flags,
        linux::MFD_CLOEXEC | linux::MFD_ALLOW_SEALING | linux::MFD_NOEXEC_SEAL | linux::MFD_EXEC,
    )?;
    let inode = call.kernel.memory_files.unnamed(if executable { 0o777 } else { 0o666 })?;
    // Without these flags it can have no seals: it has that one.
    let seals = match (flags & linux::MFD_ALLOW_SEALING != 0, executable) {
        (_, false) => Some(Seals::EXEC),
        (true, true) => Some(Seals::empty()),
        (false, true) => None,
    };
    if let (Some(cell), Some(seals)) = (inode.seals(), seals) {
        cell.set(seals);
    }
    let name = [b"/memfd:", &name[..], b" (deleted)"].concat();
    let flags = match flags & linux::MFD_CLOEXEC {
        0 => OpenFlags::RDWR,
        _ => OpenFlags::RDWR | OpenFlags::CLOEXEC,
    };
    let file = OpenFile::new(Dentry::anonymous(inode, &name), None, flags);
    Ok(add(call, file, flags)?.into())
}
