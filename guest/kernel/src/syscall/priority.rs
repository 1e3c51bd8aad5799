//! How processes let others go first: getpriority(2), setpriority(2). It is kept and told; turns are the same for all.

use alloc::rc::Rc;
use alloc::vec::Vec;

use linux_raw_sys::general as linux;

use super::{Call, CallResult};
use crate::credentials::ROOT;
use crate::errno::{Errno, Result};
use crate::process::Process;

/// The most that one may want to go first.
const NICE_MIN: i32 = -20;
/// The most that one may let others go first.
const NICE_MAX: i32 = 19;
/// The raw call answers this less the nice value, so that no answer is an error.
const ANSWER_BASE: i32 = 20;

/// getpriority(2): the highest of those that are meant. EINVAL, ESRCH.
pub fn getpriority(call: &mut Call<'_>) -> CallResult {
    let least = meant(call)?.iter().map(|process| process.nice.get()).min();
    let nice = i32::from(least.ok_or(Errno::SRCH)?);
    Ok((ANSWER_BASE - nice) as u64)
}

/// setpriority(2). EINVAL, ESRCH; EPERM for another user's process; EACCES where it would go first more than before.
pub fn setpriority(call: &mut Call<'_>) -> CallResult {
    let meant = meant(call)?;
    if meant.is_empty() {
        return Err(Errno::SRCH.into());
    }
    let nice = call.int(2).clamp(NICE_MIN, NICE_MAX) as i8;
    let own = call.process.credentials.borrow().clone();
    let is_privileged = own.capabilities.has(linux::CAP_SYS_NICE);
    for process in meant {
        let user = process.credentials.borrow().user;
        if !is_privileged && ![user.real, user.effective].contains(&own.user.effective) {
            return Err(Errno::PERM.into());
        }
        if !is_privileged && nice < process.nice.get() {
            return Err(Errno::ACCES.into());
        }
        process.nice.set(nice);
    }
    Ok(0)
}

/// The processes that the first two arguments mean: one, a group's, a user's; 0 is the caller's. EINVAL.
fn meant(call: &Call<'_>) -> Result<Vec<Rc<Process>>> {
    let (which, who, processes) = (call.uint(0), call.uint(1), &call.kernel.processes);
    let own = call.process;
    Ok(match which {
        linux::PRIO_PROCESS if who == 0 => [own.clone()].into(),
        linux::PRIO_PROCESS => {
            let pid = call.kernel.threads.with(who, |thread| thread.process.pid).unwrap_or(who);
            processes.get(pid).into_iter().collect()
        }
        linux::PRIO_PGRP => {
            let group = if who == 0 { processes.group(own.pid) } else { who };
            let pids = processes.with(|families| families.group(group));
            pids.into_iter().filter_map(|pid| processes.get(pid)).collect()
        }
        linux::PRIO_USER => {
            let user = if who == ROOT { own.credentials.borrow().user.real } else { who };
            let is_theirs = |process: &Rc<Process>| process.credentials.borrow().user.real == user;
            processes.living().into_iter().filter(is_theirs).collect()
        }
        _ => return Err(Errno::INVAL),
    })
}
