//! Packets to the guest: control packets that are owed, and the sockets' data, in turn.

use vm_memory::GuestMemory;
use zerocopy::IntoBytes;

use super::StreamId;
use super::credit::RecvCredit;
use super::device::{Queues, Vsock};
use super::effect::{Pending, Step};
use super::packet::{HEADER_BYTES, Header, Op};
use crate::{Fault, GuestFault, Queue};

/// Most data in one packet: Linux's own bound (VIRTIO_VSOCK_MAX_PKT_BUF_SIZE).
const DATA_MAX: u64 = 64 << 10;
/// VIRTIO_VSOCK_EVENT_TRANSPORT_RESET (virtio 1.2 §5.10.6.7).
const EVENT_TRANSPORT_RESET: [u8; 4] = 0u32.to_le_bytes();

impl Vsock {
    /// Sends what is owed, as far as the guest has given buffers; `false` where those were too few.
    pub(super) fn pay_debts<M: GuestMemory>(
        &mut self,
        mem: &M,
        to_guest: &mut Queue,
    ) -> Result<bool, GuestFault> {
        while let Some(id) = self.resets.front().copied() {
            if !self.take_buffer(mem, to_guest)? {
                return Ok(false);
            }
            self.resets.pop_front();
            let header = Header::to_guest(self.guest_cid, id, Op::Reset, 0, 0);
            self.finish(mem, to_guest, &header, 0)?;
        }
        while let Some(id) = self.owing.front().copied() {
            if !self.take_buffer(mem, to_guest)? {
                return Ok(false);
            }
            let Some(header) = self.next_debt(id) else {
                to_guest.unpop();
                self.owing.pop_front();
                continue;
            };
            self.finish(mem, to_guest, &header, 0)?;
            self.settle(id);
        }
        Ok(true)
    }

    /// Whether anything is owed.
    pub(super) fn in_debt(&self) -> bool {
        !self.owing.is_empty() || !self.resets.is_empty()
    }

    /// A packet that the stream owes; `None`, and the stream no longer listed, where it owes nothing.
    fn next_debt(&mut self, id: StreamId) -> Option<Header> {
        let guest_cid = self.guest_cid;
        let stream = self.streams.get_mut(&id)?;
        let Some(op) = stream.pay_debt() else {
            stream.listed.owing = false;
            return None;
        };
        let forwarded = stream.recv.tell();
        Some(Header::to_guest(guest_cid, id, op, RecvCredit::ALLOCATION, forwarded))
    }

    /// The next stream whose socket should be read, and where to: the turn goes round.
    pub(super) fn next_receive<M: GuestMemory>(
        &mut self,
        mem: &M,
        to_guest: &mut Queue,
    ) -> Result<Option<Step>, GuestFault> {
        if self.in_debt() {
            return Ok(None); // those come first
        }
        while let Some(id) = self.readable.front().copied() {
            let Some(credit) = self.credit(id) else {
                self.leave_turn(id);
                continue;
            };
            if !self.take_buffer(mem, to_guest)? {
                return Ok(None);
            }
            self.chain.writable.truncate(DATA_MAX.min(u64::from(credit)));
            let room = self.chain.writable.bytes() as u32;
            if room == 0 {
                return Err(to_guest.fault(Fault::SmallBuffer));
            }
            return Ok(Some(Step::Pending(Pending::Receive(id, room))));
        }
        Ok(None)
    }

    /// The credit of a stream whose socket may be read. Where the guest gives none it is asked for some.
    fn credit(&mut self, id: StreamId) -> Option<u32> {
        let stream = self.streams.get_mut(&id).filter(|stream| stream.host_may_send())?;
        let credit = stream.send.available();
        if credit == 0 {
            stream.starved = true;
            stream.debts.credit_request = true;
            self.list_owing(id);
            return None;
        }
        Some(credit)
    }

    /// Takes the stream at the front out of the turn order.
    fn leave_turn(&mut self, id: StreamId) {
        self.readable.pop_front_if(|front| *front == id);
        if let Some(stream) = self.streams.get_mut(&id) {
            stream.listed.readable = false;
        }
    }

    /// Answers [`Effect::Receive`](super::Effect::Receive): the socket gave `count` bytes; 0 is its end.
    ///
    /// # Errors
    /// [`GuestFault`]: a queue is broken.
    pub fn received<M: GuestMemory>(
        &mut self,
        mem: &M,
        queues: &mut Queues,
        id: StreamId,
        count: usize,
    ) -> Result<(), GuestFault> {
        if count == 0 {
            self.would_block(queues, id);
            self.handle_eof(id);
            return Ok(());
        }
        let Some(Pending::Receive(pending, room)) = self.pending else { return Ok(()) };
        if pending != id {
            return Ok(());
        }
        let Some(stream) = self.streams.get_mut(&id).filter(|stream| stream.host_may_send()) else {
            self.would_block(queues, id); // the VMM has let go meanwhile
            return Ok(());
        };
        self.pending = None;
        let count = u32::try_from(count).unwrap_or(u32::MAX).min(room);
        stream.send.spend(count);
        stream.debts.credit_update = false; // the header tells
        let forwarded = stream.recv.tell();
        let allocation = RecvCredit::ALLOCATION;
        let header = Header::to_guest(self.guest_cid, id, Op::Data(count), allocation, forwarded);
        if self.readable.pop_front_if(|front| *front == id).is_some() {
            self.readable.push_back(id);
        }
        let [to_guest, ..] = queues;
        self.finish(mem, to_guest, &header, count)
    }

    /// Answers [`Effect::Receive`](super::Effect::Receive): the socket has nothing now. It will be asked
    /// again after [`Vsock::handle_readable`].
    pub fn would_block(&mut self, queues: &mut Queues, id: StreamId) {
        if matches!(self.pending, Some(Pending::Receive(pending, _)) if pending == id) {
            self.pending = None;
            let [to_guest, ..] = queues;
            to_guest.unpop();
            self.leave_turn(id);
        }
    }

    /// Takes a receive buffer: the header's place into `header`, the room behind it stays in `chain`.
    fn take_buffer<M: GuestMemory>(
        &mut self,
        mem: &M,
        to_guest: &mut Queue,
    ) -> Result<bool, GuestFault> {
        if !to_guest.pop(mem, &mut self.chain)? {
            return Ok(false);
        }
        self.header.clone_from(&self.chain.writable);
        self.header.truncate(HEADER_BYTES as u64);
        self.chain.writable.advance(HEADER_BYTES as u64);
        if self.header.bytes() < HEADER_BYTES as u64 {
            return Err(to_guest.fault(Fault::SmallBuffer));
        }
        Ok(true)
    }

    /// Writes the header and gives the buffer to the guest.
    fn finish<M: GuestMemory>(
        &mut self,
        mem: &M,
        to_guest: &mut Queue,
        header: &Header,
        data: u32,
    ) -> Result<(), GuestFault> {
        let written = self.header.write(mem, header.as_bytes());
        written.ok_or(to_guest.fault(Fault::SmallBuffer))?;
        to_guest.push_used(mem, self.chain.head(), HEADER_BYTES as u32 + data)
    }

    /// Tells the guest that all its streams are gone, as soon as it listens for events.
    pub(super) fn pay_transport_reset<M: GuestMemory>(
        &mut self,
        mem: &M,
        events: &mut Queue,
    ) -> Result<(), GuestFault> {
        if self.transport_reset && events.pop(mem, &mut self.chain)? {
            let written = self.chain.writable.write(mem, &EVENT_TRANSPORT_RESET);
            written.ok_or(events.fault(Fault::SmallBuffer))?;
            self.transport_reset = false;
            events.push_used(mem, self.chain.head(), EVENT_TRANSPORT_RESET.len() as u32)?;
        }
        Ok(())
    }
}
