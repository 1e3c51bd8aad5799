//! One stream: its state, its credit both ways (virtio 1.2 §5.10.6.3), and what was received and not
//! yet read.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use thiserror::Error;

use super::StreamId;
use super::packet::{HEADER_BYTES, Header, Op};
use super::receiver::{Received, Receiver};

/// Bytes that a stream's host may have on the way to us: as much as 32 receive buffers hold, so that one
/// exit can move that much.
pub(super) const ALLOCATION: u32 = 512 << 10;
/// Packets up to so many bytes are copied out of their buffer at once.
const SMALL_MAX: usize = 2 << 10;
/// Copied packets share an allocation up to so many bytes.
const SHARED_MAX: usize = 16 << 10;

/// Where a stream is in its life; the drawing is in the parent module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Connecting,
    Connected,
    /// The host did not accept.
    Refused,
    /// Both sides came to the end.
    Finished,
    /// It broke.
    Reset,
    /// The program has let go; the host has not confirmed.
    Closing,
}

/// Why a stream does not do what is asked.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum StreamError {
    /// Not now: wait for [`Readiness`].
    #[error("not ready yet")]
    WouldBlock,
    /// The host is not there yet.
    #[error("not connected yet")]
    NotConnected,
    /// Nobody accepts at the host's port.
    #[error("refused by the host")]
    Refused,
    /// The stream broke.
    #[error("reset by the host")]
    Reset,
    /// This direction has ended.
    #[error("closed for sending")]
    Closed,
    /// There is no such stream.
    #[error("no such stream")]
    Unknown,
}

/// What a stream is ready for, as `poll(2)` wants to know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Readiness {
    /// The host has accepted.
    pub connected: bool,
    /// `recv` has data, the end or an error to tell.
    pub readable: bool,
    /// `send` takes data or has an error to tell.
    pub writable: bool,
    /// The host will send no more: what is there to read is the last.
    pub peer_done: bool,
    /// Neither direction works any more.
    pub hung_up: bool,
    /// The stream failed.
    pub error: Option<StreamError>,
}

impl Readiness {
    pub(super) fn unknown() -> Readiness {
        Readiness {
            connected: false,
            readable: true,
            writable: true,
            peer_done: true,
            hung_up: true,
            error: Some(StreamError::Unknown),
        }
    }
}

/// What the host will take.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SendCredit {
    sent: u32,
    allocation: u32,
    forwarded: u32,
}

impl SendCredit {
    pub(super) fn update(&mut self, allocation: u32, forwarded: u32) {
        (self.allocation, self.forwarded) = (allocation, forwarded);
    }

    pub(super) fn available(&self) -> u32 {
        self.allocation.saturating_sub(self.sent.wrapping_sub(self.forwarded))
    }

    pub(super) fn spend(&mut self, count: u32) {
        self.sent = self.sent.wrapping_add(count);
    }
}

/// What the host may send.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RecvCredit {
    received: u32,
    forwarded: u32,
    told: u32,
}

impl RecvCredit {
    /// `count` bytes came; `false` where the host had no credit for them.
    #[must_use]
    pub(super) fn receive(&mut self, count: u32) -> bool {
        let within = count <= ALLOCATION - self.received.wrapping_sub(self.forwarded);
        if within {
            self.received = self.received.wrapping_add(count);
        }
        within
    }

    pub(super) fn received(&self) -> u32 {
        self.received
    }

    pub(super) fn forward(&mut self, count: u32) {
        self.forwarded = self.forwarded.wrapping_add(count);
    }

    /// Half of the buffer is free without the host knowing.
    pub(super) fn worth_telling(&self) -> bool {
        self.forwarded.wrapping_sub(self.told) >= ALLOCATION / 2
    }
}

/// Control packets that a stream owes the host: at most one of each.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Debts {
    pub request: bool,
    pub response: bool,
    pub credit_update: bool,
    pub shutdown: bool,
}

impl Debts {
    /// The next packet owed. Every packet carries the credit, so any of them pays that debt too.
    pub(super) fn pay(&mut self, receive: bool, send: bool) -> Option<Op> {
        let op = if core::mem::take(&mut self.request) {
            Op::Request
        } else if core::mem::take(&mut self.response) {
            Op::Response
        } else if core::mem::take(&mut self.shutdown) {
            Op::Shutdown { receive, send }
        } else if self.credit_update {
            Op::CreditUpdate
        } else {
            return None;
        };
        self.credit_update = false;
        Some(op)
    }
}

/// Received bytes that wait to be read.
#[derive(Debug)]
enum Chunk {
    /// In the receive buffer, from `start` to `end`.
    Buffer { buffer: u16, start: usize, end: usize },
    /// Copied out, from `start` on.
    Copied { bytes: Vec<u8>, start: usize },
}

#[derive(Debug)]
pub(super) struct Stream {
    pub state: State,
    pub send: SendCredit,
    pub recv: RecvCredit,
    chunks: VecDeque<Chunk>,
    pub debts: Debts,
    /// Listed as one with debts.
    pub owing: bool,
    /// The program will take, will send no more.
    pub done_receiving: bool,
    pub done_sending: bool,
    /// The host will take, will send no more.
    pub peer_done_receiving: bool,
    pub peer_done_sending: bool,
}

impl Stream {
    pub(super) fn new(state: State) -> Stream {
        Stream {
            state,
            send: SendCredit::default(),
            recv: RecvCredit::default(),
            chunks: VecDeque::new(),
            debts: Debts::default(),
            owing: false,
            done_receiving: false,
            done_sending: false,
            peer_done_receiving: false,
            peer_done_sending: false,
        }
    }

    /// A packet of this stream, with the credit it tells.
    pub(super) fn header(&mut self, cid: u64, id: StreamId, op: Op) -> Header {
        self.recv.told = self.recv.forwarded;
        self.debts.credit_update = false;
        Header::to_host(cid, id, op, ALLOCATION, self.recv.forwarded)
    }

    /// Whether the stream is connected.
    pub(super) fn connected(&self) -> Result<(), StreamError> {
        match self.state {
            State::Connected => Ok(()),
            State::Connecting => Err(StreamError::NotConnected),
            State::Refused => Err(StreamError::Refused),
            State::Reset => Err(StreamError::Reset),
            State::Finished => Err(StreamError::Closed),
            State::Closing => Err(StreamError::Unknown),
        }
    }

    /// Whether data may be sent.
    pub(super) fn may_send(&self) -> Result<(), StreamError> {
        self.connected()?;
        let open = !self.done_sending && !self.peer_done_receiving;
        if open { Ok(()) } else { Err(StreamError::Closed) }
    }

    /// Now that nothing is left to read: the end (`Ok`), nothing yet, or why nothing will come.
    pub(super) fn end_of_data(&self) -> Result<(), StreamError> {
        match self.connected() {
            Ok(()) if self.peer_done_sending || self.done_receiving => Ok(()),
            Ok(()) => Err(StreamError::WouldBlock),
            Err(StreamError::Closed) => Ok(()),
            Err(error) => Err(error),
        }
    }

    pub(super) fn readiness(&self, room: bool) -> Readiness {
        let ended = !matches!(self.state, State::Connecting | State::Connected);
        let error = match self.state {
            State::Refused => Some(StreamError::Refused),
            State::Reset => Some(StreamError::Reset),
            _ => None,
        };
        let waits = self.end_of_data();
        Readiness {
            connected: self.state == State::Connected,
            readable: !self.chunks.is_empty()
                || !matches!(waits, Err(StreamError::WouldBlock | StreamError::NotConnected)),
            writable: match self.may_send() {
                Ok(()) => room && self.send.available() > 0,
                Err(error) => error != StreamError::NotConnected,
            },
            peer_done: ended || self.peer_done_sending,
            hung_up: ended || (self.peer_done_sending && self.done_sending),
            error,
        }
    }

    /// Keeps the data of a packet: in its buffer, or copied out of it.
    pub(super) fn keep(&mut self, received: Received, receiver: &mut Receiver) {
        let Received { buffer, bytes: end } = received;
        let len = end - HEADER_BYTES;
        if len > SMALL_MAX && !receiver.scarce() {
            self.chunks.push_back(Chunk::Buffer { buffer, start: HEADER_BYTES, end });
            return;
        }
        if !self.shares(len) {
            self.chunks.push_back(Chunk::Copied { bytes: Vec::new(), start: 0 });
        }
        if let Some(Chunk::Copied { bytes, .. }) = self.chunks.back_mut() {
            let before = bytes.len();
            bytes.resize(before + len, 0);
            receiver.region(buffer).read(HEADER_BYTES, &mut bytes[before..]);
        }
        receiver.release(buffer);
    }

    /// Whether `len` more bytes may go to the last chunk.
    fn shares(&self, len: usize) -> bool {
        let last = self.chunks.back();
        matches!(last, Some(Chunk::Copied { bytes, .. }) if bytes.len() + len <= SHARED_MAX)
    }

    /// Copies what waits to the front of `out`, and gives back the buffers that are read out.
    pub(super) fn take(&mut self, out: &mut [u8], receiver: &mut Receiver) -> usize {
        let mut done = 0;
        while done < out.len() {
            let Some(chunk) = self.chunks.front_mut() else { break };
            let rest = &mut out[done..];
            let (count, emptied) = match chunk {
                Chunk::Buffer { buffer, start, end } => {
                    let count = rest.len().min(*end - *start);
                    receiver.region(*buffer).read(*start, &mut rest[..count]);
                    *start += count;
                    (count, start == end)
                }
                Chunk::Copied { bytes, start } => {
                    let count = rest.len().min(bytes.len() - *start);
                    rest[..count].copy_from_slice(&bytes[*start..*start + count]);
                    *start += count;
                    (count, *start == bytes.len())
                }
            };
            done += count;
            if emptied && let Some(Chunk::Buffer { buffer, .. }) = self.chunks.pop_front() {
                receiver.release(buffer);
            }
        }
        self.recv.forward(done as u32);
        done
    }

    /// Throws away what waits.
    pub(super) fn discard(&mut self, receiver: &mut Receiver) {
        for chunk in self.chunks.drain(..) {
            let len = match chunk {
                Chunk::Buffer { buffer, start, end } => {
                    receiver.release(buffer);
                    end - start
                }
                Chunk::Copied { bytes, start } => bytes.len() - start,
            };
            self.recv.forward(len as u32);
        }
    }

    /// The host's RST: what that means depends on how far both sides had come.
    pub(super) fn reset_by_peer(&mut self) {
        self.state = match self.state {
            State::Connecting => State::Refused,
            State::Connected if self.peer_done_sending || self.done_receiving => State::Finished,
            State::Connected => State::Reset,
            other => other,
        };
        self.debts = Debts::default();
    }

    /// The stream is void.
    pub(super) fn break_off(&mut self) {
        if matches!(self.state, State::Connecting | State::Connected) {
            self.state = State::Reset;
        }
        self.debts = Debts::default();
    }
}
