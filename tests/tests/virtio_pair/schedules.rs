//! Random schedules: whatever the order of things, streams carry exactly what was put into them, nobody
//! gets stuck, and nothing is left behind.

use std::collections::BTreeMap;

use mayfly_devices::vsock::{Closed, StreamId as HostId};
use mayfly_drivers::vsock::{How, Readiness, StreamError, StreamId};
use proptest::prelude::*;

use crate::rig::VsockRig;

/// Guest port with a listener.
const LISTENED: u32 = 7;

/// Something that a program, a host, or the machine does.
#[derive(Clone, Copy, Debug)]
enum Action {
    GuestConnects,
    HostConnects,
    GuestSends(u8, usize),
    GuestReceives(u8, usize),
    GuestEnds(u8),
    HostSends(u8, usize),
    HostReceives(u8, usize),
    HostEnds(u8),
    Exit,
    Poll,
}

fn action() -> impl Strategy<Value = Action> {
    let size = prop_oneof![1usize..50, 1usize..40_000, Just(300_000)];
    prop_oneof![
        2 => Just(Action::GuestConnects),
        2 => Just(Action::HostConnects),
        6 => (any::<u8>(), size.clone()).prop_map(|(which, len)| Action::GuestSends(which, len)),
        6 => (any::<u8>(), size.clone()).prop_map(|(which, len)| Action::GuestReceives(which, len)),
        1 => any::<u8>().prop_map(Action::GuestEnds),
        6 => (any::<u8>(), size.clone()).prop_map(|(which, len)| Action::HostSends(which, len)),
        6 => (any::<u8>(), size).prop_map(|(which, len)| Action::HostReceives(which, len)),
        1 => any::<u8>().prop_map(Action::HostEnds),
        8 => Just(Action::Exit),
        2 => Just(Action::Poll),
    ]
}

/// How far one stream has come, in either direction.
#[derive(Debug, Default)]
struct Progress {
    to_host_sent: usize,
    to_host_got: usize,
    to_guest_sent: usize,
    to_guest_got: usize,
    guest_ended: bool,
    host_ended: bool,
}

/// Byte `at` of a stream: different for each stream and direction.
fn byte(id: StreamId, to_host: bool, at: usize) -> u8 {
    let salt = id.local_port.wrapping_mul(31) ^ id.peer_port ^ u32::from(to_host) << 5;
    (at ^ at >> 8 ^ at >> 16) as u8 ^ salt as u8
}

fn bytes(id: StreamId, to_host: bool, from: usize, len: usize) -> Vec<u8> {
    (from..from + len).map(|at| byte(id, to_host, at)).collect()
}

struct World {
    rig: VsockRig,
    streams: BTreeMap<StreamId, Progress>,
}

impl World {
    fn new(inbox_max: usize, step_max: usize, tx_size: u16) -> World {
        let mut rig = VsockRig::with_sizes(32, tx_size);
        (rig.inbox_max, rig.step_max) = (inbox_max, step_max);
        rig.driver.listen(LISTENED).unwrap();
        World { rig, streams: BTreeMap::new() }
    }

    fn pick(&self, which: u8) -> Option<StreamId> {
        self.streams.keys().nth(usize::from(which) % self.streams.len().max(1)).copied()
    }

    fn act(&mut self, action: Action) {
        let chosen = match action {
            Action::GuestSends(which, _)
            | Action::GuestReceives(which, _)
            | Action::GuestEnds(which)
            | Action::HostSends(which, _)
            | Action::HostReceives(which, _)
            | Action::HostEnds(which) => self.pick(which),
            _ => None,
        };
        match (action, chosen) {
            (Action::GuestConnects, _) if self.streams.len() < 40 => {
                let id = self.rig.driver.connect(1).unwrap();
                self.streams.insert(id, Progress::default());
            }
            (Action::HostConnects, _) if self.streams.len() < 40 => {
                self.rig.host_connect(LISTENED);
            }
            (Action::GuestSends(_, len), Some(id)) => self.guest_sends(id, len),
            (Action::GuestReceives(_, len), Some(id)) => self.guest_receives(id, len),
            (Action::GuestEnds(_), Some(id)) => {
                let ended = self.rig.driver.shutdown(id, How::Send);
                self.streams.get_mut(&id).unwrap().guest_ended |= ended.is_ok();
            }
            (Action::HostSends(_, len), Some(id)) => self.host_sends(id, len),
            (Action::HostReceives(_, len), Some(id)) => self.host_receives(id, len),
            (Action::HostEnds(_), Some(id)) => {
                if let Some(socket) = self.rig.sockets.get_mut(&host(id)) {
                    socket.outbox_ended = true;
                    self.streams.get_mut(&id).unwrap().host_ended = true;
                }
            }
            (Action::Exit, _) => self.rig.exit(),
            (Action::Poll, _) => drop(self.rig.driver.poll().unwrap()),
            _ => {}
        }
        while let Some(id) = self.rig.driver.accept(LISTENED) {
            self.streams.insert(id, Progress::default());
        }
    }

    fn guest_sends(&mut self, id: StreamId, len: usize) {
        let progress = self.streams.get_mut(&id).unwrap();
        let data = bytes(id, true, progress.to_host_sent, len);
        match self.rig.driver.send(id, &data) {
            Ok(count) => progress.to_host_sent += count,
            Err(StreamError::Closed) => assert!(progress.guest_ended),
            Err(error) => {
                assert!(matches!(error, StreamError::WouldBlock | StreamError::NotConnected))
            }
        }
    }

    fn guest_receives(&mut self, id: StreamId, len: usize) {
        let progress = self.streams.get_mut(&id).unwrap();
        let mut out = vec![0; len];
        match self.rig.driver.recv(id, &mut out) {
            Ok(0) => {
                assert!(progress.host_ended, "an end that nobody made");
                assert_eq!(progress.to_guest_got, progress.to_guest_sent, "bytes were lost");
            }
            Ok(count) => {
                assert!(out[..count] == bytes(id, false, progress.to_guest_got, count));
                progress.to_guest_got += count;
            }
            Err(error) => {
                assert!(matches!(error, StreamError::WouldBlock | StreamError::NotConnected))
            }
        }
    }

    fn host_sends(&mut self, id: StreamId, len: usize) {
        let progress = self.streams.get_mut(&id).unwrap();
        let socket = self.rig.sockets.get_mut(&host(id));
        if let Some(socket) = socket.filter(|socket| !socket.outbox_ended) {
            socket.outbox.extend(bytes(id, false, progress.to_guest_sent, len));
            progress.to_guest_sent += len;
        }
    }

    fn host_receives(&mut self, id: StreamId, len: usize) {
        let progress = self.streams.get_mut(&id).unwrap();
        if let Some(socket) = self.rig.sockets.get_mut(&host(id)) {
            let count = len.min(socket.inbox.len());
            let got: Vec<u8> = socket.inbox.drain(..count).collect();
            assert!(got == bytes(id, true, progress.to_host_got, count));
            progress.to_host_got += count;
            if socket.inbox_ended && socket.inbox.is_empty() {
                assert!(progress.guest_ended);
                assert_eq!(progress.to_host_got, progress.to_host_sent, "bytes were lost");
            }
        }
    }

    /// Ends every stream on both sides and reads them out. Everything must arrive, and everything go.
    fn finish(&mut self) {
        // Slow sockets may hold up what others asked for, but not for ever.
        for _ in 0..20_000 {
            self.act(Action::Exit);
            let ids: Vec<_> = self.streams.keys().copied().collect();
            ids.iter().for_each(|&id| self.host_receives(id, 100_000));
            let begun = |readiness: Readiness| readiness.connected || readiness.hung_up;
            if ids.iter().all(|&id| begun(self.rig.driver.readiness(id))) {
                break;
            }
        }
        let ids: Vec<_> = self.streams.keys().copied().collect();
        for &id in &ids {
            self.rig.driver.shutdown(id, How::Send).ok();
            self.streams.get_mut(&id).unwrap().guest_ended = true;
            let socket = self.rig.sockets.get_mut(&host(id)).expect("it was accepted");
            socket.outbox_ended = true;
            self.streams.get_mut(&id).unwrap().host_ended = true;
        }
        for _ in 0..20_000 {
            for &id in &ids {
                self.guest_receives(id, 100_000);
                self.host_receives(id, 100_000);
            }
            self.rig.exit();
            if self.all_arrived() {
                break;
            }
        }
        assert!(self.all_arrived(), "stuck: {:?}", self.streams);
        self.rig.settle();
        for id in ids {
            assert_eq!(self.rig.driver.recv(id, &mut [0]), Ok(0));
            assert_eq!(self.rig.sockets[&host(id)].closed, Some(Closed::Finished));
            self.rig.driver.close(id);
        }
        self.rig.settle();
        assert_eq!((self.rig.driver.streams(), self.rig.device.device().streams()), (0, 0));
    }

    fn all_arrived(&self) -> bool {
        self.streams.values().all(|progress| {
            progress.to_host_sent == progress.to_host_got
                && progress.to_guest_sent == progress.to_guest_got
        })
    }
}

fn host(id: StreamId) -> HostId {
    HostId { guest_port: id.local_port, host_port: id.peer_port }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn streams_keep_their_word(
        actions in proptest::collection::vec(action(), 1..250),
        inbox_max in prop_oneof![Just(usize::MAX), 300usize..20_000],
        step_max in prop_oneof![Just(0usize), 500usize..9000],
        tx_size in prop_oneof![Just(16u16), Just(128)],
    ) {
        let mut world = World::new(inbox_max, step_max, tx_size);
        for action in actions {
            world.act(action);
        }
        world.finish();
    }
}
