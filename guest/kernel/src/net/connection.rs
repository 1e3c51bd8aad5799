//! A connection within the guest: two sides, each with what the other has sent it.
//!
//! ```text
//!   Side ── outbox ─────► Inbox ─── inbox ── Side
//!   Side ── inbox ─── Inbox ◄───── outbox ── Side
//! ```
//!
//! A side that ends says so in both queues: "no more will come" in the other's, "nobody reads" in its
//! own. TCP and AF_UNIX differ in what a writer learns, and when:
//!
//! | the peer has          | TCP                                   | AF_UNIX              |
//! |-----------------------|---------------------------------------|----------------------|
//! | closed                | one write is taken, then EPIPE        | EPIPE                |
//! | closed, data unread   | ECONNRESET once, then EPIPE           | the same             |
//! | shut down reading     | nothing                               | EPIPE                |

use alloc::rc::Rc;
use core::cell::Cell;

use super::inbox::{Envelope, INBOX_BYTES, Inbox};
use super::{Kind, Outgoing, Received, Shutdown};
use crate::errno::{Errno, Result};
use crate::fs::{Poll, Pulse};

/// Whose rules a connection follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavour {
    /// TCP's.
    Tcp,
    /// AF_UNIX's.
    Unix,
}

/// One direction: a queue, and what its two ends tell each other.
#[derive(Default)]
struct Lane {
    inbox: Inbox,
    /// Bytes that the writer keeps for it, and that the reader takes, where they said so.
    kept: Cell<Option<usize>>,
    taken: Cell<Option<usize>>,
    /// The writer has finished.
    ended: Cell<bool>,
    /// The reader takes no more.
    refusing: Cell<bool>,
    /// The reader's side was reset.
    broken: Cell<bool>,
    /// What the reader's side is told once.
    error: Cell<Option<Errno>>,
}

impl Lane {
    /// What TCP's two ends take is between them, and AF_UNIX asks the writer alone.
    fn limit(&self, flavour: Flavour) {
        let or_all = |bytes: &Cell<Option<usize>>| bytes.get().unwrap_or(INBOX_BYTES);
        let taken = if flavour == Flavour::Tcp { or_all(&self.taken) } else { 0 };
        self.inbox.set_limit(or_all(&self.kept) + taken);
    }

    /// The reader's side is reset.
    fn break_off(&self, error: Errno) {
        self.broken.set(true);
        self.error.set(Some(error));
        self.inbox.arrived();
    }
}

/// One side of a connection.
pub struct Side {
    flavour: Flavour,
    kind: Kind,
    incoming: Rc<Lane>,
    outgoing: Rc<Lane>,
    done: Cell<Shutdown>,
    /// Closing resets the peer, whatever is unread (SO_LINGER with no time).
    resets: Cell<bool>,
}

/// Two sides of a new connection.
pub fn pair(flavour: Flavour, kind: Kind) -> (Side, Side) {
    let (one, other) = (Rc::<Lane>::default(), Rc::<Lane>::default());
    let side = |incoming: &Rc<Lane>, outgoing: &Rc<Lane>| Side {
        flavour,
        kind,
        incoming: incoming.clone(),
        outgoing: outgoing.clone(),
        done: Cell::new(Shutdown { receive: false, send: false }),
        resets: Cell::new(false),
    };
    (side(&one, &other), side(&other, &one))
}

impl Side {
    /// send(2). EAGAIN, EPIPE, ECONNRESET, EMSGSIZE, ENOMEM.
    pub fn send(&self, message: Outgoing<'_>) -> Result<usize> {
        if let Some(error) = self.take_error() {
            return Err(error);
        }
        if self.done.get().send || self.incoming.broken.get() {
            return Err(Errno::PIPE);
        }
        if self.outgoing.refusing.get() {
            if self.flavour == Flavour::Unix {
                return Err(Errno::PIPE);
            }
            // The answer to data that nobody takes is a reset, which comes too late for this write.
            if self.incoming.ended.get() {
                self.incoming.break_off(Errno::PIPE);
                return Ok(message.bytes.len());
            }
        }
        match self.kind {
            Kind::Stream => self.outgoing.inbox.write(message.bytes, message.rights),
            _ => {
                let envelope = Envelope { rights: message.rights, ..Envelope::default() };
                self.outgoing.inbox.post(message.bytes, envelope)
            }
        }
    }

    /// recv(2). EAGAIN, ECONNRESET.
    pub fn receive(&self, to: &mut [u8], peek: bool) -> Result<Received> {
        let got = match self.kind {
            Kind::Stream => self.incoming.inbox.read(to, peek),
            _ => self.incoming.inbox.fetch(to, peek),
        };
        match got {
            Err(Errno::AGAIN) if self.will_receive() && self.incoming.error.get().is_none() => {
                Err(Errno::AGAIN)
            }
            // What TCP answers to data after the end concerns the writer alone.
            Err(Errno::AGAIN) if self.incoming.ended.get() && self.flavour == Flavour::Tcp => {
                match self.incoming.error.get() {
                    Some(Errno::PIPE) | None => Ok(Received::default()),
                    Some(_) => Err(self.take_error().unwrap_or(Errno::CONNRESET)),
                }
            }
            Err(Errno::AGAIN) => self.take_error().map_or(Ok(Received::default()), Err),
            got => got,
        }
    }

    /// shutdown(2).
    pub fn shutdown(&self, how: Shutdown) {
        let done = self.done.get();
        self.done
            .set(Shutdown { receive: done.receive || how.receive, send: done.send || how.send });
        if how.send && !done.send {
            self.outgoing.ended.set(true);
            self.outgoing.inbox.arrived();
        }
        if how.receive && self.flavour == Flavour::Unix {
            self.incoming.refusing.set(true);
            self.outgoing.inbox.arrived();
        }
        self.incoming.inbox.arrived();
    }

    /// How many bytes may be on the way (SO_SNDBUF, SO_RCVBUF): what this side sends and receives, where it was said.
    pub fn set_buffers(&self, send: Option<usize>, receive: Option<usize>) {
        self.outgoing.kept.set(send);
        self.incoming.taken.set(receive);
        self.outgoing.limit(self.flavour);
        self.incoming.limit(self.flavour);
    }

    /// Closing resets the peer.
    pub fn set_resets(&self) {
        self.resets.set(true);
    }

    /// Whether there is no peer any more: TCP's is gone with a reset, whatever of it can still be read.
    pub fn has_lost_peer(&self) -> bool {
        self.flavour == Flavour::Tcp && self.incoming.broken.get()
    }

    /// What went wrong since it was asked last.
    pub fn take_error(&self) -> Option<Errno> {
        self.incoming.error.take()
    }

    /// Bytes that a read finds; of messages, those of the first.
    pub fn available(&self) -> usize {
        match self.kind {
            Kind::Stream => self.incoming.inbox.len(),
            _ => self.incoming.inbox.first_len(),
        }
    }

    /// What would not wait (tcp_poll, unix_poll).
    pub fn poll(&self) -> Poll {
        let (receives, sends) = (self.will_receive(), self.will_send());
        let mut poll = Poll::empty();
        poll.set(Poll::HUP, !receives && !sends);
        poll.set(Poll::RDHUP, !receives);
        poll.set(Poll::IN, !receives || !self.incoming.inbox.is_empty());
        poll.set(Poll::OUT, !sends || self.outgoing.inbox.has_room());
        poll.set(Poll::ERR, self.incoming.error.get().is_some());
        poll
    }

    /// What has become possible. An end moves both.
    pub fn pulse(&self) -> Pulse {
        let ends = [
            self.incoming.ended.get(),
            self.incoming.broken.get(),
            self.outgoing.refusing.get(),
            self.done.get().receive,
            self.done.get().send,
        ];
        let ends = ends.iter().fold(0, |bits, end| bits << 1 | u64::from(*end)) << 59;
        let input = self.incoming.inbox.arrivals() ^ ends;
        Pulse { input, output: self.outgoing.inbox.relieved() ^ ends }
    }

    /// Whether more may come, beyond what is there.
    fn will_receive(&self) -> bool {
        !(self.incoming.ended.get() || self.incoming.broken.get() || self.done.get().receive)
    }

    /// Whether what is sent may arrive.
    fn will_send(&self) -> bool {
        let refused = self.flavour == Flavour::Unix && self.outgoing.refusing.get();
        !(self.done.get().send || self.incoming.broken.get() || refused)
    }
}

impl Drop for Side {
    fn drop(&mut self) {
        let unread = !self.incoming.inbox.is_empty();
        self.incoming.refusing.set(true);
        if unread || self.resets.get() {
            self.outgoing.break_off(Errno::CONNRESET);
        }
        self.outgoing.ended.set(true);
        self.outgoing.inbox.arrived();
        self.incoming.inbox.clear();
    }
}
