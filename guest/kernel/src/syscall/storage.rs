//! Where in a file, how long it is, and when it is on disk: lseek(2), truncate(2), fsync(2).

use alloc::rc::Rc;
use core::ops::Range;

use linux_raw_sys::general as linux;
use mayfly_abi::layout::PAGE_SIZE;

use super::target::{check_flags, check_offset, opened, resolve};
use super::{Call, CallResult, file_size};
use crate::errno::Errno;
use crate::fs::{FallocateMode, FileType, Follow, Inode, Whence};

/// lseek(2). EBADF, EINVAL, ENXIO, EOVERFLOW, ESPIPE.
pub fn lseek(call: &mut Call<'_>) -> CallResult {
    let file = call.file(0)?;
    let whence = match call.uint(2) {
        linux::SEEK_SET => Whence::Set,
        linux::SEEK_CUR => Whence::Current,
        linux::SEEK_END => Whence::End,
        linux::SEEK_DATA => Whence::Data,
        linux::SEEK_HOLE => Whence::Hole,
        _ => return Err(Errno::INVAL.into()),
    };
    Ok(file.seek(call.args[1] as i64, whence)?)
}

/// truncate(2). EINVAL, EISDIR, EROFS.
pub fn truncate(call: &mut Call<'_>) -> CallResult {
    let size = check_offset(call.args[1])?;
    let dentry = resolve(call, 0, Follow::Yes)?;
    let before = dentry.inode().stat().size;
    file_size::check(call, before, size)?;
    call.kernel.vfs.truncate(&dentry, size)?;
    if size < before {
        shortened(call, dentry.inode(), size);
    }
    Ok(0)
}

/// ftruncate(2). EBADF, EINVAL.
pub fn ftruncate(call: &mut Call<'_>) -> CallResult {
    let size = check_offset(call.args[1])?;
    let file = call.file(0)?;
    let before = file.stat().size;
    file_size::check(call, before, size)?;
    file.truncate(size)?;
    if size < before {
        shortened(call, file.dentry().inode(), size);
    }
    Ok(0)
}

/// A file has become shorter: its pages beyond the end are in no process's memory any more.
pub(super) fn shortened(call: &Call<'_>, inode: &Rc<dyn Inode>, size: u64) {
    withdraw(call, inode, &(size.next_multiple_of(PAGE_SIZE)..u64::MAX), true);
}

/// Bytes of a file have become a hole, and its pages that were wholly there are gone.
pub(super) fn punched(call: &Call<'_>, inode: &Rc<dyn Inode>, bytes: &Range<u64>) {
    let pages = bytes.start.next_multiple_of(PAGE_SIZE)..bytes.end / PAGE_SIZE * PAGE_SIZE;
    withdraw(call, inode, &pages, false);
}

fn withdraw(call: &Call<'_>, inode: &Rc<dyn Inode>, lost: &Range<u64>, copies: bool) {
    for process in call.kernel.processes.living() {
        if let Some(space) = &*process.memory.borrow() {
            space.borrow_mut().withdraw(inode, lost, copies);
        }
    }
}

/// fallocate(2). EBADF, EFBIG, EINVAL, ENODEV, ENOSPC; EOPNOTSUPP for modes that no file system has.
pub fn fallocate(call: &mut Call<'_>) -> CallResult {
    let [_, _, offset, len, ..] = call.args;
    let (offset, len) = (check_offset(offset)?, check_offset(len)?);
    let mode = FallocateMode::from_bits(call.uint(1)).ok_or(Errno::OPNOTSUPP)?;
    let file = call.file(0)?;
    let makes = !mode.contains(FallocateMode::PUNCH_HOLE);
    if makes && file.file_type() == FileType::Regular {
        file_size::check(call, file.stat().size, offset + len)?;
    }
    file.fallocate(mode, offset, len)?;
    if !makes {
        punched(call, file.dentry().inode(), &(offset..offset + len));
    }
    Ok(0)
}

/// fsync(2), fdatasync(2): what can be written lives in memory, and is there. EBADF; EINVAL for what is
/// never on a disk.
pub fn fsync(call: &mut Call<'_>) -> CallResult {
    let file = opened(call, 0)?;
    match file.file_type() {
        FileType::Regular if file.file().is_some() => Err(Errno::INVAL.into()),
        FileType::Regular | FileType::Directory | FileType::BlockDevice => Ok(0),
        _ => Err(Errno::INVAL.into()),
    }
}

/// sync(2).
pub fn sync(_: &mut Call<'_>) -> CallResult {
    Ok(0)
}

/// syncfs(2): as sync(2). EBADF.
pub fn syncfs(call: &mut Call<'_>) -> CallResult {
    opened(call, 0)?;
    Ok(0)
}

/// sync_file_range(2): as fsync(2). EBADF, EINVAL; ESPIPE for a stream.
pub fn sync_file_range(call: &mut Call<'_>) -> CallResult {
    let file = opened(call, 0)?;
    let (offset, len) = (check_offset(call.args[1])?, check_offset(call.args[2])?);
    check_offset(offset + len)?;
    check_flags(call.uint(3), linux::SYNC_FILE_RANGE_WRITE_AND_WAIT)?;
    match file.file_type() {
        FileType::Fifo | FileType::Socket | FileType::CharDevice => Err(Errno::SPIPE.into()),
        _ => Ok(0),
    }
}

/// posix_fadvise(2): advice is taken and not followed. EBADF, EINVAL, ESPIPE.
pub fn fadvise64(call: &mut Call<'_>) -> CallResult {
    let file = opened(call, 0)?;
    if file.file_type() == FileType::Fifo {
        return Err(Errno::SPIPE.into());
    }
    check_offset(call.args[2])?;
    if call.uint(3) > linux::POSIX_FADV_NOREUSE {
        return Err(Errno::INVAL.into());
    }
    Ok(0)
}

/// readahead(2): files are read when they are needed. EBADF, EINVAL.
pub fn readahead(call: &mut Call<'_>) -> CallResult {
    let file = opened(call, 0)?;
    if !file.flags().reads() {
        return Err(Errno::BADF.into());
    }
    match file.file_type() {
        FileType::Regular | FileType::BlockDevice => Ok(0),
        _ => Err(Errno::INVAL.into()),
    }
}
