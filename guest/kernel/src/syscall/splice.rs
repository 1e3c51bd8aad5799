//! Bytes in and out of pipes without a program's buffer: splice(2), tee(2), vmsplice(2).
//!
//! ```text
//!   splice   pipe ──▶ pipe │ file ──▶ pipe │ pipe ──▶ file     taken
//!   tee      pipe ──▶ pipe                                     copied
//!   vmsplice memory ──▶ pipe │ pipe ──▶ memory                 taken
//! ```
//!
//! Linux moves pages where it can and promises no more than this: so bytes are copied here, once. Each call waits until
//! it can move something, moves what it can, and says how much that was.

use alloc::rc::Rc;

use super::copy::{Place, pump};
use super::target::opened;
use super::transfer::{self, TRANSFER_MAX, raise_broken_pipe, vector_at};
use super::{Call, CallResult};
use crate::errno::{Errno, Result};
use crate::fs::pipe::Pipe;
use crate::fs::{FileType, OpenFile, OpenFlags};

/// SPLICE_F_NONBLOCK: fail with EAGAIN rather than wait.
const NONBLOCK: u64 = 2;
/// SPLICE_F_MOVE, NONBLOCK, MORE and GIFT: the others say how, which is ours to decide.
const FLAGS: u64 = 0xf;

/// splice(2). EAGAIN, EBADF, EFAULT, EINVAL, ESPIPE; EPIPE, with SIGPIPE.
pub fn splice(call: &mut Call<'_>) -> CallResult {
    let [_, from_cell, _, to_cell, len, flags] = call.args;
    if len == 0 {
        return Ok(0);
    }
    check(flags)?;
    let (source, target) = (opened(call, 0)?, opened(call, 2)?);
    if pipe_of(&source).is_some() && from_cell != 0 || pipe_of(&target).is_some() && to_cell != 0 {
        return Err(Errno::SPIPE.into());
    }
    let (from, to) = (Place::given(call, from_cell)?, Place::given(call, to_cell)?);
    check_access(&source, &target)?;
    let len = len.min(TRANSFER_MAX);
    let moved = match (pipe_of(&source), pipe_of(&target)) {
        (Some(from), Some(to)) if Rc::ptr_eq(from, to) => Err(Errno::INVAL),
        (Some(from), Some(_)) => pass(from, &target, len, true),
        (Some(pipe), None) => drain(call, pipe, &target, &to, len),
        (None, Some(pipe)) => fill(call, &source, &from, pipe, &target, len),
        (None, None) => Err(Errno::INVAL),
    };
    let at_once = flags & NONBLOCK != 0 || is_nonblocking(&source) || is_nonblocking(&target);
    ended(call, moved, at_once)
}

/// tee(2): what is in one pipe, into another too. EAGAIN, EBADF, EINVAL; EPIPE, with SIGPIPE.
pub fn tee(call: &mut Call<'_>) -> CallResult {
    let [_, _, len, flags, ..] = call.args;
    check(flags)?;
    if len == 0 {
        return Ok(0);
    }
    let (source, target) = (opened(call, 0)?, opened(call, 1)?);
    check_access(&source, &target)?;
    let moved = match (pipe_of(&source), pipe_of(&target)) {
        (Some(from), Some(to)) if !Rc::ptr_eq(from, to) => pass(from, &target, len, false),
        _ => Err(Errno::INVAL),
    };
    let at_once = flags & NONBLOCK != 0 || is_nonblocking(&source) || is_nonblocking(&target);
    ended(call, moved, at_once)
}

/// vmsplice(2): from memory into a pipe's end that can be written to, else from the pipe into memory. EAGAIN, EBADF,
/// EFAULT, EINVAL; EPIPE, with SIGPIPE.
pub fn vmsplice(call: &mut Call<'_>) -> CallResult {
    let [_, address, count, flags, ..] = call.args;
    check(flags)?;
    let file = opened(call, 0)?;
    let pipe = pipe_of(&file).ok_or(Errno::BADF)?;
    let buffers = vector_at(call, address, count)?;
    let len = buffers.iter().map(|buffer| buffer.len).sum();
    let writes = file.flags().writes();
    let there = match len {
        0 => Ok(0),
        _ if writes => pipe.room(),
        _ => pipe.available(),
    };
    let moved = there.and_then(|there| {
        let (len, mut done) = (len.min(there as u64), 0);
        while done < len {
            let step = if writes {
                transfer::gather(call, &buffers, done).and_then(|bytes| {
                    let rest = usize::try_from(len - done).unwrap_or(usize::MAX);
                    file.write(&bytes[..bytes.len().min(rest)])
                })
            } else {
                let window = transfer::window(&buffers, done);
                transfer::reach(call, window, true).and_then(|mut to| file.read(to.bytes_mut()))
            };
            match step {
                Ok(count) => done += count as u64,
                Err(_) if done > 0 => break,
                Err(errno) => return Err(errno),
            }
        }
        Ok(done)
    });
    // O_NONBLOCK is not looked at, as on Linux.
    ended(call, moved, flags & NONBLOCK != 0)
}

/// The pipe that a file is an end of.
pub(super) fn pipe_of(file: &OpenFile) -> Option<&Rc<Pipe>> {
    file.file().and_then(|file| file.pipe())
}

fn is_nonblocking(file: &OpenFile) -> bool {
    file.flags().contains(OpenFlags::NONBLOCK)
}

/// EINVAL for flags that Linux does not know.
fn check(flags: u64) -> Result<()> {
    if flags & !FLAGS == 0 { Ok(()) } else { Err(Errno::INVAL) }
}

/// EBADF where one is not open for what it is to do.
fn check_access(source: &OpenFile, target: &OpenFile) -> Result<()> {
    let fits = source.flags().reads() && target.flags().writes();
    if fits { Ok(()) } else { Err(Errno::BADF) }
}

/// EINVAL for what is neither bytes nor a stream of bytes: a directory, a counter.
fn check_bytes(file: &OpenFile) -> Result<()> {
    let fits = match file.file_type() {
        FileType::Regular => file.file().is_none_or(|file| file.seek_end().is_some()),
        FileType::Directory | FileType::Symlink => false,
        FileType::CharDevice | FileType::BlockDevice | FileType::Fifo | FileType::Socket => true,
    };
    if fits { Ok(()) } else { Err(Errno::INVAL) }
}

/// Where in a file a place is; `None` for a stream. EINVAL where an offset in one is meant.
fn position(place: &Place, file: &OpenFile) -> Result<Option<u64>> {
    match (file.position(), place) {
        (Err(Errno::SPIPE), Place::Own) => Ok(None),
        (Err(Errno::SPIPE), Place::At { .. }) => Err(Errno::INVAL),
        (position, Place::Own) => position.map(Some),
        (_, Place::At { offset, .. }) => Ok(Some(*offset)),
    }
}

/// From pipe to pipe; `takes`: what is moved is gone from the first.
fn pass(from: &Pipe, target: &OpenFile, len: u64, takes: bool) -> Result<u64> {
    let to = pipe_of(target).ok_or(Errno::INVAL)?;
    let len = match from.available()? {
        0 => return Ok(0),
        there => len.min(there.min(to.room()?) as u64),
    };
    let read = |done: u64, to: &mut [u8]| Ok(from.peek(done as usize, to));
    let (moved, met) = pump(len, read, |_, bytes| target.write(bytes));
    if takes {
        from.skip(moved as usize);
    }
    some(moved, met)
}

/// From a pipe to a file.
fn drain(call: &Call<'_>, from: &Pipe, target: &OpenFile, to: &Place, len: u64) -> Result<u64> {
    check_bytes(target)?;
    if target.flags().contains(OpenFlags::APPEND) {
        return Err(Errno::INVAL);
    }
    let start = position(to, target)?;
    let len = len.min(from.available()? as u64);
    let read = |done: u64, to: &mut [u8]| Ok(from.peek(done as usize, to));
    let (moved, met) = pump(len, read, |at, bytes| match start {
        Some(start) => target.pwrite(start + at, bytes),
        None => target.write(bytes),
    });
    from.skip(moved as usize);
    if let Some(start) = start {
        to.moved(call, target, start + moved)?;
    }
    some(moved, met)
}

/// From a file to a pipe, as much as it takes.
fn fill(
    call: &Call<'_>,
    source: &OpenFile,
    from: &Place,
    pipe: &Pipe,
    target: &OpenFile,
    len: u64,
) -> Result<u64> {
    check_bytes(source)?;
    let start = position(from, source)?;
    let len = len.min(pipe.room()? as u64);
    let read = |at: u64, to: &mut [u8]| match start {
        Some(start) => source.pread(start + at, to),
        None => source.read(to),
    };
    let (moved, met) = pump(len, read, |_, bytes| target.write(bytes));
    if let Some(start) = start {
        from.moved(call, source, start + moved)?;
    }
    some(moved, met)
}

/// What was moved, if something was; else what stopped it.
fn some(moved: u64, met: Result<()>) -> Result<u64> {
    if moved > 0 { Ok(moved) } else { met.map(|()| 0) }
}

/// What a call comes to: where nothing could be moved yet, it waits, unless that is to be said at once.
fn ended(call: &mut Call<'_>, moved: Result<u64>, at_once: bool) -> CallResult {
    match moved {
        Err(Errno::AGAIN) if !at_once => Err(call.wait(None, Errno::AGAIN)),
        Err(Errno::PIPE) => {
            raise_broken_pipe(call);
            Err(Errno::PIPE.into())
        }
        moved => Ok(moved?),
    }
}
