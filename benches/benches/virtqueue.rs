//! One trip through a virtqueue: the driver adds a chain, the device pops it and marks it used, the driver
//! takes it back. No exit, no data: what the rings themselves cost, beside a block request's bookkeeping.
#![allow(
    clippy::unwrap_used,
    reason = "a benchmark is its own guest and host: a failure is a bug in it"
)]

#[path = "../../tests/tests/virtio_pair/rig.rs"]
mod rig;

use criterion::{Criterion, criterion_group, criterion_main};
use mayfly_devices::queue::QueueState;
use mayfly_devices::{Chain, Queue};
use mayfly_drivers::block::Piece;
use mayfly_drivers::virtqueue::Segment;
use rig::{DiskRig, Memory};

fn ring(c: &mut Criterion) {
    let mut memory = Memory::new();
    let (mut driver, info) = memory.queue(128);
    let mut device = Queue::new::<256>(0);
    let state = QueueState {
        size: 128,
        ready: true,
        descriptors: info.descriptors,
        available: info.available,
        used: info.used,
        ..QueueState::default()
    };
    device.restore(&state).unwrap();
    let mem = memory.mem.clone();
    let gpa = memory.take(4096).gpa();
    let mut chain = Chain::default();
    for segments in [1, 3] {
        c.bench_function(&format!("virtqueue/round-trip/{segments}-descriptors"), |b| {
            b.iter(|| {
                let segment = Segment { gpa, len: 512, writable: true };
                driver.add(std::iter::repeat_n(segment, segments)).unwrap();
                assert!(device.pop(&mem, &mut chain).unwrap());
                device.push_used(&mem, chain.head(), 512).unwrap();
                driver.pop().unwrap().unwrap()
            });
        });
    }
}

fn block(c: &mut Criterion) {
    let mut rig = DiskRig::new(vec![7; 1 << 20], true, 64);
    for pages in [1, 32] {
        let region = rig.memory.take(pages * 4096);
        let pieces: Vec<_> = (0..pages as u64)
            .map(|page| Piece { gpa: region.gpa() + page * 4096, len: 4096 })
            .collect();
        c.bench_function(&format!("block/read/{pages}-pages"), |b| {
            b.iter(|| {
                rig.driver.read(0, &pieces).unwrap();
                rig.exit().unwrap();
                rig.driver.poll().unwrap().unwrap()
            });
        });
    }
}

criterion_group!(benches, ring, block);
criterion_main!(benches);
