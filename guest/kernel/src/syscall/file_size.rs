//! How large a process may make files (RLIMIT_FSIZE): what is beyond is SIGXFSZ, and EFBIG for who does not die of it.

use linux_raw_sys::general as linux;

use super::Call;
use crate::errno::{Errno, Result};
use crate::fs::{OpenFile, OpenFlags};
use crate::limits::{FILE_SIZE, INFINITY};
use crate::signal::Info;

/// The size that a file may have; `None`: any.
fn limit(call: &Call<'_>) -> Option<u64> {
    let limits = call.process.limits.borrow();
    limits.get(FILE_SIZE).ok().map(|(soft, _)| soft).filter(|soft| *soft != INFINITY)
}

/// How many of `len` bytes may be written to a file at `offset`, or at its own. EFBIG where it is none of them.
pub(super) fn room(
    call: &mut Call<'_>,
    file: &OpenFile,
    offset: Option<u64>,
    len: u64,
) -> Result<u64> {
    let Some(limit) = limit(call).filter(|_| file.is_stored() && len > 0) else { return Ok(len) };
    let start = match offset {
        _ if file.flags().contains(OpenFlags::APPEND) => file.stat().size,
        Some(offset) => offset,
        None => file.position()?,
    };
    match limit.saturating_sub(start) {
        0 => Err(refused(call)),
        room => Ok(len.min(room)),
    }
}

/// EFBIG where a file of `now` bytes must not become so large.
pub(super) fn check(call: &mut Call<'_>, now: u64, size: u64) -> Result<()> {
    match limit(call) {
        Some(limit) if size > limit && size > now => Err(refused(call)),
        _ => Ok(()),
    }
}

fn refused(call: &mut Call<'_>) -> Errno {
    call.raise(Info::from_kernel(linux::SIGXFSZ as u8));
    Errno::FBIG
}
