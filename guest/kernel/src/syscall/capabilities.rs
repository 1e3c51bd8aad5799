//! Which of root's rights a process holds: capget(2), capset(2).
//!
//! ```text
//!   header  [ version │ pid ]
//!   data    [ effective │ permitted │ inheritable ]   32 bits of each set, once or twice as the version says
//! ```

use linux_raw_sys::general as linux;

use super::{Call, CallResult};
use crate::capabilities::Capabilities;
use crate::errno::{Errno, Result};

/// Bytes of 32 bits of each set.
const PART_BYTES: u64 = 12;
/// Most parts.
const PARTS_MAX: usize = 2;

/// What the header asks.
struct Header {
    /// 32-bit words of a set.
    parts: usize,
    /// Whose: 0 is the caller.
    pid: i32,
}

/// capget(2). EFAULT; EINVAL where the version is unknown, after saying which is known; ESRCH.
pub fn capget(call: &mut Call<'_>) -> CallResult {
    let header = match header(call) {
        // Who brings no room asks which version there is.
        Err(Errno::INVAL) if call.args[1] == 0 => return Ok(0),
        header => header?,
    };
    if call.args[1] == 0 {
        return Ok(0);
    }
    let pid = u32::try_from(header.pid).map_err(|_| Errno::INVAL)?;
    let process = match pid {
        0 => call.process.clone(),
        pid => call.kernel.processes.get(pid).ok_or(Errno::SRCH)?,
    };
    let of = process.credentials.borrow().capabilities;
    for part in 0..header.parts {
        let words = [of.effective, of.permitted, of.inheritable]
            .map(|set| (set >> (32 * part) & u64::from(u32::MAX)) as u32);
        let mut bytes = [0; PART_BYTES as usize];
        for (to, word) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(words) {
            *to = word.to_le_bytes();
        }
        call.put(call.args[1].saturating_add(PART_BYTES * part as u64), &bytes)?;
    }
    Ok(0)
}

/// capset(2). EFAULT; EINVAL as for capget; EPERM for another process, or where something would be gained.
pub fn capset(call: &mut Call<'_>) -> CallResult {
    let header = header(call)?;
    if header.pid != 0 && u32::try_from(header.pid) != Ok(call.process.pid) {
        return Err(Errno::PERM.into());
    }
    let mut sets = [0; 3];
    for part in 0..header.parts {
        let at = call.args[1].saturating_add(PART_BYTES * part as u64);
        let bytes: [u8; PART_BYTES as usize] = call.get(at)?;
        for (set, word) in sets.iter_mut().zip(bytes.as_chunks().0) {
            *set |= u64::from(u32::from_le_bytes(*word)) << (32 * part);
        }
    }
    let [effective, permitted, inheritable] = sets;
    let capabilities = &mut call.process.credentials.borrow_mut().capabilities;
    capabilities.set(Capabilities { effective, permitted, inheritable, ..*capabilities })?;
    Ok(0)
}

/// The header at the first argument. EFAULT; EINVAL, and the version that is known in its place.
fn header(call: &Call<'_>) -> Result<Header> {
    let bytes: [u8; 8] = call.get(call.args[0])?;
    let [version, pid] = [0, 4].map(|at| {
        let word = bytes[at..at + 4].try_into().unwrap_or_default();
        u32::from_le_bytes(word)
    });
    let parts = match version {
        linux::_LINUX_CAPABILITY_VERSION_1 => 1,
        linux::_LINUX_CAPABILITY_VERSION_2 | linux::_LINUX_CAPABILITY_VERSION_3 => PARTS_MAX,
        _ => {
            call.put(call.args[0], &linux::_LINUX_CAPABILITY_VERSION_3.to_le_bytes())?;
            return Err(Errno::INVAL);
        }
    };
    Ok(Header { parts, pid: pid as i32 })
}
