//! Stream sockets: how they begin, carry data, and end.

use mayfly_devices::Mmio;
use mayfly_devices::vsock::{Closed, RecvCredit, StreamId as HostId, Vsock};
use mayfly_drivers::vsock::{How, Readiness, StreamError, StreamId};

use crate::rig::VsockRig;

/// The host's name for a guest's stream.
fn host(id: StreamId) -> HostId {
    HostId { guest_port: id.local_port, host_port: id.peer_port }
}

/// The guest's name for a host's stream.
fn guest(id: HostId) -> StreamId {
    StreamId { local_port: id.guest_port, peer_port: id.host_port }
}

/// Byte `at` of a stream: long runs repeat nowhere.
fn byte(at: usize) -> u8 {
    (at ^ at >> 8 ^ at >> 16) as u8
}

fn pattern(range: std::ops::Range<usize>) -> Vec<u8> {
    range.map(byte).collect()
}

fn connected(rig: &mut VsockRig) -> StreamId {
    let id = rig.driver.connect(1).unwrap();
    rig.exit();
    assert!(rig.driver.readiness(id).connected);
    id
}

fn inbox(rig: &mut VsockRig, id: StreamId) -> Vec<u8> {
    rig.sockets.get_mut(&host(id)).unwrap().inbox.drain(..).collect()
}

/// Reads all that is there.
fn recv_all(rig: &mut VsockRig, id: StreamId) -> Result<Vec<u8>, StreamError> {
    let mut all = Vec::new();
    let mut part = [0; 5000];
    loop {
        match rig.driver.recv(id, &mut part) {
            Ok(0) | Err(StreamError::WouldBlock) => return Ok(all),
            Ok(count) => all.extend(&part[..count]),
            Err(error) => return Err(error),
        }
    }
}

#[test]
fn a_guest_connects_talks_and_leaves() {
    let mut rig = VsockRig::new();
    let id = rig.driver.connect(1).unwrap();
    assert!(rig.driver.needs_kick());
    assert!(!rig.driver.readiness(id).connected);
    assert_eq!(rig.driver.send(id, b"x"), Err(StreamError::NotConnected));
    rig.exit();
    assert_eq!(rig.driver.send(id, b"hello"), Ok(5));
    assert_eq!(rig.driver.recv(id, &mut [0; 8]), Err(StreamError::WouldBlock));
    rig.sockets.get_mut(&host(id)).unwrap().outbox.extend(b"hello yourself");
    rig.exit();
    assert_eq!(inbox(&mut rig, id), b"hello");
    let mut out = [0; 8];
    assert_eq!(rig.driver.recv(id, &mut out), Ok(8));
    assert_eq!(&out, b"hello yo");
    assert_eq!(recv_all(&mut rig, id).unwrap(), b"urself");
    rig.driver.close(id);
    assert_eq!(rig.driver.readiness(id), Readiness { ..rig.driver.readiness(id) });
    rig.settle();
    assert_eq!(rig.sockets[&host(id)].closed, Some(Closed::Finished));
    assert_eq!((rig.driver.streams(), rig.device.device().streams()), (0, 0));
}

#[test]
fn nobody_at_the_port_is_refused() {
    let mut rig = VsockRig::new();
    let id = rig.driver.connect(99).unwrap();
    rig.exit();
    assert_eq!(rig.driver.send(id, b"x"), Err(StreamError::Refused));
    assert_eq!(rig.driver.recv(id, &mut [0]), Err(StreamError::Refused));
    let readiness = rig.driver.readiness(id);
    assert!(readiness.readable && readiness.writable && readiness.hung_up);
    assert_eq!(readiness.error, Some(StreamError::Refused));
    rig.driver.close(id);

    let there = rig.host_connect(7);
    rig.settle();
    assert_eq!(rig.sockets[&there].closed, Some(Closed::Refused));
    assert_eq!((rig.driver.streams(), rig.device.device().streams()), (0, 0));
}

#[test]
fn a_host_connects_to_a_listener() {
    let mut rig = VsockRig::new();
    rig.driver.listen(7).unwrap();
    assert!(rig.driver.listen(7).is_err());
    let there = rig.host_connect(7);
    rig.sockets.get_mut(&there).unwrap().outbox.extend(b"early");
    rig.settle();
    assert!(rig.sockets[&there].connected);
    assert!(rig.driver.acceptable(7));
    let id = rig.driver.accept(7).unwrap();
    assert_eq!(id, guest(there));
    assert_eq!(rig.driver.accept(7), None);
    assert_eq!(recv_all(&mut rig, id).unwrap(), b"early");
    rig.driver.send(id, b"answer").unwrap();
    rig.settle();
    assert_eq!(rig.sockets[&there].inbox, b"answer");

    let unheard = rig.host_connect(7);
    rig.settle();
    rig.driver.unlisten(7);
    rig.settle();
    assert_eq!(rig.sockets[&unheard].closed, Some(Closed::Finished), "nobody accepted it");
    assert_eq!(rig.device.device().streams(), 1);
}

#[test]
fn each_direction_ends_by_itself() {
    let mut rig = VsockRig::new();
    let id = connected(&mut rig);
    rig.driver.send(id, b"the last").unwrap();
    rig.driver.shutdown(id, How::Send).unwrap();
    assert_eq!(rig.driver.send(id, b"more"), Err(StreamError::Closed));
    rig.exit();
    assert_eq!(inbox(&mut rig, id), b"the last");
    assert!(rig.sockets[&host(id)].inbox_ended);
    assert_eq!(rig.sockets[&host(id)].closed, None);
    // The other direction still works, and its end comes after its data.
    let socket = rig.sockets.get_mut(&host(id)).unwrap();
    socket.outbox.extend(b"an answer");
    socket.outbox_ended = true;
    rig.settle();
    assert_eq!(rig.sockets[&host(id)].closed, Some(Closed::Finished));
    assert_eq!(recv_all(&mut rig, id).unwrap(), b"an answer");
    assert_eq!(rig.driver.recv(id, &mut [0]), Ok(0));
    assert_eq!(rig.driver.recv(id, &mut [0]), Ok(0), "the end stays");
    rig.driver.close(id);
    assert_eq!(rig.driver.streams(), 0);
}

#[test]
fn a_host_that_ends_first_still_hears_the_guest() {
    let mut rig = VsockRig::new();
    let id = connected(&mut rig);
    rig.sockets.get_mut(&host(id)).unwrap().outbox_ended = true;
    rig.exit();
    assert_eq!(rig.driver.recv(id, &mut [0]), Ok(0));
    let readiness = rig.driver.readiness(id);
    assert!(readiness.peer_done && readiness.readable && readiness.writable && !readiness.hung_up);
    rig.driver.send(id, b"still here").unwrap();
    rig.driver.close(id);
    rig.settle();
    assert_eq!(inbox(&mut rig, id), b"still here");
    assert_eq!(rig.sockets[&host(id)].closed, Some(Closed::Finished));
    assert_eq!((rig.driver.streams(), rig.device.device().streams()), (0, 0));
}

#[test]
fn a_reset_reaches_the_other_end() {
    let mut rig = VsockRig::new();
    let id = connected(&mut rig);
    rig.sockets.get_mut(&host(id)).unwrap().outbox.extend(b"before");
    rig.exit();
    rig.device.parts().0.reset_stream(host(id));
    rig.exit();
    assert_eq!(rig.driver.recv(id, &mut [0; 6]), Ok(6), "what came before is read");
    assert_eq!(rig.driver.recv(id, &mut [0]), Err(StreamError::Reset));
    assert_eq!(rig.driver.send(id, b"x"), Err(StreamError::Reset));
    rig.driver.close(id);
    assert_eq!(rig.driver.streams(), 0);

    let id = connected(&mut rig);
    rig.device.parts().0.close(host(id));
    rig.settle();
    assert_eq!(rig.driver.recv(id, &mut [0]), Ok(0), "the host left in good order");
    assert_eq!(rig.driver.send(id, b"x"), Err(StreamError::Closed));
    assert_eq!(rig.device.device().streams(), 0);
}

#[test]
fn a_slow_host_holds_a_bounded_amount_and_loses_nothing() {
    let mut rig = VsockRig::new();
    rig.inbox_max = 1000;
    let id = connected(&mut rig);
    let data = pattern(0..1 << 20);
    let mut sent = 0;
    for _ in 0..20 {
        match rig.driver.send(id, &data[sent..]) {
            Ok(count) => sent += count,
            Err(error) => assert_eq!(error, StreamError::WouldBlock),
        }
        rig.exit();
    }
    assert_eq!(sent, RecvCredit::ALLOCATION as usize, "the guest spent its credit, and no more");
    assert!(!rig.driver.readiness(id).writable);
    assert!(rig.device.device().wants_write(host(id)));
    let mut got = Vec::new();
    while got.len() < data.len() {
        got.extend(inbox(&mut rig, id));
        rig.exit();
        sent += rig.driver.send(id, &data[sent..]).unwrap_or(0);
    }
    assert!(got == data);
}

#[test]
fn a_slow_guest_is_not_overrun() {
    let mut rig = VsockRig::new();
    let id = connected(&mut rig);
    let data = pattern(0..2 << 20);
    rig.sockets.get_mut(&host(id)).unwrap().outbox.extend(&data);
    rig.settle();
    let left = rig.sockets[&host(id)].outbox.len();
    assert_eq!(data.len() - left, 512 << 10, "the host spent its credit, and no more");
    assert!(!rig.device.device().wants_read(host(id)), "nothing to watch for without credit");
    // Another stream is not held up by the one that nobody reads.
    let other = connected(&mut rig);
    rig.sockets.get_mut(&host(other)).unwrap().outbox.extend(&data[..100_000]);
    rig.settle();
    assert!(recv_all(&mut rig, other).unwrap() == data[..100_000]);
    let mut got = Vec::new();
    while got.len() < data.len() {
        got.extend(recv_all(&mut rig, id).unwrap());
        rig.exit();
    }
    assert!(got == data);
}

/// 10 MB in few exits: what one exit moves is bounded by credit, not by packets.
#[test]
fn ten_megabytes_each_way() {
    let len = 10 << 20;
    let data = pattern(0..len);
    let mut rig = VsockRig::new();
    let id = connected(&mut rig);
    rig.exits = 0;
    let mut sent = 0;
    while sent < len {
        match rig.driver.send(id, &data[sent..]) {
            Ok(count) => sent += count,
            Err(_) => rig.exit(),
        }
    }
    rig.exit();
    assert!(inbox(&mut rig, id) == data);
    assert!(rig.exits <= 41, "{} exits to send", rig.exits);

    rig.sockets.get_mut(&host(id)).unwrap().outbox.extend(&data);
    rig.exits = 0;
    let mut got = Vec::new();
    while got.len() < len {
        rig.exit();
        got.extend(recv_all(&mut rig, id).unwrap());
    }
    assert!(got == data);
    assert!(rig.exits <= 26, "{} exits to receive", rig.exits);
}

#[test]
fn a_hundred_streams_share_fairly() {
    let mut rig = VsockRig::new();
    let ids: Vec<_> = (0..100).map(|_| connected(&mut rig)).collect();
    for &id in &ids {
        rig.sockets.get_mut(&host(id)).unwrap().outbox.extend(pattern(0..50_000));
        assert_eq!(rig.driver.send(id, &pattern(0..700)).unwrap(), 700);
        rig.driver.poll().unwrap();
        if id.local_port % 30 == 0 {
            rig.exit();
        }
    }
    let mut got = vec![0; ids.len()];
    let mut first_done = None;
    for turn in 0.. {
        rig.exit();
        for (got, &id) in got.iter_mut().zip(&ids) {
            let bytes = recv_all(&mut rig, id).unwrap();
            assert_eq!(bytes, pattern(*got..*got + bytes.len()));
            *got += bytes.len();
        }
        let done = got.iter().filter(|&&got| got == 50_000).count();
        if done > 0 && first_done.is_none() {
            first_done = Some(turn);
            assert!(got.iter().all(|&got| got > 0), "one was done before another began");
        }
        if done == ids.len() {
            break;
        }
        assert!(turn < 1000);
    }
    for &id in &ids {
        assert_eq!(inbox(&mut rig, id), pattern(0..700));
        rig.driver.close(id);
    }
    rig.settle();
    assert_eq!((rig.driver.streams(), rig.device.device().streams()), (0, 0));
}

#[test]
fn a_saved_device_goes_on_where_it_was() {
    let mut rig = VsockRig::new();
    rig.inbox_max = 1000;
    let id = connected(&mut rig);
    let data = pattern(0..100_000);
    assert_eq!(rig.driver.send(id, &data), Ok(data.len()));
    rig.exit();
    // The device holds bytes that its socket has not taken; all of it moves to another device.
    let state = rig.device.device().state().expect("the device is at rest");
    assert_eq!(state.streams().collect::<Vec<_>>(), [host(id)]);
    let registers = rig.device.state();
    rig.device = Mmio::restore(Vsock::restore(state).unwrap(), registers).unwrap();
    let mut got = Vec::new();
    while got.len() < data.len() {
        got.extend(inbox(&mut rig, id));
        rig.exit();
    }
    assert!(got == data);
    rig.driver.close(id);
    rig.settle();
    assert_eq!(rig.sockets[&host(id)].closed, Some(Closed::Finished));
}

#[test]
fn a_copy_of_a_vm_tells_its_guest_that_streams_are_gone() {
    let mut rig = VsockRig::new();
    let id = connected(&mut rig);
    rig.device.parts().0.reset_transport();
    rig.sockets.clear();
    rig.settle();
    assert_eq!(rig.driver.recv(id, &mut [0]), Err(StreamError::Reset));
    rig.driver.close(id);
    let id = connected(&mut rig);
    rig.driver.send(id, b"again").unwrap();
    rig.exit();
    assert_eq!(inbox(&mut rig, id), b"again");
}

/// Few pages are touched by a guest that says little: the same buffers are used again and again.
#[test]
fn small_talk_stays_in_few_buffers() {
    let mut rig = VsockRig::new();
    let id = connected(&mut rig);
    for turn in 0..200 {
        rig.driver.send(id, &[turn]).unwrap();
        rig.sockets.get_mut(&host(id)).unwrap().outbox.push_back(turn);
        rig.exit();
        assert_eq!(recv_all(&mut rig, id).unwrap(), [turn]);
    }
    let touched = rig.buffers_touched();
    assert!(touched <= 6, "{touched} buffers of 64 were used");
}
