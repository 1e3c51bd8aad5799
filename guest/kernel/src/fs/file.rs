//! What stands behind a descriptor where it is not an inode's own bytes: pipes, devices, generated
//! text, and whatever else the kernel makes a descriptor of.

use alloc::rc::Rc;
use alloc::vec::Vec;

use bitflags::bitflags;
use linux_raw_sys::general as linux;
use mayfly_hal::phys::Frame;

use super::inotify::Inotify;
use super::pipe::Pipe;
use crate::errno::{Errno, Result};
use crate::event::{Epoll, SignalFd, Timer};
use crate::family::Pid;
use crate::net::Socket;
use crate::tty::End;

bitflags! {
    /// Readiness (poll(2), epoll_ctl(2)).
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Poll: u32 {
        /// A read returns at once.
        const IN = linux::POLLIN;
        /// Something out of the ordinary happened.
        const PRI = linux::POLLPRI;
        /// A write returns at once.
        const OUT = linux::POLLOUT;
        /// An error; the reader of a pipe is gone.
        const ERR = linux::POLLERR;
        /// The other end is closed.
        const HUP = linux::POLLHUP;
        /// The other end has finished writing.
        const RDHUP = linux::POLLRDHUP;
    }
}

impl Poll {
    /// What a file that never waits always is.
    pub const READY: Poll = Poll::IN.union(Poll::OUT);

    /// The bits of poll(2) and epoll_ctl(2): there are no bands, so "normal" data is all there is.
    pub fn events(self) -> u32 {
        let input = if self.contains(Poll::IN) { linux::POLLRDNORM } else { 0 };
        let output = if self.contains(Poll::OUT) { linux::POLLWRNORM } else { 0 };
        self.bits() | input | output
    }
}

/// What has become possible since a file was made, as counts: an edge-triggered epoll tells of a file
/// again when these have moved. An end or an error moves both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pulse {
    /// Moves when there is more to read.
    pub input: u64,
    /// Moves when there is room again for one who was short of it.
    pub output: u64,
}

/// The third argument of ioctl(2): a number, or a pointer that the caller follows.
pub trait IoctlArgument {
    /// As a number.
    fn value(&self) -> u64;

    /// Fills `to` with the bytes pointed at. EFAULT.
    fn read(&self, to: &mut [u8]) -> Result<()>;

    /// Overwrites the bytes pointed at. EFAULT.
    fn write(&self, from: &[u8]) -> Result<()>;
}

/// An object that can be open.
///
/// A call that would have to wait returns EAGAIN, whatever the flags say: files keep no lists of
/// waiters. The caller parks its thread and comes back when [`File::poll`] says so.
///
/// A kind of file with calls of its own (sockets, epoll) gets a method here that returns it, `None` by
/// default: there are no downcasts.
pub trait File {
    /// Reads at `offset`, which a stream ignores.
    fn read(&self, _offset: u64, _to: &mut [u8]) -> Result<usize> {
        Err(Errno::INVAL)
    }

    /// Writes at `offset`, which a stream ignores. EPIPE (and the caller's SIGPIPE) where nobody is left
    /// to read.
    fn write(&self, _offset: u64, _from: &[u8]) -> Result<usize> {
        Err(Errno::INVAL)
    }

    /// The size that offsets are relative to for SEEK_END; `None` for a stream, which has no offsets
    /// (ESPIPE).
    fn seek_end(&self) -> Option<u64> {
        None
    }

    /// What would not wait now.
    fn poll(&self) -> Poll {
        Poll::READY
    }

    /// What has become possible so far. `None` for a file that never waits: epoll refuses it.
    fn pulse(&self) -> Option<Pulse> {
        None
    }

    /// The socket that this is.
    fn socket(&self) -> Option<&dyn Socket> {
        None
    }

    /// The pipe that this is an end of.
    fn pipe(&self) -> Option<&Rc<Pipe>> {
        None
    }

    /// The end of a pseudo-terminal that this is.
    fn terminal(&self) -> Option<&End> {
        None
    }

    /// The watcher of files that this is.
    fn inotify(&self) -> Option<&Inotify> {
        None
    }

    /// The epoll that this is.
    fn epoll(&self) -> Option<&Epoll> {
        None
    }

    /// The timer that this is the descriptor of.
    fn timer(&self) -> Option<&Timer> {
        None
    }

    /// The descriptor of signals that this is.
    fn signals(&self) -> Option<&SignalFd> {
        None
    }

    /// The process that this is the descriptor of.
    fn process(&self) -> Option<Pid> {
        None
    }

    /// Whatever `request` means to this file. ENOTTY where it means nothing.
    fn ioctl(&self, _request: u32, _argument: &dyn IoctlArgument) -> Result<u32> {
        Err(Errno::NOTTY)
    }

    /// A page for mmap(2). ENODEV where there are none.
    fn page(&self, _index: u64) -> Result<Frame> {
        Err(Errno::NODEV)
    }
}

/// Text made when the file was opened.
pub struct Text(
    /// All of it.
    pub Vec<u8>,
);

impl File for Text {
    fn read(&self, offset: u64, to: &mut [u8]) -> Result<usize> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(self.0.len());
        let rest = &self.0[start..];
        let len = rest.len().min(to.len());
        to[..len].copy_from_slice(&rest[..len]);
        Ok(len)
    }

    fn seek_end(&self) -> Option<u64> {
        Some(self.0.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_read_in_pieces_and_ends() {
        let text = Text(b"hello".to_vec());
        let mut buffer = [0; 3];
        assert_eq!(text.read(0, &mut buffer), Ok(3));
        assert_eq!(&buffer, b"hel");
        assert_eq!(text.read(3, &mut buffer), Ok(2));
        assert_eq!(&buffer[..2], b"lo");
        assert_eq!(text.read(5, &mut buffer), Ok(0));
        assert_eq!(text.read(u64::MAX, &mut buffer), Ok(0));
    }
}
