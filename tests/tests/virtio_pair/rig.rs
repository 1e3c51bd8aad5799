//! The guest's drivers joined to the host's devices over plain memory: no VM, no descriptors.
//!
//! ```text
//!   mayfly-drivers ──► guest memory ◄── mayfly-devices ──► an executor over Vec<u8> (the VMM's part)
//! ```
//!
//! `exit` is what the guest's one exit does: every queue is served until nothing is left. Bytes move as
//! the VMM would move them, straight between the "descriptor" and the ranges that the device names.
// Tests and benchmarks share this file, and neither uses all of it.
#![allow(dead_code)]

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ptr::NonNull;

use mayfly_abi::QueueInfo;
use mayfly_devices::block::{BlockFailure, Op};
use mayfly_devices::vsock::{Closed, Effect, StreamId};
use mayfly_devices::{Block, GuestFault, Mmio, Scatter, VirtioDevice, Vsock};
use mayfly_drivers::virtqueue::{QueueMemory, VirtQueue};
use mayfly_drivers::vsock::{RX_BUFFER_BYTES, TX_BUFFER_BYTES, VsockMemory};
use mayfly_drivers::{Block as BlockDriver, DmaRegion, Vsock as VsockDriver};
use vm_memory::{Bytes, GuestAddress, GuestMemoryBackend, GuestMemoryMmap};

/// VIRTIO_F_VERSION_1 and nothing else: what a boot plan negotiates.
pub const FEATURES: u64 = 1 << 32;
/// Bytes of guest memory.
const MEMORY_BYTES: usize = 16 << 20;
/// Effects that one exit may have before something is wrong.
const EFFECTS_MAX: usize = 100_000;

/// Guest memory, handed out from the bottom.
pub struct Memory {
    pub mem: GuestMemoryMmap,
    next: u64,
}

impl Memory {
    pub fn new() -> Memory {
        let mem = GuestMemoryMmap::from_ranges(&[(GuestAddress(0), MEMORY_BYTES)]).unwrap();
        Memory { mem, next: 0x1000 }
    }

    /// `len` bytes, aligned as a descriptor table is.
    pub fn take(&mut self, len: usize) -> DmaRegion {
        let gpa = self.next;
        self.next += len.next_multiple_of(16) as u64;
        assert!(self.next as usize <= MEMORY_BYTES);
        let host = self.mem.get_host_address(GuestAddress(gpa)).unwrap();
        // SAFETY: the mapping lives as long as the rig, which outlives its drivers; only atomics, volatile
        // copies and raw copies touch it.
        unsafe { DmaRegion::from_raw(NonNull::new(host).unwrap(), gpa, len) }
    }

    /// A queue, as a boot plan places it: for the driver and for the device.
    pub fn queue(&mut self, size: u16) -> (VirtQueue, QueueInfo) {
        let memory = QueueMemory {
            size,
            descriptors: self.take(QueueMemory::descriptors_bytes(size)),
            available: self.take(QueueMemory::available_bytes(size)),
            used: self.take(QueueMemory::used_bytes(size)),
        };
        let info = QueueInfo {
            size: size.into(),
            descriptors: memory.descriptors.gpa(),
            available: memory.available.gpa(),
            used: memory.used.gpa(),
        };
        (VirtQueue::new(memory), info)
    }
}

/// A disk: driver, device, and the bytes.
pub struct DiskRig {
    pub memory: Memory,
    pub driver: BlockDriver,
    pub device: Mmio<Block>,
    pub disk: Vec<u8>,
    pub flushes: usize,
    /// The backing fails.
    pub broken: bool,
}

impl DiskRig {
    pub fn new(disk: Vec<u8>, read_only: bool, queue_size: u16) -> DiskRig {
        let mut memory = Memory::new();
        let (queue, info) = memory.queue(queue_size);
        let sectors = disk.len() as u64 / 512;
        let device = Block::new(sectors, read_only, [0; 20]);
        let features = FEATURES | device.features();
        let device = Mmio::attached(device, features, &[info]).unwrap();
        let slots = memory.take(BlockDriver::slots_bytes(queue_size));
        let driver = BlockDriver::new(queue, slots, sectors, read_only);
        DiskRig { memory, driver, device, disk, flushes: 0, broken: false }
    }

    pub fn exit(&mut self) -> Result<(), GuestFault> {
        self.driver.about_to_kick();
        let mem = &self.memory.mem;
        let (device, [queue]) = self.device.parts();
        while let Some(request) = device.poll(mem, queue)? {
            match request.op {
                Op::Read { offset_bytes, ranges } if !self.broken => {
                    put(mem, ranges, &self.disk[offset_bytes as usize..]);
                }
                Op::Write { offset_bytes, ranges } if !self.broken => {
                    let bytes = get(mem, ranges, usize::MAX);
                    let offset = offset_bytes as usize;
                    self.disk[offset..offset + bytes.len()].copy_from_slice(&bytes);
                }
                Op::Flush => self.flushes += 1,
                _ => {}
            }
            let result = if self.broken { Err(BlockFailure) } else { Ok(()) };
            request.token.complete(mem, queue, result)?;
        }
        Ok(())
    }
}

/// Fills `ranges` from the front of `bytes`; gives how much that was. `readv`.
pub fn put(mem: &GuestMemoryMmap, ranges: &Scatter, bytes: &[u8]) -> usize {
    let mut done = 0;
    for range in ranges.iter() {
        let count = (range.len() as usize).min(bytes.len() - done);
        mem.write_slice(&bytes[done..done + count], range.address()).unwrap();
        done += count;
    }
    done
}

/// The first `most` bytes of `ranges`. `writev`.
pub fn get(mem: &GuestMemoryMmap, ranges: &Scatter, most: usize) -> Vec<u8> {
    let mut bytes = vec![0; (ranges.bytes() as usize).min(most)];
    let mut done = 0;
    for range in ranges.iter() {
        let count = (range.len() as usize).min(bytes.len() - done);
        mem.read_slice(&mut bytes[done..done + count], range.address()).unwrap();
        done += count;
    }
    bytes
}

/// The host's end of a stream, as a socket would behave.
#[derive(Debug, Default)]
pub struct Socket {
    /// From the guest.
    pub inbox: VecDeque<u8>,
    /// The inbox takes no more than so many bytes.
    pub inbox_max: usize,
    /// To the guest.
    pub outbox: VecDeque<u8>,
    /// Nothing will be added to the outbox.
    pub outbox_ended: bool,
    /// A read or write moves no more than so many bytes; 0 is no limit.
    pub step_max: usize,
    /// The guest will send no more.
    pub inbox_ended: bool,
    /// The host's own connection has been accepted.
    pub connected: bool,
    pub closed: Option<Closed>,
}

/// A guest with stream sockets, and their other ends.
pub struct VsockRig {
    pub memory: Memory,
    pub driver: VsockDriver,
    pub device: Mmio<Vsock>,
    pub sockets: BTreeMap<StreamId, Socket>,
    /// Host ports where somebody accepts.
    pub listening: BTreeSet<u32>,
    /// What a new socket's inbox takes.
    pub inbox_max: usize,
    pub step_max: usize,
    pub exits: usize,
    /// The drivers' data buffers.
    buffers: [DmaRegion; 2],
}

/// The guest's context identifier.
pub const CID: u64 = 3;

impl VsockRig {
    pub fn new() -> VsockRig {
        VsockRig::with_sizes(32, 128)
    }

    pub fn with_sizes(rx_size: u16, tx_size: u16) -> VsockRig {
        let mut memory = Memory::new();
        let (rx, rx_info) = memory.queue(rx_size);
        let (tx, tx_info) = memory.queue(tx_size);
        let (events, events_info) = memory.queue(4);
        let device = Mmio::attached(Vsock::new(CID), FEATURES, &[rx_info, tx_info, events_info]);
        let buffers = [memory.take(RX_BUFFER_BYTES * 32), memory.take(TX_BUFFER_BYTES * 32)];
        let [rx_buffers, tx_buffers] = buffers.clone();
        let headers = memory.take(VsockDriver::headers_bytes(tx_size));
        let memories = VsockMemory { rx, tx, events, rx_buffers, tx_buffers, headers };
        VsockRig {
            driver: VsockDriver::new(memories, CID),
            memory,
            device: device.unwrap(),
            sockets: BTreeMap::new(),
            listening: BTreeSet::from([1]),
            inbox_max: usize::MAX,
            step_max: 0,
            exits: 0,
            buffers,
        }
    }

    /// Buffers in which anything was ever written.
    pub fn buffers_touched(&self) -> usize {
        let touched = |region: &DmaRegion| {
            let mut bytes = vec![0; region.len()];
            region.read(0, &mut bytes);
            bytes.chunks(RX_BUFFER_BYTES).filter(|buffer| buffer.iter().any(|&b| b != 0)).count()
        };
        self.buffers.iter().map(touched).sum()
    }

    /// The host begins a stream.
    pub fn host_connect(&mut self, port: u32) -> StreamId {
        let id = self.device.parts().0.connect(port).unwrap();
        self.add_socket(id);
        id
    }

    fn add_socket(&mut self, id: StreamId) {
        let socket =
            Socket { inbox_max: self.inbox_max, step_max: self.step_max, ..Socket::default() };
        self.sockets.insert(id, socket);
    }

    /// One exit of the guest; then the driver takes in what came of it.
    pub fn exit(&mut self) {
        self.exits += 1;
        self.driver.about_to_kick();
        self.wake_sockets();
        self.serve().unwrap();
        self.driver.poll().unwrap();
    }

    /// Exits until nothing changes any more.
    pub fn settle(&mut self) {
        loop {
            self.driver.about_to_kick();
            self.wake_sockets();
            let effects = self.serve().unwrap();
            if !self.driver.poll().unwrap() && effects == 0 && !self.driver.needs_kick() {
                return;
            }
        }
    }

    /// What epoll would report.
    pub fn wake_sockets(&mut self) {
        let device = self.device.parts().0;
        for (&id, socket) in &self.sockets {
            if socket.closed.is_some() {
                continue;
            }
            if device.wants_read(id) && (!socket.outbox.is_empty() || socket.outbox_ended) {
                device.handle_readable(id);
            }
            if device.wants_write(id) && socket.inbox.len() < socket.inbox_max {
                device.handle_writable(id);
            }
        }
    }

    /// Serves the device until it has nothing to do; gives the number of effects.
    pub fn serve(&mut self) -> Result<usize, GuestFault> {
        for count in 0..EFFECTS_MAX {
            if !self.step()? {
                return Ok(count);
            }
        }
        panic!("the device does not come to rest");
    }

    fn step(&mut self) -> Result<bool, GuestFault> {
        let mem = &self.memory.mem;
        let (device, queues) = self.device.parts();
        let Some(effect) = device.poll(mem, queues)? else { return Ok(false) };
        match effect {
            Effect::Connect { id, port } if self.listening.contains(&port) => {
                device.accept(id);
                self.add_socket(id);
            }
            Effect::Connect { id, .. } => device.refuse(id),
            Effect::Connected { id } => self.sockets.get_mut(&id).unwrap().connected = true,
            Effect::Send { id, ranges } => {
                let room = self.sockets[&id].inbox_room();
                let bytes = get(mem, ranges, room);
                device.sent(mem, queues, id, bytes.len())?;
                self.sockets.get_mut(&id).unwrap().inbox.extend(bytes);
            }
            Effect::SendHeld { id, bytes } => {
                assert!(!bytes.is_empty());
                let socket = self.sockets.get_mut(&id).unwrap();
                let count = socket.inbox_room().min(bytes.len());
                socket.inbox.extend(&bytes[..count]);
                device.sent(mem, queues, id, count)?;
            }
            Effect::Receive { id, ranges } => {
                let socket = self.sockets.get_mut(&id).unwrap();
                let (front, _) = socket.outbox.as_slices();
                let count = put(mem, ranges, &front[..front.len().min(socket.step())]);
                socket.outbox.drain(..count);
                match count {
                    0 if !socket.outbox_ended => device.would_block(queues, id),
                    count => device.received(mem, queues, id, count)?,
                }
            }
            Effect::ShutdownWrite { id } => self.sockets.get_mut(&id).unwrap().inbox_ended = true,
            Effect::Closed { id, why } => self.sockets.get_mut(&id).unwrap().closed = Some(why),
            Effect::Yield => {}
        }
        Ok(true)
    }
}

impl Socket {
    /// Most bytes of one read or write.
    fn step(&self) -> usize {
        if self.step_max == 0 { usize::MAX } else { self.step_max }
    }

    /// Bytes that a write puts into the inbox.
    fn inbox_room(&self) -> usize {
        self.inbox_max.saturating_sub(self.inbox.len()).min(self.step())
    }
}
