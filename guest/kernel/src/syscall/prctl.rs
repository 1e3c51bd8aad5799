//! What a process or a thread says of itself: prctl(2).

use linux_raw_sys::general::CAP_LAST_CAP;
use linux_raw_sys::prctl;

use super::{Call, CallResult};
use crate::errno::Errno;
use crate::signal::is_signal;
use crate::thread::TIMER_SLACK_NS;

/// Longest name of a thread, without its NUL (TASK_COMM_LEN).
const NAME_MAX: usize = 15;

/// prctl(2).
pub fn prctl(call: &mut Call<'_>) -> CallResult {
    match call.uint(0) {
        prctl::PR_SET_NAME => {
            let mut name = call.string(call.args[1], 4096, Errno::FAULT)?;
            name.truncate(NAME_MAX);
            if call.thread.tid == call.process.pid {
                call.process.name.borrow_mut().clone_from(&name);
            }
            call.thread.name = name;
            Ok(0)
        }
        prctl::PR_GET_NAME => {
            let mut name = [0; NAME_MAX + 1];
            name[..call.thread.name.len()].copy_from_slice(&call.thread.name);
            call.put(call.args[1], &name)?;
            Ok(0)
        }
        prctl::PR_SET_PDEATHSIG | prctl::PR_GET_PDEATHSIG => death_signal(call),
        prctl::PR_SET_CHILD_SUBREAPER | prctl::PR_GET_CHILD_SUBREAPER => subreaper(call),
        prctl::PR_GET_DUMPABLE | prctl::PR_SET_VMA => Ok(0),
        prctl::PR_SET_DUMPABLE if call.args[1] > 1 => Err(Errno::INVAL.into()),
        prctl::PR_SET_NO_NEW_PRIVS if call.args[1..5] != [1, 0, 0, 0] => Err(Errno::INVAL.into()),
        prctl::PR_SET_DUMPABLE | prctl::PR_SET_NO_NEW_PRIVS | prctl::PR_SET_THP_DISABLE => Ok(0),
        prctl::PR_SET_KEEPCAPS if call.args[1] > 1 => Err(Errno::INVAL.into()),
        prctl::PR_SET_KEEPCAPS => {
            call.process.credentials.borrow_mut().keeps_capabilities = call.args[1] == 1;
            Ok(0)
        }
        prctl::PR_GET_KEEPCAPS => Ok(call.process.credentials.borrow().keeps_capabilities.into()),
        prctl::PR_SET_TIMERSLACK => {
            // 0 is the usual.
            let slack_ns = Some(call.args[1]).filter(|slack_ns| *slack_ns > 0);
            call.thread.timer_slack_ns = slack_ns.unwrap_or(TIMER_SLACK_NS);
            Ok(0)
        }
        prctl::PR_GET_TIMERSLACK => Ok(call.thread.timer_slack_ns),
        prctl::PR_GET_TID_ADDRESS => {
            call.put_words(call.args[1], &[call.thread.clear_tid])?;
            Ok(0)
        }
        // There are no filters.
        prctl::PR_GET_SECCOMP | prctl::PR_GET_SECUREBITS => Ok(0),
        prctl::PR_SET_SECUREBITS if call.args[1] == 0 => Ok(0),
        prctl::PR_SET_SECUREBITS => Err(Errno::PERM.into()),
        prctl::PR_CAPBSET_READ | prctl::PR_CAPBSET_DROP if call.args[1] > CAP_LAST_CAP.into() => {
            Err(Errno::INVAL.into())
        }
        prctl::PR_CAPBSET_READ => {
            let of = call.process.credentials.borrow().capabilities;
            Ok(of.bounding >> call.args[1] & 1)
        }
        prctl::PR_CAPBSET_DROP => {
            let of = &mut call.process.credentials.borrow_mut().capabilities;
            Ok(of.drop_bounding(call.uint(1)).map(|()| 0)?)
        }
        prctl::PR_GET_NO_NEW_PRIVS => Ok(1),
        _ => Err(Errno::INVAL.into()),
    }
}

/// PR_SET_PDEATHSIG, PR_GET_PDEATHSIG. EFAULT, EINVAL.
fn death_signal(call: &Call<'_>) -> CallResult {
    let (pid, processes) = (call.process.pid, &call.kernel.processes);
    if call.uint(0) == prctl::PR_SET_PDEATHSIG {
        if call.args[1] != 0 && !is_signal(call.args[1]) {
            return Err(Errno::INVAL.into());
        }
        let signal = call.args[1] as u8;
        processes.with(|families| families.get_mut(pid).map(|of| of.death_signal = signal))?;
        return Ok(0);
    }
    let signal = processes.with(|families| families.get(pid).map(|of| of.death_signal))?;
    call.put(call.args[1], &u32::from(signal).to_le_bytes())?;
    Ok(0)
}

/// PR_SET_CHILD_SUBREAPER, PR_GET_CHILD_SUBREAPER. EFAULT.
fn subreaper(call: &Call<'_>) -> CallResult {
    let (pid, processes) = (call.process.pid, &call.kernel.processes);
    if call.uint(0) == prctl::PR_SET_CHILD_SUBREAPER {
        let is = call.args[1] != 0;
        processes.with(|families| families.get_mut(pid).map(|of| of.is_subreaper = is))?;
        return Ok(0);
    }
    let is = processes.with(|families| families.get(pid).map(|of| of.is_subreaper))?;
    call.put(call.args[1], &u32::from(is).to_le_bytes())?;
    Ok(0)
}
