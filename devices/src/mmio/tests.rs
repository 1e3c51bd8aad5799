use super::*;
use crate::testing::{Rings, SIZE, memory};
use crate::{Block, Chain};
use proptest::prelude::*;
use virtio_bindings::virtio_blk::VIRTIO_BLK_F_RO;

const RINGS: Rings = Rings { base: 0x1000 };
const RO: u64 = 1 << VIRTIO_F_VERSION_1 | 1 << VIRTIO_BLK_F_RO;

fn disk() -> Block {
    Block::new(0x1122_3344_5566, true, [0; 20])
}

fn read(mmio: &Mmio<Block>, offset: u32) -> u32 {
    let mut word = [0xaa; 4];
    mmio.read(u64::from(offset), &mut word);
    u32::from_le_bytes(word)
}

fn write(mmio: &mut Mmio<Block>, offset: u32, value: u32) -> Written {
    mmio.write(u64::from(offset), &value.to_le_bytes()).unwrap()
}

/// Does what a driver does up to FEATURES_OK (virtio 1.2 §3.1.1).
fn negotiate(mmio: &mut Mmio<Block>, features: u64) {
    write(mmio, VIRTIO_MMIO_STATUS, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
    for select in [1, 0] {
        write(mmio, VIRTIO_MMIO_DRIVER_FEATURES_SEL, select);
        write(mmio, VIRTIO_MMIO_DRIVER_FEATURES, (features >> (select * 32)) as u32);
    }
    write(mmio, VIRTIO_MMIO_STATUS, VIRTIO_CONFIG_S_FEATURES_OK);
}

fn place_queue(mmio: &mut Mmio<Block>) {
    let state = RINGS.state();
    write(mmio, VIRTIO_MMIO_QUEUE_SEL, 0);
    write(mmio, VIRTIO_MMIO_QUEUE_NUM, u32::from(state.size));
    write(mmio, VIRTIO_MMIO_QUEUE_DESC_LOW, state.descriptors as u32);
    write(mmio, VIRTIO_MMIO_QUEUE_AVAIL_LOW, state.available as u32);
    write(mmio, VIRTIO_MMIO_QUEUE_USED_LOW, state.used as u32);
}

#[test]
fn a_driver_finds_negotiates_and_drives() {
    let mut mmio = Mmio::new(disk());
    assert_eq!(read(&mmio, VIRTIO_MMIO_MAGIC_VALUE), 0x7472_6976);
    assert_eq!(read(&mmio, VIRTIO_MMIO_VERSION), 2);
    assert_eq!(read(&mmio, VIRTIO_MMIO_DEVICE_ID), 2);
    write(&mut mmio, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 1);
    assert_eq!(read(&mmio, VIRTIO_MMIO_DEVICE_FEATURES), 1, "VERSION_1");
    for select in [2, u32::MAX] {
        write(&mut mmio, VIRTIO_MMIO_DEVICE_FEATURES_SEL, select);
        assert_eq!(read(&mmio, VIRTIO_MMIO_DEVICE_FEATURES), 0);
    }

    negotiate(&mut mmio, RO);
    assert_ne!(read(&mmio, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_FEATURES_OK, 0);
    assert_eq!(read(&mmio, VIRTIO_MMIO_QUEUE_NUM_MAX), 256);
    place_queue(&mut mmio);
    write(&mut mmio, VIRTIO_MMIO_QUEUE_READY, 1);
    assert_eq!(read(&mmio, VIRTIO_MMIO_QUEUE_READY), 1);
    assert_eq!(write(&mut mmio, VIRTIO_MMIO_STATUS, VIRTIO_CONFIG_S_DRIVER_OK), Written::Driven);
    assert_eq!(write(&mut mmio, VIRTIO_MMIO_QUEUE_NOTIFY, 0), Written::Notified(0));

    let (_, [queue]) = mmio.parts();
    assert_eq!(queue.state(), RINGS.state());
    assert_eq!(write(&mut mmio, VIRTIO_MMIO_STATUS, 0), Written::Reset);
    assert_eq!(read(&mmio, VIRTIO_MMIO_QUEUE_READY), 0);
    assert_eq!(mmio.state(), Mmio::new(disk()).state());
}

#[test]
fn features_that_were_not_offered_are_refused() {
    for features in [RO | 1 << 40, RO | 1 << 9, RO & !(1 << VIRTIO_F_VERSION_1)] {
        let mut mmio = Mmio::new(disk());
        negotiate(&mut mmio, features);
        assert_eq!(read(&mmio, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_FEATURES_OK, 0);
        assert_eq!(
            write(&mut mmio, VIRTIO_MMIO_STATUS, VIRTIO_CONFIG_S_DRIVER_OK),
            Written::Stored
        );
        assert!(!mmio.driven());
        assert_eq!(
            Mmio::attached(disk(), features, &[]).unwrap_err(),
            AttachError::Features(features)
        );
    }
}

#[test]
fn features_stand_once_they_are_accepted() {
    let mut mmio = Mmio::new(disk());
    negotiate(&mut mmio, RO);
    write(&mut mmio, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 0);
    write(&mut mmio, VIRTIO_MMIO_DRIVER_FEATURES, 0);
    assert_eq!(mmio.features(), RO);
}

#[test]
fn a_notification_needs_a_ready_queue() {
    let mut mmio = Mmio::new(disk());
    let notify = |mmio: &mut Mmio<Block>, value: u32| {
        mmio.write(u64::from(VIRTIO_MMIO_QUEUE_NOTIFY), &value.to_le_bytes()).unwrap_err().fault
    };
    assert_eq!(notify(&mut mmio, 0), Fault::NotReady);
    assert_eq!(notify(&mut mmio, u32::MAX), Fault::NotReady);
    negotiate(&mut mmio, RO);
    place_queue(&mut mmio);
    write(&mut mmio, VIRTIO_MMIO_QUEUE_READY, 1);
    assert_eq!(notify(&mut mmio, 0), Fault::NotReady, "not driven yet");
    write(&mut mmio, VIRTIO_MMIO_STATUS, VIRTIO_CONFIG_S_DRIVER_OK);
    assert_eq!(notify(&mut mmio, 1), Fault::NotReady, "no such queue");
}

#[test]
fn a_ready_queue_does_not_move() {
    let mut mmio = Mmio::new(disk());
    negotiate(&mut mmio, RO);
    place_queue(&mut mmio);
    write(&mut mmio, VIRTIO_MMIO_QUEUE_READY, 1);
    write(&mut mmio, VIRTIO_MMIO_QUEUE_DESC_LOW, 0x7000);
    write(&mut mmio, VIRTIO_MMIO_QUEUE_READY, 1);
    assert_eq!(mmio.parts().1[0].state(), RINGS.state());

    let mut mmio = Mmio::new(disk());
    negotiate(&mut mmio, RO);
    place_queue(&mut mmio);
    write(&mut mmio, VIRTIO_MMIO_QUEUE_NUM, 3);
    let ready = mmio.write(u64::from(VIRTIO_MMIO_QUEUE_READY), &1u32.to_le_bytes());
    assert_eq!(ready.unwrap_err().fault, Fault::Size);
}

#[test]
fn configuration_is_read_in_any_width() {
    let mmio = Mmio::new(disk());
    let mut capacity = [0; 8];
    mmio.read(0x100, &mut capacity);
    assert_eq!(u64::from_le_bytes(capacity), 0x1122_3344_5566);
    let mut byte = [0];
    mmio.read(0x101, &mut byte);
    assert_eq!(byte, [0x55]);
    let mut beyond = [1; 8];
    mmio.read(0x100 + CONFIG_BYTES as u64 - 4, &mut beyond);
    mmio.read(u64::MAX, &mut byte);
    assert_eq!((beyond, byte), ([0; 8], [0]));
    assert_eq!(read(&mmio, VIRTIO_MMIO_SHM_LEN_LOW), u32::MAX, "there is no shared memory");
}

#[test]
fn interrupts_stand_until_acknowledged() {
    let mem = memory();
    let mut mmio = attached();
    assert!(!mmio.announce(&mem).unwrap());
    mmio.parts().1[0].push_used(&mem, 0, 0).unwrap();
    assert!(mmio.announce(&mem).unwrap());
    mmio.config_changed();
    assert_eq!(read(&mmio, VIRTIO_MMIO_INTERRUPT_STATUS), 3);
    assert_eq!(read(&mmio, VIRTIO_MMIO_CONFIG_GENERATION), 1);
    write(&mut mmio, VIRTIO_MMIO_INTERRUPT_ACK, 1);
    assert_eq!(read(&mmio, VIRTIO_MMIO_INTERRUPT_STATUS), 2);
}

fn attached() -> Mmio<Block> {
    let state = RINGS.state();
    let info = QueueInfo {
        size: u64::from(SIZE),
        descriptors: state.descriptors,
        available: state.available,
        used: state.used,
    };
    Mmio::attached(disk(), RO, &[info, QueueInfo::default()]).unwrap()
}

#[test]
fn attached_is_what_a_driver_would_have_made() {
    let mut driven = Mmio::new(disk());
    negotiate(&mut driven, RO);
    place_queue(&mut driven);
    write(&mut driven, VIRTIO_MMIO_QUEUE_READY, 1);
    write(&mut driven, VIRTIO_MMIO_STATUS, VIRTIO_CONFIG_S_DRIVER_OK);
    assert_eq!(attached().state(), driven.state());
    let two = [QueueInfo { size: 1, ..QueueInfo::default() }; 2];
    assert_eq!(Mmio::attached(disk(), RO, &two).unwrap_err(), AttachError::Queues(2));
}

#[test]
fn a_saved_device_goes_on() {
    let mem = memory();
    let mut mmio = attached();
    mmio.parts().1[0].push_used(&mem, 0, 0).unwrap();
    let state = mmio.state();
    let again = Mmio::restore(disk(), state.clone()).unwrap();
    assert_eq!(again.state(), state);
    let bad = MmioState { queues: vec![], ..state };
    assert_eq!(Mmio::restore(disk(), bad).unwrap_err(), AttachError::Queues(0));
}

proptest! {
    /// No sequence of accesses panics, and what is called ready can be polled.
    #[test]
    fn any_access_is_harmless(
        accesses in proptest::collection::vec((0u64..0x120, any::<u32>(), 0usize..9), 0..80),
        features in prop_oneof![Just(RO), any::<u64>()],
    ) {
        let mem = memory();
        let mut mmio = Mmio::new(disk());
        negotiate(&mut mmio, features);
        for (offset, value, width) in accesses {
            let bytes = u64::from(value).to_le_bytes();
            let _ = mmio.write(offset & !3, &(value & 0xfff0).to_le_bytes());
            let _ = mmio.write(offset, &bytes[..width]);
            mmio.read(offset, &mut vec![0; width]);
            let _ = mmio.parts().1[0].pop(&mem, &mut Chain::default());
            let _ = mmio.announce(&mem);
        }
    }
}
