//! Memory: mmap(2) and its like.

use linux_raw_sys::general as linux;
use mayfly_abi::layout::PAGE_SIZE;

use super::{Call, CallResult};
use crate::errno::{Errno, Result};
use crate::fs::FileType;
use crate::mm::{Backing, Placement, Protection};

/// brk(2).
pub fn brk(call: &mut Call<'_>) -> CallResult {
    Ok(call.process.space.borrow_mut().brk(call.args[0]))
}

/// mmap(2). EINVAL, EBADF, EACCES, ENODEV, ENOMEM; EEXIST with MAP_FIXED_NOREPLACE.
pub fn mmap(call: &mut Call<'_>) -> CallResult {
    let [address, len, protection, flags, _, offset] = call.args;
    let protection = checked_protection(protection)?;
    let flags = flags as u32;
    let kind = flags & linux::MAP_TYPE;
    let shared = kind == linux::MAP_SHARED || kind == linux::MAP_SHARED_VALIDATE;
    if len == 0 || offset % PAGE_SIZE != 0 || !(shared || kind == linux::MAP_PRIVATE) {
        return Err(Errno::INVAL.into());
    }
    let placement = if flags & linux::MAP_FIXED_NOREPLACE != 0 {
        Placement::Exactly(address)
    } else if flags & linux::MAP_FIXED != 0 {
        Placement::Replace(address)
    } else {
        Placement::Anywhere(address)
    };
    let backing = if flags & linux::MAP_ANONYMOUS != 0 {
        Backing::Anonymous
    } else {
        file_backing(call, protection, shared, offset)?
    };
    let mut space = call.process.space.borrow_mut();
    let start = space.map(placement, len, protection, backing, "")?;
    Ok(start)
}

fn file_backing(
    call: &Call<'_>,
    protection: Protection,
    shared: bool,
    offset: u64,
) -> Result<Backing> {
    let file = call.file(4)?;
    let flags = file.flags();
    if !flags.reads() || (shared && protection.contains(Protection::WRITE) && !flags.writes()) {
        return Err(Errno::ACCES);
    }
    match file.file_type() {
        FileType::Regular => {
            Ok(Backing::File { inode: file.dentry().inode().clone(), offset, shared })
        }
        // /dev/zero, privately, is memory.
        FileType::CharDevice if file.page(0).is_ok() && !shared => Ok(Backing::Anonymous),
        _ => Err(Errno::NODEV),
    }
}

/// munmap(2). EINVAL.
pub fn munmap(call: &mut Call<'_>) -> CallResult {
    let range = page_range(call.args[0], call.args[1])?;
    if range.is_empty() {
        return Err(Errno::INVAL.into());
    }
    call.process.space.borrow_mut().unmap(range)?;
    Ok(0)
}

/// mprotect(2). EINVAL, ENOMEM.
pub fn mprotect(call: &mut Call<'_>) -> CallResult {
    let range = page_range(call.args[0], call.args[1])?;
    let protection = checked_protection(call.args[2])?;
    if !range.is_empty() {
        call.process.space.borrow_mut().protect(range, protection)?;
    }
    Ok(0)
}

/// mremap(2). EINVAL, EFAULT, ENOMEM.
pub fn mremap(call: &mut Call<'_>) -> CallResult {
    let [address, old_len, new_len, flags, ..] = call.args;
    if flags & !u64::from(linux::MREMAP_MAYMOVE) != 0 || old_len == 0 {
        return Err(Errno::INVAL.into());
    }
    let old = page_range(address, old_len)?;
    let may_move = flags & u64::from(linux::MREMAP_MAYMOVE) != 0;
    Ok(call.process.space.borrow_mut().remap(old, new_len, may_move)?)
}

/// madvise(2). EINVAL, ENOMEM.
pub fn madvise(call: &mut Call<'_>) -> CallResult {
    let range = page_range(call.args[0], call.args[1])?;
    match call.uint(2) {
        linux::MADV_DONTNEED | linux::MADV_FREE => {
            let mut space = call.process.space.borrow_mut();
            if space.areas().is_free(range.clone()) && !range.is_empty() {
                return Err(Errno::NOMEM.into());
            }
            space.discard(range)?;
            Ok(0)
        }
        advice if advice <= linux::MADV_POPULATE_WRITE => Ok(0),
        _ => Err(Errno::INVAL.into()),
    }
}

/// msync(2): files that can be written live in memory. EINVAL, ENOMEM.
pub fn msync(call: &mut Call<'_>) -> CallResult {
    mapped_range(call)
}

/// mlock(2), munlock(2): pages never leave memory. ENOMEM.
pub fn mlock(call: &mut Call<'_>) -> CallResult {
    call.args[0] &= !(PAGE_SIZE - 1);
    mapped_range(call)
}

fn mapped_range(call: &Call<'_>) -> CallResult {
    let range = page_range(call.args[0], call.args[1])?;
    if !range.is_empty() && call.process.space.borrow().areas().is_free(range) {
        return Err(Errno::NOMEM.into());
    }
    Ok(0)
}

fn checked_protection(bits: u64) -> Result<Protection> {
    // PROT_GROWSDOWN and PROT_GROWSUP do not exist here.
    u32::try_from(bits).ok().and_then(Protection::from_bits).ok_or(Errno::INVAL)
}

/// A page-aligned start and a length, rounded up. EINVAL.
fn page_range(start: u64, len: u64) -> Result<core::ops::Range<u64>> {
    let end = len
        .checked_next_multiple_of(PAGE_SIZE)
        .and_then(|len| start.checked_add(len))
        .filter(|_| start.is_multiple_of(PAGE_SIZE))
        .ok_or(Errno::INVAL)?;
    Ok(start..end)
}
