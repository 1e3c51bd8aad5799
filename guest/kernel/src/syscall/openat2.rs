//! openat2(2): open(2) whose way is bounded, and whose flags must all be known.
//!
//! ```text
//!   struct open_how   flags │ mode │ resolve │ what later kernels add: zeros
//! ```

use super::file::add;
use super::{Call, CallResult, terminal};
use crate::errno::{Errno, Result};
use crate::fs::OpenFlags;
use crate::fs::path::Resolve;
use crate::fs::stat::PERMISSIONS;

/// Bytes of a struct open_how, as it is known here.
const HOW_BYTES: u64 = 24;
/// Most bytes that one may have: a page.
const HOW_BYTES_MAX: u64 = 4096;

/// What a struct open_how says.
struct How {
    flags: OpenFlags,
    mode: u32,
    rules: Resolve,
}

/// openat2(2). As openat(2); E2BIG, EAGAIN, EFAULT, EINVAL; EXDEV and ELOOP where the way leads where it must not.
pub fn openat2(call: &mut Call<'_>) -> CallResult {
    let How { flags, mode, rules } = how(call, call.args[2], call.args[3])?;
    let path = call.path(1)?;
    // An absolute path needs no directory, unless that is to be its root.
    let is_free = !rules.intersects(Resolve::BENEATH | Resolve::IN_ROOT);
    let base = if is_free && path.starts_with(b"/") { call.cwd() } else { call.base(0)? };
    let file = call.kernel.vfs.open_by_rules(&base, &path, (flags, mode), rules)?;
    terminal::opened(call, &file, flags)?;
    Ok(add(call, file, flags)?.into())
}

/// The struct open_how at `address`. E2BIG where it says what is not known here, EAGAIN, EFAULT, EINVAL.
fn how(call: &Call<'_>, address: u64, len: u64) -> Result<How> {
    if len < HOW_BYTES {
        return Err(Errno::INVAL);
    }
    if len > HOW_BYTES_MAX {
        return Err(Errno::TOOBIG);
    }
    let [flags, mode, rules] = call.get_words(address)?;
    let unknown = call.bytes(address + HOW_BYTES, len - HOW_BYTES)?;
    if unknown.bytes().iter().any(|byte| *byte != 0) {
        return Err(Errno::TOOBIG);
    }
    let flags = u32::try_from(flags).ok().and_then(OpenFlags::from_bits).ok_or(Errno::INVAL)?;
    let rules = Resolve::from_bits(rules).ok_or(Errno::INVAL)?;
    let makes = flags.contains(OpenFlags::CREAT) || flags.contains(OpenFlags::TMPFILE);
    let most = if makes { PERMISSIONS } else { 0 };
    if mode & !u64::from(most) != 0 || rules.contains(Resolve::BENEATH | Resolve::IN_ROOT) {
        return Err(Errno::INVAL);
    }
    if rules.contains(Resolve::CACHED) && (makes || flags.contains(OpenFlags::TRUNC)) {
        return Err(Errno::AGAIN);
    }
    let mode = mode as u32 & !call.process.paths.borrow().umask;
    // O_PATH says what else counts; files are large.
    let is_path = flags.contains(OpenFlags::PATH);
    let flags = if is_path { flags } else { flags | OpenFlags::LARGEFILE };
    Ok(How { flags, mode, rules })
}
