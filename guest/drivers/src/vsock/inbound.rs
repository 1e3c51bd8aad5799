//! Packets from the host: what each does to its stream.

use zerocopy::FromBytes;

use super::packet::{HEADER_BYTES, Header, Op, Packet};
use super::receiver::Received;
use super::stream::{State, Stream};
use super::{BACKLOG_MAX, STREAMS_MAX, StreamId, Vsock};
use crate::virtqueue::DeviceFault;

impl Vsock {
    /// Takes in all packets that have come; `true` where there was one.
    pub(super) fn take_packets(&mut self) -> Result<bool, DeviceFault> {
        let mut any = false;
        // No more than the queue holds: buffers that are given back meanwhile are seen at the next kick,
        // and a device that fills them at once gets its turn again at the next poll.
        for _ in 0..self.receiver.size() {
            let Some(received) = self.receiver.pop()? else { break };
            any = true;
            if !self.take_packet(received)? {
                self.receiver.release(received.buffer);
            }
        }
        self.receiver.adapt();
        Ok(any)
    }

    /// Takes in one packet; `true` where its stream keeps the buffer or has given it back.
    fn take_packet(&mut self, received: Received) -> Result<bool, DeviceFault> {
        let data = received.bytes.checked_sub(HEADER_BYTES);
        let data = data.ok_or(DeviceFault::Answer("a packet without a header"))?;
        let mut bytes = [0; HEADER_BYTES];
        self.receiver.region(received.buffer).read(0, &mut bytes);
        let header = Header::read_from_bytes(&bytes).ok();
        let Some(packet) = header.and_then(|header| header.parse(self.cid)) else {
            return Ok(false);
        };
        let id = packet.id;
        let Some(stream) = self.streams.get_mut(&id) else {
            self.handle_stranger(&packet);
            return Ok(false);
        };
        stream.send.update(packet.buffer_allocation, packet.forwarded);
        match packet.op {
            Some(Op::Data(len)) if len as usize != data => {
                Err(DeviceFault::Answer("a packet whose length is not its buffer's"))
            }
            Some(Op::Data(len)) => Ok(self.handle_data(id, len, received)),
            op => {
                self.handle_control(id, op);
                Ok(false)
            }
        }
    }

    /// A packet of no stream: a request to a listener makes one, a reset is nothing, all else is reset.
    fn handle_stranger(&mut self, packet: &Packet) {
        let listener = self.listeners.get_mut(&packet.id.local_port);
        let room = self.streams.len() < STREAMS_MAX;
        match (packet.op, listener.filter(|waiting| room && waiting.len() < BACKLOG_MAX)) {
            (Some(Op::Request), Some(waiting)) => {
                waiting.push_back(packet.id);
                let mut stream = Stream::new(State::Connected);
                stream.send.update(packet.buffer_allocation, packet.forwarded);
                stream.debts.response = true;
                self.streams.insert(packet.id, stream);
                self.owe(packet.id);
            }
            (Some(Op::Reset), _) => {}
            _ => self.owe_reset(packet.id),
        }
    }

    /// A packet without data, of a stream that exists.
    fn handle_control(&mut self, id: StreamId, op: Option<Op>) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        match (op, stream.state) {
            (Some(Op::Reset), State::Closing) => self.forget(id),
            (Some(Op::Reset), _) => stream.reset_by_peer(),
            (Some(Op::Response), State::Connecting) => stream.state = State::Connected,
            (Some(Op::Shutdown { receive, send }), State::Connected | State::Closing) => {
                stream.peer_done_receiving |= receive;
                stream.peer_done_sending |= send;
                if stream.peer_done_receiving && stream.peer_done_sending {
                    self.confirm_end(id);
                }
            }
            (Some(Op::CreditUpdate), State::Connected | State::Closing) => {}
            (Some(Op::CreditRequest), State::Connected) => {
                stream.debts.credit_update = true;
                self.owe(id);
            }
            (Some(Op::CreditRequest), State::Closing) => {}
            _ => self.violation(id),
        }
    }

    /// The host has ended both directions: the answer is a reset, and the stream is over on the wire.
    fn confirm_end(&mut self, id: StreamId) {
        if let Some(stream) = self.streams.get_mut(&id) {
            let closing = stream.state == State::Closing;
            stream.reset_by_peer();
            if closing {
                self.forget(id);
            }
            self.owe_reset(id);
        }
    }

    /// `len` bytes of data; `true` where the buffer has been taken care of.
    fn handle_data(&mut self, id: StreamId, len: u32, received: Received) -> bool {
        let Some(stream) = self.streams.get_mut(&id) else { return false };
        let open = matches!(stream.state, State::Connected | State::Closing);
        if !open || stream.peer_done_sending || !stream.recv.receive(len) {
            self.violation(id);
            return false;
        }
        if stream.done_receiving {
            stream.recv.forward(len);
            if stream.recv.worth_telling() && stream.state == State::Connected {
                stream.debts.credit_update = true;
                self.owe(id);
            }
            return false;
        }
        if len == 0 {
            return false;
        }
        stream.keep(received, &mut self.receiver);
        true
    }

    /// The host broke the protocol: the stream is reset on both sides.
    fn violation(&mut self, id: StreamId) {
        if let Some(stream) = self.streams.get_mut(&id) {
            let closing = stream.state == State::Closing;
            stream.break_off();
            if closing {
                self.forget(id);
            }
            self.owe_reset(id);
        }
    }
}
