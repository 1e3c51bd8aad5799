//! Lies to the host's end of the streams (virtio 1.2 §5.10.6).
//!
//! ```text
//!   SCRATCH            the packet that is sent
//!   SCRATCH + 0x1000   its data
//!   SCRATCH + 0x2000   receive buffers, BUFFER_BYTES each
//! ```

use mayfly_abi::channel::NO_DEADLINE;
use mayfly_abi::ports::{GUEST_CID, HOST_CID, STDIN, STDOUT};
use mayfly_hal::boot::Boot;
use mayfly_hal::channel::{kick, wait};

use crate::memory::{SCRATCH, put};
use crate::queue::{Queue, WRITE};
use crate::{defect, unknown};

const DATA: u64 = SCRATCH + 0x1000;
const BUFFERS: u64 = SCRATCH + 0x2000;
const BUFFER_BYTES: u32 = 256;
const HEADER_BYTES: u32 = 44;
/// VIRTIO_VSOCK_TYPE_STREAM.
const STREAM: u16 = 1;
/// Operations.
const REQUEST: u16 = 1;
const RESPONSE: u16 = 2;
const RESET: u16 = 3;
const SHUTDOWN: u16 = 4;
const DATA_OP: u16 = 5;
const CREDIT_UPDATE: u16 = 6;
const CREDIT_REQUEST: u16 = 7;
/// A guest port with nothing behind it.
const PORT: u32 = 1000;

/// A packet's header, whatever it says.
#[derive(Clone, Copy)]
struct Packet {
    from: (u64, u32),
    to: (u64, u32),
    len: u32,
    kind: u16,
    op: u16,
    flags: u32,
    allocation: u32,
    forwarded: u32,
}

/// The honest packet from [`PORT`] to a host port.
const fn packet(op: u16, to: u32) -> Packet {
    Packet {
        from: (GUEST_CID, PORT),
        to: (HOST_CID, to),
        len: 0,
        kind: STREAM,
        op,
        flags: 0,
        allocation: 0x1_0000,
        forwarded: 0,
    }
}

struct Vsock {
    to_guest: Queue,
    from_guest: Queue,
    events: Queue,
}

impl Vsock {
    fn new(boot: &Boot) -> Vsock {
        let [to_guest, from_guest, events] = boot.info.devices[1].queues.map(Queue::new);
        Vsock { to_guest, from_guest, events }
    }

    /// Gives the device every receive buffer that it can hold. What it has used is given again.
    fn give_buffers(&mut self) {
        for index in 0..self.to_guest.info.size as u16 {
            let at = BUFFERS + u64::from(index) * u64::from(BUFFER_BYTES);
            self.to_guest.chain(index, &[(at, BUFFER_BYTES, WRITE)]);
        }
        let used = self.to_guest.used();
        while self.to_guest.offered().wrapping_sub(used) < self.to_guest.info.size as u16 {
            let index = self.to_guest.offered() % self.to_guest.info.size as u16;
            self.to_guest.offer(index);
        }
    }

    /// Puts a packet with `room` bytes behind its header into the queue, over whatever came before.
    fn put(&mut self, packet: Packet, room: u32) {
        let at = SCRATCH;
        for (offset, word) in [(0, packet.from.0), (8, packet.to.0)] {
            put(at + offset, word);
        }
        put(at + 16, packet.from.1);
        put(at + 20, packet.to.1);
        put(at + 24, packet.len);
        put(at + 28, packet.kind);
        put(at + 30, packet.op);
        put(at + 32, packet.flags);
        put(at + 36, packet.allocation);
        put(at + 40, packet.forwarded);
        let parts = [(at, HEADER_BYTES, 0), (DATA, room, 0)];
        self.from_guest.chain(0, &parts[..if room == 0 { 1 } else { 2 }]);
        self.from_guest.offer(0);
    }

    /// Sends a packet and has the device look at it. Whether it took it, too: with nowhere to put its
    /// answers it may leave packets where they are.
    fn send(&mut self, packet: Packet, room: u32) -> bool {
        let used = self.from_guest.used();
        self.put(packet, room);
        kick();
        self.from_guest.used() != used
    }

    /// Sends a packet that must be taken.
    fn tell(&mut self, packet: Packet, room: u32) {
        assert!(self.send(packet, room), "a packet of op {} was left", packet.op);
    }
}

/// One of the device's queues with a defect, when the device has a use for it.
pub fn break_queue(boot: &Boot, queue: &str, how: &str) {
    let mut vsock = Vsock::new(boot);
    match queue {
        "to-guest" => {
            defect::offer(boot, &mut vsock.to_guest, how, WRITE);
            // Data of no stream: the device owes a reset.
            vsock.put(Packet { from: (GUEST_CID, 1), ..packet(DATA_OP, STDOUT) }, 0);
        }
        "events" => defect::offer(boot, &mut vsock.events, how, WRITE),
        _ => defect::offer(boot, &mut vsock.from_guest, how, 0),
    }
    kick();
}

/// Packets that lie. Where it matters, the test has something on standard input.
pub fn packets(boot: &Boot, how: &str) {
    let mut vsock = Vsock::new(boot);
    match how {
        "lies" => vsock.lies(),
        "short" => vsock.short(),
        "strangers" => vsock.strangers(),
        "connects" => vsock.connects(),
        "connects-unanswered" => vsock.connects_unanswered(),
        "one-port" => vsock.one_port(),
        "credit" => vsock.credit(),
        "out-of-turn" => vsock.out_of_turn(),
        "wrong-way" => vsock.wrong_way(),
        "overrun" => vsock.overrun(),
        "overrun-and-wait" => {
            vsock.overrun();
            wait_for_ever();
        }
        "no-buffers" => vsock.no_buffers(),
        _ => unknown(how),
    }
}

impl Vsock {
    /// Headers of which one field is wrong.
    fn lies(&mut self) {
        let (good, data) = (packet(REQUEST, STDOUT), packet(DATA_OP, STDOUT));
        let lies = [
            Packet { len: u32::MAX, ..data },
            Packet { len: 17, ..data },
            Packet { len: 1, ..good },
            Packet { op: 0, ..good },
            Packet { op: 8, ..good },
            Packet { op: u16::MAX, ..good },
            Packet { kind: 0, ..good },
            Packet { kind: 2, ..good },
            Packet { kind: u16::MAX, ..good },
            Packet { from: (HOST_CID, PORT), ..good },
            Packet { from: (u64::MAX, PORT), ..good },
            Packet { to: (GUEST_CID, STDOUT), ..good },
            Packet { to: (u64::MAX, STDOUT), ..good },
            Packet { to: (HOST_CID, 0), ..good },
            Packet { to: (HOST_CID, u32::MAX), ..good },
            Packet { from: (GUEST_CID, u32::MAX), to: (HOST_CID, u32::MAX), ..good },
            Packet { flags: u32::MAX, ..packet(SHUTDOWN, STDOUT) },
        ];
        // First of a stream that does not exist, then of one that does.
        for connected in [false, true] {
            for lie in lies {
                self.give_buffers();
                if connected {
                    self.tell(packet(RESET, STDOUT), 0);
                    self.tell(good, 0);
                }
                self.tell(lie, 16);
            }
        }
    }

    /// Chains that can't hold a header.
    fn short(&mut self) {
        self.give_buffers();
        let chains: [&[(u64, u32, u16)]; 5] = [
            &[(SCRATCH, HEADER_BYTES - 1, 0)],
            &[(SCRATCH, 0, 0)],
            &[(SCRATCH, HEADER_BYTES, WRITE)],
            &[(SCRATCH, 43, 0), (SCRATCH, 1, WRITE)],
            &[(1 << 50, 0, 0), (SCRATCH, 1, 0), (1 << 50, 0, WRITE)],
        ];
        for chain in chains {
            let used = self.from_guest.used();
            self.from_guest.chain(0, chain);
            self.from_guest.offer(0);
            kick();
            assert_ne!(self.from_guest.used(), used, "a short packet was left");
        }
    }

    /// Packets of streams that do not exist. Each is owed a reset, and the device's patience is bounded.
    fn strangers(&mut self) {
        let ops = [RESPONSE, SHUTDOWN, DATA_OP, CREDIT_UPDATE, CREDIT_REQUEST, 99];
        let stranger = |port| {
            let op = ops[port as usize % ops.len()];
            Packet { from: (GUEST_CID, port), ..packet(op, STDOUT) }
        };
        let left = (0..5000).find(|&port| !self.send(stranger(port), 0));
        assert!(left.is_some(), "5,000 resets were remembered");
        // With room for its answers the device goes on.
        for _ in 0..50 {
            self.give_buffers();
            kick();
        }
        self.tell(stranger(5000), 0);
    }

    /// 5,000 streams to ports where nobody is.
    fn connects(&mut self) {
        for port in 0..5000 {
            self.give_buffers();
            self.tell(Packet { from: (GUEST_CID, port), ..packet(REQUEST, 100 + port) }, 0);
        }
    }

    /// The same without room for one refusal.
    fn connects_unanswered(&mut self) {
        let request = |port| Packet { from: (GUEST_CID, port), ..packet(REQUEST, 100 + port) };
        let left = (0..5000).find(|&port| !self.send(request(port), 0));
        assert!(left.is_some(), "5,000 refusals were remembered");
    }

    /// 2,000 streams to a port that takes one.
    fn one_port(&mut self) {
        for port in 0..2000 {
            self.give_buffers();
            self.tell(Packet { from: (GUEST_CID, port), ..packet(REQUEST, STDOUT) }, 0);
        }
    }

    /// Says to have taken what was never sent, takes it back, and has room for everything or nothing.
    fn credit(&mut self) {
        self.give_buffers();
        self.tell(
            Packet { allocation: u32::MAX, forwarded: u32::MAX, ..packet(REQUEST, STDIN) },
            0,
        );
        for (allocation, forwarded) in [
            (u32::MAX, 0),
            (0, u32::MAX),
            (1, 0),
            (0, 0),
            (u32::MAX, 1 << 31),
            (1 << 31, 1 << 31),
            (u32::MAX, u32::MAX),
        ] {
            for op in [CREDIT_UPDATE, CREDIT_REQUEST] {
                self.give_buffers();
                self.send(Packet { allocation, forwarded, ..packet(op, STDIN) }, 0);
                wait(0);
            }
        }
    }

    /// Every operation in every state, over and over.
    fn out_of_turn(&mut self) {
        for first in REQUEST..=CREDIT_REQUEST {
            for second in REQUEST..=CREDIT_REQUEST {
                for flags in 0..4 {
                    self.give_buffers();
                    self.tell(packet(REQUEST, STDOUT), 0);
                    self.tell(Packet { flags, ..packet(first, STDOUT) }, 0);
                    self.tell(Packet { flags, ..packet(second, STDOUT) }, 0);
                    self.tell(packet(RESET, STDOUT), 0);
                }
            }
        }
    }

    /// Writes to standard input, and waits for something from standard output.
    fn wrong_way(&mut self) {
        for port in [STDIN, STDOUT] {
            self.give_buffers();
            self.tell(packet(REQUEST, port), 0);
            self.give_buffers();
            self.tell(Packet { len: 16, ..packet(DATA_OP, port) }, 16);
            wait(0);
        }
    }

    /// More data than there is credit for, whoever reads it.
    fn overrun(&mut self) {
        const LEN: u32 = 64 << 10;
        self.tell(packet(REQUEST, STDOUT), 0);
        for _ in 0..1000 {
            self.give_buffers();
            self.send(Packet { len: LEN, ..packet(DATA_OP, STDOUT) }, LEN);
        }
    }

    /// Asks for standard input, has no room for it, and waits.
    fn no_buffers(&mut self) {
        self.tell(packet(REQUEST, STDIN), 0);
        wait_for_ever();
    }
}

/// Waits for nothing, again whenever it is told to look.
fn wait_for_ever() -> ! {
    loop {
        wait(NO_DEADLINE);
    }
}
