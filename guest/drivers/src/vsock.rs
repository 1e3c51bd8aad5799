//! Stream sockets to the host (virtio 1.2 §5.10), from the guest's side.
//!
//! ```text
//!      connect(port)                              listen(port); the host: REQUEST
//!           │ REQUEST                                   │ RESPONSE
//!           ▼                                           ▼
//!     ┌────────────┐ RESPONSE                     ┌───────────┐ shutdown(): each direction by itself
//!     │ Connecting ├─────────────────────────────►│ Connected ├──┐
//!     └─────┬──────┘                              └──┬─────┬──┘◄─┘
//!           │ RST                            close() │     │ RST, or the host's SHUTDOWN of both
//!           ▼                           SHUTDOWN both│     ▼
//!       Refused                                      ▼   Finished or Reset: what came is still read,
//!                                                Closing                   until close()
//!                                                    └── RST: gone
//! ```
//!
//! Nothing here waits. [`Vsock::poll`] takes in what the device has done; `send` and `recv` move as many
//! bytes as there is room and credit for, and say so; packets are put into the queue and seen by the
//! device at the kernel's next kick, with everything else.
//!
//! **Receiving.** Data stays in the receive buffer that the device filled until `recv` copies it to where
//! the program wants it: one copy in the guest. Small packets are copied out at once, so that a trickle
//! does not sit on whole buffers; and so is everything while too many buffers are sat on, so that one
//! unread stream can't starve the others. Few buffers are posted at first, more when the device uses all.
//!
//! **Credit** is told lazily: when half of a stream's buffer is free without the host knowing, and then
//! at the next kick, which says the most.

mod inbound;
mod packet;
mod receiver;
mod stream;
mod transmitter;

pub use receiver::RX_BUFFER_BYTES;
pub use stream::{Readiness, StreamError};
pub use transmitter::TX_BUFFER_BYTES;

use alloc::collections::{BTreeMap, VecDeque};

use mayfly_hal::dma::DmaRegion;
use thiserror::Error;

use crate::virtqueue::{DeviceFault, Segment, VirtQueue};
use packet::{Header, Op};
use receiver::Receiver;
use stream::{ALLOCATION, State, Stream};
use transmitter::Transmitter;

/// Most streams at a time: the device's own bound.
pub const STREAMS_MAX: usize = 1024;
/// Most streams that wait for `accept` at one port (Linux's default somaxconn was 128 for decades).
pub const BACKLOG_MAX: usize = 128;
/// Most resets owed for what is no stream. A host that sends more such packets gets no answer.
const RESETS_MAX: usize = 256;
/// The guest's own ports begin here: above all well-known ones.
const FIRST_PORT: u32 = 0x1_0000;
/// Bytes of an event (virtio 1.2 §5.10.6.7).
const EVENT_BYTES: usize = 8;

/// Names a stream from `connect` or `accept` to `close`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId {
    /// The guest's port.
    pub local_port: u32,
    /// The host's port.
    pub peer_port: u32,
}

/// Which directions `shutdown` ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// No more data is taken: what comes is thrown away.
    Receive,
    /// No more data is sent: the host reads the end.
    Send,
    /// Both.
    Both,
}

/// Why a stream or a listener can't be made.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum OpenError {
    /// [`STREAMS_MAX`].
    #[error("too many streams")]
    TooManyStreams,
    /// Somebody listens at the port.
    #[error("the port is taken")]
    PortTaken,
}

/// All memory of the driver.
#[derive(Debug)]
pub struct VsockMemory {
    /// Queue 0: from the host.
    pub rx: VirtQueue,
    /// Queue 1: to the host.
    pub tx: VirtQueue,
    /// Queue 2: events.
    pub events: VirtQueue,
    /// Receive buffers, [`RX_BUFFER_BYTES`] each; 32 are a good number.
    pub rx_buffers: DmaRegion,
    /// Buffers for data to send, [`TX_BUFFER_BYTES`] each; 32 are a good number.
    pub tx_buffers: DmaRegion,
    /// Headers: [`Vsock::headers_bytes`].
    pub headers: DmaRegion,
}

/// The driver.
#[derive(Debug)]
pub struct Vsock {
    cid: u64,
    receiver: Receiver,
    transmitter: Transmitter,
    events: VirtQueue,
    event: DmaRegion,
    streams: BTreeMap<StreamId, Stream>,
    /// By port: streams that wait for `accept`.
    listeners: BTreeMap<u32, VecDeque<StreamId>>,
    /// Streams with debts, each once.
    owing: VecDeque<StreamId>,
    /// RSTs owed for what is no stream (any more).
    resets: VecDeque<StreamId>,
    next_port: u32,
}

impl Vsock {
    /// Bytes of [`VsockMemory::headers`] for a transmit queue of `size` entries.
    pub const fn headers_bytes(size: u16) -> usize {
        Transmitter::headers_bytes(size) + EVENT_BYTES
    }

    /// A driver for a guest with context identifier `cid`. Receive buffers are posted; the device sees
    /// them at the next kick.
    ///
    /// # Panics
    /// Where a region is too small: the kernel's bug.
    pub fn new(memory: VsockMemory, cid: u64) -> Vsock {
        let VsockMemory { rx, tx, events, rx_buffers, tx_buffers, headers } = memory;
        let event = headers.sub(Transmitter::headers_bytes(tx.size()), EVENT_BYTES);
        let mut vsock = Vsock {
            cid,
            receiver: Receiver::new(rx, rx_buffers),
            transmitter: Transmitter::new(tx, headers, tx_buffers),
            events,
            event,
            streams: BTreeMap::new(),
            listeners: BTreeMap::new(),
            owing: VecDeque::new(),
            resets: VecDeque::new(),
            next_port: FIRST_PORT,
        };
        vsock.post_event();
        vsock
    }

    /// Takes in all that the device has done; `true` where that was anything.
    ///
    /// # Errors
    /// [`DeviceFault`]: the device can't be used any more.
    pub fn poll(&mut self) -> Result<bool, DeviceFault> {
        let sent = self.transmitter.reap()?;
        let received = self.take_packets()?;
        let event = self.take_events()?;
        self.pay_debts();
        Ok(sent || received || event)
    }

    /// Whether the device has done something that [`Self::poll`] would take in: cheap, for spinning.
    pub fn has_used(&self) -> bool {
        self.receiver.has_used() || self.transmitter.has_used() || self.events.has_used()
    }

    /// Whether the device must be notified, now or at the next occasion; see [`VirtQueue::needs_kick`].
    pub fn needs_kick(&self) -> bool {
        let owed = !self.owing.is_empty() && self.transmitter.has_room_for_control();
        owed || self.receiver.needs_kick()
            || self.transmitter.needs_kick()
            || self.events.needs_kick()
    }

    /// The device is about to be notified of all queues; see [`VirtQueue::about_to_kick`]. Credit is told
    /// now, so that it is the latest.
    pub fn about_to_kick(&mut self) {
        self.pay_debts();
        self.receiver.about_to_kick();
        self.transmitter.about_to_kick();
        self.events.about_to_kick();
    }

    /// Begins a stream to a host port. [`Readiness::connected`] or an error will tell.
    ///
    /// # Errors
    /// [`OpenError::TooManyStreams`].
    pub fn connect(&mut self, peer_port: u32) -> Result<StreamId, OpenError> {
        if self.streams.len() >= STREAMS_MAX {
            return Err(OpenError::TooManyStreams);
        }
        // At most STREAMS_MAX ports are taken, so this ends.
        let id = loop {
            let local_port = self.next_port;
            self.next_port = local_port.checked_add(1).unwrap_or(FIRST_PORT);
            let id = StreamId { local_port, peer_port };
            if !self.streams.contains_key(&id) && !self.listeners.contains_key(&local_port) {
                break id;
            }
        };
        let mut stream = Stream::new(State::Connecting);
        stream.debts.request = true;
        self.streams.insert(id, stream);
        self.owe(id);
        Ok(id)
    }

    /// Lets the host begin streams to a guest port.
    ///
    /// # Errors
    /// [`OpenError::PortTaken`].
    pub fn listen(&mut self, port: u32) -> Result<(), OpenError> {
        if self.listeners.contains_key(&port) {
            return Err(OpenError::PortTaken);
        }
        self.listeners.insert(port, VecDeque::new());
        Ok(())
    }

    /// The next stream that the host has begun to a port. `None`: none yet, or nobody listens.
    pub fn accept(&mut self, port: u32) -> Option<StreamId> {
        self.listeners.get_mut(&port)?.pop_front()
    }

    /// Whether [`Self::accept`] has one.
    pub fn acceptable(&self, port: u32) -> bool {
        self.listeners.get(&port).is_some_and(|waiting| !waiting.is_empty())
    }

    /// Stops listening. Streams that nobody has accepted are closed.
    pub fn unlisten(&mut self, port: u32) {
        for id in self.listeners.remove(&port).unwrap_or_default() {
            self.close(id);
        }
    }

    /// Sends the front of `bytes`: as much as credit and buffers allow, at least one byte.
    ///
    /// # Errors
    /// [`StreamError::WouldBlock`]; or the stream does not take data (any more).
    pub fn send(&mut self, id: StreamId, bytes: &[u8]) -> Result<usize, StreamError> {
        let stream = self.streams.get_mut(&id).ok_or(StreamError::Unknown)?;
        stream.may_send()?;
        let mut done = 0;
        while done < bytes.len() {
            let credit = stream.send.available() as usize;
            let count = (bytes.len() - done).min(credit).min(self.transmitter.room());
            if count == 0 {
                break;
            }
            let header = stream.header(self.cid, id, Op::Data(count as u32));
            self.transmitter.data(&header, &bytes[done..done + count]);
            stream.send.spend(count as u32);
            done += count;
        }
        if done == 0 && !bytes.is_empty() { Err(StreamError::WouldBlock) } else { Ok(done) }
    }

    /// Copies received bytes to the front of `out`; 0 is the end of the stream (or an empty `out`).
    ///
    /// # Errors
    /// [`StreamError::WouldBlock`]; or the stream broke, and all that came before is read.
    pub fn recv(&mut self, id: StreamId, out: &mut [u8]) -> Result<usize, StreamError> {
        let stream = self.streams.get_mut(&id).ok_or(StreamError::Unknown)?;
        if out.is_empty() {
            return Ok(0);
        }
        let count = stream.take(out, &mut self.receiver);
        if count == 0 {
            return stream.end_of_data().map(|()| 0);
        }
        if stream.recv.worth_telling() && stream.state == State::Connected {
            stream.debts.credit_update = true;
            self.list_owing(id);
        }
        Ok(count)
    }

    /// Ends directions of a stream; the host is told. Data sent before arrives before.
    ///
    /// # Errors
    /// The stream is not connected.
    pub fn shutdown(&mut self, id: StreamId, how: How) -> Result<(), StreamError> {
        let stream = self.streams.get_mut(&id).ok_or(StreamError::Unknown)?;
        stream.connected()?;
        stream.done_receiving |= how != How::Send;
        stream.done_sending |= how != How::Receive;
        stream.debts.shutdown = true;
        if stream.done_receiving {
            stream.discard(&mut self.receiver);
        }
        self.owe(id);
        Ok(())
    }

    /// Lets go of a stream; its name is void. What was sent still arrives.
    pub fn close(&mut self, id: StreamId) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        stream.discard(&mut self.receiver);
        match stream.state {
            State::Connected => {
                stream.state = State::Closing;
                (stream.done_receiving, stream.done_sending) = (true, true);
                stream.debts.shutdown = true;
                self.owe(id);
            }
            State::Connecting if !stream.debts.request => {
                self.forget(id);
                self.owe_reset(id);
            }
            State::Closing => {}
            _ => self.forget(id),
        }
    }

    /// What a stream is ready for. A stream that does not exist is ready to report that.
    pub fn readiness(&self, id: StreamId) -> Readiness {
        let room = self.transmitter.room() > 0 || self.transmitter.has_used();
        let stream = self.streams.get(&id).filter(|stream| stream.state != State::Closing);
        stream.map_or(Readiness::unknown(), |stream| stream.readiness(room))
    }

    /// Bytes that have come for a stream so far, modulo 2³²; 0 for a stream that does not exist.
    pub fn received_bytes(&self, id: StreamId) -> u32 {
        self.streams.get(&id).map_or(0, |stream| stream.recv.received())
    }

    /// Streams that exist, those in closing among them.
    pub fn streams(&self) -> usize {
        self.streams.len()
    }

    /// Sends what is owed, as far as the queue has room.
    fn pay_debts(&mut self) {
        while self.transmitter.has_room_for_control() {
            if let Some(id) = self.resets.pop_front() {
                let header = Header::to_host(self.cid, id, Op::Reset, 0, 0);
                self.transmitter.control(&header);
                continue;
            }
            let Some(id) = self.owing.front().copied() else { return };
            let stream = self.streams.get_mut(&id);
            let debt = stream.and_then(|stream| {
                let op = stream.debts.pay(stream.done_receiving, stream.done_sending);
                stream.owing = op.is_some();
                op.map(|op| stream.header(self.cid, id, op))
            });
            match debt {
                Some(header) => self.transmitter.control(&header),
                None => drop(self.owing.pop_front()),
            }
        }
    }

    /// Pays what a stream has come to owe, now or when there is room.
    fn owe(&mut self, id: StreamId) {
        self.list_owing(id);
        self.pay_debts();
    }

    /// Lists a stream with debts that can wait for the next kick.
    fn list_owing(&mut self, id: StreamId) {
        if let Some(stream) = self.streams.get_mut(&id).filter(|stream| !stream.owing) {
            stream.owing = true;
            self.owing.push_back(id);
        }
    }

    fn owe_reset(&mut self, id: StreamId) {
        if self.resets.len() < RESETS_MAX {
            self.resets.push_back(id);
        }
    }

    /// Takes a stream out of the table; its buffers were given back before.
    fn forget(&mut self, id: StreamId) {
        if self.streams.remove(&id).is_some_and(|stream| stream.owing) {
            self.owing.retain(|other| *other != id);
        }
        if let Some(waiting) = self.listeners.get_mut(&id.local_port) {
            waiting.retain(|other| *other != id);
        }
    }

    fn post_event(&mut self) {
        let (gpa, len) = (self.event.gpa(), EVENT_BYTES as u32);
        // One buffer in a queue of its own: it always fits.
        let _ = self.events.add([Segment { gpa, len, writable: true }]);
    }

    /// The one event there is: all streams are void (virtio 1.2 §5.10.6.7).
    fn take_events(&mut self) -> Result<bool, DeviceFault> {
        let Some(_) = self.events.pop()? else { return Ok(false) };
        self.owing.clear();
        self.resets.clear();
        for stream in self.streams.values_mut() {
            stream.owing = false;
            stream.break_off();
        }
        self.streams.retain(|_, stream| stream.state != State::Closing);
        self.post_event();
        Ok(true)
    }
}

const _: () = assert!(ALLOCATION as usize >= RX_BUFFER_BYTES);
