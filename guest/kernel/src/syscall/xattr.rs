//! Extended attributes of files: getxattr(2), setxattr(2), listxattr(2), removexattr(2).
//!
//! ```text
//!   getxattr   path, the last link followed      argument 0 in each
//!   lgetxattr  path, the last link itself
//!   fgetxattr  descriptor
//! ```

use alloc::rc::Rc;
use alloc::vec::Vec;

use super::target::{check_flags, opened, resolve};
use super::{Call, CallResult};
use crate::errno::{Errno, Result};
use crate::fs::xattr::{LIST_MAX, NAME_MAX, VALUE_MAX};
use crate::fs::{Dentry, Follow, XattrFlags};

/// What the calls with this prefix are about.
type Target = fn(&Call<'_>) -> Result<Rc<Dentry>>;

const PATH: Target = |call| resolve(call, 0, Follow::Yes);
const LINK: Target = |call| resolve(call, 0, Follow::No);
const DESCRIPTOR: Target = |call| Ok(opened(call, 0)?.dentry().clone());

/// getxattr(2). EINVAL, ENODATA, ENOENT, EOPNOTSUPP, ERANGE.
pub fn getxattr(call: &mut Call<'_>) -> CallResult {
    get(call, PATH)
}

/// lgetxattr(2). As getxattr(2).
pub fn lgetxattr(call: &mut Call<'_>) -> CallResult {
    get(call, LINK)
}

/// fgetxattr(2). As getxattr(2), EBADF.
pub fn fgetxattr(call: &mut Call<'_>) -> CallResult {
    get(call, DESCRIPTOR)
}

/// setxattr(2). E2BIG, EEXIST, EINVAL, ENODATA, ENOENT, ENOSPC, EOPNOTSUPP, EPERM, ERANGE, EROFS.
pub fn setxattr(call: &mut Call<'_>) -> CallResult {
    set(call, PATH)
}

/// lsetxattr(2). As setxattr(2).
pub fn lsetxattr(call: &mut Call<'_>) -> CallResult {
    set(call, LINK)
}

/// fsetxattr(2). As setxattr(2), EBADF.
pub fn fsetxattr(call: &mut Call<'_>) -> CallResult {
    set(call, DESCRIPTOR)
}

/// listxattr(2). E2BIG, ENOENT, ERANGE.
pub fn listxattr(call: &mut Call<'_>) -> CallResult {
    list(call, PATH)
}

/// llistxattr(2). As listxattr(2).
pub fn llistxattr(call: &mut Call<'_>) -> CallResult {
    list(call, LINK)
}

/// flistxattr(2). As listxattr(2), EBADF.
pub fn flistxattr(call: &mut Call<'_>) -> CallResult {
    list(call, DESCRIPTOR)
}

/// removexattr(2). ENODATA, ENOENT, EOPNOTSUPP, EPERM, ERANGE, EROFS.
pub fn removexattr(call: &mut Call<'_>) -> CallResult {
    remove(call, PATH)
}

/// lremovexattr(2). As removexattr(2).
pub fn lremovexattr(call: &mut Call<'_>) -> CallResult {
    remove(call, LINK)
}

/// fremovexattr(2). As removexattr(2), EBADF.
pub fn fremovexattr(call: &mut Call<'_>) -> CallResult {
    remove(call, DESCRIPTOR)
}

fn get(call: &Call<'_>, target: Target) -> CallResult {
    let dentry = target(call)?;
    let value = call.kernel.vfs.xattr(&dentry, &name(call)?)?;
    give(call, (2, VALUE_MAX), &value)
}

fn list(call: &Call<'_>, target: Target) -> CallResult {
    let dentry = target(call)?;
    let names = call.kernel.vfs.xattr_names(&dentry)?;
    give(call, (1, LIST_MAX), &names)
}

fn set(call: &Call<'_>, target: Target) -> CallResult {
    let [_, _, address, len, flags, ..] = call.args;
    let known = XattrFlags::all().bits();
    check_flags(flags as u32, known)?;
    let dentry = target(call)?;
    let name = name(call)?;
    if len > VALUE_MAX as u64 {
        return Err(Errno::TOOBIG.into());
    }
    // A copy: the file system's memory may come from caches that the program's is mapped from.
    let mut value = Vec::new();
    value.try_reserve_exact(len as usize).map_err(|_| Errno::NOMEM)?;
    value.extend_from_slice(call.bytes(address, len)?.bytes());
    let how = XattrFlags::from_bits_truncate(flags as u32);
    call.kernel.vfs.set_xattr(&dentry, &name, Some(&value), how)?;
    Ok(0)
}

fn remove(call: &Call<'_>, target: Target) -> CallResult {
    let dentry = target(call)?;
    call.kernel.vfs.set_xattr(&dentry, &name(call)?, None, XattrFlags::empty())?;
    Ok(0)
}

/// The attribute's name, argument 1. EFAULT; ERANGE where it is empty or too long.
fn name(call: &Call<'_>) -> Result<Vec<u8>> {
    let name = call.string(call.args[1], NAME_MAX, Errno::RANGE)?;
    if name.is_empty() { Err(Errno::RANGE) } else { Ok(name) }
}

/// Copies bytes to the buffer that argument `index` and the one behind it describe, of at most `max` bytes; a buffer of
/// none asks how many there are. ERANGE where they do not fit.
fn give(call: &Call<'_>, (index, max): (usize, usize), bytes: &[u8]) -> CallResult {
    let (address, room) = (call.args[index], call.args[index + 1]);
    if room > 0 {
        if bytes.len() as u64 > room.min(max as u64) {
            return Err(Errno::RANGE.into());
        }
        call.put(address, bytes)?;
    }
    Ok(bytes.len() as u64)
}
