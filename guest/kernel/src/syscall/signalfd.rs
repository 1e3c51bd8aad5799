//! Signals as a file: signalfd(2).

use alloc::rc::Rc;

use linux_raw_sys::general as linux;

use super::signals::MASK_BYTES;
use super::target::{check_flags, opened};
use super::{Call, CallResult, event};
use crate::errno::{Errno, Result};
use crate::event::SignalFd;
use crate::fs::OpenFile;

/// SFD_… flags are open(2)'s.
const FLAGS: u32 = linux::O_NONBLOCK | linux::O_CLOEXEC;

/// signalfd(2), as it was before it had flags. EBADF, EFAULT, EINVAL, EMFILE.
pub fn signalfd(call: &mut Call<'_>) -> CallResult {
    make(call, 0)
}

/// signalfd4, the call behind signalfd(2). As that.
pub fn signalfd4(call: &mut Call<'_>) -> CallResult {
    check_flags(call.uint(3), FLAGS)?;
    make(call, call.uint(3))
}

/// A new descriptor; or another mask for that of argument 0, where it is not -1.
fn make(call: &Call<'_>, flags: u32) -> CallResult {
    if call.args[2] != MASK_BYTES {
        return Err(Errno::INVAL.into());
    }
    let [mask] = call.get_words(call.args[1])?;
    if call.int(0) == -1 {
        let file = Rc::new(SignalFd::new(mask, call.kernel.waiting_signals()));
        return event::add(call, file, "anon_inode:[signalfd]", flags);
    }
    signals_of(&*opened(call, 0)?)?.set_mask(mask);
    Ok(call.uint(0).into())
}

fn signals_of(file: &OpenFile) -> Result<&SignalFd> {
    file.file().and_then(|file| file.signals()).ok_or(Errno::INVAL)
}
