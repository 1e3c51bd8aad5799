//! The drivers against a device that breaks the rules: a fault, never a panic or an endless loop.

use mayfly_abi::QueueInfo;
use mayfly_devices::queue::QueueState;
use mayfly_drivers::block::{Block, Piece};
use mayfly_drivers::virtqueue::{DeviceFault, Head, QueueFull, Segment, Used, VirtQueue};
use mayfly_drivers::vsock::{StreamError, StreamId};
use proptest::prelude::*;
use vm_memory::{Bytes, GuestAddress};

use crate::rig::{Memory, VsockRig};

const SIZE: u16 = 8;

/// A device that writes what it likes.
struct Wild {
    memory: Memory,
    info: QueueInfo,
    used: u16,
}

impl Wild {
    fn new() -> (Wild, VirtQueue) {
        let mut memory = Memory::new();
        let (queue, info) = memory.queue(SIZE);
        (Wild { memory, info, used: 0 }, queue)
    }

    fn use_buffer(&mut self, id: u32, len: u32) {
        let entry = self.info.used + 4 + u64::from(self.used % SIZE) * 8;
        self.memory.mem.write_obj(id, GuestAddress(entry)).unwrap();
        self.memory.mem.write_obj(len, GuestAddress(entry + 4)).unwrap();
        self.used = self.used.wrapping_add(1);
        self.set_index(self.used);
    }

    fn set_index(&self, index: u16) {
        self.memory.mem.write_obj(index, GuestAddress(self.info.used + 2)).unwrap();
    }

    fn set_flags(&self, flags: u16) {
        self.memory.mem.write_obj(flags, GuestAddress(self.info.used)).unwrap();
    }
}

fn room(len: u32) -> Segment {
    Segment { gpa: 0x8000, len, writable: true }
}

#[test]
fn used_entries_that_make_no_sense_are_faults() {
    let (wild, mut queue) = Wild::new();
    wild.set_index(1);
    assert_eq!(queue.pop(), Err(DeviceFault::Index), "nothing was given");

    let (mut wild, mut queue) = Wild::new();
    assert_eq!(queue.add([room(10), room(20)]), Ok(Head(0)));
    wild.use_buffer(1, 0);
    assert_eq!(queue.pop(), Err(DeviceFault::Head(1)), "not a head");

    for id in [u32::from(SIZE), 0x1_0000, u32::MAX] {
        let (mut wild, mut queue) = Wild::new();
        queue.add([room(10)]).unwrap();
        wild.use_buffer(id, 0);
        assert_eq!(queue.pop(), Err(DeviceFault::Head(id)));
    }

    let (mut wild, mut queue) = Wild::new();
    queue.add([room(10), room(20)]).unwrap();
    wild.use_buffer(0, 31);
    assert_eq!(queue.pop(), Err(DeviceFault::Length(31)));

    let (mut wild, mut queue) = Wild::new();
    queue.add([room(10)]).unwrap();
    queue.add([room(10)]).unwrap();
    wild.use_buffer(0, 10);
    wild.use_buffer(0, 10);
    assert_eq!(queue.pop(), Ok(Some(Used { head: Head(0), written: 10 })));
    assert_eq!(queue.pop(), Err(DeviceFault::Head(0)), "given back twice");
}

#[test]
fn a_queue_is_used_round_and_round() {
    let (mut wild, mut queue) = Wild::new();
    for turn in 0..70_000u32 {
        let head = queue.add([room(turn), room(1)]).unwrap();
        assert_eq!(head, Head(0), "the descriptors used last are used again");
        wild.use_buffer(head.0.into(), turn);
        assert_eq!(queue.pop(), Ok(Some(Used { head, written: turn })));
        assert_eq!((queue.free(), queue.in_flight()), (SIZE, 0));
    }
}

#[test]
fn a_full_queue_changes_nothing() {
    let (mut wild, mut queue) = Wild::new();
    assert_eq!(queue.add([]), Err(QueueFull));
    assert_eq!(queue.add([room(1); SIZE as usize + 1]), Err(QueueFull));
    assert_eq!(queue.free(), SIZE);
    assert!(!queue.needs_kick());
    let head = queue.add([room(1); SIZE as usize]).unwrap();
    assert_eq!((queue.add([room(1)]), queue.next_head()), (Err(QueueFull), None));
    wild.use_buffer(head.0.into(), 8);
    assert!(queue.has_used());
    queue.pop().unwrap();
    assert_eq!(queue.free(), SIZE);
}

#[test]
fn a_device_that_wants_no_kick_gets_none() {
    let (wild, mut queue) = Wild::new();
    queue.add([room(1)]).unwrap();
    assert!(queue.needs_kick());
    wild.set_flags(1);
    assert!(!queue.needs_kick());
    wild.set_flags(0);
    queue.about_to_kick();
    assert!(!queue.needs_kick());
}

#[test]
fn a_disk_read_that_is_done_but_short_is_a_fault() {
    for (written, fine) in [(513, true), (512, false), (0, false)] {
        let (mut wild, queue) = Wild::new();
        let slots = wild.memory.take(Block::slots_bytes(SIZE));
        let status = slots.gpa() + 16;
        let mut driver = Block::new(queue, slots, 8, true);
        driver.read(0, &[Piece { gpa: 0x8000, len: 512 }]).unwrap();
        wild.memory.mem.write_obj(0u8, GuestAddress(status)).unwrap();
        wild.use_buffer(0, written);
        assert_eq!(driver.poll().is_ok(), fine);
    }
}

/// A host that writes packets into the driver's receive buffers itself.
struct WildHost {
    rx: QueueState,
}

impl WildHost {
    /// Takes the place of the rig's device, which has seen the driver's buffers.
    fn of(rig: &VsockRig) -> WildHost {
        WildHost { rx: rig.device.state().queues[0] }
    }

    /// Writes a packet from host port 1 into the next buffer, and says that `written` bytes of it count.
    fn deliver(&mut self, rig: &VsockRig, packet: Packet, written: u32) {
        let Packet { local_port, len, op, flags, credit } = packet;
        let mem = &rig.memory.mem;
        let entry = |ring: u64, bytes: u64| {
            GuestAddress(ring + 4 + u64::from(self.rx.next_used % self.rx.size) * bytes)
        };
        let head: u16 = mem.read_obj(entry(self.rx.available, 2)).unwrap();
        let descriptor = GuestAddress(self.rx.descriptors + u64::from(head) * 16);
        let buffer: u64 = mem.read_obj(descriptor).unwrap();
        let mut header = Vec::new();
        header.extend(2u64.to_le_bytes());
        header.extend(3u64.to_le_bytes());
        header.extend([1, local_port, len].map(u32::to_le_bytes).concat());
        header.extend([1, op].map(u16::to_le_bytes).concat());
        header.extend([flags, credit, credit].map(u32::to_le_bytes).concat());
        mem.write_slice(&header, GuestAddress(buffer)).unwrap();
        let used = entry(self.rx.used, 8);
        mem.write_obj(u32::from(head), used).unwrap();
        mem.write_obj(written, GuestAddress(used.0 + 4)).unwrap();
        self.rx.next_used = self.rx.next_used.wrapping_add(1);
        mem.write_obj(self.rx.next_used, GuestAddress(self.rx.used + 2)).unwrap();
    }
}

/// What a wild host's packet says.
#[derive(Clone, Copy)]
struct Packet {
    local_port: u32,
    len: u32,
    op: u16,
    flags: u32,
    credit: u32,
}

const RW: u16 = 5;
const HEADER_BYTES: u32 = 44;

/// A rig with a connected stream, and a host that takes over from the device.
fn taken_over() -> (VsockRig, StreamId, WildHost) {
    let mut rig = VsockRig::new();
    let id = rig.driver.connect(1).unwrap();
    rig.exit();
    rig.exit();
    assert!(rig.driver.readiness(id).connected);
    let host = WildHost::of(&rig);
    (rig, id, host)
}

#[test]
fn a_host_that_sends_more_than_its_credit_is_cut_off() {
    let (mut rig, id, mut host) = taken_over();
    let len = 8 << 10;
    let packet = Packet { local_port: id.local_port, len, op: RW, flags: 0, credit: 0 };
    for _ in 0..(512 << 10) / len {
        host.deliver(&rig, packet, HEADER_BYTES + len);
        rig.driver.poll().unwrap();
    }
    assert_eq!(rig.driver.readiness(id).error, None, "that was its credit");
    host.deliver(&rig, Packet { len: 1, ..packet }, HEADER_BYTES + 1);
    rig.driver.poll().unwrap();
    assert_eq!(rig.driver.readiness(id).error, Some(StreamError::Reset));
    let mut all = vec![0; 1 << 20];
    assert_eq!(rig.driver.recv(id, &mut all), Ok(512 << 10), "what came in order is read");
    assert_eq!(rig.driver.recv(id, &mut all), Err(StreamError::Reset));
}

#[test]
fn packets_that_do_not_fit_their_buffers_are_faults() {
    for (len, written, fine) in [
        (5, HEADER_BYTES + 5, true),
        (5, HEADER_BYTES + 4, false),
        (5, HEADER_BYTES + 6, false),
        (0, HEADER_BYTES, true),
        (0, HEADER_BYTES - 1, false),
        (0, 0, false),
    ] {
        let (mut rig, id, mut host) = taken_over();
        let packet = Packet { local_port: id.local_port, len, op: RW, flags: 0, credit: 0 };
        host.deliver(&rig, packet, written);
        assert_eq!(rig.driver.poll().is_ok(), fine, "{len} bytes in {written}");
    }
}

proptest! {
    /// Random packets, and then random bytes in the used rings of the socket driver.
    #[test]
    fn the_socket_driver_survives_nonsense(
        packets in proptest::collection::vec(
            (0u32..4, 0u32..100, 0u16..9, 0u32..4, any::<u32>(), any::<bool>()),
            0..20,
        ),
        writes in proptest::collection::vec((0usize..3, 0u64..64, any::<u16>()), 0..60),
    ) {
        let mut rig = VsockRig::new();
        let ids: Vec<_> = (0..3).map(|_| rig.driver.connect(1).unwrap()).collect();
        rig.exit();
        let mut host = WildHost::of(&rig);
        for (port, len, op, flags, credit, whole) in packets {
            let local_port = ids[0].local_port + port;
            let data = if op == RW { len } else { 0 };
            let written = HEADER_BYTES + if whole { data } else { len };
            host.deliver(&rig, Packet { local_port, len: data, op, flags, credit }, written);
            if rig.driver.poll().is_err() {
                return Ok(());
            }
            for &id in &ids {
                let _ = rig.driver.recv(id, &mut [0; 30]);
                let _ = rig.driver.send(id, &[0; 3000]);
            }
        }
        let queues = rig.device.state().queues;
        for (queue, word, value) in writes {
            let at = GuestAddress(queues[queue].used + word * 2);
            rig.memory.mem.write_obj(value, at).unwrap();
            if rig.driver.poll().is_err() {
                return Ok(());
            }
        }
        for id in ids {
            rig.driver.close(id);
        }
        let _ = rig.driver.poll();
    }
}
