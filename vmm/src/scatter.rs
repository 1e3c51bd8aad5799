//! Moves bytes between descriptors and pieces of guest memory, with one system call for many pieces.
//!
//! A [`Span`] is host memory behind guest memory. The guest may write to it at any moment, so no Rust
//! reference to its bytes ever exists: the kernel copies, or vm-memory's volatile accesses do.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use vm_memory::VolatileSlice;
use vm_memory::bitmap::BS;

/// A piece of guest memory.
pub type Span<'a> = VolatileSlice<'a, BS<'a, ()>>;

/// Bytes that a system call may take from: a piece of guest memory, or the VMM's own.
pub trait Piece {
    /// Where they are.
    fn iovec(&self) -> libc::iovec;
}

impl Piece for Span<'_> {
    fn iovec(&self) -> libc::iovec {
        libc::iovec { iov_base: self.ptr_guard_mut().as_ptr().cast(), iov_len: self.len() }
    }
}

impl Piece for &[u8] {
    fn iovec(&self) -> libc::iovec {
        libc::iovec { iov_base: self.as_ptr().cast_mut().cast(), iov_len: self.len() }
    }
}

/// The offset that means the file's own position (preadv2(2)).
const OWN_POSITION: libc::off_t = -1;
/// Most pieces that one system call takes (Linux's UIO_MAXIOV).
const PIECES_MAX: usize = 1024;

/// Bytes in all pieces.
pub fn bytes(spans: &[Span<'_>]) -> u64 {
    spans.iter().map(|span| span.len() as u64).sum()
}

/// Takes the first `count` bytes off `spans`, or all where there are fewer.
pub fn take<'a>(spans: &mut Vec<Span<'a>>, count: usize) -> Vec<Span<'a>> {
    let mut left = count;
    let whole = spans.iter().take_while(|span| {
        let fits = span.len() <= left;
        left -= if fits { span.len() } else { 0 };
        fits
    });
    let whole = whole.count();
    let mut taken: Vec<_> = spans.drain(..whole).collect();
    if left > 0
        && let Some(first) = spans.first_mut()
        && let Ok((head, tail)) = first.split_at(left)
    {
        taken.push(head);
        *first = tail;
    }
    taken
}

/// Copies from `from`; `None` where it is shorter than the pieces.
pub fn copy_in(spans: &[Span<'_>], mut from: &[u8]) -> Option<()> {
    for span in spans {
        let (head, tail) = from.split_at_checked(span.len())?;
        span.copy_from(head);
        from = tail;
    }
    Some(())
}

/// Fills the pieces with zeros.
pub fn zero(spans: &[Span<'_>]) {
    /// Zeros to copy from.
    static ZEROS: [u8; 4096] = [0; 4096];
    for span in spans {
        let mut left = vec![*span];
        while !left.is_empty() {
            for page in take(&mut left, ZEROS.len()) {
                page.copy_from(&ZEROS[..page.len()]);
            }
        }
    }
}

/// `preadv` at `offset`; again where a signal came in between.
///
/// # Errors
/// What the host says.
pub fn read_at(file: &impl AsFd, into: &[Span<'_>], offset: u64) -> io::Result<usize> {
    let offset = offset_of(offset)?;
    let fd = file.as_fd().as_raw_fd();
    // SAFETY: every iovec is memory that the span's guest memory keeps mapped, and which only raw
    // accesses reach.
    retry(|| with_iovecs(into, |iovecs, count| unsafe { libc::preadv(fd, iovecs, count, offset) }))
}

/// `pwritev` at `offset`; again where a signal came in between.
///
/// # Errors
/// What the host says.
pub fn write_at(file: &impl AsFd, from: &[Span<'_>], offset: u64) -> io::Result<usize> {
    let offset = offset_of(offset)?;
    let fd = file.as_fd().as_raw_fd();
    // SAFETY: as in `read_at`.
    retry(|| with_iovecs(from, |iovecs, count| unsafe { libc::pwritev(fd, iovecs, count, offset) }))
}

/// `readv`; again where a signal came in between.
///
/// # Errors
/// What the host says.
pub fn read(file: &impl AsFd, into: &[Span<'_>]) -> io::Result<usize> {
    let fd = file.as_fd().as_raw_fd();
    // SAFETY: as in `read_at`.
    retry(|| with_iovecs(into, |iovecs, count| unsafe { libc::readv(fd, iovecs, count) }))
}

/// `writev`; again where a signal came in between.
///
/// # Errors
/// What the host says.
pub fn write(file: &impl AsFd, from: &[impl Piece]) -> io::Result<usize> {
    let fd = file.as_fd().as_raw_fd();
    // SAFETY: as in `read_at`; the pieces are only read.
    retry(|| with_iovecs(from, |iovecs, count| unsafe { libc::writev(fd, iovecs, count) }))
}

/// `write` of the first bytes, at most `bytes_max`; again where a signal came in between.
///
/// # Errors
/// What the host says.
pub fn write_some(file: &impl AsFd, from: &[impl Piece], bytes_max: usize) -> io::Result<usize> {
    let fd = file.as_fd().as_raw_fd();
    let Some(first) = from.iter().map(Piece::iovec).find(|piece| piece.iov_len > 0) else {
        return Ok(0);
    };
    // SAFETY: as in `write`.
    retry(|| unsafe { libc::write(fd, first.iov_base, first.iov_len.min(bytes_max)) })
}

/// `readv` that never waits, for descriptors that can promise it.
///
/// # Errors
/// What the host says; EOPNOTSUPP where the descriptor can't.
pub fn read_now(file: &impl AsFd, into: &[Span<'_>]) -> io::Result<usize> {
    let fd = file.as_fd().as_raw_fd();
    retry(|| {
        // SAFETY: as in `read_at`.
        with_iovecs(into, |iovecs, count| unsafe {
            libc::preadv2(fd, iovecs, count, OWN_POSITION, libc::RWF_NOWAIT)
        })
    })
}

/// `writev` that never waits, for descriptors that can promise it.
///
/// # Errors
/// What the host says; EOPNOTSUPP where the descriptor can't.
pub fn write_now(file: &impl AsFd, from: &[impl Piece]) -> io::Result<usize> {
    let fd = file.as_fd().as_raw_fd();
    retry(|| {
        // SAFETY: as in `write`.
        with_iovecs(from, |iovecs, count| unsafe {
            libc::pwritev2(fd, iovecs, count, OWN_POSITION, libc::RWF_NOWAIT)
        })
    })
}

/// `recvmsg` that never waits.
///
/// # Errors
/// What the host says, WouldBlock among it.
pub fn receive(socket: &impl AsFd, into: &[Span<'_>]) -> io::Result<usize> {
    let fd = socket.as_fd().as_raw_fd();
    retry(|| {
        // SAFETY: as in `read_at`; the message header lives through the call.
        with_message(into, |message| unsafe { libc::recvmsg(fd, message, libc::MSG_DONTWAIT) })
    })
}

/// `sendmsg` that never waits and raises no SIGPIPE.
///
/// # Errors
/// What the host says, WouldBlock and BrokenPipe among it.
pub fn send(socket: &impl AsFd, from: &[impl Piece]) -> io::Result<usize> {
    let fd = socket.as_fd().as_raw_fd();
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    // SAFETY: as in `receive`.
    retry(|| with_message(from, |message| unsafe { libc::sendmsg(fd, message, flags) }))
}

fn with_message(pieces: &[impl Piece], call: impl FnOnce(*mut libc::msghdr) -> isize) -> isize {
    with_iovecs(pieces, |iovecs, count| {
        // SAFETY: all-zero is a valid message header: no name, no control data.
        let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
        message.msg_iov = iovecs.cast_mut();
        message.msg_iovlen = count as usize;
        call(&mut message)
    })
}

fn with_iovecs(
    pieces: &[impl Piece],
    call: impl FnOnce(*const libc::iovec, libc::c_int) -> isize,
) -> isize {
    let iovecs: Vec<_> = pieces.iter().take(PIECES_MAX).map(Piece::iovec).collect();
    call(iovecs.as_ptr(), iovecs.len() as libc::c_int)
}

fn retry(mut call: impl FnMut() -> isize) -> io::Result<usize> {
    loop {
        match usize::try_from(call()) {
            Ok(count) => return Ok(count),
            Err(_) => match io::Error::last_os_error() {
                error if error.kind() == io::ErrorKind::Interrupted => continue,
                error => return Err(error),
            },
        }
    }
}

fn offset_of(offset: u64) -> io::Result<libc::off_t> {
    libc::off_t::try_from(offset).map_err(|_| io::ErrorKind::InvalidInput.into())
}
