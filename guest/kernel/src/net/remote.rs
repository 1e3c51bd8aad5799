//! A connection that leaves the guest.

use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::RefCell;

use super::{Received, Shutdown};
use crate::errno::{Errno, Result};
use crate::fs::{Poll, Pulse};

/// Most bytes that a look ahead (MSG_PEEK) takes.
const AHEAD_MAX: usize = 64 << 10;

/// A stream of bytes to somebody outside.
pub trait Remote {
    /// Whether it is connected; `false`: not yet. ECONNREFUSED.
    fn is_connected(&self) -> Result<bool>;

    /// Reads what has come; 0 is the end. EAGAIN, ECONNRESET.
    fn receive(&self, to: &mut [u8]) -> Result<usize>;

    /// Sends the front of `from`. EAGAIN, EPIPE, ECONNRESET.
    fn send(&self, from: &[u8]) -> Result<usize>;

    /// Ends directions. ENOTCONN.
    fn shutdown(&self, how: Shutdown) -> Result<()>;

    /// What would not wait.
    fn poll(&self) -> Poll;

    /// What has become possible.
    fn pulse(&self) -> Pulse;
}

/// A remote connection that can be looked into (MSG_PEEK).
pub struct Outside {
    remote: Rc<dyn Remote>,
    /// Bytes that were looked at and not taken.
    ahead: RefCell<Vec<u8>>,
}

impl Outside {
    /// A connection that nobody has looked into.
    pub fn new(remote: Rc<dyn Remote>) -> Outside {
        Outside { remote, ahead: RefCell::default() }
    }

    /// See [`Remote::is_connected`].
    pub fn is_connected(&self) -> Result<bool> {
        self.remote.is_connected()
    }

    /// recv(2). EAGAIN, ECONNRESET, ENOMEM.
    pub fn receive(&self, to: &mut [u8], peek: bool) -> Result<Received> {
        let mut ahead = self.ahead.borrow_mut();
        if peek && ahead.is_empty() {
            let mut looked = Vec::new();
            let want = to.len().min(AHEAD_MAX);
            looked.try_reserve_exact(want).map_err(|_| Errno::NOMEM)?;
            looked.resize(want, 0);
            let count = self.remote.receive(&mut looked)?;
            looked.truncate(count);
            *ahead = looked;
        }
        let count = if ahead.is_empty() && !peek {
            self.remote.receive(to)?
        } else {
            let count = to.len().min(ahead.len());
            to[..count].copy_from_slice(&ahead[..count]);
            if !peek {
                ahead.drain(..count);
            }
            count
        };
        Ok(Received { count, whole: count, ..Received::default() })
    }

    /// See [`Remote::send`].
    pub fn send(&self, from: &[u8]) -> Result<usize> {
        self.remote.send(from)
    }

    /// See [`Remote::shutdown`].
    pub fn shutdown(&self, how: Shutdown) -> Result<()> {
        self.remote.shutdown(how)
    }

    /// Bytes that were looked at and not taken: what else there is nobody counts.
    pub fn available(&self) -> usize {
        self.ahead.borrow().len()
    }

    /// What would not wait.
    pub fn poll(&self) -> Poll {
        let ahead = if self.available() > 0 { Poll::IN } else { Poll::empty() };
        self.remote.poll() | ahead
    }

    /// What has become possible.
    pub fn pulse(&self) -> Pulse {
        self.remote.pulse()
    }
}
