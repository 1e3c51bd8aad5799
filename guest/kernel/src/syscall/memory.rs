//! Memory: mmap(2) and its like.

use alloc::rc::Rc;
use alloc::vec::Vec;
use core::ops::Range;

use linux_raw_sys::general as linux;
use mayfly_abi::layout::{PAGE_SIZE, USER_END};

use super::target::{check_flags, opened};
use super::{Call, CallResult, storage};
use crate::errno::{Errno, Result};
use crate::fs::open_file::OFFSET_MAX;
use crate::fs::{Dentry, FallocateMode, FileType, Inode, OpenFile, Seals};
use crate::mm::{
    AddressSpace, Area, Backing, BadAccess, Destination, OnFork, Placement, Protection, Sharing,
};
use crate::personality::Personality;

/// Pages that mincore(2) asks about in one go: bounds what it holds in memory.
const MINCORE_PAGES: u64 = 4096;

/// brk(2).
pub fn brk(call: &mut Call<'_>) -> CallResult {
    Ok(call.process.space().borrow_mut().brk(call.args[0]))
}

/// Flags that MAP_SHARED_VALIDATE knows: those that there were before it (LEGACY_MAP_MASK of Linux's mman.h).
const VALIDATED: u32 = linux::MAP_TYPE
    | linux::MAP_FIXED
    | linux::MAP_ANONYMOUS
    | linux::MAP_GROWSDOWN
    | linux::MAP_DENYWRITE
    | linux::MAP_EXECUTABLE
    | linux::MAP_LOCKED
    | linux::MAP_NORESERVE
    | linux::MAP_POPULATE
    | linux::MAP_NONBLOCK
    | linux::MAP_STACK
    | linux::MAP_HUGETLB
    | linux::MAP_FIXED_NOREPLACE
    | linux::MAP_32BIT
    | linux::MAP_HUGE_MASK << linux::MAP_HUGE_SHIFT;

/// mmap(2). EINVAL, EBADF, EACCES, ENODEV, ENOMEM, as for all huge pages, of which there are none; EEXIST with MAP_FIXED_NOREPLACE; EOPNOTSUPP for flags that are unknown,
/// with MAP_SHARED_VALIDATE.
pub fn mmap(call: &mut Call<'_>) -> CallResult {
    let [address, len, protection, flags, _, offset] = call.args;
    let protection = checked_protection(call, protection)?;
    let flags = flags as u32;
    let kind = flags & linux::MAP_TYPE;
    let shared = kind == linux::MAP_SHARED || kind == linux::MAP_SHARED_VALIDATE;
    if offset % PAGE_SIZE != 0 {
        return Err(Errno::INVAL.into());
    }
    let file = match flags & linux::MAP_ANONYMOUS {
        0 => Some(opened(call, 4)?),
        _ => None,
    };
    if len == 0 || !(shared || kind == linux::MAP_PRIVATE) {
        return Err(Errno::INVAL.into());
    }
    if flags & linux::MAP_HUGETLB != 0 {
        return Err(if file.is_some() { Errno::INVAL } else { Errno::NOMEM }.into());
    }
    let placement = if flags & linux::MAP_FIXED_NOREPLACE != 0 {
        Placement::Exactly(address)
    } else if flags & linux::MAP_FIXED != 0 {
        Placement::Replace(address)
    } else if flags & linux::MAP_32BIT != 0 {
        Placement::Low(address)
    } else {
        Placement::Anywhere(address)
    };
    if file.is_some() && kind == linux::MAP_SHARED_VALIDATE && flags & !VALIDATED != 0 {
        return Err(Errno::OPNOTSUPP.into());
    }
    let backing = match file {
        Some(file) => file_backing(call, &file, protection, shared)?,
        None if shared => shared_memory(call, len)?,
        None => Backing::Anonymous,
    };
    // A program that says so may promise itself more than there is, and use a part.
    if matches!(backing, Backing::Anonymous) && flags & linux::MAP_NORESERVE == 0 {
        AddressSpace::check_promise(len, protection)?;
    }
    let space = call.process.space();
    let mut space = space.borrow_mut();
    let start = space.map(placement, len, protection, backing, "")?;
    if flags & (linux::MAP_POPULATE | linux::MAP_LOCKED) != 0 && !protection.is_empty() {
        // What memory is short of now is a fault later.
        let _ = space.populate(start..start + len.next_multiple_of(PAGE_SIZE));
    }
    Ok(start)
}

fn file_backing(
    call: &Call<'_>,
    file: &OpenFile,
    protection: Protection,
    shared: bool,
) -> Result<Backing> {
    let offset = call.args[5];
    let flags = file.flags();
    if !flags.reads() || (shared && protection.contains(Protection::WRITE) && !flags.writes()) {
        return Err(Errno::ACCES);
    }
    match file.file_type() {
        // A text of /proc, a counter: bytes, but no pages.
        FileType::Regular if file.file().is_some() => Err(Errno::NODEV),
        FileType::Regular => {
            let is_sealed = file.seals().is_ok_and(|seals| seals.intersects(Seals::WRITES));
            if is_sealed && shared && protection.contains(Protection::WRITE) {
                return Err(Errno::PERM);
            }
            let sharing = match (shared, flags.writes() && !is_sealed) {
                (false, _) => Sharing::Private,
                (true, true) => Sharing::Shared,
                (true, false) => Sharing::ReadOnly,
            };
            Ok(Backing::File { file: file.dentry().clone(), offset, sharing })
        }
        // /dev/zero is memory.
        FileType::CharDevice if file.page(0).is_ok() && shared => shared_memory(call, call.args[1]),
        FileType::CharDevice if file.page(0).is_ok() => Ok(Backing::Anonymous),
        _ => Err(Errno::NODEV),
    }
}

/// Memory that mappings share: a file that has no name, as on Linux. ENOMEM.
fn shared_memory(call: &Call<'_>, len: u64) -> Result<Backing> {
    let inode = call.kernel.memory_files.unnamed(0o777)?;
    let len = len.checked_next_multiple_of(PAGE_SIZE).ok_or(Errno::NOMEM)?;
    if len > OFFSET_MAX {
        return Err(Errno::NOMEM);
    }
    inode.truncate(len)?;
    Ok(Backing::File {
        file: Dentry::anonymous(inode, b"/dev/zero (deleted)"),
        offset: 0,
        sharing: Sharing::Shared,
    })
}

/// munmap(2). EINVAL.
pub fn munmap(call: &mut Call<'_>) -> CallResult {
    let range = page_range(call.args[0], call.args[1])?;
    if range.is_empty() {
        return Err(Errno::INVAL.into());
    }
    call.process.space().borrow_mut().unmap(range)?;
    Ok(0)
}

/// mprotect(2). EACCES, EINVAL, ENOMEM. A dynamic linker makes all of the stack executable with PROT_GROWSDOWN.
pub fn mprotect(call: &mut Call<'_>) -> CallResult {
    const GROWS_DOWN: u64 = linux::PROT_GROWSDOWN as u64;
    let range = page_range(call.args[0], call.args[1])?;
    let protection = checked_protection(call, call.args[2] & !GROWS_DOWN)?;
    if range.is_empty() {
        return Ok(0);
    }
    let space = call.process.space();
    let mut space = space.borrow_mut();
    let grows_down = call.args[2] & GROWS_DOWN != 0;
    let range = if grows_down { space.grown_down(range)? } else { range };
    space.protect(range, protection)?;
    Ok(0)
}

/// mremap(2). EINVAL, EFAULT, ENOMEM.
pub fn mremap(call: &mut Call<'_>) -> CallResult {
    let [address, old_len, new_len, flags, new_address, _] = call.args;
    let to = match u32::try_from(flags).map_err(|_| Errno::INVAL)? {
        0 => Destination::InPlace,
        linux::MREMAP_MAYMOVE => Destination::MayMove,
        flags if flags == linux::MREMAP_MAYMOVE | linux::MREMAP_FIXED => {
            Destination::Fixed(new_address)
        }
        flags if flags == linux::MREMAP_MAYMOVE | linux::MREMAP_DONTUNMAP => Destination::Leaving,
        _ => return Err(Errno::INVAL.into()),
    };
    let old = page_range(address, old_len)?;
    Ok(call.process.space().borrow_mut().remap(old, new_len, to)?)
}

/// madvise(2). EINVAL, ENOMEM; EFAULT where pages that are to be there cannot be.
pub fn madvise(call: &mut Call<'_>) -> CallResult {
    let range = page_range(call.args[0], call.args[1])?;
    if call.uint(2) == linux::MADV_REMOVE {
        return remove(call, &range);
    }
    let space = call.process.space();
    let mut space = space.borrow_mut();
    match call.uint(2) {
        linux::MADV_DONTNEED => space.discard(range.clone()),
        linux::MADV_FREE => {
            let is_anonymous = |area: &Area| matches!(area.backing, Backing::Anonymous);
            if !space.areas().overlapping(range.clone()).all(is_anonymous) {
                return Err(Errno::INVAL.into());
            }
            space.discard(range.clone());
        }
        linux::MADV_POPULATE_READ | linux::MADV_POPULATE_WRITE => {
            space.populate(range.clone()).map_err(|bad| match bad {
                BadAccess::NotMapped | BadAccess::OutOfMemory => Errno::NOMEM,
                BadAccess::NotAllowed => Errno::INVAL,
                BadAccess::NoFile => Errno::FAULT,
            })?;
        }
        linux::MADV_WIPEONFORK => space.set_on_fork(range.clone(), OnFork::Wiped)?,
        linux::MADV_DONTFORK => space.set_on_fork(range.clone(), OnFork::Absent)?,
        linux::MADV_KEEPONFORK | linux::MADV_DOFORK => {
            space.set_on_fork(range.clone(), OnFork::Kept)?;
        }
        // What is left of the numbers up to here is about speed.
        advice if advice <= linux::MADV_COLLAPSE => {}
        _ => return Err(Errno::INVAL.into()),
    }
    if space.is_mapped(range) { Ok(0) } else { Err(Errno::NOMEM.into()) }
}

/// MADV_REMOVE: what is mapped becomes a hole of its file. EINVAL, ENOMEM.
fn remove(call: &Call<'_>, range: &Range<u64>) -> CallResult {
    let space = call.process.space();
    let parts = shared_parts(&space.borrow(), range)?;
    for (file, bytes) in parts {
        let hole = FallocateMode::PUNCH_HOLE | FallocateMode::KEEP_SIZE;
        file.fallocate(hole, bytes.start, bytes.end - bytes.start)?;
        storage::punched(call, &file, &bytes);
    }
    if space.borrow().is_mapped(range.clone()) { Ok(0) } else { Err(Errno::NOMEM.into()) }
}

/// Bytes of a file.
type FilePart = (Rc<dyn Inode>, Range<u64>);

/// The bytes of shared files that a range maps. EINVAL where part of it is something else.
fn shared_parts(space: &AddressSpace, range: &Range<u64>) -> Result<Vec<FilePart>> {
    let part = |area: &Area| {
        let (inode, offset) =
            area.backing.file().filter(|_| area.backing.is_shared()).ok_or(Errno::INVAL)?;
        let at = |address: u64| offset + (address - area.start);
        let bytes = at(area.start.max(range.start))..at(area.end.min(range.end));
        Ok((inode.clone(), bytes))
    };
    space.areas().overlapping(range.clone()).map(part).collect()
}

/// mincore(2). EFAULT, EINVAL, ENOMEM.
pub fn mincore(call: &mut Call<'_>) -> CallResult {
    let [start, len, ..] = call.args;
    if start.checked_add(len).is_none_or(|end| end > USER_END) {
        return Err(Errno::NOMEM.into());
    }
    let range = page_range(start, len)?;
    if !call.process.space().borrow().is_mapped(range.clone()) {
        return Err(Errno::NOMEM.into());
    }
    let mut start = range.start;
    while start < range.end {
        let end = range.end.min(start + MINCORE_PAGES * PAGE_SIZE);
        let resident = call.process.space().borrow_mut().resident(start..end);
        let bytes: Vec<u8> = resident.into_iter().map(u8::from).collect();
        call.put(call.args[2] + (start - range.start) / PAGE_SIZE, &bytes)?;
        start = end;
    }
    Ok(0)
}

/// msync(2): files that can be written live in memory. EINVAL, ENOMEM.
pub fn msync(call: &mut Call<'_>) -> CallResult {
    let (flags, both) = (call.uint(2), linux::MS_ASYNC | linux::MS_SYNC);
    check_flags(flags, both | linux::MS_INVALIDATE)?;
    if flags & both == both {
        return Err(Errno::INVAL.into());
    }
    mapped_range(call)
}

/// mlock(2): pages never leave memory; those that are not there yet come. ENOMEM.
pub fn mlock(call: &mut Call<'_>) -> CallResult {
    munlock(call)?;
    let range = page_range(call.args[0], call.args[1])?;
    let populated = call.process.space().borrow_mut().populate(range);
    Ok(populated.map(|()| 0).map_err(|_| Errno::NOMEM)?)
}

/// mlock2(2): as mlock(2), EINVAL; MLOCK_ONFAULT leaves what is not there yet.
pub fn mlock2(call: &mut Call<'_>) -> CallResult {
    check_flags(call.uint(2), linux::MLOCK_ONFAULT)?;
    if call.uint(2) & linux::MLOCK_ONFAULT == 0 { mlock(call) } else { munlock(call) }
}

/// munlock(2): of all pages that the range touches. ENOMEM.
pub fn munlock(call: &mut Call<'_>) -> CallResult {
    let into = call.args[0] % PAGE_SIZE;
    call.args[0] -= into;
    call.args[1] = call.args[1].saturating_add(into);
    mapped_range(call)
}

/// mlockall(2): pages never leave memory. EINVAL.
pub fn mlockall(call: &mut Call<'_>) -> CallResult {
    const KNOWN: u32 = linux::MCL_CURRENT | linux::MCL_FUTURE | linux::MCL_ONFAULT;
    let flags = call.uint(0);
    let says_which = flags & (linux::MCL_CURRENT | linux::MCL_FUTURE) != 0;
    if says_which && flags & !KNOWN == 0 { Ok(0) } else { Err(Errno::INVAL.into()) }
}

/// munlockall(2).
pub fn munlockall(_: &mut Call<'_>) -> CallResult {
    Ok(0)
}

fn mapped_range(call: &Call<'_>) -> CallResult {
    let range = page_range(call.args[0], call.args[1])?;
    if call.process.space().borrow().is_mapped(range) { Ok(0) } else { Err(Errno::NOMEM.into()) }
}

/// The protection that is asked for. EINVAL: nothing here grows upwards (PROT_GROWSUP).
fn checked_protection(call: &Call<'_>, bits: u64) -> Result<Protection> {
    let asked = u32::try_from(bits).ok().and_then(Protection::from_bits).ok_or(Errno::INVAL)?;
    let implies = call.process.personality.get().contains(Personality::READ_IMPLIES_EXEC);
    let is_read = asked.contains(Protection::READ);
    Ok(if implies && is_read { asked | Protection::EXECUTE } else { asked })
}

/// A page-aligned start and a length, rounded up. EINVAL.
fn page_range(start: u64, len: u64) -> Result<Range<u64>> {
    let end = len
        .checked_next_multiple_of(PAGE_SIZE)
        .and_then(|len| start.checked_add(len))
        .filter(|_| start.is_multiple_of(PAGE_SIZE))
        .ok_or(Errno::INVAL)?;
    Ok(start..end)
}
