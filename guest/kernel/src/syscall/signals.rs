//! Signals: sigaction(2) and its like.

use linux_raw_sys::general as linux;

use super::{Call, CallResult, Stop};
use crate::errno::{Errno, Result};
use crate::process::PID;
use crate::sigframe;
use crate::signal::{Action, Info, blockable, is_signal};

/// Bytes of the kernel's sigset_t.
const MASK_BYTES: u64 = 8;
/// Smallest alternate stack (MINSIGSTKSZ).
const MINSIGSTKSZ: u64 = 2048;

/// rt_sigaction(2). EINVAL, EFAULT.
pub fn rt_sigaction(call: &mut Call<'_>) -> CallResult {
    let [number, new, old, mask_bytes, ..] = call.args;
    if mask_bytes != MASK_BYTES || !is_signal(number) {
        return Err(Errno::INVAL.into());
    }
    let signal = number as u8;
    let before = call.process.signals.borrow().action(signal);
    if new != 0 {
        let [handler, flags, restorer, mask] = call.get_words(new)?;
        let action = Action { handler, flags, restorer, mask };
        if !call.process.signals.borrow_mut().set_action(signal, action) {
            return Err(Errno::INVAL.into());
        }
    }
    if old != 0 {
        call.put_words(old, &[before.handler, before.flags, before.restorer, before.mask])?;
    }
    Ok(0)
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
    let pending = call.process.signals.borrow().pending() & call.thread.blocked;
    call.put_words(call.args[0], &[pending])?;
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
    Err(if call.is_interrupted() { Errno::INTR.into() } else { Stop::Wait })
}

/// rt_sigreturn(2).
pub fn rt_sigreturn(call: &mut Call<'_>) -> CallResult {
    sigframe::leave(call.process, call.thread)?;
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

/// kill(2): to itself, its group or everybody, which is itself. ESRCH for another.
pub fn kill(call: &mut Call<'_>) -> CallResult {
    match call.int(0) {
        0 | -1 => {}
        target if target.unsigned_abs() == PID => {}
        _ => return Err(Errno::SRCH.into()),
    }
    send(call, call.args[1], linux::SI_USER as i32)
}

/// tkill(2).
pub fn tkill(call: &mut Call<'_>) -> CallResult {
    check_thread(call, 0)?;
    send(call, call.args[1], linux::SI_TKILL)
}

/// tgkill(2).
pub fn tgkill(call: &mut Call<'_>) -> CallResult {
    if call.uint(0) != PID {
        return Err(Errno::SRCH.into());
    }
    check_thread(call, 1)?;
    send(call, call.args[2], linux::SI_TKILL)
}

fn check_thread(call: &Call<'_>, index: usize) -> Result<()> {
    if call.uint(index) == call.thread.tid { Ok(()) } else { Err(Errno::SRCH) }
}

fn send(call: &Call<'_>, number: u64, code: i32) -> CallResult {
    match number {
        0 => Ok(0),
        number if is_signal(number) => {
            let info = Info { signal: number as u8, code, address: PID.into() };
            call.process.signals.borrow_mut().raise(info);
            Ok(0)
        }
        _ => Err(Errno::INVAL.into()),
    }
}
