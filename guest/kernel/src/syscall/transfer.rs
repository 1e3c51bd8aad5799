//! Bytes between a file and the program's memory: read(2), write(2) and their kin.
//!
//! ```text
//!   buffers   [ 0   ][ 1                      ][ 2  ]     one list, whatever the call
//!   windows   [─────][────────────|───────────][────]     within one buffer, WINDOW bytes at most
//!                    ▲ done
//! ```
//!
//! A window's pages are populated when its turn comes, so a huge buffer costs what is put into it. A read
//! returns as soon as it has something; a write that may wait returns when all is written, and what it
//! has written before a wait is in [`crate::thread::Pending::progress`].

use alloc::vec::Vec;

use linux_raw_sys::general as linux;
use mayfly_abi::layout::PAGE_SIZE;
use mayfly_hal::user::UserRange;

use super::signals::from_caller;
use super::socket::socket_of;
use super::target::check_offset;
use super::{Call, CallResult, file_size, message, terminal};
use crate::errno::{Errno, Result};
use crate::fs::{OpenFile, OpenFlags};

/// Most bytes that one step reaches for: enough for the step's own cost not to count.
const WINDOW: u64 = 128 << 10;
/// Most bytes that one call transfers: what Linux allows, a whole number of pages that fits in an int.
pub(super) const TRANSFER_MAX: u64 = 0x7fff_f000;
/// Bytes of a struct iovec.
const IOVEC_BYTES: u64 = 16;

/// A part of the program's memory, not looked at yet; its end does not overflow.
#[derive(Clone, Copy)]
pub(super) struct Buffer {
    /// Its first byte.
    pub address: u64,
    /// Its bytes.
    pub len: u64,
}

/// read(2). EAGAIN, EBADF, EFAULT, EINVAL, EISDIR.
pub fn read(call: &mut Call<'_>) -> CallResult {
    let buffer = argument(call)?;
    input(call, &[buffer], None)
}

/// write(2). EAGAIN, EBADF, EFAULT, EFBIG, EINVAL, ENOSPC; EPIPE, with SIGPIPE.
pub fn write(call: &mut Call<'_>) -> CallResult {
    let buffer = argument(call)?;
    output(call, &[buffer], None)
}

/// pread(2). As read(2); EINVAL for a negative offset, ESPIPE for a stream.
pub fn pread64(call: &mut Call<'_>) -> CallResult {
    let (buffer, offset) = (argument(call)?, check_offset(call.args[3])?);
    input(call, &[buffer], Some(offset))
}

/// pwrite(2). As write(2); EINVAL for a negative offset, ESPIPE for a stream.
pub fn pwrite64(call: &mut Call<'_>) -> CallResult {
    let (buffer, offset) = (argument(call)?, check_offset(call.args[3])?);
    output(call, &[buffer], Some(offset))
}

/// readv(2). As read(2); EINVAL for too many buffers or too large ones.
pub fn readv(call: &mut Call<'_>) -> CallResult {
    let buffers = vector(call)?;
    input(call, &buffers, None)
}

/// writev(2). As write(2); EINVAL for too many buffers or too large ones.
pub fn writev(call: &mut Call<'_>) -> CallResult {
    let buffers = vector(call)?;
    output(call, &buffers, None)
}

/// preadv2(2). As preadv(2), at the file's own offset for an offset of -1. EOPNOTSUPP for flags that
/// promise what no file here has.
pub fn preadv2(call: &mut Call<'_>) -> CallResult {
    check_hints(call)?;
    let (buffers, offset) = (vector(call)?, offset_or_own(call)?);
    input(call, &buffers, offset)
}

/// pwritev2(2). As preadv2(2).
pub fn pwritev2(call: &mut Call<'_>) -> CallResult {
    check_hints(call)?;
    let (buffers, offset) = (vector(call)?, offset_or_own(call)?);
    output(call, &buffers, offset)
}

/// The flags of preadv2(2) that change nothing here: files are in memory, and never wait.
fn check_hints(call: &Call<'_>) -> Result<()> {
    let known = linux::RWF_HIPRI | linux::RWF_DSYNC | linux::RWF_SYNC;
    if call.uint(5) & !known == 0 { Ok(()) } else { Err(Errno::OPNOTSUPP) }
}

fn offset_or_own(call: &Call<'_>) -> Result<Option<u64>> {
    if call.args[3] == u64::MAX { Ok(None) } else { check_offset(call.args[3]).map(Some) }
}

/// preadv(2). As readv(2) and pread(2).
pub fn preadv(call: &mut Call<'_>) -> CallResult {
    let (buffers, offset) = (vector(call)?, check_offset(call.args[3])?);
    input(call, &buffers, Some(offset))
}

/// pwritev(2). As writev(2) and pwrite(2).
pub fn pwritev(call: &mut Call<'_>) -> CallResult {
    let (buffers, offset) = (vector(call)?, check_offset(call.args[3])?);
    output(call, &buffers, Some(offset))
}

/// Fills the buffers from the file of argument 0, at `offset` or at the file's own.
fn input(call: &mut Call<'_>, buffers: &[Buffer], offset: Option<u64>) -> CallResult {
    let file = call.file(0)?;
    if offset.is_none() && socket_of(&file).is_ok() {
        return message::read(call, &file, buffers);
    }
    terminal::admit_reader(call, &file)?;
    let mut done = 0;
    loop {
        let window = window(buffers, done);
        if window.len == 0 && done > 0 {
            return Ok(done);
        }
        let step = reach(call, window, true).and_then(|mut range| {
            let count = match offset {
                None => file.read(range.bytes_mut())?,
                Some(offset) => file.pread(offset + done, range.bytes_mut())?,
            };
            Ok((count as u64, count < range.len() || range.is_empty()))
        });
        match step {
            Ok((count, true)) => return Ok(done + count),
            Ok((count, false)) => done += count,
            Err(_) if done > 0 => return Ok(done),
            Err(Errno::AGAIN) if terminal::is_out_of_patience(call, &file) => return Ok(0),
            Err(errno) => return stopped(call, &file, 0, errno),
        }
    }
}

/// Writes the buffers to the file of argument 0, at `offset` or at the file's own.
fn output(call: &mut Call<'_>, buffers: &[Buffer], offset: Option<u64>) -> CallResult {
    let file = call.file(0)?;
    if offset.is_none() && socket_of(&file).is_ok() {
        return message::write(call, &file, buffers);
    }
    terminal::admit_writer(call, &file)?;
    let mut done = call.thread.pending.progress;
    let total = buffers.iter().map(|buffer| buffer.len).sum();
    let room = file_size::room(call, &file, offset, total)?;
    // Pipes and terminals are to see the buffers of writev(2) as one piece.
    let gathers = buffers.len() > 1 && file.file().is_some();
    let write = |done: u64, bytes: &[u8]| match offset {
        None => file.write(bytes),
        Some(offset) => file.pwrite(offset + done, bytes),
    };
    loop {
        let mut window = window(buffers, done);
        window.len = window.len.min(room - done);
        if window.len == 0 && done > 0 {
            return Ok(done);
        }
        let step = if gathers {
            gather(call, buffers, done).and_then(|bytes| write(done, &bytes))
        } else {
            reach(call, window, false).and_then(|range| write(done, range.bytes()))
        };
        match step {
            Ok(0) => return Ok(done),
            Ok(count) => done += count as u64,
            Err(errno) => return stopped(call, &file, done, errno),
        }
    }
}

/// What a transfer comes to that met an error after `done` bytes: it waits, is short, or fails.
pub(super) fn stopped(call: &mut Call<'_>, file: &OpenFile, done: u64, errno: Errno) -> CallResult {
    if errno == Errno::PIPE {
        raise_broken_pipe(call);
    }
    match errno {
        Errno::AGAIN if !file.flags().contains(OpenFlags::NONBLOCK) => {
            call.thread.pending.progress = done;
            Err(call.wait(None, errno))
        }
        _ if done > 0 => Ok(done),
        _ => Err(errno.into()),
    }
}

/// SIGPIPE: nobody is left to read what was written.
pub(super) fn raise_broken_pipe(call: &mut Call<'_>) {
    call.raise(from_caller(call, linux::SIGPIPE as u8, linux::SI_USER as i32));
}

/// The buffer that arguments 1 and 2 describe. EFAULT.
fn argument(call: &Call<'_>) -> Result<Buffer> {
    let len = call.args[2].min(TRANSFER_MAX);
    buffer(call.args[1], len)
}

/// The buffers of the struct iovec array that arguments 1 and 2 describe; what is beyond TRANSFER_MAX is
/// left out. EFAULT; EINVAL for more than UIO_MAXIOV, or for more bytes than an `off_t` counts.
fn vector(call: &Call<'_>) -> Result<Vec<Buffer>> {
    let [_, address, count, ..] = call.args;
    vector_at(call, address, count)
}

/// The buffers of a struct iovec array. As `vector`.
pub(super) fn vector_at(call: &Call<'_>, address: u64, count: u64) -> Result<Vec<Buffer>> {
    if count > u64::from(linux::UIO_MAXIOV) {
        return Err(Errno::INVAL);
    }
    let range = call.bytes(address, count * IOVEC_BYTES)?;
    let mut buffers = Vec::new();
    buffers.try_reserve_exact(count as usize).map_err(|_| Errno::NOMEM)?;
    let mut total = 0;
    for iovec in range.bytes().chunks_exact(IOVEC_BYTES as usize) {
        let (base, len) = iovec.split_at(8);
        let word = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().unwrap_or_default());
        let len = check_offset(word(len))?;
        let room = TRANSFER_MAX.saturating_sub(total);
        total = check_offset(total + len)?;
        buffers.push(buffer(word(base), len.min(room))?);
    }
    Ok(buffers)
}

/// EFAULT.
pub(super) fn buffer(address: u64, len: u64) -> Result<Buffer> {
    address.checked_add(len).ok_or(Errno::FAULT)?;
    Ok(Buffer { address, len })
}

/// What follows `done` bytes of the buffers, within one buffer and WINDOW; empty at the end.
pub(super) fn window(buffers: &[Buffer], done: u64) -> Buffer {
    let mut skip = done;
    for buffer in buffers {
        if skip < buffer.len {
            let len = (buffer.len - skip).min(WINDOW);
            return Buffer { address: buffer.address + skip, len };
        }
        skip -= buffer.len;
    }
    Buffer { address: 0, len: 0 }
}

/// A window's bytes; where some of its pages cannot be had, those of the first. EFAULT.
pub(super) fn reach(call: &Call<'_>, window: Buffer, writable: bool) -> Result<UserRange> {
    let Buffer { address, len } = window;
    let range =
        |len| if writable { call.bytes_mut(address, len) } else { call.bytes(address, len) };
    let rest_of_page = PAGE_SIZE - address % PAGE_SIZE;
    match range(len) {
        Err(Errno::FAULT) if len > rest_of_page => range(rest_of_page),
        range => range,
    }
}

/// A copy of what follows `done` bytes of the buffers, WINDOW at most. EFAULT where nothing of it can be
/// read.
pub(super) fn gather(call: &Call<'_>, buffers: &[Buffer], done: u64) -> Result<Vec<u8>> {
    let mut gathered = Vec::new();
    loop {
        let count = gathered.len() as u64;
        let Buffer { address, len } = window(buffers, done + count);
        let len = len.min(WINDOW - count);
        if len == 0 {
            return Ok(gathered);
        }
        match reach(call, Buffer { address, len }, false) {
            Ok(range) => {
                gathered.try_reserve(range.len()).map_err(|_| Errno::NOMEM)?;
                gathered.extend_from_slice(range.bytes());
            }
            Err(errno) if gathered.is_empty() => return Err(errno),
            Err(_) => return Ok(gathered),
        }
    }
}

/// A buffer of the kernel's own. ENOMEM.
pub(super) fn zeros(len: u64) -> Result<Vec<u8>> {
    let len = len as usize;
    let mut buffer = Vec::new();
    buffer.try_reserve_exact(len).map_err(|_| Errno::NOMEM)?;
    buffer.resize(len, 0);
    Ok(buffer)
}
