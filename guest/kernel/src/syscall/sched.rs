//! Scheduling as programs ask for it (sched(7)): one vCPU, one policy.

use linux_raw_sys::general::membarrier_cmd;

use super::{Call, CallResult};
use crate::errno::{Errno, Result};
use crate::family::INIT;
use crate::slice::SLICE_NS;

/// SCHED_OTHER: the only policy.
const SCHED_OTHER: u32 = linux_raw_sys::general::SCHED_NORMAL;
/// The policies with priorities, 1 to 99: SCHED_FIFO and SCHED_RR. SCHED_BATCH and SCHED_IDLE have none.
const REAL_TIME: [u32; 2] = [1, 2];
const WITHOUT_PRIORITY: [u32; 3] = [SCHED_OTHER, 3, 5];
const PRIORITY_MAX: u64 = 99;
/// membarrier(2)'s commands: which there are …
const QUERY: u32 = membarrier_cmd::MEMBARRIER_CMD_QUERY as u32;
/// … and those.
const BARRIERS: u32 = membarrier_cmd::MEMBARRIER_CMD_GLOBAL as u32
    | membarrier_cmd::MEMBARRIER_CMD_GLOBAL_EXPEDITED as u32
    | membarrier_cmd::MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED as u32
    | membarrier_cmd::MEMBARRIER_CMD_PRIVATE_EXPEDITED as u32
    | membarrier_cmd::MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED as u32;

/// sched_yield(2): all others that are ready come first.
pub fn sched_yield(call: &mut Call<'_>) -> CallResult {
    call.kernel.slice.give_up();
    Ok(0)
}

/// sched_getaffinity(2): the one vCPU. EINVAL for a short buffer, ESRCH.
pub fn sched_getaffinity(call: &mut Call<'_>) -> CallResult {
    check_thread(call)?;
    if call.args[1] < 8 || !call.args[1].is_multiple_of(8) {
        return Err(Errno::INVAL.into());
    }
    call.put_words(call.args[2], &[1])?;
    Ok(8)
}

/// sched_setaffinity(2): the one vCPU must be among those that are asked for. EFAULT, EINVAL, ESRCH.
pub fn sched_setaffinity(call: &mut Call<'_>) -> CallResult {
    check_thread(call)?;
    if call.args[1] == 0 {
        return Err(Errno::INVAL.into());
    }
    let [first] = call.get(call.args[2])?;
    if first & 1 == 1 { Ok(0) } else { Err(Errno::INVAL.into()) }
}

/// sched_getscheduler(2). ESRCH.
pub fn sched_getscheduler(call: &mut Call<'_>) -> CallResult {
    check_thread(call)?;
    Ok(SCHED_OTHER.into())
}

/// sched_setscheduler(2). EPERM for a policy with priorities; EFAULT, EINVAL, ESRCH.
pub fn sched_setscheduler(call: &mut Call<'_>) -> CallResult {
    check_thread(call)?;
    let priority = i32::from_le_bytes(call.get(call.args[2])?);
    match call.uint(1) {
        policy if WITHOUT_PRIORITY.contains(&policy) && priority == 0 => Ok(0),
        policy if REAL_TIME.contains(&policy) => Err(Errno::PERM.into()),
        _ => Err(Errno::INVAL.into()),
    }
}

/// sched_getparam(2). EFAULT, ESRCH.
pub fn sched_getparam(call: &mut Call<'_>) -> CallResult {
    check_thread(call)?;
    call.put(call.args[1], &0u32.to_le_bytes())?;
    Ok(0)
}

/// sched_setparam(2): the one policy has no priorities. EFAULT, EINVAL, ESRCH.
pub fn sched_setparam(call: &mut Call<'_>) -> CallResult {
    check_thread(call)?;
    let priority = i32::from_le_bytes(call.get(call.args[1])?);
    if priority == 0 { Ok(0) } else { Err(Errno::INVAL.into()) }
}

/// sched_rr_get_interval(2): how long a thread runs while others would. EFAULT, EINVAL, ESRCH.
pub fn sched_rr_get_interval(call: &mut Call<'_>) -> CallResult {
    if call.int(0) < 0 {
        return Err(Errno::INVAL.into());
    }
    check_thread(call)?;
    call.put_words(call.args[1], &[0, SLICE_NS])?;
    Ok(0)
}

/// membarrier(2): with one vCPU every thread sees the others' writes in order, registered or not. EINVAL.
pub fn membarrier(call: &mut Call<'_>) -> CallResult {
    let (command, flags) = (call.uint(0), call.uint(1));
    match command {
        QUERY if flags == 0 => Ok(BARRIERS.into()),
        command if flags == 0 && command.is_power_of_two() && command & BARRIERS != 0 => Ok(0),
        _ => Err(Errno::INVAL.into()),
    }
}

/// sched_get_priority_max(2). EINVAL.
pub fn sched_get_priority_max(call: &mut Call<'_>) -> CallResult {
    priority(call, PRIORITY_MAX)
}

/// sched_get_priority_min(2). EINVAL.
pub fn sched_get_priority_min(call: &mut Call<'_>) -> CallResult {
    priority(call, 1)
}

fn priority(call: &Call<'_>, real_time: u64) -> CallResult {
    match call.uint(0) {
        policy if REAL_TIME.contains(&policy) => Ok(real_time),
        policy if WITHOUT_PRIORITY.contains(&policy) => Ok(0),
        _ => Err(Errno::INVAL.into()),
    }
}

/// ESRCH where argument 0 is no thread's number, nor init's, nor 0 for the caller's.
fn check_thread(call: &Call<'_>) -> Result<()> {
    let tid = call.uint(0);
    let exists =
        tid <= INIT || tid == call.thread.tid || call.kernel.threads.with(tid, |_| ()).is_some();
    if exists { Ok(()) } else { Err(Errno::SRCH) }
}
