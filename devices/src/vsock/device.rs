//! The table of streams, and all that the VMM asks of the device or tells it.
//!
//! One [`Vsock::poll`] is one step: first what the VMM has not heard yet, then what waits for slow
//! sockets, what is owed to the guest, the guest's own packets, and last the sockets' data. The guest's
//! queue is read on only when everything said before has been heard.

use std::collections::{BTreeMap, VecDeque};

use mayfly_abi::ports::{GUEST_CID, HOST_CID};
use thiserror::Error;
use virtio_bindings::virtio_ids::VIRTIO_ID_VSOCK;
use vm_memory::GuestMemory;

use super::StreamId;
use super::connection::{Connection, State};
use super::effect::{Closed, Effect, Note, Pending, Step};
use crate::mmio::{CONFIG_BYTES, VirtioDevice};
use crate::{Chain, GuestFault, Queue, Scatter};

/// Most streams at a time. An execution environment has a handful; a web server in it, some hundreds.
pub const STREAMS_MAX: usize = 1024;
/// Most resets waiting for a receive buffer that belong to no stream.
pub const RESETS_MAX: usize = 256;
/// Bytes held for slow sockets at which the guest's packets are left waiting in its queue. One packet
/// may go over it, by less than a stream's credit.
pub const HELD_MAX: usize = 1 << 20;
/// Most entries of each queue.
pub const QUEUE_SIZE_MAX: u16 = 256;
/// Rounds of paying debts and reading packets, in one step, that give the VMM nothing to do before it
/// gets a turn all the same. Packets make debts and debts take buffers, so two do unless the guest adds to
/// both meanwhile.
const ROUNDS_MAX: usize = 4;
/// The host's own ports begin here: above all well-known ones.
pub(super) const FIRST_HOST_PORT: u32 = 0x4000_0000;
/// VIRTIO_VSOCK_F_STREAM (virtio 1.2 §5.10.3).
const F_STREAM: u64 = 1 << 0;

/// The device's queues (virtio 1.2 §5.10.2): to the guest, from the guest, events.
pub type Queues = [Queue; 3];

/// Why the host can't begin a stream.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum ConnectError {
    /// [`STREAMS_MAX`], or the guest gives no buffers for what it is owed already.
    #[error("the guest has too many streams")]
    TooManyStreams,
}

/// The device.
#[derive(Debug)]
pub struct Vsock {
    pub(super) guest_cid: u64,
    pub(super) streams: BTreeMap<StreamId, Connection>,
    /// Streams with debts, each once.
    pub(super) owing: VecDeque<StreamId>,
    /// Streams whose socket has data, each once: the turn order.
    pub(super) readable: VecDeque<StreamId>,
    /// Streams whose socket takes held bytes, each once: the turn order.
    pub(super) writable: VecDeque<StreamId>,
    /// RSTs owed for what is no stream (any more).
    pub(super) resets: VecDeque<StreamId>,
    pub(super) notes: VecDeque<Note>,
    pub(super) pending: Option<Pending>,
    /// The packet at hand.
    pub(super) chain: Chain,
    /// Where the header of the packet at hand goes, while `chain` is the room behind it.
    pub(super) header: Scatter,
    /// Bytes that all streams hold.
    pub(super) held: usize,
    /// The guest is owed the event that all its streams are gone.
    pub(super) transport_reset: bool,
    /// Whose turn it is: the sockets', before the guest's.
    receive_first: bool,
    pub(super) next_host_port: u32,
}

impl Default for Vsock {
    fn default() -> Self {
        Vsock::new(GUEST_CID)
    }
}

/// For the VMM.
impl Vsock {
    /// A device for a guest with this context identifier.
    pub fn new(guest_cid: u64) -> Vsock {
        Vsock {
            guest_cid,
            streams: BTreeMap::new(),
            owing: VecDeque::new(),
            readable: VecDeque::new(),
            writable: VecDeque::new(),
            resets: VecDeque::new(),
            notes: VecDeque::new(),
            pending: None,
            chain: Chain::default(),
            header: Scatter::default(),
            held: 0,
            transport_reset: false,
            receive_first: false,
            next_host_port: FIRST_HOST_PORT,
        }
    }

    /// The next thing to do; `None` where nothing is left until the guest or a socket does something.
    ///
    /// # Errors
    /// [`GuestFault`]: a queue is broken.
    pub fn poll<M: GuestMemory>(
        &mut self,
        mem: &M,
        queues: &mut Queues,
    ) -> Result<Option<Effect<'_>>, GuestFault> {
        self.assume_nothing_taken(mem, queues)?;
        let Some(step) = self.step(mem, queues)? else {
            return Ok(None);
        };
        if let Step::Pending(pending) = step {
            self.pending = Some(pending);
        }
        Ok(Some(match step {
            Step::Note(Note::Connect(id)) => Effect::Connect { id, port: id.host_port },
            Step::Note(Note::Connected(id)) => Effect::Connected { id },
            Step::Note(Note::ShutdownWrite(id)) => Effect::ShutdownWrite { id },
            Step::Note(Note::Closed(id, why)) => Effect::Closed { id, why },
            Step::Pending(Pending::Send(id, _)) => {
                Effect::Send { id, ranges: &self.chain.readable }
            }
            Step::Pending(Pending::Receive(id, _)) => {
                Effect::Receive { id, ranges: &self.chain.writable }
            }
            Step::Pending(Pending::SendHeld(id, _)) => {
                let bytes =
                    self.streams.get(&id).map_or(&[][..], |stream| stream.held.as_slices().0);
                Effect::SendHeld { id, bytes }
            }
            Step::Yield => Effect::Yield,
        }))
    }

    fn step<M: GuestMemory>(
        &mut self,
        mem: &M,
        queues: &mut Queues,
    ) -> Result<Option<Step>, GuestFault> {
        let [to_guest, from_guest, events] = queues;
        self.pay_transport_reset(mem, events)?;
        for _ in 0..ROUNDS_MAX {
            if let Some(pending) = self.next_held() {
                return Ok(Some(Step::Pending(pending)));
            }
            let paid = self.pay_debts(mem, to_guest)?;
            if let Some(note) = self.notes.pop_front() {
                return Ok(Some(Step::Note(note)));
            }
            // Both directions get their share, however busy the other is.
            self.receive_first = !self.receive_first;
            let mut step = None;
            if self.receive_first {
                step = self.next_receive(mem, to_guest)?;
            }
            if step.is_none() {
                step = self.read_packets(mem, from_guest)?;
            }
            if step.is_none() {
                step = self.next_receive(mem, to_guest)?;
            }
            if step.is_some() || !paid || !self.in_debt() {
                return Ok(step);
            }
        }
        Ok(Some(Step::Yield))
    }

    /// Answers [`Effect::Connect`]: the stream is open.
    pub fn accept(&mut self, id: StreamId) {
        if let Some(stream) = self.streams.get_mut(&id).filter(|s| s.state == State::Requested) {
            stream.state = State::Established;
            stream.debts.response = true;
            self.list_owing(id);
        }
    }

    /// Answers [`Effect::Connect`]: there is nothing at that port.
    pub fn refuse(&mut self, id: StreamId) {
        if self.streams.get(&id).is_some_and(|stream| stream.state == State::Requested) {
            self.reset_stream(id);
        }
    }

    /// Begins a stream to a guest port. [`Effect::Connected`] or [`Effect::Closed`] will tell.
    ///
    /// # Errors
    /// [`ConnectError::TooManyStreams`].
    pub fn connect(&mut self, guest_port: u32) -> Result<StreamId, ConnectError> {
        if self.streams.len() >= STREAMS_MAX || self.resets.len() >= RESETS_MAX {
            return Err(ConnectError::TooManyStreams);
        }
        // At most STREAMS_MAX ports are taken, so this ends.
        let id = loop {
            let host_port = self.next_host_port;
            self.next_host_port = host_port.checked_add(1).unwrap_or(FIRST_HOST_PORT);
            let id = StreamId { guest_port, host_port };
            if !self.streams.contains_key(&id) {
                break id;
            }
        };
        let mut stream = Connection::new(State::Connecting);
        stream.debts.request = true;
        self.streams.insert(id, stream);
        self.list_owing(id);
        Ok(id)
    }

    /// The socket has data: [`Effect::Receive`] will ask for it until [`Self::would_block`].
    pub fn handle_readable(&mut self, id: StreamId) {
        let Some(stream) = self.streams.get_mut(&id).filter(|stream| stream.host_may_send()) else {
            return;
        };
        if !stream.listed.readable && !stream.starved {
            stream.listed.readable = true;
            self.readable.push_back(id);
        }
    }

    /// The socket takes data again: [`Effect::SendHeld`] will follow where bytes are held for it.
    pub fn handle_writable(&mut self, id: StreamId) {
        let held = |stream: &&mut Connection| !stream.held.is_empty() && !stream.listed.writable;
        if let Some(stream) = self.streams.get_mut(&id).filter(held) {
            stream.listed.writable = true;
            self.writable.push_back(id);
        }
    }

    /// The socket has ended: nothing more will come from it.
    pub fn handle_eof(&mut self, id: StreamId) {
        if let Some(stream) = self.streams.get_mut(&id).filter(|stream| stream.host_may_send()) {
            stream.host_done_sending = true;
            stream.debts.shutdown = true;
            self.list_owing(id);
        }
    }

    /// The VMM is done with the stream and has closed its socket. The guest is told; no more effects
    /// follow. What is held for the socket is lost.
    pub fn close(&mut self, id: StreamId) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        if stream.state != State::Established {
            return self.reset_stream(id);
        }
        stream.state = State::Closing;
        stream.debts.shutdown = true;
        let held = std::mem::take(&mut stream.held);
        self.held -= held.len();
        stream.recv.forward(held.len() as u32);
        self.unlist_writable(id);
        self.list_owing(id);
    }

    /// The socket has failed and is closed: the guest's end is reset. No more effects follow.
    pub fn reset_stream(&mut self, id: StreamId) {
        if self.forget(id).is_some() {
            self.resets.push_back(id);
        }
    }

    /// All streams are void (the VM is a copy of another): the guest is told by an event, as virtio 1.2
    /// §5.10.6.7 has it. No effects follow.
    pub fn reset_transport(&mut self) {
        self.streams.clear();
        for list in [&mut self.owing, &mut self.readable, &mut self.writable, &mut self.resets] {
            list.clear();
        }
        self.notes.clear();
        self.held = 0;
        self.transport_reset = true;
    }

    /// Whether the VMM should watch the socket for data.
    pub fn wants_read(&self, id: StreamId) -> bool {
        let stream = self.streams.get(&id).filter(|stream| stream.host_may_send());
        stream.is_some_and(|stream| !stream.listed.readable && !stream.starved)
    }

    /// Whether the VMM should watch the socket for room.
    pub fn wants_write(&self, id: StreamId) -> bool {
        let stream = self.streams.get(&id);
        stream.is_some_and(|stream| !stream.held.is_empty() && !stream.listed.writable)
    }

    /// Streams that exist.
    pub fn streams(&self) -> usize {
        self.streams.len()
    }
}

/// For the files beside this one.
impl Vsock {
    /// Lists a stream that may have debts.
    pub(super) fn list_owing(&mut self, id: StreamId) {
        if let Some(stream) = self.streams.get_mut(&id).filter(|stream| !stream.listed.owing) {
            stream.listed.owing = true;
            self.owing.push_back(id);
        }
    }

    /// Takes a stream out of the turn order of held bytes.
    pub(super) fn unlist_writable(&mut self, id: StreamId) {
        if let Some(stream) = self.streams.get_mut(&id).filter(|stream| stream.listed.writable) {
            stream.listed.writable = false;
            self.writable.retain(|other| *other != id);
        }
    }

    /// Takes a stream out of the table and out of every list.
    pub(super) fn forget(&mut self, id: StreamId) -> Option<Connection> {
        let stream = self.streams.remove(&id)?;
        self.held -= stream.held.len();
        for (listed, list) in [
            (stream.listed.owing, &mut self.owing),
            (stream.listed.readable, &mut self.readable),
            (stream.listed.writable, &mut self.writable),
        ] {
            if listed {
                list.retain(|other| *other != id);
            }
        }
        Some(stream)
    }

    /// Ends a stream from the guest's side or for the guest's fault; the VMM hears of it unless it has
    /// let go already.
    pub(super) fn end(&mut self, id: StreamId, why: Closed) {
        if self.forget(id).is_some_and(|stream| stream.state != State::Closing) {
            self.notes.push_back(Note::Closed(id, why));
        }
    }

    /// Draws the consequences of what a stream has become: passes the guest's end on, and takes leave
    /// where both directions have ended.
    pub(super) fn settle(&mut self, id: StreamId) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        if stream.state == State::Established && stream.finished() {
            self.resets.push_back(id);
            self.end(id, Closed::Finished);
        } else if stream.state == State::Established && stream.delivered() && !stream.end_passed_on
        {
            stream.end_passed_on = true;
            self.notes.push_back(Note::ShutdownWrite(id));
        }
    }
}

impl VirtioDevice for Vsock {
    const DEVICE_ID: u32 = VIRTIO_ID_VSOCK;
    type Queues = Queues;

    fn queues() -> Queues {
        [
            Queue::new::<QUEUE_SIZE_MAX>(0),
            Queue::new::<QUEUE_SIZE_MAX>(1),
            Queue::new::<QUEUE_SIZE_MAX>(2),
        ]
    }

    fn features(&self) -> u64 {
        F_STREAM
    }

    /// virtio 1.2 §5.10.4: the guest's context identifier.
    fn config(&self) -> [u8; CONFIG_BYTES] {
        let mut config = [0; CONFIG_BYTES];
        config[..8].copy_from_slice(&self.guest_cid.to_le_bytes());
        config
    }

    /// Every stream ends; the VMM hears of each.
    fn reset(&mut self) {
        let Vsock { guest_cid, next_host_port, .. } = *self;
        let streams = std::mem::take(&mut self.streams);
        let mut notes = std::mem::take(&mut self.notes);
        let open = streams.iter().filter(|(_, stream)| stream.state != State::Closing);
        notes.extend(open.map(|(id, _)| Note::Closed(*id, Closed::Reset)));
        *self = Vsock { next_host_port, notes, ..Vsock::new(guest_cid) };
    }
}

const _: () = assert!(GUEST_CID > HOST_CID, "0, 1 and 2 are not for guests (virtio 1.2 §5.10.4)");
