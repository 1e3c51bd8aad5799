//! Waiting for a word of memory (futex(2)).
//!
//! A waiting call is made again like any other. That it was woken it learns from the queue, which it is not in any
//! more; it looks at the word the first time alone.

use linux_raw_sys::general as linux;

use super::time::timespec;
use super::{Call, CallResult, Stop, futex_pi};
use crate::clock;
use crate::errno::{Errno, Result};
use crate::futex::{ANY, Key};

/// Bytes of a futex.
const WORD_BYTES: u64 = 4;
/// As FUTEX_LOCK_PI, with a choice of clocks.
const FUTEX_LOCK_PI2: u32 = 13;
/// In FUTEX_WAKE_OP's operation: the operand is a number of bits to shift 1 by.
const OPERAND_SHIFTS: u32 = linux::FUTEX_OP_OPARG_SHIFT;

/// futex(2). EAGAIN where the value has changed, EFAULT, EINTR, EINVAL, ETIMEDOUT; ENOSYS for what libraries do not use
/// any more.
pub fn futex(call: &mut Call<'_>) -> CallResult {
    let operation = call.uint(1) & !linux::FUTEX_PRIVATE_FLAG;
    let command = operation & !linux::FUTEX_CLOCK_REALTIME;
    let has_clock = matches!(command, linux::FUTEX_WAIT_BITSET | FUTEX_LOCK_PI2);
    if command != operation && !has_clock {
        return Err(Errno::NOSYS.into());
    }
    match command {
        linux::FUTEX_WAIT => wait(call, operation, ANY),
        linux::FUTEX_WAIT_BITSET => wait(call, operation, call.uint(5)),
        linux::FUTEX_WAKE => wake(call, ANY),
        linux::FUTEX_WAKE_BITSET => wake(call, call.uint(5)),
        linux::FUTEX_REQUEUE => requeue(call),
        linux::FUTEX_CMP_REQUEUE => {
            if value(call, call.args[0])? != call.uint(5) {
                return Err(Errno::AGAIN.into());
            }
            requeue(call)
        }
        linux::FUTEX_WAKE_OP => wake_operation(call),
        // FUTEX_LOCK_PI's time is always by that clock.
        linux::FUTEX_LOCK_PI => futex_pi::lock(call, true, true),
        FUTEX_LOCK_PI2 => futex_pi::lock(call, true, command != operation),
        linux::FUTEX_TRYLOCK_PI => futex_pi::lock(call, false, false),
        linux::FUTEX_UNLOCK_PI => futex_pi::unlock(call),
        _ => Err(Errno::NOSYS.into()),
    }
}

fn wait(call: &mut Call<'_>, operation: u32, bits: u32) -> CallResult {
    let tid = call.thread.tid;
    if call.thread.pending.queued {
        if !call.kernel.threads.is_at_futex(tid) {
            return Ok(0);
        }
    } else {
        let key = key(call, call.args[0])?;
        if bits == 0 {
            return Err(Errno::INVAL.into());
        }
        let timeout_ns = timeout(call, operation)?;
        if value(call, call.args[0])? != call.uint(2) {
            return Err(Errno::AGAIN.into());
        }
        // Sets the deadline: a moment that has passed counts as a wait that was too long.
        call.is_over(timeout_ns);
        call.thread.pending.queued = true;
        call.kernel.threads.wait_at(key, tid, bits);
    }
    let stop = call.sleep(None, Errno::TIMEDOUT);
    if stop != Stop::Sleep {
        call.kernel.threads.leave_futex(tid);
    }
    Err(stop)
}

/// How long to wait, ns. FUTEX_WAIT's time is a duration, FUTEX_WAIT_BITSET's a moment.
fn timeout(call: &Call<'_>, operation: u32) -> Result<Option<u64>> {
    match (operation, call.args[3]) {
        (linux::FUTEX_WAIT, 0) => Ok(None),
        (linux::FUTEX_WAIT, time) => timespec(call, time).map(Some),
        _ => moment(call, operation & linux::FUTEX_CLOCK_REALTIME != 0),
    }
}

/// How long it is to the moment at argument 3, ns; `None` where there is none.
pub(super) fn moment(call: &Call<'_>, on_realtime: bool) -> Result<Option<u64>> {
    if call.args[3] == 0 {
        return Ok(None);
    }
    let now = if on_realtime { clock::realtime_ns() } else { clock::monotonic_ns() };
    Ok(Some(timespec(call, call.args[3])?.saturating_sub(now)))
}

fn wake(call: &Call<'_>, bits: u32) -> CallResult {
    let key = key(call, call.args[0])?;
    if bits == 0 {
        return Err(Errno::INVAL.into());
    }
    Ok(call.kernel.threads.wake_at(key, count(call.int(2)), bits).into())
}

/// FUTEX_WAKE's number: as Linux, 0 and less wake one.
fn count(most: i32) -> u32 {
    most.max(1) as u32
}

/// FUTEX_REQUEUE: wakes some, and has others wait at another futex.
fn requeue(call: &Call<'_>) -> CallResult {
    let (from, to) = (key(call, call.args[0])?, key(call, call.args[4])?);
    let number = |index: usize| u32::try_from(call.int(index)).map_err(|_| Errno::INVAL);
    Ok(call.kernel.threads.requeue(from, to, number(2)?, number(3)?).into())
}

/// FUTEX_WAKE_OP: changes the second word, wakes at the first, and at the second where its old value compares so.
fn wake_operation(call: &Call<'_>) -> CallResult {
    let (first, second) = (key(call, call.args[0])?, key(call, call.args[4])?);
    let packed = call.uint(5);
    // Four bits of operation, four of comparison, and twelve for each operand, signed.
    let (operation, comparison) = (packed >> 28, packed >> 24 & 0xf);
    let operand = ((packed << 8) as i32 >> 20) as u32;
    let other = (packed << 20) as i32 >> 20;
    let operand = if operation & OPERAND_SHIFTS != 0 { 1 << (operand & 31) } else { operand };
    let old = value(call, call.args[4])?;
    let new = match operation & !OPERAND_SHIFTS {
        linux::FUTEX_OP_SET => operand,
        linux::FUTEX_OP_ADD => old.wrapping_add(operand),
        linux::FUTEX_OP_OR => old | operand,
        linux::FUTEX_OP_ANDN => old & !operand,
        linux::FUTEX_OP_XOR => old ^ operand,
        _ => return Err(Errno::NOSYS.into()),
    };
    let signed = old as i32;
    let holds = match comparison {
        linux::FUTEX_OP_CMP_EQ => signed == other,
        linux::FUTEX_OP_CMP_NE => signed != other,
        linux::FUTEX_OP_CMP_LT => signed < other,
        linux::FUTEX_OP_CMP_LE => signed <= other,
        linux::FUTEX_OP_CMP_GT => signed > other,
        linux::FUTEX_OP_CMP_GE => signed >= other,
        _ => return Err(Errno::NOSYS.into()),
    };
    call.put(call.args[4], &new.to_le_bytes())?;
    let threads = &call.kernel.threads;
    let woken = threads.wake_at(first, count(call.int(2)), ANY);
    let more = if holds { threads.wake_at(second, count(call.int(3)), ANY) } else { 0 };
    Ok((woken + more).into())
}

/// The futex at an address. EINVAL where it is not aligned.
pub(super) fn key(call: &Call<'_>, address: u64) -> Result<Key> {
    if !address.is_multiple_of(WORD_BYTES) {
        return Err(Errno::INVAL);
    }
    let is_private = call.uint(1) & linux::FUTEX_PRIVATE_FLAG != 0;
    if !is_private {
        // What others may wait at is known by what is behind the address.
        value(call, address)?;
    }
    Ok(call.process.space().borrow().futex(address, is_private))
}

/// The word at an address. EFAULT, EINVAL.
pub(super) fn value(call: &Call<'_>, address: u64) -> Result<u32> {
    if !address.is_multiple_of(WORD_BYTES) {
        return Err(Errno::INVAL);
    }
    Ok(u32::from_le_bytes(call.get(address)?))
}
