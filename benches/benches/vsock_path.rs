//! A stream's bytes from the guest's `send` to the host's buffer and back to the guest's `recv`: driver,
//! rings and device, without exits and sockets. Beside it the floor: as many plain copies of the bytes.
#![allow(
    clippy::unwrap_used,
    reason = "a benchmark is its own guest and host: a failure is a bug in it"
)]

#[path = "../../tests/tests/virtio_pair/rig.rs"]
mod rig;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use mayfly_devices::vsock::StreamId as HostId;
use mayfly_drivers::vsock::StreamId;
use rig::VsockRig;

fn connected() -> (VsockRig, StreamId, HostId) {
    let mut rig = VsockRig::new();
    let id = rig.driver.connect(1).unwrap();
    rig.exit();
    assert!(rig.driver.readiness(id).connected);
    (rig, id, HostId { guest_port: id.local_port, host_port: id.peer_port })
}

/// One byte each way: what a packet costs.
fn ping(c: &mut Criterion) {
    let (mut rig, id, host) = connected();
    c.bench_function("vsock/ping/1-byte", |b| {
        b.iter(|| {
            rig.driver.send(id, b"x").unwrap();
            rig.exit();
            let socket = rig.sockets.get_mut(&host).unwrap();
            let byte = socket.inbox.pop_front().unwrap();
            socket.outbox.push_back(byte);
            rig.exit();
            rig.driver.recv(id, &mut [0]).unwrap()
        });
    });
}

fn bulk(c: &mut Criterion) {
    const LEN: usize = 1 << 20;
    let data = vec![7; LEN];
    let mut out = vec![0; LEN];
    let mut group = c.benchmark_group("vsock/1-MiB");
    group.throughput(Throughput::Bytes(LEN as u64));

    let (mut rig, id, host) = connected();
    group.bench_function("to-host", |b| {
        b.iter(|| {
            let mut sent = 0;
            while sent < LEN {
                match rig.driver.send(id, &data[sent..]) {
                    Ok(count) => sent += count,
                    Err(_) => rig.exit(),
                }
            }
            rig.exit();
            let inbox = &mut rig.sockets.get_mut(&host).unwrap().inbox;
            assert_eq!(inbox.len(), LEN);
            inbox.clear();
        });
    });
    group.bench_function("to-guest", |b| {
        b.iter(|| {
            rig.sockets.get_mut(&host).unwrap().outbox.extend(&data);
            let mut got = 0;
            while got < LEN {
                rig.exit();
                while let Ok(count) = rig.driver.recv(id, &mut out[got..]) {
                    got += count;
                    if got == LEN {
                        break;
                    }
                }
            }
        });
    });
    group.bench_function("floor-two-copies", |b| {
        b.iter(|| {
            out.copy_from_slice(std::hint::black_box(&data));
            std::hint::black_box(&mut out).copy_from_slice(std::hint::black_box(&data));
        });
    });
    group.finish();
}

criterion_group!(benches, ping, bulk);
criterion_main!(benches);
