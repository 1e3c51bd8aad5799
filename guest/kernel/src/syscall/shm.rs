//! System V's shared memory: shmget(2), shmat(2), shmdt(2), shmctl(2).
//!
//! Permissions are kept and told, and refuse nobody, as those of files here.

use alloc::format;
use alloc::rc::Rc;
use alloc::vec::Vec;

use mayfly_abi::layout::PAGE_SIZE;

use super::{Call, CallResult};
use crate::clock::{SECOND, realtime_ns};
use crate::errno::Errno;
use crate::fs::{Dentry, Inode};
use crate::mm::{AddressSpace, Area, Backing, Placement, Protection, Sharing};
use crate::shm::{IPC_PRIVATE, SEGMENTS_MAX, Segment};

/// Flags of shmget(2) (<linux/ipc.h>, <linux/shm.h>).
const IPC_CREAT: u32 = 0o1000;
const IPC_EXCL: u32 = 0o2000;
const SHM_HUGETLB: u32 = 0o4000;
/// Flags of shmat(2).
const SHM_RDONLY: u32 = 0o10_000;
const SHM_RND: u32 = 0o20_000;
const SHM_REMAP: u32 = 0o40_000;
const SHM_EXEC: u32 = 0o100_000;
/// Commands of shmctl(2).
const IPC_RMID: u32 = 0;
const IPC_SET: u32 = 1;
const IPC_STAT: u32 = 2;
const IPC_INFO: u32 = 3;
const SHM_LOCK: u32 = 11;
const SHM_UNLOCK: u32 = 12;
const SHM_STAT: u32 = 13;
const SHM_INFO: u32 = 14;
const SHM_STAT_ANY: u32 = 15;
/// Permissions in flags and modes.
const MODE: u32 = 0o777;
/// In the mode that is told: the segment was removed.
const SHM_DEST: u32 = 0o1000;
/// Linux's kernel.shmmax and kernel.shmall: as good as no limit.
const SIZE_MAX: u64 = u64::MAX - (1 << 24);

/// shmget(2). EEXIST, EINVAL, ENOENT, ENOMEM, ENOSPC.
pub fn shmget(call: &mut Call<'_>) -> CallResult {
    let (key, bytes, flags) = (call.uint(0), call.args[1], call.uint(2));
    let found = call.kernel.segments.borrow().find(key);
    if let Some(id) = found {
        if flags & IPC_CREAT != 0 && flags & IPC_EXCL != 0 {
            return Err(Errno::EXIST.into());
        }
        let there = call.kernel.segments.borrow_mut().get(id)?.bytes;
        return if bytes > there { Err(Errno::INVAL.into()) } else { Ok(id.into()) };
    }
    if key != IPC_PRIVATE && flags & IPC_CREAT == 0 {
        return Err(Errno::NOENT.into());
    }
    if bytes == 0 || bytes > SIZE_MAX {
        return Err(Errno::INVAL.into());
    }
    if flags & SHM_HUGETLB != 0 {
        return Err(Errno::NOMEM.into());
    }
    AddressSpace::check_promise(bytes, Protection::WRITE)?;
    let inode = call.kernel.memory_files.unnamed(flags & MODE)?;
    inode.truncate(bytes.next_multiple_of(PAGE_SIZE))?;
    let file = Dentry::anonymous(inode, format!("/SYSV{key:08x} (deleted)").as_bytes());
    let who = call.process.credentials.borrow();
    let mut segments = call.kernel.segments.borrow_mut();
    let (id, segment) = segments.add(file, key, bytes)?;
    segment.mode = flags & MODE;
    segment.owner = [who.user.effective, who.group.effective];
    segment.creator = segment.owner;
    segment.pids[0] = call.process.pid;
    segment.times[2] = seconds();
    Ok(id.into())
}

/// shmat(2). EINVAL, ENOMEM.
pub fn shmat(call: &mut Call<'_>) -> CallResult {
    let (id, address, flags) = (call.uint(0), call.args[1], call.uint(2));
    let into_page = address % PAGE_SIZE;
    if into_page != 0 && flags & SHM_RND == 0 || address == 0 && flags & SHM_REMAP != 0 {
        return Err(Errno::INVAL.into());
    }
    let placement = match address - into_page {
        0 => Placement::Anywhere(0),
        address if flags & SHM_REMAP != 0 => Placement::Replace(address),
        address => Placement::Exactly(address),
    };
    let (mut protection, mut sharing) = (Protection::READ, Sharing::ReadOnly);
    if flags & SHM_RDONLY == 0 {
        (protection, sharing) = (protection | Protection::WRITE, Sharing::Shared);
    }
    protection.set(Protection::EXECUTE, flags & SHM_EXEC != 0);
    let mut segments = call.kernel.segments.borrow_mut();
    let segment = segments.get(id)?;
    let file = segment.file().ok_or(Errno::INVAL)?;
    let backing = Backing::File { file, offset: 0, sharing };
    let space = call.process.space();
    let mapped = space.borrow_mut().map(placement, segment.bytes, protection, backing, "");
    let start = mapped.map_err(|errno| if errno == Errno::EXIST { Errno::INVAL } else { errno })?;
    segment.times[0] = seconds();
    segment.pids[1] = call.process.pid;
    Ok(start)
}

/// shmdt(2): whatever is left of the segment that was attached there. EINVAL.
pub fn shmdt(call: &mut Call<'_>) -> CallResult {
    let address = call.args[0];
    let space = call.process.space();
    let mut space = space.borrow_mut();
    let first = space.areas().find(address).filter(|area| area.start == address);
    let inode = first.and_then(begins).ok_or(Errno::INVAL)?.clone();
    let mut segments = call.kernel.segments.borrow_mut();
    let segment = segments.of_file(&inode).ok_or(Errno::INVAL)?;
    let whole = address..address + segment.bytes.next_multiple_of(PAGE_SIZE);
    let is_part =
        |area: &&Area| area.backing.file().is_some_and(|(file, _)| Rc::ptr_eq(file, &inode));
    let parts = space.areas().overlapping(whole).filter(is_part).map(|area| area.start..area.end);
    let parts: Vec<_> = parts.collect();
    parts.into_iter().try_for_each(|range| space.unmap(range))?;
    segment.times[1] = seconds();
    segment.pids[1] = call.process.pid;
    Ok(0)
}

/// The file whose first byte is the area's.
fn begins(area: &Area) -> Option<&Rc<dyn Inode>> {
    area.backing.file().filter(|(_, offset)| *offset == 0).map(|(inode, _)| inode)
}

/// shmctl(2). EFAULT, EINVAL.
pub fn shmctl(call: &mut Call<'_>) -> CallResult {
    let (id, command, address) = (call.uint(0), call.uint(1), call.args[2]);
    let segments = &call.kernel.segments;
    match command {
        IPC_STAT | SHM_STAT | SHM_STAT_ANY => {
            let told = told(call, segments.borrow_mut().get(id)?);
            call.put_words(address, &told)?;
            // What looks through all asks by place, and is told the number.
            Ok(if command == IPC_STAT { 0 } else { id.into() })
        }
        IPC_SET => {
            let [key_user, group_maker, makers_mode] = call.get_words(address)?;
            let mut segments = segments.borrow_mut();
            let segment = segments.get(id)?;
            segment.owner = [(key_user >> 32) as u32, group_maker as u32];
            segment.mode = (makers_mode >> 32) as u32 & MODE;
            segment.times[2] = seconds();
            Ok(0)
        }
        IPC_RMID => {
            segments.borrow_mut().remove(id)?;
            Ok(0)
        }
        // Nothing is ever swapped out.
        SHM_LOCK | SHM_UNLOCK => Ok(segments.borrow_mut().get(id).map(|_| 0)?),
        IPC_INFO => {
            let count = SEGMENTS_MAX as u64;
            call.put_words(address, &[SIZE_MAX, 1, count, count, SIZE_MAX, 0, 0, 0, 0])?;
            Ok(last(call))
        }
        SHM_INFO => {
            let segments = segments.borrow();
            let pages = segments.iter().map(|(_, segment)| segment.bytes.div_ceil(PAGE_SIZE)).sum();
            let count = segments.iter().count() as u64;
            call.put_words(address, &[count, pages, pages, 0, 0, 0])?;
            Ok(last(call))
        }
        _ => Err(Errno::INVAL.into()),
    }
}

/// The highest place that is taken, which is the segment's number here.
fn last(call: &Call<'_>) -> u64 {
    call.kernel.segments.borrow().iter().last().map_or(0, |(id, _)| id.into())
}

/// A segment as a struct shmid64_ds (<asm-generic/shmbuf.h>).
fn told(call: &Call<'_>, segment: &Segment) -> [u64; 14] {
    let pair = |low: u32, high: u32| u64::from(high) << 32 | u64::from(low);
    let [[user, group], [maker, makers]] = [segment.owner, segment.creator];
    let mode = segment.mode | if segment.is_removed() { SHM_DEST } else { 0 };
    let [attached, detached, changed] = segment.times;
    let permissions = [pair(segment.key, user), pair(group, maker), pair(makers, mode), 0, 0, 0];
    let mut words = [0; 14];
    words[..6].copy_from_slice(&permissions);
    words[6..10].copy_from_slice(&[segment.bytes, attached, detached, changed]);
    words[10] = pair(segment.pids[0], segment.pids[1]);
    words[11] = segment.file().map_or(0, |file| attachments(call, file.inode()));
    words
}

/// How often a segment is attached, in all processes.
fn attachments(call: &Call<'_>, inode: &Rc<dyn Inode>) -> u64 {
    let spaces = call.kernel.processes.living();
    let mut spaces: Vec<_> =
        spaces.iter().filter_map(|process| process.memory.borrow().clone()).collect();
    // After vfork(2) two processes have the same.
    spaces.sort_by_key(|space| Rc::as_ptr(space).addr());
    spaces.dedup_by(|one, other| Rc::ptr_eq(one, other));
    let is_it = |area: &&Area| begins(area).is_some_and(|file| Rc::ptr_eq(file, inode));
    spaces.iter().map(|space| space.borrow().areas().iter().filter(is_it).count() as u64).sum()
}

fn seconds() -> u64 {
    realtime_ns() / SECOND
}
