//! Who a process says it is: getuid(2), setuid(2), getgroups(2) and their kin.

use alloc::vec::Vec;

use super::{Call, CallResult, identity};
use crate::credentials::{Change, Credentials, GROUPS_MAX, Ids};
use crate::errno::{Errno, Result};

/// Bytes of a group's number.
const GROUP_BYTES: u64 = 4;

/// getuid(2).
pub fn getuid(call: &mut Call<'_>) -> CallResult {
    Ok(call.process.credentials.borrow().user.real.into())
}

/// geteuid(2).
pub fn geteuid(call: &mut Call<'_>) -> CallResult {
    Ok(call.process.credentials.borrow().user.effective.into())
}

/// getgid(2).
pub fn getgid(call: &mut Call<'_>) -> CallResult {
    Ok(call.process.credentials.borrow().group.real.into())
}

/// getegid(2).
pub fn getegid(call: &mut Call<'_>) -> CallResult {
    Ok(call.process.credentials.borrow().group.effective.into())
}

/// setuid(2). EINVAL, EPERM.
pub fn setuid(call: &mut Call<'_>) -> CallResult {
    let change = Change::One(some(call, 0).ok_or(Errno::INVAL)?);
    set(call, |who| who.set_user(change))
}

/// setgid(2). EINVAL, EPERM.
pub fn setgid(call: &mut Call<'_>) -> CallResult {
    let change = Change::One(some(call, 0).ok_or(Errno::INVAL)?);
    set(call, |who| who.set_group(change))
}

/// setreuid(2). EPERM.
pub fn setreuid(call: &mut Call<'_>) -> CallResult {
    let change = Change::Two([some(call, 0), some(call, 1)]);
    set(call, |who| who.set_user(change))
}

/// setregid(2). EPERM.
pub fn setregid(call: &mut Call<'_>) -> CallResult {
    let change = Change::Two([some(call, 0), some(call, 1)]);
    set(call, |who| who.set_group(change))
}

/// setresuid(2). EPERM.
pub fn setresuid(call: &mut Call<'_>) -> CallResult {
    let change = Change::Three([some(call, 0), some(call, 1), some(call, 2)]);
    set(call, |who| who.set_user(change))
}

/// setresgid(2). EPERM.
pub fn setresgid(call: &mut Call<'_>) -> CallResult {
    let change = Change::Three([some(call, 0), some(call, 1), some(call, 2)]);
    set(call, |who| who.set_group(change))
}

/// setfsuid(2): the user before.
pub fn setfsuid(call: &mut Call<'_>) -> CallResult {
    let id = some(call, 0);
    Ok(call.process.credentials.borrow_mut().set_file_system_user(id).into())
}

/// setfsgid(2): the group before.
pub fn setfsgid(call: &mut Call<'_>) -> CallResult {
    let id = some(call, 0);
    Ok(call.process.credentials.borrow_mut().set_file_system_group(id).into())
}

/// getresuid(2). EFAULT.
pub fn getresuid(call: &mut Call<'_>) -> CallResult {
    let ids = call.process.credentials.borrow().user;
    put(call, ids)
}

/// getresgid(2). EFAULT.
pub fn getresgid(call: &mut Call<'_>) -> CallResult {
    let ids = call.process.credentials.borrow().group;
    put(call, ids)
}

/// getgroups(2): how many there are, and where there is room, which. EFAULT; EINVAL where there is too little.
pub fn getgroups(call: &mut Call<'_>) -> CallResult {
    let who = call.process.credentials.borrow();
    let room = usize::try_from(call.int(0)).map_err(|_| Errno::INVAL)?;
    if room > 0 {
        if room < who.groups.len() {
            return Err(Errno::INVAL.into());
        }
        let bytes: Vec<u8> = who.groups.iter().flat_map(|group| group.to_le_bytes()).collect();
        call.put(call.args[1], &bytes)?;
    }
    Ok(who.groups.len() as u64)
}

/// setgroups(2). EFAULT, EINVAL, EPERM.
pub fn setgroups(call: &mut Call<'_>) -> CallResult {
    let count = usize::try_from(call.int(0)).ok().filter(|count| *count <= GROUPS_MAX);
    let bytes = count.ok_or(Errno::INVAL)? as u64 * GROUP_BYTES;
    let range = call.bytes(call.args[1], bytes)?;
    let groups = range.bytes().as_chunks().0.iter().map(|group| u32::from_le_bytes(*group));
    let groups = groups.collect();
    set(call, |who| who.set_groups(groups))
}

/// The number at argument `index`; `None` for -1, which leaves what is.
fn some(call: &Call<'_>, index: usize) -> Option<u32> {
    Some(call.uint(index)).filter(|id| *id != u32::MAX)
}

fn set(call: &mut Call<'_>, change: impl FnOnce(&mut Credentials) -> Result<()>) -> CallResult {
    change(&mut call.process.credentials.borrow_mut())?;
    identity::lay_out(call.kernel, call.thread);
    Ok(0)
}

/// Real, effective and saved, to where the arguments say.
fn put(call: &Call<'_>, ids: Ids) -> CallResult {
    for (index, id) in [ids.real, ids.effective, ids.saved].into_iter().enumerate() {
        call.put(call.args[index], &id.to_le_bytes())?;
    }
    Ok(0)
}
