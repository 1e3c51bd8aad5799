//! The platform's end of a connection from inside an environment.
//!
//! ```text
//!   reading   watched from the start
//!   writing   tried at once; watched while there is no room, and no longer
//! ```
//!
//! A socket that is watched for room wakes its watcher for each packet that the other end takes: the platform, twice
//! in each invocation, for nothing, on a processor that another has to interrupt.

use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};

/// A stream of bytes to and from a guest.
#[derive(Debug)]
pub struct GuestStream {
    socket: AsyncFd<UnixStream>,
    /// The same socket, watched for room: the last write found none.
    full: Option<AsyncFd<UnixStream>>,
}

impl GuestStream {
    /// A stream over one end of a pair of sockets.
    ///
    /// # Errors
    /// What the host says.
    ///
    /// # Panics
    /// Outside tokio's runtime.
    pub fn new(socket: UnixStream) -> io::Result<GuestStream> {
        socket.set_nonblocking(true)?;
        Ok(GuestStream { socket: watched(socket, Interest::READABLE)?, full: None })
    }

    fn poll_send(
        &mut self,
        context: &mut Context<'_>,
        send: impl Fn(&UnixStream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            let Some(full) = &self.full else {
                match send(self.socket.get_ref()) {
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    result => return Poll::Ready(result),
                }
                // One descriptor can't be watched twice.
                let again = self.socket.get_ref().try_clone()?;
                self.full = Some(watched(again, Interest::WRITABLE)?);
                continue;
            };
            let mut room = ready!(full.poll_write_ready(context))?;
            if let Ok(result) = room.try_io(|socket| send(socket.get_ref())) {
                self.full = None;
                return Poll::Ready(result);
            }
        }
    }
}

/// The socket owns its descriptor, which stays open and the same until it is dropped.
#[expect(deprecated, reason = "what has come in its place is unsafe, for types that own none")]
fn watched(socket: UnixStream, interest: Interest) -> io::Result<AsyncFd<UnixStream>> {
    AsyncFd::with_interest(socket, interest)
}

impl AsyncRead for GuestStream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            let mut ready = ready!(self.socket.poll_read_ready(context))?;
            let space = into.initialize_unfilled();
            let Ok(result) = ready.try_io(|socket| socket.get_ref().read(space)) else { continue };
            let count = result?;
            // Less than was asked for: it is empty, and what comes next is told (epoll(7), edge-triggered).
            if (1..space.len()).contains(&count) {
                ready.clear_ready();
            }
            into.advance(count);
            return Poll::Ready(Ok(()));
        }
    }
}

impl AsyncWrite for GuestStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        from: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_send(context, |mut socket| socket.write(from))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        from: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_send(context, |mut socket| socket.write_vectored(from))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.socket.get_ref().shutdown(Shutdown::Write))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn more_than_fits_goes_through_and_both_ends_are_seen() {
        let (near, far) = UnixStream::pair().unwrap();
        let (mut near, mut far) = (GuestStream::new(near).unwrap(), GuestStream::new(far).unwrap());
        let sent: Vec<u8> = (0..3_000_000_u32).map(|i| (i % 251) as u8).collect();
        let (mut got, mut end) = (vec![0; sent.len()], Vec::new());
        let writing = async {
            near.write_all(&sent).await.unwrap();
            assert!(near.full.is_none(), "it is watched for room that nobody waits for");
            near.shutdown().await.unwrap();
            near.read_to_end(&mut end).await.unwrap();
        };
        let reading = async {
            // What the other end has room for is all there before the first byte is taken.
            tokio::task::yield_now().await;
            far.read_exact(&mut got).await.unwrap();
            assert_eq!(far.read(&mut [0; 1]).await.unwrap(), 0);
            far.write_all(b"good bye").await.unwrap();
            drop(far);
        };
        tokio::join!(writing, reading);
        assert_eq!(got, sent);
        assert_eq!(end, b"good bye");
    }

    #[tokio::test]
    async fn a_write_to_nobody_fails() {
        let (near, far) = UnixStream::pair().unwrap();
        let mut near = GuestStream::new(near).unwrap();
        drop(far);
        assert_eq!(near.write(b"?").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
    }
}
