//! Packets from the guest: what each does to its stream, and their data on its way to a socket.

use std::collections::VecDeque;

use vm_memory::GuestMemory;
use zerocopy::FromBytes;

use super::StreamId;
use super::connection::{Connection, State};
use super::device::{HELD_MAX, Queues, RESETS_MAX, STREAMS_MAX, Vsock};
use super::effect::{Closed, Note, Pending, Step};
use super::packet::{HEADER_BYTES, Header, Op, Packet};
use crate::{GuestFault, Queue};

/// Packets read in one step that give the VMM nothing to do, before it gets a turn all the same.
const IDLE_PACKETS_MAX: usize = 256;

impl Vsock {
    /// Reads packets until one means work for the VMM.
    pub(super) fn read_packets<M: GuestMemory>(
        &mut self,
        mem: &M,
        from_guest: &mut Queue,
    ) -> Result<Option<Step>, GuestFault> {
        for _ in 0..IDLE_PACKETS_MAX {
            let full = self.held >= HELD_MAX || self.resets.len() >= RESETS_MAX;
            if full || !from_guest.pop(mem, &mut self.chain)? {
                return Ok(None);
            }
            if let Some(pending) = self.handle_packet(mem) {
                return Ok(Some(Step::Pending(pending)));
            }
            from_guest.push_used(mem, self.chain.head(), 0)?;
            if let Some(note) = self.notes.pop_front() {
                return Ok(Some(Step::Note(note)));
            }
        }
        Ok(Some(Step::Yield))
    }

    /// Handles the packet in `chain`. `Some`: its data is for the VMM to take, and the chain is not done.
    fn handle_packet<M: GuestMemory>(&mut self, mem: &M) -> Option<Pending> {
        let mut bytes = [0; HEADER_BYTES];
        self.chain.readable.read(mem, &mut bytes)?;
        let header = Header::read_from_bytes(&bytes).ok()?;
        let packet = header.parse(self.guest_cid, self.chain.readable.bytes())?;
        let id = packet.id;
        let Some(stream) = self.streams.get_mut(&id) else {
            self.handle_stranger(&packet);
            return None;
        };
        stream.send.update(packet.buffer_allocation, packet.forwarded);
        let outcome = match packet.op {
            Some(Op::Data(len)) => return self.handle_data(mem, id, len),
            Some(op) => self.handle_control(id, op),
            None => Err(()),
        };
        match outcome {
            Ok(()) => self.feed(id),
            Err(()) => self.violation(id),
        }
        None
    }

    /// A packet of no stream: a request makes one, a reset is nothing, all else is reset.
    fn handle_stranger(&mut self, packet: &Packet) {
        match packet.op {
            Some(Op::Request) if self.streams.len() < STREAMS_MAX => {
                let mut stream = Connection::new(State::Requested);
                stream.send.update(packet.buffer_allocation, packet.forwarded);
                self.streams.insert(packet.id, stream);
                self.notes.push_back(Note::Connect(packet.id));
            }
            Some(Op::Reset) => {}
            _ => self.resets.push_back(packet.id),
        }
    }

    /// A packet without data, of a stream that exists. `Err`: it has no place in the stream's life.
    fn handle_control(&mut self, id: StreamId, op: Op) -> Result<(), ()> {
        let Some(stream) = self.streams.get_mut(&id) else { return Ok(()) };
        match (op, stream.state) {
            (Op::Reset, State::Connecting) => self.end(id, Closed::Refused),
            (Op::Reset, _) => self.end(id, Closed::Reset),
            (Op::Response, State::Connecting) => {
                stream.state = State::Established;
                self.notes.push_back(Note::Connected(id));
            }
            (Op::Shutdown { receive, send }, State::Established) => {
                stream.guest_done_receiving |= receive;
                stream.guest_done_sending |= send;
                self.settle(id);
            }
            (Op::Shutdown { receive: true, send: true }, State::Closing) => self.reset_stream(id),
            (Op::CreditRequest, State::Established) => {
                stream.debts.credit_update = true;
                self.list_owing(id);
            }
            (Op::CreditUpdate, State::Established) => {}
            // What crossed our SHUTDOWN on the way.
            (Op::Shutdown { .. } | Op::CreditRequest | Op::CreditUpdate, State::Closing) => {}
            _ => return Err(()),
        }
        Ok(())
    }

    /// `len` bytes of data, at the front of `chain`.
    fn handle_data<M: GuestMemory>(&mut self, mem: &M, id: StreamId, len: u32) -> Option<Pending> {
        self.chain.readable.truncate(u64::from(len));
        self.feed(id);
        let stream = self.streams.get_mut(&id)?;
        let open = stream.state == State::Established && !stream.guest_done_sending;
        let allowed = (open || stream.state == State::Closing) && stream.recv.receive(len);
        if !allowed {
            self.violation(id);
        } else if !open {
            stream.recv.forward(len); // nobody is left to take it
        } else if !stream.held.is_empty() {
            self.hold(mem, id);
        } else if len > 0 {
            return Some(Pending::Send(id, len));
        }
        None
    }

    /// The guest may have given credit: a stream that was starved has its turn again.
    fn feed(&mut self, id: StreamId) {
        let fed = |stream: &&mut Connection| stream.starved && stream.send.available() > 0;
        if let Some(stream) = self.streams.get_mut(&id).filter(fed) {
            stream.starved = false;
            self.handle_readable(id);
        }
    }

    fn violation(&mut self, id: StreamId) {
        self.resets.push_back(id);
        self.end(id, Closed::Violation);
    }

    /// Copies what is left of `chain` into the stream's buffer; its credit has bounded it.
    fn hold<M: GuestMemory>(&mut self, mem: &M, id: StreamId) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        let rest = self.chain.readable.bytes() as usize;
        if stream.state == State::Closing {
            stream.recv.forward(rest as u32); // the VMM has let go meanwhile
            return;
        }
        let mut bytes = vec![0; rest];
        if self.chain.readable.read(mem, &mut bytes).is_some() {
            self.held += bytes.len();
            stream.held.extend(bytes);
        }
    }

    /// The next stream whose held bytes its socket should take.
    pub(super) fn next_held(&mut self) -> Option<Pending> {
        let id = *self.writable.front()?;
        let shown = self.streams.get(&id).map_or(0, |stream| stream.held.as_slices().0.len());
        Some(Pending::SendHeld(id, shown as u32))
    }

    /// Answers [`Effect::Send`](super::Effect::Send) and [`Effect::SendHeld`](super::Effect::SendHeld):
    /// the socket took the first `count` bytes. The rest is held until [`Vsock::handle_writable`].
    ///
    /// # Errors
    /// [`GuestFault`]: a queue is broken.
    pub fn sent<M: GuestMemory>(
        &mut self,
        mem: &M,
        queues: &mut Queues,
        id: StreamId,
        count: usize,
    ) -> Result<(), GuestFault> {
        match self.pending {
            Some(Pending::Send(pending, len)) if pending == id => {
                self.pending = None;
                let taken = u32::try_from(count).unwrap_or(u32::MAX).min(len);
                self.chain.readable.advance(u64::from(taken));
                self.hold(mem, id);
                self.forwarded(id, taken);
                let [_, from_guest, _] = queues;
                from_guest.push_used(mem, self.chain.head(), 0)
            }
            Some(Pending::SendHeld(pending, len)) if pending == id => {
                self.pending = None;
                let taken = u32::try_from(count).unwrap_or(u32::MAX).min(len);
                self.held_sent(id, taken, taken == len);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn held_sent(&mut self, id: StreamId, taken: u32, more: bool) {
        // The VMM may have let go of the stream in between.
        let Some(stream) = self.streams.get_mut(&id).filter(|s| s.listed.writable) else { return };
        stream.held.drain(..taken as usize);
        self.held -= taken as usize;
        if stream.held.is_empty() {
            stream.held = VecDeque::new(); // few streams are slow twice
        }
        self.unlist_writable(id);
        if more {
            self.handle_writable(id);
        }
        self.forwarded(id, taken);
    }

    /// `count` bytes have reached the socket: they give credit again.
    fn forwarded(&mut self, id: StreamId, count: u32) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        stream.recv.forward(count);
        if stream.recv.worth_telling() && !stream.guest_done_sending {
            stream.debts.credit_update = true;
            self.list_owing(id);
        }
        self.settle(id);
    }

    /// An effect that was not answered: nothing was taken.
    pub(super) fn assume_nothing_taken<M: GuestMemory>(
        &mut self,
        mem: &M,
        queues: &mut Queues,
    ) -> Result<(), GuestFault> {
        match self.pending {
            None => Ok(()),
            Some(Pending::Send(id, _) | Pending::SendHeld(id, _)) => self.sent(mem, queues, id, 0),
            Some(Pending::Receive(id, _)) => {
                self.would_block(queues, id);
                Ok(())
            }
        }
    }
}
