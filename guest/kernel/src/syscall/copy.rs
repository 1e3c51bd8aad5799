//! Bytes from one file to another, without passing through the program: sendfile(2) and
//! copy_file_range(2).
//!
//! ```text
//!   source at its offset ──▶ [ bounce ] ──▶ target at its offset
//!                             a piece at a time; what the target leaves is read again
//! ```

use super::target::{check_offset, opened};
use super::transfer::{TRANSFER_MAX, stopped, zeros};
use super::{Call, CallResult, file_size};
use crate::errno::{Errno, Result};
use crate::fs::{FileType, OpenFile, OpenFlags, Whence};

/// Bytes that are held between the two files: what a pipe takes at once.
const BOUNCE_BYTES: u64 = 64 << 10;

/// Where in a file bytes are taken from or put to.
pub(super) enum Place {
    /// At its own offset, or where a stream stands.
    Own,
    /// Here; the program's cell at this address is to be told of the progress.
    At { offset: u64, cell: u64 },
}

impl Place {
    /// The place that the offset at `cell` says, if there is a cell. EFAULT, EINVAL.
    pub(super) fn given(call: &Call<'_>, cell: u64) -> Result<Place> {
        if cell == 0 {
            return Ok(Place::Own);
        }
        let [offset] = call.get_words(cell)?;
        Ok(Place::At { offset: check_offset(offset)?, cell })
    }

    /// The offset that it begins at in a file that has offsets.
    fn start(&self, file: &OpenFile) -> Result<u64> {
        match self {
            Place::Own => file.position(),
            Place::At { offset, .. } => Ok(*offset),
        }
    }

    /// Notes that it has come to `offset`.
    pub(super) fn moved(&self, call: &Call<'_>, file: &OpenFile, offset: u64) -> Result<()> {
        match self {
            Place::Own => file.seek(offset as i64, Whence::Set).map(drop),
            Place::At { cell, .. } => call.put_words(*cell, &[offset]),
        }
    }
}

/// sendfile(2). EAGAIN, EBADF, EFAULT; EINVAL where the source is a stream or the target is opened with
/// O_APPEND; ESPIPE where an offset is given for a stream.
pub fn sendfile(call: &mut Call<'_>) -> CallResult {
    let (target, source) = (call.file(0)?, call.file(1)?);
    let [_, _, cell, len, ..] = call.args;
    if !target.flags().writes() || !source.flags().reads() {
        return Err(Errno::BADF.into());
    }
    if target.flags().contains(OpenFlags::APPEND) {
        return Err(Errno::INVAL.into());
    }
    let place = Place::given(call, cell)?;
    let start = place.start(&source).map_err(|errno| match (errno, cell) {
        (Errno::SPIPE, 0) => Errno::INVAL,
        (errno, _) => errno,
    })?;
    // The offset is stored before each wait, so that it counts what is done already.
    let done = call.thread.pending.progress;
    let len = len.min(TRANSFER_MAX).saturating_sub(done);
    let len = file_size::room(call, &target, None, len)?;
    let read = |at: u64, to: &mut [u8]| source.pread(start + at, to);
    let (moved, met) = pump(len, read, |_, from| target.write(from));
    place.moved(call, &source, start + moved)?;
    ended(call, &target, done + moved, met)
}

/// copy_file_range(2), between any two regular files. EBADF, EFAULT, EINVAL, EISDIR, ENOSPC, EROFS.
pub fn copy_file_range(call: &mut Call<'_>) -> CallResult {
    let (source, target) = (opened(call, 0)?, opened(call, 2)?);
    let [_, from_cell, _, to_cell, len, flags] = call.args;
    if flags != 0 {
        return Err(Errno::INVAL.into());
    }
    for file in [&source, &target] {
        match file.file_type() {
            FileType::Regular if file.file().is_none() => {}
            FileType::Directory => return Err(Errno::ISDIR.into()),
            _ => return Err(Errno::INVAL.into()),
        }
    }
    let writes = target.flags();
    if !source.flags().reads() || !writes.writes() || writes.contains(OpenFlags::APPEND) {
        return Err(Errno::BADF.into());
    }
    let (from, to) = (Place::given(call, from_cell)?, Place::given(call, to_cell)?);
    let (from_start, to_start) = (from.start(&source)?, to.start(&target)?);
    let len = len.min(TRANSFER_MAX).min(source.stat().size.saturating_sub(from_start));
    let len = file_size::room(call, &target, Some(to_start), len)?;
    let (source_at, target_at) = (source.stat(), target.stat());
    let is_same = (source_at.dev, source_at.ino) == (target_at.dev, target_at.ino);
    if is_same && from_start < to_start + len && to_start < from_start + len {
        return Err(Errno::INVAL.into());
    }
    let read = |at: u64, to: &mut [u8]| source.pread(from_start + at, to);
    let (moved, met) = pump(len, read, |at, from| target.pwrite(to_start + at, from));
    from.moved(call, &source, from_start + moved)?;
    to.moved(call, &target, to_start + moved)?;
    ended(call, &target, moved, met)
}

/// Moves up to `len` bytes: how many it were, and what ended it early. Both ends are told how far it is.
pub(super) fn pump(
    len: u64,
    read: impl Fn(u64, &mut [u8]) -> Result<usize>,
    write: impl Fn(u64, &[u8]) -> Result<usize>,
) -> (u64, Result<()>) {
    let mut bounce = match zeros(len.min(BOUNCE_BYTES)) {
        Ok(bounce) => bounce,
        Err(errno) => return (0, Err(errno)),
    };
    let mut done = 0;
    while done < len {
        let want = (len - done).min(BOUNCE_BYTES) as usize;
        let step = read(done, &mut bounce[..want]).and_then(|got| match got {
            0 => Ok(0),
            got => write(done, &bounce[..got]),
        });
        match step {
            Ok(0) => break,
            Ok(taken) => done += taken as u64,
            Err(errno) => return (done, Err(errno)),
        }
    }
    (done, Ok(()))
}

/// What a call comes to that has moved `done` bytes in all and met this.
fn ended(call: &mut Call<'_>, target: &OpenFile, done: u64, met: Result<()>) -> CallResult {
    match met {
        Ok(()) => Ok(done),
        Err(errno) => stopped(call, target, done, errno),
    }
}
