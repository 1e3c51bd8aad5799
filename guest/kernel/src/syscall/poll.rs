//! Waiting for descriptors: poll(2) and select(2).
//!
//! ```text
//!   look at all descriptors ─┬─ some are ready ─────────────▶ their number
//!        ▲                   ├─ the time is over ───────────▶ 0
//!        │                   ├─ a signal is to be handled ──▶ EINTR
//!        └── something ◀─────┴─ none ──▶ wait
//! ```

use linux_raw_sys::general as linux;

use super::target::opened_fd;
use super::time::timespec;
use super::{Call, CallResult, Stop};
use crate::clock::{self, SECOND};
use crate::errno::{Errno, Result};
use crate::fs::{Fd, Poll};
use crate::signal::blockable;

/// Bytes of a struct pollfd: fd (32 bits), events, revents (16 bits each).
const POLLFD_BYTES: usize = 8;
/// Bytes of the kernel's sigset_t.
const MASK_BYTES: u64 = 8;
/// Nanoseconds in a millisecond.
const MILLISECOND: u64 = 1_000_000;
/// Nanoseconds in a microsecond.
const MICROSECOND: u64 = 1_000;
/// Microseconds in a second.
const SECOND_US: u64 = 1_000_000;
/// Words of the largest fd_set: FD_SETSIZE bits.
const SET_WORDS: usize = (linux::__FD_SETSIZE / u64::BITS) as usize;

/// How long a call waits, and for which signals.
pub(super) struct Patience {
    /// From the call's beginning; `None`: for ever.
    pub timeout_ns: Option<u64>,
    /// The signals that are blocked meanwhile, where these are others than the thread's.
    pub mask: Option<u64>,
}

/// poll(2). EFAULT; EINTR; EINVAL for more descriptors than RLIMIT_NOFILE.
pub fn poll(call: &mut Call<'_>) -> CallResult {
    // A negative time-out is none.
    let timeout_ns = u64::try_from(call.int(2)).ok().map(|ms| ms * MILLISECOND);
    wait_for_list(call, &Patience { timeout_ns, mask: None })
}

/// ppoll(2). As poll(2); EINVAL for a time that is not normalised, or another size of the mask.
pub fn ppoll(call: &mut Call<'_>) -> CallResult {
    let [_, _, time, mask, mask_bytes, _] = call.args;
    let timeout_ns = if time == 0 { None } else { Some(timespec(call, time)?) };
    let patience = Patience { timeout_ns, mask: signal_mask(call, mask, mask_bytes)? };
    let result = wait_for_list(call, &patience);
    tell_rest(call, &result, &patience, |call, rest| {
        call.put_words(time, &[rest / SECOND, rest % SECOND])
    });
    result
}

/// select(2). EBADF, EFAULT, EINTR; EINVAL for a negative time, or for more than FD_SETSIZE descriptors.
pub fn select(call: &mut Call<'_>) -> CallResult {
    let time = call.args[4];
    let timeout_ns = if time == 0 { None } else { Some(timeval(call, time)?) };
    let patience = Patience { timeout_ns, mask: None };
    let result = wait_for_sets(call, &patience);
    tell_rest(call, &result, &patience, |call, rest| {
        call.put_words(time, &[rest / SECOND, rest % SECOND / MICROSECOND])
    });
    result
}

/// pselect6, the call behind pselect(2). As select(2) and ppoll(2); the last argument is the address of
/// the mask's address and size.
pub fn pselect6(call: &mut Call<'_>) -> CallResult {
    let [_, _, _, _, time, packed] = call.args;
    let timeout_ns = if time == 0 { None } else { Some(timespec(call, time)?) };
    let [mask, mask_bytes] = if packed == 0 { [0, 0] } else { call.get_words(packed)? };
    let patience = Patience { timeout_ns, mask: signal_mask(call, mask, mask_bytes)? };
    let result = wait_for_sets(call, &patience);
    tell_rest(call, &result, &patience, |call, rest| {
        call.put_words(time, &[rest / SECOND, rest % SECOND])
    });
    result
}

/// A struct timeval of the program, ns. EINVAL where it is negative.
pub(super) fn timeval(call: &Call<'_>, address: u64) -> Result<u64> {
    timeval_ns(call.get_words(address)?)
}

/// The words of one, ns. EINVAL as [`timeval`].
pub(super) fn timeval_ns([seconds, us]: [u64; 2]) -> Result<u64> {
    if (seconds as i64) < 0 || (us as i64) < 0 {
        return Err(Errno::INVAL);
    }
    let seconds = seconds.saturating_add(us / SECOND_US);
    Ok(seconds.saturating_mul(SECOND).saturating_add(us % SECOND_US * MICROSECOND))
}

/// The mask at `address`; `None` where there is none. EFAULT, EINVAL.
pub(super) fn signal_mask(call: &Call<'_>, address: u64, bytes: u64) -> Result<Option<u64>> {
    if address == 0 {
        return Ok(None);
    }
    if bytes != MASK_BYTES {
        return Err(Errno::INVAL);
    }
    let [mask] = call.get_words(address)?;
    Ok(Some(blockable(mask)))
}

/// Nothing is ready: 0 where the time is over, EINTR where a signal is to be handled, else waits.
pub(super) fn nothing_yet(call: &mut Call<'_>, patience: &Patience) -> CallResult {
    if patience.timeout_ns == Some(0) {
        call.kernel.glance();
    }
    if let Some(mask) = patience.mask {
        call.use_mask(mask);
    }
    if call.is_interrupted() {
        return Err(Errno::INTR.into());
    }
    match call.wait(patience.timeout_ns, Errno::TIMEDOUT) {
        Stop::Wait => Err(Stop::Wait),
        _ => Ok(0),
    }
}

/// Tells the program how much of its time is left, once the call is over. As Linux, it does not mind
/// where that can't be written.
fn tell_rest(
    call: &Call<'_>,
    result: &CallResult,
    patience: &Patience,
    put: impl FnOnce(&Call<'_>, u64) -> Result<()>,
) {
    let over = matches!(result, Ok(_) | Err(Stop::Errno(Errno::INTR)));
    if let Some(timeout_ns) = patience.timeout_ns.filter(|_| over) {
        let deadline = call.thread.pending.deadline_ns;
        let rest =
            deadline.map_or(timeout_ns, |deadline| deadline.saturating_sub(clock::monotonic_ns()));
        let _ = put(call, rest);
    }
}

/// poll(2)'s array: an entry is ignored where its descriptor is negative.
fn wait_for_list(call: &mut Call<'_>, patience: &Patience) -> CallResult {
    let (address, count) = (call.args[0], call.uint(1));
    if count > call.process.files.limit() {
        return Err(Errno::INVAL.into());
    }
    let mut range = call.bytes_mut(address, u64::from(count) * POLLFD_BYTES as u64)?;
    let mut ready = 0;
    for entry in range.bytes_mut().as_chunks_mut::<POLLFD_BYTES>().0 {
        let [a, b, c, d, low, high, ..] = *entry;
        let fd = i32::from_le_bytes([a, b, c, d]);
        let wanted = u32::from(u16::from_le_bytes([low, high]));
        let events = match Fd::try_from(fd) {
            Ok(fd) => poll_events(call, fd, wanted),
            Err(_) => 0,
        };
        entry[6..].copy_from_slice(&(events as u16).to_le_bytes());
        ready += u64::from(events != 0);
    }
    if ready > 0 { Ok(ready) } else { nothing_yet(call, patience) }
}

/// What of `wanted` a descriptor is ready for, and what is told unasked (poll(2)).
fn poll_events(call: &Call<'_>, fd: Fd, wanted: u32) -> u32 {
    const UNASKED: u32 = linux::POLLERR | linux::POLLHUP;
    match readiness(call, fd) {
        Ok(poll) => poll.events() & (wanted | UNASKED),
        Err(_) => linux::POLLNVAL,
    }
}

fn readiness(call: &Call<'_>, fd: Fd) -> Result<Poll> {
    Ok(opened_fd(call, fd)?.poll())
}

/// An fd_set: bit n of word n / 64 for descriptor n.
type Set = [u64; SET_WORDS];

/// The three sets of select(2), and what of a file's readiness puts it into each.
const SETS: [Poll; 3] =
    [Poll::IN.union(Poll::HUP).union(Poll::ERR), Poll::OUT.union(Poll::ERR), Poll::PRI];

/// select(2)'s sets, arguments 1 to 3: those that are asked for are overwritten with what is ready, once
/// the call is over.
fn wait_for_sets(call: &mut Call<'_>, patience: &Patience) -> CallResult {
    let count = usize::try_from(call.int(0)).map_err(|_| Errno::INVAL)?;
    if count > SET_WORDS * u64::BITS as usize {
        return Err(Errno::INVAL.into());
    }
    let words = count.div_ceil(u64::BITS as usize);
    let addresses = [call.args[1], call.args[2], call.args[3]];
    let mut wanted = [Set::default(); SETS.len()];
    for (set, address) in wanted.iter_mut().zip(addresses) {
        if address != 0 {
            get_set(call, address, &mut set[..words])?;
        }
    }
    let mut ready = [Set::default(); SETS.len()];
    let mut total = 0;
    for fd in 0..count {
        let (word, bit) = (fd / u64::BITS as usize, 1 << (fd % u64::BITS as usize));
        if wanted.iter().all(|set| set[word] & bit == 0) {
            continue;
        }
        let poll = readiness(call, fd as Fd)?;
        for ((wanted, ready), of_set) in wanted.iter().zip(&mut ready).zip(SETS) {
            if wanted[word] & bit != 0 && poll.intersects(of_set) {
                ready[word] |= bit;
                total += 1;
            }
        }
    }
    let over = if total > 0 { total } else { nothing_yet(call, patience)? };
    for (set, address) in ready.iter().zip(addresses) {
        if address != 0 {
            call.put_words(address, &set[..words])?;
        }
    }
    Ok(over)
}

/// Copies the first words of the program's fd_set. EFAULT.
fn get_set(call: &Call<'_>, address: u64, set: &mut [u64]) -> Result<()> {
    let range = call.bytes(address, set.len() as u64 * 8)?;
    for (word, bytes) in set.iter_mut().zip(range.bytes().as_chunks().0) {
        *word = u64::from_le_bytes(*bytes);
    }
    Ok(())
}
