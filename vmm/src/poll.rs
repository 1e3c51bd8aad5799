//! `poll(2)`, for one question at a time.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Whether `descriptor` is ready for `events`, failed or hung up, now.
///
/// # Errors
/// What the host says.
pub fn is_ready(descriptor: BorrowedFd<'_>, events: libc::c_short) -> io::Result<bool> {
    let mut entry = libc::pollfd { fd: descriptor.as_raw_fd(), events, revents: 0 };
    loop {
        // SAFETY: the one entry is valid for the call.
        match unsafe { libc::poll(&mut entry, 1, 0) } {
            count if count >= 0 => return Ok(count > 0),
            _ => match io::Error::last_os_error() {
                error if error.kind() == io::ErrorKind::Interrupted => continue,
                error => return Err(error),
            },
        }
    }
}
