//! What a call's descriptor and path arguments stand for.
//!
//! ```text
//!   path            seen from the working directory
//!   dirfd, path     seen from the directory that dirfd stands for; where path begins with '/', from
//!                   the root, whatever dirfd is
//!   dirfd, ""       what dirfd stands for, itself, where AT_EMPTY_PATH allows that
//! ```

use alloc::rc::Rc;
use alloc::vec::Vec;

use linux_raw_sys::general as linux;

use super::Call;
use crate::errno::{Errno, Result};
use crate::fs::{Dentry, Fd, Follow, OpenFile, OpenFlags};

/// A path of the program, and the directory that it is seen from.
pub struct PathArgument {
    /// Where it starts, if it is relative.
    pub base: Rc<Dentry>,
    /// Its text.
    pub path: Vec<u8>,
}

impl PathArgument {
    /// The path at argument `index`, seen from the working directory. EFAULT, ENAMETOOLONG.
    pub fn from_cwd(call: &Call<'_>, index: usize) -> Result<PathArgument> {
        Ok(PathArgument { path: call.path(index)?, base: call.cwd() })
    }

    /// The two arguments of an `…at` call: the descriptor at `index`, the path behind it. EBADF, EFAULT,
    /// ENAMETOOLONG.
    pub fn at(call: &Call<'_>, index: usize) -> Result<PathArgument> {
        let path = call.path(index + 1)?;
        let absolute = path.first() == Some(&b'/');
        let base = if absolute { call.cwd() } else { call.base(index)? };
        Ok(PathArgument { path, base })
    }

    /// What the path means. ENOENT for an empty one.
    pub fn lookup(&self, call: &Call<'_>, follow: Follow) -> Result<Rc<Dentry>> {
        call.kernel.vfs.lookup(&self.base, &self.path, follow)
    }

    /// As `lookup`, but an empty path means the base itself (AT_EMPTY_PATH).
    pub fn lookup_or_base(&self, call: &Call<'_>, follow: Follow) -> Result<Rc<Dentry>> {
        if self.path.is_empty() { Ok(self.base.clone()) } else { self.lookup(call, follow) }
    }
}

/// What an `…at` call's descriptor (argument `index`), path and AT_… flags mean. EINVAL for flags that
/// are not in `allowed`.
pub fn resolve_at(call: &Call<'_>, index: usize, flags: u32, allowed: u32) -> Result<Rc<Dentry>> {
    check_flags(flags, allowed)?;
    let argument = PathArgument::at(call, index)?;
    let follow = if flags & linux::AT_SYMLINK_NOFOLLOW != 0 { Follow::No } else { Follow::Yes };
    if flags & linux::AT_EMPTY_PATH != 0 {
        argument.lookup_or_base(call, follow)
    } else {
        argument.lookup(call, follow)
    }
}

/// What the path at argument `index` means, seen from the working directory.
pub fn resolve(call: &Call<'_>, index: usize, follow: Follow) -> Result<Rc<Dentry>> {
    PathArgument::from_cwd(call, index)?.lookup(call, follow)
}

/// The open file of descriptor argument `index`, for calls that need more than a place. EBADF, also
/// where it was opened with O_PATH.
pub fn opened(call: &Call<'_>, index: usize) -> Result<Rc<OpenFile>> {
    opened_fd(call, call.uint(index))
}

/// As `opened`, for a descriptor that is no argument.
pub fn opened_fd(call: &Call<'_>, fd: Fd) -> Result<Rc<OpenFile>> {
    let file = call.process.files.get(fd)?;
    if file.flags().contains(OpenFlags::PATH) { Err(Errno::BADF) } else { Ok(file) }
}

/// EINVAL for a flag that is not in `allowed`.
pub fn check_flags(flags: u32, allowed: u32) -> Result<()> {
    if flags & !allowed == 0 { Ok(()) } else { Err(Errno::INVAL) }
}

/// An offset or a length of type `off_t`. EINVAL where it is negative.
pub fn check_offset(offset: u64) -> Result<u64> {
    if i64::try_from(offset).is_ok() { Ok(offset) } else { Err(Errno::INVAL) }
}
