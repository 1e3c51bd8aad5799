//! The drivers against a device that breaks the rules: a fault, never a panic or an endless loop.

use mayfly_abi::QueueInfo;
use mayfly_drivers::block::{Block, Piece};
use mayfly_drivers::virtqueue::{DeviceFault, Head, QueueFull, Segment, Used, VirtQueue};
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

proptest! {
    /// Random bytes in the used rings and receive buffers of the socket driver.
    #[test]
    fn the_socket_driver_survives_nonsense(
        writes in proptest::collection::vec((0u64..3, 0u64..64, any::<u16>()), 1..60),
        packets in proptest::collection::vec((0u32..4, 0u32..100, 0u16..9, 0u32..60, any::<u32>()), 0..20),
        wild_ring in any::<bool>(),
    ) {
        let mut rig = VsockRig::new();
        let ids: Vec<_> = (0..3).map(|_| rig.driver.connect(1).unwrap()).collect();
        rig.driver.listen(7).unwrap();
        rig.exit();
        let [rx, tx, events] = <[_; 3]>::try_from(rig.device.state().queues).unwrap();
        // Well-formed entries with any packet.
        let mut index = rx.next_used;
        for (port, len, op, written, credit) in packets {
            let head: u16 = rig.memory.mem.read_obj(GuestAddress(rx.available + 4 + u64::from(index % rx.size) * 2)).unwrap();
            let buffer: u64 = rig.memory.mem.read_obj(GuestAddress(rx.descriptors + u64::from(head) * 16)).unwrap();
            let mut header = Vec::new();
            header.extend(2u64.to_le_bytes());
            header.extend(3u64.to_le_bytes());
            header.extend(1u32.to_le_bytes());
            header.extend((0x1_0000 + port).to_le_bytes());
            header.extend(len.to_le_bytes());
            header.extend(1u16.to_le_bytes());
            header.extend(op.to_le_bytes());
            header.extend([port as u8 & 3, 0, 0, 0]);
            header.extend(credit.to_le_bytes());
            header.extend(credit.to_le_bytes());
            rig.memory.mem.write_slice(&header, GuestAddress(buffer)).unwrap();
            let entry = rx.used + 4 + u64::from(index % rx.size) * 8;
            let written = if op == 5 && written > 10 { 44 + len } else { 44 + written % 2 };
            rig.memory.mem.write_obj(u32::from(head), GuestAddress(entry)).unwrap();
            rig.memory.mem.write_obj(written, GuestAddress(entry + 4)).unwrap();
            index = index.wrapping_add(1);
            rig.memory.mem.write_obj(index, GuestAddress(rx.used + 2)).unwrap();
            if rig.driver.poll().is_err() {
                return Ok(());
            }
            for &id in &ids {
                let _ = rig.driver.recv(id, &mut [0; 30]);
                let _ = rig.driver.send(id, &[0; 3000]);
            }
        }
        // Any bytes in any used ring.
        for (queue, word, value) in writes {
            let ring = [&rx, &tx, &events][queue as usize].used;
            if wild_ring {
                rig.memory.mem.write_obj(value, GuestAddress(ring + word * 2)).unwrap();
            }
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
