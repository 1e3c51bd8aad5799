//! Host descriptors at the host's end of vsock streams.
//!
//! ```text
//!   guest ── vsock stream ── device ── Effect ──▶ HostEnd ── readv, writev ── pipe, socket, file, tty
//! ```
//!
//! A descriptor may be shared with the user's shell and with other programs, so its flags are never
//! touched: setting O_NONBLOCK would change it for them all. Each kind has its own way not to wait:
//!
//! | kind | reading | writing |
//! | --- | --- | --- |
//! | socket | MSG_DONTWAIT | MSG_DONTWAIT |
//! | pipe | RWF_NOWAIT | RWF_NOWAIT |
//! | file, /dev/null | never waits | never waits |
//! | terminal, other | poll first | poll first, then at most PIPE_BUF bytes |

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::rc::Rc;

use mayfly_abi::control::{self, Direction};
use mayfly_abi::ports::STDERR;
use mayfly_devices::Vsock;
use mayfly_devices::vsock::StreamId;
use thiserror::Error;

use crate::descriptors::Descriptors;
use crate::poll;
use crate::scatter::{self, Piece, Span};

/// The descriptors that a guest may connect to, or is connected to.
#[derive(Debug, Default)]
pub struct Streams {
    ends: Vec<HostEnd>,
    /// Sockets that have served their stream. They stay open while epoll may still know them.
    spent: Vec<HostEnd>,
}

/// One descriptor, and the stream that it serves.
#[derive(Debug)]
pub struct HostEnd {
    port: u32,
    file: Rc<File>,
    kind: Kind,
    direction: Direction,
    stream: Option<StreamId>,
    /// The last read took all there was.
    is_drained: bool,
    /// Why something that the guest has sent got no further.
    lost: Option<io::Error>,
}

/// How a descriptor behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Socket,
    Pipe,
    /// Reads and writes never wait, and epoll refuses it.
    File,
    /// What only `poll` can tell about.
    Polled,
}

/// What an attempt to move data came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moved {
    /// So many bytes. A read of 0 is the end.
    Bytes(usize),
    /// Nothing, for now.
    WouldBlock,
    /// Nothing, ever.
    Failed,
}

/// What a stream waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interest {
    /// Which stream.
    pub id: StreamId,
    /// Data.
    pub read: bool,
    /// Room.
    pub write: bool,
}

/// Streams that can't be served.
#[derive(Debug, Error)]
pub enum StreamError {
    /// A stream names a descriptor that did not come.
    #[error("port {port} names descriptor {descriptor}, which did not come with it")]
    Descriptor {
        /// The stream's port.
        port: u32,
        /// The index.
        descriptor: u8,
    },
    /// The host does not say what the descriptor is.
    #[error("port {port}: {error}")]
    Host {
        /// The stream's port.
        port: u32,
        /// What the host says.
        error: io::Error,
    },
}

/// Output of a guest that the host could not take. To the guest it was written.
#[derive(Debug, Error)]
#[error("the program's output is lost: {0}")]
pub struct Lost(#[source] io::Error);

/// The major number of the memory devices, /dev/null among them (null(4)).
const MEMORY_DEVICES: u64 = 1;

impl Streams {
    /// The streams that `spec` names, with the descriptors that came along.
    ///
    /// # Errors
    /// [`StreamError`].
    pub fn new(
        spec: &[control::Stream],
        descriptors: &Descriptors,
    ) -> Result<Streams, StreamError> {
        let end = |&control::Stream { port, descriptor, direction }| {
            let file =
                descriptors.get(descriptor).ok_or(StreamError::Descriptor { port, descriptor })?;
            let kind = Kind::of(&file).map_err(|error| StreamError::Host { port, error })?;
            Ok(HostEnd { port, file, kind, direction, stream: None, is_drained: false, lost: None })
        };
        let ends = spec.iter().map(end).collect::<Result<_, _>>()?;
        Ok(Streams { ends, spent: Vec::new() })
    }

    /// Gives the stream `id` the descriptor at its port; `false` where there is none, or it serves
    /// another stream.
    pub fn connect(&mut self, id: StreamId) -> bool {
        let is_free = |end: &&mut HostEnd| end.port == id.host_port && end.stream.is_none();
        match self.ends.iter_mut().find(is_free) {
            Some(end) => {
                end.stream = Some(id);
                true
            }
            None => false,
        }
    }

    /// Gives the stream `id` a socket of its own.
    pub fn grant(&mut self, id: StreamId, socket: OwnedFd) {
        self.ends.push(HostEnd {
            port: id.host_port,
            file: Rc::new(File::from(socket)),
            kind: Kind::Socket,
            direction: Direction::Both,
            stream: Some(id),
            is_drained: false,
            lost: None,
        });
    }

    /// The descriptor that serves `id`.
    pub fn get(&mut self, id: StreamId) -> Option<&mut HostEnd> {
        self.ends.iter_mut().find(|end| end.stream == Some(id))
    }

    /// The stream is gone. A socket is shut down, so that its peer hears, and serves no other; any other
    /// descriptor may be connected to again.
    pub fn close(&mut self, id: StreamId) {
        let Some(index) = self.ends.iter().position(|end| end.stream == Some(id)) else { return };
        let end = &mut self.ends[index];
        end.stream = None;
        if end.kind == Kind::Socket {
            end.shut_down(libc::SHUT_RDWR);
            self.spent.push(self.ends.swap_remove(index));
        }
    }

    /// Lets go of sockets that have served their stream: epoll has been told to forget them.
    pub fn drop_spent(&mut self) {
        self.spent.retain(|end| end.lost.is_some());
    }

    /// The first failure to write a guest's output, if any. A reader that has gone away is none, nor are lost
    /// complaints: a program does not fail for want of a place to complain.
    pub fn lost(&mut self) -> Option<Lost> {
        let ends = self.ends.iter_mut().chain(&mut self.spent);
        ends.filter(|end| end.port != STDERR).filter_map(|end| end.lost.take()).next().map(Lost)
    }

    /// What each stream waits for, as the device sees it, beside its descriptor's index here.
    pub fn interests(&self, vsock: &Vsock) -> impl Iterator<Item = (usize, Interest)> {
        self.ends.iter().enumerate().filter_map(|(index, end)| {
            let id = end.stream?;
            let read = end.may_read() && vsock.wants_read(id);
            let write = vsock.wants_write(id);
            (read || write).then_some((index, Interest { id, read, write }))
        })
    }

    /// The descriptor at an index that [`Self::interests`] gave.
    pub fn at(&self, index: usize) -> Option<&HostEnd> {
        self.ends.get(index)
    }
}

impl HostEnd {
    /// Reads what there is, up to what `into` takes.
    ///
    /// A socket or pipe that gives less is empty: the next look is spared, and the one after it finds what has
    /// come meanwhile, for a wait ends at once then.
    pub fn read(&mut self, into: &[Span<'_>]) -> Moved {
        if !self.may_read() {
            return Moved::Bytes(0);
        }
        if std::mem::take(&mut self.is_drained) {
            return Moved::WouldBlock;
        }
        let moved = moved(match self.kind {
            Kind::Socket => scatter::receive(&self.file, into),
            Kind::File => scatter::read(&*self.file, into),
            Kind::Pipe => match scatter::read_now(&*self.file, into) {
                Err(error) if is_unsupported(&error) => self.read_polled(into),
                result => result,
            },
            Kind::Polled => self.read_polled(into),
        });
        let is_short = |count| count > 0 && (count as u64) < scatter::bytes(into);
        let is_stream = matches!(self.kind, Kind::Socket | Kind::Pipe);
        self.is_drained = is_stream && matches!(moved, Moved::Bytes(count) if is_short(count));
        moved
    }

    /// Writes as much of `from` as goes without waiting.
    pub fn write(&mut self, from: &[impl Piece]) -> Moved {
        if self.direction == Direction::ToGuest {
            return Moved::Failed;
        }
        let result = match self.kind {
            Kind::Socket => scatter::send(&self.file, from),
            Kind::File => scatter::write(&*self.file, from),
            Kind::Pipe => match scatter::write_now(&*self.file, from) {
                Err(error) if is_unsupported(&error) => self.write_polled(from),
                result => result,
            },
            Kind::Polled => self.write_polled(from),
        };
        match result {
            Err(error) if is_loss(&error) => {
                self.lost = Some(error);
                Moved::Failed
            }
            result => moved(result),
        }
    }

    /// The guest will send no more. Only a socket can say so.
    pub fn shut_down_write(&self) {
        self.shut_down(libc::SHUT_WR);
    }

    fn shut_down(&self, how: libc::c_int) {
        if self.kind == Kind::Socket {
            // SAFETY: the descriptor is open. A peer that is gone already needs no farewell.
            unsafe { libc::shutdown(self.as_raw_fd(), how) };
        }
    }

    /// Whether the descriptor is ready for anything at any time, and can't be waited for.
    pub fn is_always_ready(&self) -> bool {
        self.kind == Kind::File
    }

    fn may_read(&self) -> bool {
        self.direction != Direction::FromGuest
    }

    fn read_polled(&mut self, into: &[Span<'_>]) -> io::Result<usize> {
        self.kind = Kind::Polled;
        if !poll::is_ready(self.as_fd(), libc::POLLIN)? {
            return Err(ErrorKind::WouldBlock.into());
        }
        scatter::read(&*self.file, into)
    }

    fn write_polled(&mut self, from: &[impl Piece]) -> io::Result<usize> {
        self.kind = Kind::Polled;
        if !poll::is_ready(self.as_fd(), libc::POLLOUT)? {
            return Err(ErrorKind::WouldBlock.into());
        }
        // A descriptor that is ready takes this much without waiting (pipe(7); a terminal by its line
        // discipline's own buffer).
        scatter::write_some(&*self.file, from, libc::PIPE_BUF)
    }
}

impl AsFd for HostEnd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl AsRawFd for HostEnd {
    fn as_raw_fd(&self) -> std::os::fd::RawFd {
        self.file.as_raw_fd()
    }
}

impl Kind {
    fn of(file: &File) -> io::Result<Kind> {
        let metadata = file.metadata()?;
        let kind = metadata.file_type();
        let is_memory = kind.is_char_device() && metadata.rdev() >> 8 == MEMORY_DEVICES;
        Ok(if kind.is_socket() {
            Kind::Socket
        } else if kind.is_fifo() {
            Kind::Pipe
        } else if kind.is_file() || kind.is_block_device() || kind.is_dir() || is_memory {
            Kind::File
        } else {
            Kind::Polled
        })
    }
}

fn moved(result: io::Result<usize>) -> Moved {
    match result {
        Ok(count) => Moved::Bytes(count),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Moved::WouldBlock,
        Err(_) => Moved::Failed,
    }
}

/// Whether an error to write means that something is lost which somebody would have read.
fn is_loss(error: &io::Error) -> bool {
    use ErrorKind::{BrokenPipe, ConnectionReset, WouldBlock};
    !matches!(error.kind(), WouldBlock | BrokenPipe | ConnectionReset)
}

/// RWF_NOWAIT is refused by descriptors that can't promise it.
fn is_unsupported(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EOPNOTSUPP | libc::EINVAL | libc::ENOSYS))
}

#[cfg(test)]
mod tests;
