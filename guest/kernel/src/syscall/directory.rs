//! Names and directories: listing, moving about, making, renaming, removing.

use core::ops::ControlFlow;

use alloc::rc::Rc;
use linux_raw_sys::general as linux;

use super::target::{PathArgument, check_flags, resolve};
use super::{Call, CallResult};
use crate::errno::{Errno, Result};
use crate::fs::stat::{PERMISSIONS, device_number};
use crate::fs::{Dentry, DirEntry, FileType, Follow, NewNode, RenameFlags};

/// Most bytes of entries that one getdents64(2) gives.
const LISTING_MAX: u64 = 128 << 10;
/// Bytes of a struct linux_dirent64 in front of the name: d_ino, d_off, d_reclen, d_type.
const DIRENT_HEAD: usize = 8 + 8 + 2 + 1;
/// What each struct linux_dirent64 begins at a multiple of.
const DIRENT_ALIGN: usize = 8;

/// getdents64(2). EBADF, EFAULT, ENOTDIR; EINVAL where not even the first entry fits.
pub fn getdents64(call: &mut Call<'_>) -> CallResult {
    let file = call.file(0)?;
    let len = u64::from(call.uint(2)).min(LISTING_MAX);
    let mut range = call.bytes_mut(call.args[1], len)?;
    let mut free = range.bytes_mut();
    let room = free.len();
    let mut full = false;
    file.read_dir(&mut |entry| match pack(&entry, core::mem::take(&mut free)) {
        Ok(rest) => {
            free = rest;
            ControlFlow::Continue(())
        }
        Err(all) => {
            (free, full) = (all, true);
            ControlFlow::Break(())
        }
    })?;
    match room - free.len() {
        0 if full => Err(Errno::INVAL.into()),
        used => Ok(used as u64),
    }
}

/// Puts an entry in front and gives back the rest; gives back all where it does not fit.
fn pack<'b>(entry: &DirEntry<'_>, to: &'b mut [u8]) -> Result<&'b mut [u8], &'b mut [u8]> {
    let end_of_name = DIRENT_HEAD + entry.name.len();
    let len = (end_of_name + 1).next_multiple_of(DIRENT_ALIGN);
    if len > to.len() {
        return Err(to);
    }
    let (record, rest) = to.split_at_mut(len);
    record[..8].copy_from_slice(&entry.ino.to_le_bytes());
    record[8..16].copy_from_slice(&entry.next.to_le_bytes());
    record[16..18].copy_from_slice(&(len as u16).to_le_bytes());
    record[18] = entry.file_type.dirent_type();
    record[DIRENT_HEAD..end_of_name].copy_from_slice(entry.name);
    record[end_of_name..].fill(0);
    Ok(rest)
}

/// getcwd(2): the length, its NUL included. EFAULT; ENOENT where it was removed; ERANGE.
pub fn getcwd(call: &mut Call<'_>) -> CallResult {
    let [address, room, ..] = call.args;
    let mut path = call.cwd().path()?;
    path.push(0);
    if path.len() as u64 > room {
        return Err(Errno::RANGE.into());
    }
    call.put(address, &path)?;
    Ok(path.len() as u64)
}

/// chdir(2). ENOENT, ENOTDIR.
pub fn chdir(call: &mut Call<'_>) -> CallResult {
    let dentry = resolve(call, 0, Follow::Yes)?;
    enter(call, dentry)
}

/// fchdir(2). EBADF, ENOTDIR.
pub fn fchdir(call: &mut Call<'_>) -> CallResult {
    let dentry = call.file(0)?.dentry().clone();
    enter(call, dentry)
}

fn enter(call: &Call<'_>, directory: Rc<Dentry>) -> CallResult {
    if !directory.is_dir() {
        return Err(Errno::NOTDIR.into());
    }
    call.process.paths.borrow_mut().cwd = directory;
    Ok(0)
}

/// mkdir(2). EEXIST, ENOENT, ENOSPC, ENOTDIR, EROFS.
pub fn mkdir(call: &mut Call<'_>) -> CallResult {
    let argument = PathArgument::from_cwd(call, 0)?;
    make_directory(call, &argument, call.uint(1))
}

/// mkdirat(2). As mkdir(2), EBADF.
pub fn mkdirat(call: &mut Call<'_>) -> CallResult {
    let argument = PathArgument::at(call, 0)?;
    make_directory(call, &argument, call.uint(2))
}

fn make_directory(call: &Call<'_>, argument: &PathArgument, mode: u32) -> CallResult {
    let mode = unmasked(call, mode);
    call.kernel.vfs.mkdir(&argument.base, &argument.path, mode)?;
    Ok(0)
}

/// mknod(2). EEXIST; EINVAL for a type that does not exist; EPERM for a directory.
pub fn mknod(call: &mut Call<'_>) -> CallResult {
    let argument = PathArgument::from_cwd(call, 0)?;
    make_node(call, &argument, call.uint(1), call.uint(2))
}

/// mknodat(2). As mknod(2), EBADF.
pub fn mknodat(call: &mut Call<'_>) -> CallResult {
    let argument = PathArgument::at(call, 0)?;
    make_node(call, &argument, call.uint(2), call.uint(3))
}

fn make_node(call: &Call<'_>, argument: &PathArgument, mode: u32, device: u32) -> CallResult {
    // The call's device numbers have 12 bits of major and 20 of minor.
    let (major, minor) = (device >> 8 & 0xfff, device & 0xff | device >> 12 & 0xf_ff00);
    let device = device_number(major, minor);
    let what = match FileType::of(mode) {
        _ if mode & linux::S_IFMT == 0 => NewNode::File,
        Some(FileType::Regular) => NewNode::File,
        Some(FileType::CharDevice) => NewNode::CharDevice(device),
        Some(FileType::BlockDevice) => NewNode::BlockDevice(device),
        Some(FileType::Fifo) => NewNode::Fifo,
        Some(FileType::Socket) => NewNode::Socket,
        Some(FileType::Directory) => return Err(Errno::PERM.into()),
        Some(FileType::Symlink) | None => return Err(Errno::INVAL.into()),
    };
    call.kernel.vfs.mknod(&argument.base, &argument.path, what, unmasked(call, mode))?;
    Ok(0)
}

/// The permission bits that a new name gets (umask(2)).
fn unmasked(call: &Call<'_>, mode: u32) -> u32 {
    mode & PERMISSIONS & !call.process.paths.borrow().umask
}

/// rmdir(2). EBUSY, EINVAL, ENOENT, ENOTDIR, ENOTEMPTY, EROFS.
pub fn rmdir(call: &mut Call<'_>) -> CallResult {
    let argument = PathArgument::from_cwd(call, 0)?;
    call.kernel.vfs.rmdir(&argument.base, &argument.path)?;
    Ok(0)
}

/// unlink(2). EISDIR, ENOENT, EROFS.
pub fn unlink(call: &mut Call<'_>) -> CallResult {
    let argument = PathArgument::from_cwd(call, 0)?;
    call.kernel.vfs.unlink(&argument.base, &argument.path)?;
    Ok(0)
}

/// unlinkat(2): unlink(2), or rmdir(2) with AT_REMOVEDIR. EBADF, EINVAL.
pub fn unlinkat(call: &mut Call<'_>) -> CallResult {
    let flags = call.uint(2);
    check_flags(flags, linux::AT_REMOVEDIR)?;
    let PathArgument { base, path } = PathArgument::at(call, 0)?;
    if flags & linux::AT_REMOVEDIR != 0 {
        call.kernel.vfs.rmdir(&base, &path)?;
    } else {
        call.kernel.vfs.unlink(&base, &path)?;
    }
    Ok(0)
}

/// rename(2). EBUSY, EINVAL, EISDIR, ENOENT, ENOTDIR, ENOTEMPTY, EROFS, EXDEV.
pub fn rename(call: &mut Call<'_>) -> CallResult {
    let from = PathArgument::from_cwd(call, 0)?;
    let to = PathArgument::from_cwd(call, 1)?;
    move_name(call, &from, &to, RenameFlags::empty())
}

/// renameat(2). As rename(2), EBADF.
pub fn renameat(call: &mut Call<'_>) -> CallResult {
    let (from, to) = (PathArgument::at(call, 0)?, PathArgument::at(call, 2)?);
    move_name(call, &from, &to, RenameFlags::empty())
}

/// renameat2(2). As renameat(2); EEXIST with RENAME_NOREPLACE; EINVAL for other flags than that and
/// RENAME_EXCHANGE.
pub fn renameat2(call: &mut Call<'_>) -> CallResult {
    let how = RenameFlags::from_bits(call.uint(4)).ok_or(Errno::INVAL)?;
    let (from, to) = (PathArgument::at(call, 0)?, PathArgument::at(call, 2)?);
    move_name(call, &from, &to, how)
}

fn move_name(
    call: &Call<'_>,
    from: &PathArgument,
    to: &PathArgument,
    how: RenameFlags,
) -> CallResult {
    call.kernel.vfs.rename((&from.base, &from.path), (&to.base, &to.path), how)?;
    Ok(0)
}

/// link(2): a symbolic link gets another name itself. EEXIST, EPERM, EROFS, EXDEV.
pub fn link(call: &mut Call<'_>) -> CallResult {
    let target = resolve(call, 0, Follow::No)?;
    let to = PathArgument::from_cwd(call, 1)?;
    call.kernel.vfs.link(&target, &to.base, &to.path)?;
    Ok(0)
}

/// linkat(2). As link(2), EBADF; EINVAL for other flags than AT_SYMLINK_FOLLOW and AT_EMPTY_PATH.
pub fn linkat(call: &mut Call<'_>) -> CallResult {
    let flags = call.uint(4);
    check_flags(flags, linux::AT_SYMLINK_FOLLOW | linux::AT_EMPTY_PATH)?;
    let follow = if flags & linux::AT_SYMLINK_FOLLOW != 0 { Follow::Yes } else { Follow::No };
    let from = PathArgument::at(call, 0)?;
    let target = if flags & linux::AT_EMPTY_PATH != 0 {
        from.lookup_or_base(call, follow)?
    } else {
        from.lookup(call, follow)?
    };
    let to = PathArgument::at(call, 2)?;
    call.kernel.vfs.link(&target, &to.base, &to.path)?;
    Ok(0)
}

/// symlink(2). EEXIST, ENAMETOOLONG, ENOENT, EROFS.
pub fn symlink(call: &mut Call<'_>) -> CallResult {
    let text = call.path(0)?;
    let PathArgument { base, path } = PathArgument::from_cwd(call, 1)?;
    call.kernel.vfs.symlink(&text, &base, &path)?;
    Ok(0)
}

/// symlinkat(2). As symlink(2), EBADF.
pub fn symlinkat(call: &mut Call<'_>) -> CallResult {
    let text = call.path(0)?;
    let PathArgument { base, path } = PathArgument::at(call, 1)?;
    call.kernel.vfs.symlink(&text, &base, &path)?;
    Ok(0)
}

/// readlink(2): as much of the text as fits, without a NUL. EINVAL for what is no link.
pub fn readlink(call: &mut Call<'_>) -> CallResult {
    let link = resolve(call, 0, Follow::No)?;
    read_text(call, &link, 1)
}

/// readlinkat(2). As readlink(2), EBADF; an empty path means the link that the descriptor was opened on
/// (ENOENT where that is none).
pub fn readlinkat(call: &mut Call<'_>) -> CallResult {
    let argument = PathArgument::at(call, 0)?;
    let link = argument.lookup_or_base(call, Follow::No)?;
    if argument.path.is_empty() && link.inode().file_type() != FileType::Symlink {
        return Err(Errno::NOENT.into());
    }
    read_text(call, &link, 2)
}

/// Copies a link's text to the buffer that argument `index` and the one behind it describe.
fn read_text(call: &Call<'_>, link: &Dentry, index: usize) -> CallResult {
    let room = usize::try_from(call.int(index + 1)).ok().filter(|room| *room > 0);
    let room = room.ok_or(Errno::INVAL)?;
    let mut text = link.inode().read_link()?;
    text.truncate(room);
    call.put(call.args[index], &text)?;
    Ok(text.len() as u64)
}
