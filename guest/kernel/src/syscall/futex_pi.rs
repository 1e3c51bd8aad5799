//! Futexes with priority inheritance (futex(2), FUTEX_LOCK_PI): the word says whose it is, and the kernel hands it over.
//!
//! ```text
//!   word     owner's number │ FUTEX_WAITERS: unlock it by a call │ FUTEX_OWNER_DIED
//!
//!   0 ──── locked by the program itself, or LOCK_PI ────▶ owner ──── somebody else's LOCK_PI ────▶ owner, WAITERS
//!   ▲                                                                                                  │
//!   └───────── UNLOCK_PI, with nobody left ◀── the longest wait becomes the owner ◀── UNLOCK_PI ───────┤
//!                                              … and learns that OWNER_DIED ◀───────── its end ────────┘
//! ```
//!
//! All threads have the same priority, and one vCPU takes them in turn: there is nothing to inherit, and the rest of the
//! protocol is as on Linux.

use linux_raw_sys::general as linux;

use super::futex::{key, moment, value};
use super::{Call, CallResult, Stop};
use crate::agenda::Tid;
use crate::errno::{Errno, Result};
use crate::futex::Key;

/// FUTEX_LOCK_PI, FUTEX_LOCK_PI2, FUTEX_TRYLOCK_PI. EAGAIN where only trying; EDEADLK; ESRCH where the owner is gone;
/// EFAULT, EINVAL, ETIMEDOUT. A signal's handler runs, and the call goes on.
pub(super) fn lock(call: &mut Call<'_>, waits: bool, on_realtime: bool) -> CallResult {
    let (tid, address) = (call.thread.tid, call.args[0]);
    let (key, word) = (key(call, address)?, value(call, address)?);
    let owner = word & linux::FUTEX_TID_MASK;
    let was_queued = call.thread.pending.queued;
    if was_queued && call.kernel.threads.is_at_futex(tid) {
        return sleep(call);
    }
    if owner == tid {
        // It was handed over.
        return if was_queued { Ok(0) } else { Err(Errno::DEADLK.into()) };
    }
    if owner == 0 {
        return take(call, key, word & linux::FUTEX_OWNER_DIED);
    }
    if !call.kernel.threads.is_parked(owner) {
        // Its end has woken the one that has waited longest.
        let heir = if was_queued { Ok(()) } else { Err(Errno::SRCH) };
        return heir.map_err(Stop::from).and_then(|()| take(call, key, linux::FUTEX_OWNER_DIED));
    }
    if !waits {
        return Err(Errno::AGAIN.into());
    }
    let timeout_ns = moment(call, on_realtime)?;
    call.put(address, &(word | linux::FUTEX_WAITERS).to_le_bytes())?;
    call.is_over(timeout_ns);
    (call.thread.pending.queued, call.thread.pending.restarts) = (true, true);
    call.kernel.threads.inherit_at(key, tid, owner);
    sleep(call)
}

/// Waits in the queue until the futex is handed over.
fn sleep(call: &mut Call<'_>) -> CallResult {
    let stop = call.sleep(None, Errno::TIMEDOUT);
    if stop != Stop::Sleep {
        call.kernel.threads.leave_futex(call.thread.tid);
    }
    Err(stop)
}

/// The futex is the caller's from now on.
fn take(call: &Call<'_>, key: Key, died: u32) -> CallResult {
    let waiters = call.kernel.threads.own_futex(key, call.thread.tid);
    put(call, call.thread.tid | died, waiters)?;
    Ok(0)
}

/// FUTEX_UNLOCK_PI. EPERM where it is not the caller's; EFAULT, EINVAL.
pub(super) fn unlock(call: &Call<'_>) -> CallResult {
    let (key, word) = (key(call, call.args[0])?, value(call, call.args[0])?);
    if word & linux::FUTEX_TID_MASK != call.thread.tid {
        return Err(Errno::PERM.into());
    }
    let (heir, waiters) = call.kernel.threads.hand_over(key).unwrap_or((0, false));
    put(call, heir, waiters)?;
    Ok(0)
}

fn put(call: &Call<'_>, owner: Tid, waiters: bool) -> Result<()> {
    let waiters = if waiters { linux::FUTEX_WAITERS } else { 0 };
    call.put(call.args[0], &(owner | waiters).to_le_bytes())
}
