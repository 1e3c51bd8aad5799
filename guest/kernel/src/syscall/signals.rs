//! Signals: sigaction(2) and its like.

use alloc::rc::Rc;

use linux_raw_sys::general as linux;

use super::time::timespec;
use super::{Call, CallResult, Stop};
use crate::errno::{Errno, Result};
use crate::family::{INIT, Pid};
use crate::sigframe;
use crate::signal::{Action, Info, bit, blockable, is_signal};
use crate::thread::Thread;

/// Bytes of the kernel's sigset_t.
pub(super) const MASK_BYTES: u64 = 8;
/// Smallest alternate stack (MINSIGSTKSZ).
const MINSIGSTKSZ: u64 = 2048;

/// rt_sigaction(2). EINVAL, EFAULT.
pub fn rt_sigaction(call: &mut Call<'_>) -> CallResult {
    let [number, new, old, mask_bytes, ..] = call.args;
    if mask_bytes != MASK_BYTES || !is_signal(number) {
        return Err(Errno::INVAL.into());
    }
    let signal = number as u8;
    let before = call.process.signals.borrow().actions.get(signal);
    if new != 0 {
        let [handler, flags, restorer, mask] = call.get_words(new)?;
        let action = Action { handler, flags, restorer, mask };
        if !call.process.signals.borrow_mut().actions.set(signal, action) {
            return Err(Errno::INVAL.into());
        }
        forget_ignored(call, signal);
    }
    if old != 0 {
        call.put_words(old, &[before.handler, before.flags, before.restorer, before.mask])?;
    }
    Ok(0)
}

/// Forgets a signal that waits and is ignored from now on.
fn forget_ignored(call: &mut Call<'_>, signal: u8) {
    let mut signals = call.process.signals.borrow_mut();
    if signals.actions.is_ignored(signal) {
        signals.queue.remove(bit(signal));
        call.thread.signals.borrow_mut().remove(bit(signal));
        let forget = |thread: &mut Thread| thread.signals.borrow_mut().remove(bit(signal));
        call.kernel.threads.for_each(call.process, forget);
    }
}

/// rt_sigprocmask(2). EINVAL, EFAULT.
pub fn rt_sigprocmask(call: &mut Call<'_>) -> CallResult {
    let [_, new, old, mask_bytes, ..] = call.args;
    if mask_bytes != MASK_BYTES {
        return Err(Errno::INVAL.into());
    }
    let before = call.thread.blocked;
    if new != 0 {
        let [mask] = call.get_words(new)?;
        call.thread.blocked = blockable(match call.uint(0) {
            linux::SIG_BLOCK => before | mask,
            linux::SIG_UNBLOCK => before & !mask,
            linux::SIG_SETMASK => mask,
            _ => return Err(Errno::INVAL.into()),
        });
    }
    if old != 0 {
        call.put_words(old, &[before])?;
    }
    Ok(0)
}

/// rt_sigpending(2).
pub fn rt_sigpending(call: &mut Call<'_>) -> CallResult {
    let waiting = call.process.signals.borrow().queue.mask();
    let waiting = waiting | call.thread.signals.borrow().mask();
    call.put_words(call.args[0], &[waiting & call.thread.blocked])?;
    Ok(0)
}

/// rt_sigsuspend(2): waits, with another mask, for a signal. The mask stays in force for the handler,
/// and the frame restores the old one. EINTR.
pub fn rt_sigsuspend(call: &mut Call<'_>) -> CallResult {
    let [mask] = call.get_words(call.args[0])?;
    call.use_mask(mask);
    pause(call)
}

/// pause(2). EINTR; never made again, whatever SA_RESTART says.
pub fn pause(call: &mut Call<'_>) -> CallResult {
    Err(if call.is_interrupted() { Errno::INTR.into() } else { Stop::Sleep })
}

/// rt_sigtimedwait, the call behind sigwait(3) and its kin: takes a signal of a set that is blocked. EAGAIN once the
/// time is over, EINTR, EINVAL.
pub fn rt_sigtimedwait(call: &mut Call<'_>) -> CallResult {
    let [set, to, time, mask_bytes, ..] = call.args;
    if mask_bytes != MASK_BYTES {
        return Err(Errno::INVAL.into());
    }
    let [set] = call.get_words(set)?;
    let set = blockable(set);
    let timeout_ns = if time == 0 { None } else { Some(timespec(call, time)?) };
    let own = call.thread.signals.borrow_mut().take(set);
    if let Some(info) = own.or_else(|| call.process.signals.borrow_mut().queue.take(set)) {
        if to != 0 {
            call.put_words(to, &info.to_words())?;
        }
        return Ok(info.signal.into());
    }
    if call.is_interrupted() {
        return Err(Errno::INTR.into());
    }
    call.thread.pending.awaited = set;
    Err(call.sleep(timeout_ns, Errno::AGAIN))
}

/// rt_sigreturn(2).
pub fn rt_sigreturn(call: &mut Call<'_>) -> CallResult {
    sigframe::leave(&call.kernel.fpu, call.thread)?;
    Err(Stop::Resume)
}

/// sigaltstack(2). EINVAL, ENOMEM, EPERM while it is in use.
pub fn sigaltstack(call: &mut Call<'_>) -> CallResult {
    let [new, old, ..] = call.args;
    let (base, size) = call.thread.alternate_stack;
    let state = sigframe::stack_state(call.thread);
    if new != 0 {
        let [base, flags, size] = call.get_words(new)?;
        let flags = flags as u32;
        if state == linux::SS_ONSTACK {
            return Err(Errno::PERM.into());
        }
        call.thread.alternate_stack = match flags {
            linux::SS_DISABLE => (0, 0),
            0 | linux::SS_ONSTACK if size >= MINSIGSTKSZ => (base, size),
            0 | linux::SS_ONSTACK => return Err(Errno::NOMEM.into()),
            _ => return Err(Errno::INVAL.into()),
        };
    }
    if old != 0 {
        call.put_words(old, &[base, state.into(), size])?;
    }
    Ok(0)
}

/// kill(2): to a process, a group, or all but the caller. EINVAL, ESRCH.
pub fn kill(call: &mut Call<'_>) -> CallResult {
    let signal = signal(call.args[1])?;
    if call.int(0) == INIT as i32 {
        // Init does not mind.
        return Ok(0);
    }
    let info = from_caller(call, signal.unwrap_or(0), linux::SI_USER as i32);
    let meant = call.kernel.processes.meant(call.process.pid, call.int(0))?;
    let mut sent = Err(Errno::SRCH);
    for pid in meant {
        let result = send_to_process(call, pid, signal.map(|_| info));
        // One that it reached is enough.
        sent = sent.or(result);
    }
    Ok(sent.map(|()| 0)?)
}

/// Sends a signal to a process, as kill(2) does, or as the siginfo_t at `info` says where that is not 0. EFAULT, EINVAL,
/// EPERM, ESRCH.
pub(super) fn send(call: &Call<'_>, pid: Pid, number: u64, info: u64) -> CallResult {
    let info = match info {
        0 => from_caller(call, 0, linux::SI_USER as i32),
        address => made_up(call, pid, address)?,
    };
    let signal = signal(number)?;
    send_to_process(call, pid, signal.map(|signal| Info { signal, ..info }))?;
    Ok(0)
}

/// tkill(2).
pub fn tkill(call: &mut Call<'_>) -> CallResult {
    let info = from_caller(call, 0, linux::SI_TKILL);
    send_to_thread(call, None, (call.args[0], call.args[1]), info)
}

/// tgkill(2).
pub fn tgkill(call: &mut Call<'_>) -> CallResult {
    let info = from_caller(call, 0, linux::SI_TKILL);
    let pid = positive(call.args[0])?;
    send_to_thread(call, Some(pid), (call.args[1], call.args[2]), info)
}

/// rt_sigqueueinfo(2), the call behind sigqueue(3). EPERM where another process is to believe that the kernel, or kill(2),
/// has sent it.
pub fn rt_sigqueueinfo(call: &mut Call<'_>) -> CallResult {
    let [_, signal, info, ..] = call.args;
    if info == 0 {
        return Err(Errno::FAULT.into());
    }
    send(call, call.uint(0), signal, info)
}

/// rt_tgsigqueueinfo(2). EPERM as for rt_sigqueueinfo(2).
pub fn rt_tgsigqueueinfo(call: &mut Call<'_>) -> CallResult {
    let pid = positive(call.args[0])?;
    let info = made_up(call, pid, call.args[3])?;
    send_to_thread(call, Some(pid), (call.args[1], call.args[2]), info)
}

/// The program's own siginfo_t. To itself it may claim what it likes.
fn made_up(call: &Call<'_>, pid: Pid, address: u64) -> Result<Info> {
    let [_, code, first, second, third] = call.get_words(address)?;
    let code = code as i32;
    if pid != call.process.pid && (code >= 0 || code == linux::SI_TKILL) {
        return Err(Errno::PERM);
    }
    Ok(Info { signal: 0, code, fields: [first, second, third] })
}

/// What the caller sends of itself.
pub(super) fn from_caller(call: &Call<'_>, signal: u8, code: i32) -> Info {
    Info::from_process(signal, code, call.process.pid, call.process.credentials.borrow().user.real)
}

/// A number above 0. EINVAL.
fn positive(number: u64) -> Result<u32> {
    u32::try_from(number as i32).ok().filter(|number| *number > 0).ok_or(Errno::INVAL)
}

/// A signal's number; 0 asks only whether it could be sent. EINVAL.
fn signal(number: u64) -> Result<Option<u8>> {
    match number & u64::from(u32::MAX) {
        0 => Ok(None),
        number if is_signal(number) => Ok(Some(number as u8)),
        _ => Err(Errno::INVAL),
    }
}

/// Sends it; or asks only whether there is such a process. To one that has ended nothing happens. EAGAIN, ESRCH.
fn send_to_process(call: &Call<'_>, pid: Pid, info: Option<Info>) -> Result<()> {
    match call.kernel.processes.find(pid)?.zip(info) {
        Some((process, info)) => call.kernel.send(&process, info, Some(call.thread)),
        None => Ok(()),
    }
}

/// Sends a signal to a thread, of process `pid` where that is given. EAGAIN, EINVAL, ESRCH.
fn send_to_thread(
    call: &mut Call<'_>,
    pid: Option<Pid>,
    (tid, number): (u64, u64),
    info: Info,
) -> CallResult {
    let (tid, signal) = (positive(tid)?, signal(number)?);
    let threads = &call.kernel.threads;
    let process = match tid == call.thread.tid {
        true => Rc::clone(call.process),
        false => threads.with(tid, |thread| Rc::clone(&thread.process)).ok_or(Errno::SRCH)?,
    };
    if pid.is_some_and(|pid| pid != process.pid) {
        return Err(Errno::SRCH.into());
    }
    let Some(signal) = signal else { return Ok(0) };
    let info = Info { signal, ..info };
    call.kernel.settle(&process, signal);
    if tid != call.thread.tid {
        return Ok(threads.raise_at(process.pid, tid, info).map(|()| 0)?);
    }
    let is_blocked = call.thread.blocked & bit(signal) != 0;
    let is_ignored = call.process.signals.borrow().actions.is_ignored(signal);
    if (is_blocked || !is_ignored) && !call.thread.signals.borrow_mut().push(info) {
        return Err(Errno::AGAIN.into());
    }
    Ok(0)
}
