//! The device against a guest that writes its own packets.

use std::collections::{BTreeSet, VecDeque};

use proptest::prelude::*;
use vm_memory::{Bytes, GuestAddress, GuestMemoryMmap};
use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::connection::{Connection, Listed};
use super::effect::Pending;
use super::*;
use crate::mmio::VirtioDevice;
use crate::testing::{MEMORY_BYTES, NEXT, Rings, SIZE, WRITE, memory};
use crate::{Fault, GuestFault, Scatter};

const CID: u64 = 3;
const RX: Rings = Rings { base: 0x1000 };
const TX: Rings = Rings { base: 0x2000 };
const EVENTS: Rings = Rings { base: 0x3000 };
/// Transmit buffers: one per descriptor.
const TX_BUFFERS: u64 = 0x10000;
/// Receive buffers: one per descriptor.
const RX_BUFFERS: u64 = 0x80000;
const BUFFER_BYTES: u64 = 0x2000;
const HEADER_BYTES: u32 = 44;
/// The stream of most tests.
const ID: StreamId = StreamId { guest_port: 1000, host_port: 1 };

const REQUEST: u16 = 1;
const RESPONSE: u16 = 2;
const RST: u16 = 3;
const SHUTDOWN: u16 = 4;
const RW: u16 = 5;
const CREDIT_UPDATE: u16 = 6;
const CREDIT_REQUEST: u16 = 7;

/// A header as the guest writes it: this test's own reading of virtio 1.2 §5.10.6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct Raw {
    source_cid: U64,
    destination_cid: U64,
    source_port: U32,
    destination_port: U32,
    len: U32,
    kind: U16,
    op: U16,
    flags: U32,
    buf_alloc: U32,
    fwd_cnt: U32,
}

fn raw(id: StreamId, op: u16, len: u32) -> Raw {
    Raw {
        source_cid: CID.into(),
        destination_cid: 2.into(),
        source_port: id.guest_port.into(),
        destination_port: id.host_port.into(),
        len: len.into(),
        kind: 1.into(),
        op: op.into(),
        flags: 0.into(),
        buf_alloc: 4096.into(),
        fwd_cnt: 0.into(),
    }
}

struct Rig {
    mem: GuestMemoryMmap,
    queues: Queues,
    device: Vsock,
    sent: u16,
    received: usize,
}

/// What the device asked of the VMM, without borrowing.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Seen {
    Connect(StreamId),
    Connected(StreamId),
    Send(StreamId, u64),
    SendHeld(StreamId, usize),
    Receive(StreamId, u64),
    ShutdownWrite(StreamId),
    Closed(StreamId, Closed),
    Yield,
}

impl Rig {
    fn new() -> Rig {
        let mut queues = Vsock::queues();
        for (queue, rings) in queues.iter_mut().zip([RX, TX, EVENTS]) {
            rings.attach(queue);
        }
        Rig { mem: memory(), queues, device: Vsock::new(CID), sent: 0, received: 0 }
    }

    /// A rig with one stream, established.
    fn connected() -> Rig {
        let mut rig = Rig::new();
        rig.give_buffers(8);
        rig.send(raw(ID, REQUEST, 0));
        assert_eq!(rig.poll(), Some(Seen::Connect(ID)));
        rig.device.accept(ID);
        assert_eq!(rig.poll(), None);
        assert_eq!(rig.packet().op.get(), RESPONSE);
        rig
    }

    /// The guest sends a packet; its data is whatever the buffer holds.
    fn send(&mut self, header: Raw) {
        self.send_cut(header, HEADER_BYTES + header.len.get());
    }

    /// The guest sends a packet whose chain holds `bytes`, whatever the header says.
    fn send_cut(&mut self, header: Raw, bytes: u32) {
        let index = self.sent % SIZE;
        self.sent = self.sent.wrapping_add(1);
        let at = TX_BUFFERS + u64::from(index) * BUFFER_BYTES;
        self.mem.write_slice(header.as_bytes(), GuestAddress(at)).unwrap();
        TX.offer(&self.mem, index, &[(at, bytes, 0)]);
    }

    /// The guest offers receive buffers 0 to `count`.
    fn give_buffers(&mut self, count: u16) {
        for index in 0..count {
            let at = RX_BUFFERS + u64::from(index) * BUFFER_BYTES;
            RX.offer(&self.mem, index, &[(at, BUFFER_BYTES as u32, WRITE)]);
        }
    }

    /// The next packet that the device has sent.
    fn packet(&mut self) -> Raw {
        let (head, len) = RX.used(&self.mem)[self.received];
        self.received += 1;
        let at = RX_BUFFERS + u64::from(head) * BUFFER_BYTES;
        let mut header = [0; HEADER_BYTES as usize];
        self.mem.read_slice(&mut header, GuestAddress(at)).unwrap();
        let header = Raw::read_from_bytes(&header).unwrap();
        assert_eq!(len, HEADER_BYTES + header.len.get());
        assert_eq!((header.source_cid.get(), header.destination_cid.get()), (2, CID));
        header
    }

    fn packets_left(&self) -> usize {
        RX.used(&self.mem).len() - self.received
    }

    fn try_poll(&mut self) -> Result<Option<Seen>, GuestFault> {
        let effect = self.device.poll(&self.mem, &mut self.queues)?;
        let inside = |ranges: &Scatter| {
            for range in ranges.iter() {
                assert!(range.address().0 + u64::from(range.len()) <= MEMORY_BYTES as u64);
            }
            assert!(ranges.bytes() > 0);
            ranges.bytes()
        };
        Ok(effect.map(|effect| match effect {
            Effect::Connect { id, port } => {
                assert_eq!(port, id.host_port);
                Seen::Connect(id)
            }
            Effect::Connected { id } => Seen::Connected(id),
            Effect::Send { id, ranges } => Seen::Send(id, inside(ranges)),
            Effect::SendHeld { id, bytes } => Seen::SendHeld(id, bytes.len()),
            Effect::Receive { id, ranges } => Seen::Receive(id, inside(ranges)),
            Effect::ShutdownWrite { id } => Seen::ShutdownWrite(id),
            Effect::Closed { id, why } => Seen::Closed(id, why),
            Effect::Yield => Seen::Yield,
        }))
    }

    fn poll(&mut self) -> Option<Seen> {
        self.try_poll().unwrap()
    }

    fn took(&mut self, count: usize) {
        self.device.sent(&self.mem, &mut self.queues, ID, count).unwrap();
    }

    fn violates(&mut self, header: Raw) {
        self.send(header);
        self.is_reset();
    }

    fn is_reset(&mut self) {
        assert_eq!(self.poll(), Some(Seen::Closed(ID, Closed::Violation)));
        assert_eq!(self.poll(), None);
        let packet = self.packet();
        assert_eq!((packet.op.get(), packet.destination_port.get()), (RST, ID.guest_port));
        assert_eq!(self.device.streams(), 0);
    }
}

#[test]
fn what_breaks_the_protocol_is_reset() {
    Rig::connected().violates(raw(ID, 0, 0));
    Rig::connected().violates(raw(ID, 99, 0));
    Rig::connected().violates(raw(ID, REQUEST, 0));
    Rig::connected().violates(raw(ID, RESPONSE, 0));
    Rig::connected().violates(raw(ID, CREDIT_UPDATE, 4));
    Rig::connected().violates(Raw { kind: 2.into(), ..raw(ID, RW, 4) });
    let mut rig = Rig::connected();
    rig.send_cut(raw(ID, RW, 100), HEADER_BYTES + 99);
    rig.is_reset();
}

#[test]
fn data_after_the_end_is_a_violation() {
    let mut rig = Rig::connected();
    rig.send(Raw { flags: 2.into(), ..raw(ID, SHUTDOWN, 0) });
    assert_eq!(rig.poll(), Some(Seen::ShutdownWrite(ID)));
    rig.violates(raw(ID, RW, 1));
}

#[test]
fn more_than_the_credit_is_a_violation() {
    let mut rig = Rig::connected();
    let step = 4096;
    for _ in 0..RecvCredit::ALLOCATION / step {
        rig.send(raw(ID, RW, step));
        while let Some(seen) = rig.poll() {
            assert_eq!(seen, Seen::Send(ID, u64::from(step)));
            rig.took(0); // the socket takes nothing
        }
    }
    assert!(rig.device.wants_write(ID));
    rig.violates(raw(ID, RW, 1));
}

#[test]
fn strangers_and_misaddressed_packets() {
    let mut rig = Rig::new();
    rig.give_buffers(4);
    rig.send(raw(ID, RW, 4));
    rig.send(raw(ID, RST, 0));
    rig.send(Raw { source_cid: 9.into(), ..raw(ID, REQUEST, 0) });
    rig.send_cut(raw(ID, REQUEST, 0), HEADER_BYTES - 1);
    assert_eq!(rig.poll(), None);
    assert_eq!(TX.used(&rig.mem).len(), 4, "every buffer is given back");
    assert_eq!(rig.packet().op.get(), RST, "for the data");
    assert_eq!(rig.packets_left(), 0, "nobody answers a reset, or somebody else's packet");
}

#[test]
fn credit_is_told_when_half_is_free_or_on_request() {
    let mut rig = Rig::connected();
    let step = 4096;
    let mut told = None;
    for turn in 1..=RecvCredit::ALLOCATION / 2 / step {
        rig.send(raw(ID, RW, step));
        assert_eq!(rig.poll(), Some(Seen::Send(ID, step.into())));
        rig.took(step as usize);
        assert_eq!(rig.poll(), None);
        if rig.packets_left() > 0 {
            told = Some((turn * step, rig.packet()));
        }
        // The used ring of this test does not wrap.
        if turn % 8 == 0 {
            rig.rewind_tx();
        }
    }
    let (at, packet) = told.expect("credit is told");
    assert_eq!(at, RecvCredit::ALLOCATION / 2);
    assert_eq!((packet.op.get(), packet.fwd_cnt.get()), (CREDIT_UPDATE, at));
    assert_eq!(packet.buf_alloc.get(), RecvCredit::ALLOCATION);
    rig.send(raw(ID, CREDIT_REQUEST, 0));
    assert_eq!(rig.poll(), None);
    assert_eq!(rig.packet().op.get(), CREDIT_UPDATE);
}

impl Rig {
    /// Sets the transmit rings back to their start, as after a reset of that queue.
    fn rewind_tx(&mut self) {
        self.sent = 0;
        self.mem.write_slice(&[0; 0x800], GuestAddress(TX.base + 0x400)).unwrap();
        TX.attach(&mut self.queues[1]);
    }
}

#[test]
fn the_hosts_data_keeps_to_the_guests_credit_and_buffers() {
    let mut rig = Rig::connected();
    rig.device.handle_readable(ID);
    assert_eq!(rig.poll(), Some(Seen::Receive(ID, 4096)), "the guest's credit, not its buffer");
    rig.device.received(&rig.mem, &mut rig.queues, ID, 4000).unwrap();
    let packet = rig.packet();
    assert_eq!((packet.op.get(), packet.len.get()), (RW, 4000));
    assert_eq!(rig.poll(), Some(Seen::Receive(ID, 96)));
    rig.device.received(&rig.mem, &mut rig.queues, ID, 96).unwrap();
    assert_eq!(rig.packet().len.get(), 96);
    assert_eq!(rig.poll(), None);
    assert_eq!(rig.packet().op.get(), CREDIT_REQUEST, "no credit is left");
    assert!(!rig.device.wants_read(ID));
    let update = Raw { fwd_cnt: 4096.into(), buf_alloc: 65536.into(), ..raw(ID, CREDIT_UPDATE, 0) };
    rig.send(update);
    assert_eq!(rig.poll(), Some(Seen::Receive(ID, BUFFER_BYTES - u64::from(HEADER_BYTES))));
    // A buffer that was not used is used for the next thing.
    rig.device.would_block(&mut rig.queues, ID);
    assert!(rig.device.wants_read(ID));
    let before = RX.used(&rig.mem).len();
    rig.device.handle_eof(ID);
    assert_eq!(rig.poll(), None);
    assert_eq!(RX.used(&rig.mem).len(), before + 1);
    let packet = rig.packet();
    assert_eq!((packet.op.get(), packet.flags.get()), (SHUTDOWN, 2));
}

#[test]
fn credit_comes_with_data_too() {
    let mut rig = Rig::connected();
    rig.device.handle_readable(ID);
    assert_eq!(rig.poll(), Some(Seen::Receive(ID, 4096)));
    rig.device.received(&rig.mem, &mut rig.queues, ID, 4096).unwrap();
    assert_eq!(rig.poll(), None);
    rig.send(Raw { fwd_cnt: 1000.into(), ..raw(ID, RW, 10) });
    assert_eq!(rig.poll(), Some(Seen::Send(ID, 10)));
    rig.took(10);
    assert_eq!(rig.poll(), Some(Seen::Receive(ID, 1000)));
}

#[test]
fn a_guest_without_receive_buffers_meets_a_bound() {
    let mut rig = Rig::new();
    let mut taken = 0;
    for port in 0..4 * RESETS_MAX as u32 {
        let stranger = StreamId { guest_port: port, host_port: 1 };
        rig.send(raw(stranger, RW, 0));
        assert_eq!(rig.poll(), None);
        if TX.used(&rig.mem).is_empty() {
            break; // it stays in the guest's own queue
        }
        taken += 1;
        rig.rewind_tx();
    }
    assert_eq!(taken, RESETS_MAX);
    rig.give_buffers(1);
    assert_eq!(rig.poll(), None);
    assert_eq!(TX.used(&rig.mem).len(), 1, "one buffer, one reset, one more packet");
}

#[test]
fn the_table_of_streams_is_bounded() {
    let mut rig = Rig::new();
    for port in 0..STREAMS_MAX as u32 {
        let id = StreamId { guest_port: port, host_port: 1 };
        rig.send(raw(id, REQUEST, 0));
        assert_eq!(rig.poll(), Some(Seen::Connect(id)));
        rig.rewind_tx();
    }
    rig.give_buffers(4);
    rig.send(raw(StreamId { guest_port: 5000, host_port: 1 }, REQUEST, 0));
    assert_eq!(rig.poll(), None);
    assert_eq!(rig.packet().op.get(), RST);
    assert_eq!(rig.device.connect(1), Err(ConnectError::TooManyStreams));
}

#[test]
fn slow_sockets_hold_a_bounded_amount() {
    let mut rig = Rig::new();
    rig.give_buffers(8);
    let ids: Vec<_> = (0..8).map(|port| StreamId { guest_port: port, host_port: 1 }).collect();
    for &id in &ids {
        rig.send(raw(id, REQUEST, 0));
        assert_eq!(rig.poll(), Some(Seen::Connect(id)));
        rig.device.accept(id);
        assert_eq!(rig.poll(), None);
        rig.rewind_tx();
    }
    let step = 8000;
    let mut held = 0;
    'full: for &id in &ids {
        for _ in 0..RecvCredit::ALLOCATION / step {
            rig.send(raw(id, RW, step));
            while rig.poll().is_some() {}
            if TX.used(&rig.mem).is_empty() {
                break 'full;
            }
            held += step as usize;
            rig.rewind_tx();
        }
    }
    assert!((HELD_MAX..HELD_MAX + step as usize).contains(&held), "{held} bytes are held");
    // As soon as a socket takes some, the packet that waits is read.
    rig.device.handle_writable(ids[0]);
    let Some(Seen::SendHeld(id, len)) = rig.poll() else { panic!("nothing to send") };
    rig.device.sent(&rig.mem, &mut rig.queues, id, len).unwrap();
    while rig.poll().is_some() {}
    assert_eq!(TX.used(&rig.mem).len(), 1);
}

#[test]
fn a_socket_that_fails_in_the_middle() {
    // Instead of an answer, the VMM lets go.
    for let_go in [Vsock::close, Vsock::reset_stream] {
        let mut rig = Rig::connected();
        rig.send(raw(ID, RW, 100));
        assert_eq!(rig.poll(), Some(Seen::Send(ID, 100)));
        let_go(&mut rig.device, ID);
        assert_eq!(rig.poll(), None);
        assert_eq!(TX.used(&rig.mem).len(), 2, "the chain is given back");

        let mut rig = Rig::connected();
        rig.device.handle_readable(ID);
        assert!(matches!(rig.poll(), Some(Seen::Receive(..))));
        let_go(&mut rig.device, ID);
        rig.device.received(&rig.mem, &mut rig.queues, ID, 10).unwrap();
        assert_eq!(rig.poll(), None);
        assert!([RST, SHUTDOWN].contains(&rig.packet().op.get()));
        assert_eq!(rig.packets_left(), 0, "no data follows");

        let mut rig = Rig::connected();
        rig.send(raw(ID, RW, 100));
        assert_eq!(rig.poll(), Some(Seen::Send(ID, 100)));
        rig.took(10);
        rig.device.handle_writable(ID);
        assert_eq!(rig.poll(), Some(Seen::SendHeld(ID, 90)));
        let_go(&mut rig.device, ID);
        rig.took(90);
        assert_eq!(rig.poll(), None);
    }
}

#[test]
fn a_reset_of_the_device_ends_every_stream() {
    let mut rig = Rig::connected();
    VirtioDevice::reset(&mut rig.device);
    assert_eq!(rig.poll(), Some(Seen::Closed(ID, Closed::Reset)));
    assert_eq!(rig.poll(), None);
    assert_eq!(rig.device.streams(), 0);
}

#[test]
fn the_guests_buffers_must_hold_a_packet() {
    for (len, fault) in [(HEADER_BYTES - 1, true), (HEADER_BYTES, true), (HEADER_BYTES + 1, false)]
    {
        let mut rig = Rig::connected();
        rig.received = 0;
        // The buffers of the rig are used up by answers to credit requests.
        for _ in 0..7 {
            rig.send(raw(ID, CREDIT_REQUEST, 0));
            assert_eq!(rig.poll(), None);
        }
        RX.offer(&rig.mem, 9, &[(RX_BUFFERS, len, WRITE)]);
        rig.device.handle_readable(ID);
        match rig.try_poll() {
            Err(GuestFault { queue: 0, fault: Fault::SmallBuffer }) => assert!(fault),
            Ok(Some(Seen::Receive(_, 1))) => assert!(!fault),
            other => panic!("{other:?}"),
        }
    }
}

/// A saved state that was damaged is refused.
#[test]
fn a_damaged_state_is_refused() {
    let rig = Rig::connected();
    let state = rig.device.state().unwrap();
    assert!(Vsock::restore(state.clone()).is_ok());
    let mut lying = rig.device.state().unwrap();
    lying.streams[0].1.held.push_back(0);
    assert!(Vsock::restore(lying).is_err());
}

impl Vsock {
    /// Panics where lists and counters do not say what the table says.
    fn check_books(&self) {
        let listed = |flag: fn(&Listed) -> bool, list: &VecDeque<StreamId>| {
            let flagged: BTreeSet<_> =
                self.streams.iter().filter(|(_, s)| flag(&s.listed)).map(|(id, _)| *id).collect();
            assert_eq!(list.len(), flagged.len());
            assert!(list.iter().all(|id| flagged.contains(id)));
        };
        listed(|listed| listed.owing, &self.owing);
        listed(|listed| listed.readable, &self.readable);
        listed(|listed| listed.writable, &self.writable);
        assert_eq!(self.held, self.streams.values().map(|stream| stream.held.len()).sum::<usize>());
        assert!(self.held <= HELD_MAX + RecvCredit::ALLOCATION as usize);
        assert!(self.streams.len() <= STREAMS_MAX);
        assert!(self.resets.len() <= RESETS_MAX + STREAMS_MAX);
        if !matches!(self.pending, Some(Pending::Send(..))) {
            assert!(self.streams.values().all(Connection::plausible));
        }
    }
}

#[derive(Clone, Debug)]
enum Turn {
    Guest { op: u16, port: u32, flags: u32, len: u32, alloc: u32, forwarded: u32, kind: u16 },
    RawTx(Vec<u8>),
    Buffers(u16),
    Accept(u32),
    Close(u32),
    Connect(u32),
    Readable(u32),
    Writable(u32),
    Eof(u32),
    Poll(usize),
}

fn turn() -> impl Strategy<Value = Turn> {
    let port = 0u32..4;
    prop_oneof![
        8 => (0u16..9, port.clone(), 0u32..4, 0u32..5000, any::<u32>(), any::<u32>(), prop_oneof![9 => Just(1u16), 1 => any::<u16>()])
            .prop_map(|(op, port, flags, len, alloc, forwarded, kind)| Turn::Guest { op, port, flags, len, alloc, forwarded, kind }),
        1 => proptest::collection::vec(any::<u8>(), 64).prop_map(Turn::RawTx),
        3 => (0..SIZE).prop_map(Turn::Buffers),
        3 => port.clone().prop_map(Turn::Accept),
        1 => port.clone().prop_map(Turn::Close),
        1 => port.clone().prop_map(Turn::Connect),
        2 => port.clone().prop_map(Turn::Readable),
        2 => port.clone().prop_map(Turn::Writable),
        1 => port.prop_map(Turn::Eof),
        8 => (0usize..6000).prop_map(Turn::Poll),
    ]
}

proptest! {
    /// Whatever guest and VMM do in whatever order: no panic, no endless work, no range outside memory,
    /// and the books balance.
    #[test]
    fn any_order_of_things_is_harmless(turns in proptest::collection::vec(turn(), 1..120)) {
        let mut rig = Rig::new();
        let id = |port| StreamId { guest_port: 1000 + port, host_port: 1 };
        for turn in turns {
            match turn {
                Turn::Guest { op, port, flags, len, alloc, forwarded, kind } => rig.send(Raw {
                    flags: flags.into(),
                    buf_alloc: alloc.into(),
                    fwd_cnt: forwarded.into(),
                    kind: kind.into(),
                    ..raw(id(port), op, if op == RW { len } else { 0 })
                }),
                Turn::RawTx(bytes) => {
                    let at = GuestAddress(TX_BUFFERS + u64::from(rig.sent % SIZE) * BUFFER_BYTES);
                    rig.mem.write_slice(&bytes, at).unwrap();
                    let descriptor = (at.0, u32::from(bytes[0]), u16::from(bytes[1]) & (NEXT | WRITE), rig.sent % SIZE);
                    TX.describe(&rig.mem, rig.sent % SIZE, descriptor);
                    TX.offer_head(&rig.mem, rig.sent % SIZE);
                    rig.sent = rig.sent.wrapping_add(1);
                }
                Turn::Buffers(count) => rig.give_buffers(count),
                Turn::Accept(port) => rig.device.accept(id(port)),
                Turn::Close(port) => rig.device.close(id(port)),
                Turn::Connect(port) => drop(rig.device.connect(port)),
                Turn::Readable(port) => rig.device.handle_readable(id(port)),
                Turn::Writable(port) => rig.device.handle_writable(id(port)),
                Turn::Eof(port) => rig.device.handle_eof(id(port)),
                Turn::Poll(take) => {
                    for _ in 0..200 {
                        let seen = match rig.try_poll() {
                            Ok(Some(seen)) => seen,
                            Ok(None) => break,
                            Err(_) => return Ok(()), // the VMM ends the machine
                        };
                        match seen {
                            Seen::Send(id, _) | Seen::SendHeld(id, _) => {
                                rig.device.sent(&rig.mem, &mut rig.queues, id, take).unwrap();
                            }
                            Seen::Receive(id, _) if take % 3 != 0 => {
                                rig.device.received(&rig.mem, &mut rig.queues, id, take).unwrap();
                            }
                            _ => {} // unanswered
                        }
                    }
                }
            }
            rig.device.check_books();
        }
    }
}
