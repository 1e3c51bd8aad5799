//! The machine's devices as the kernel uses them: the root disk, the streams to the host, and the one
//! way to wait.

use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};

use mayfly_abi::channel::NO_DEADLINE;
use mayfly_abi::{DeviceInfo, MountInfo, QueueInfo};
use mayfly_drivers::block::{Block, Piece};
use mayfly_drivers::virtqueue::{DeviceFault, QueueMemory, VirtQueue};
use mayfly_drivers::vsock::{RX_BUFFER_BYTES, StreamId, TX_BUFFER_BYTES, Vsock, VsockMemory};
use mayfly_hal::boot::Boot;
use mayfly_hal::channel;
use mayfly_hal::phys::{self, FRAME_SIZE, Frame};

use crate::clock;
use crate::errno::{Errno, Result};
use crate::fs::{Disk, Poll};

/// Virtio device types (virtio 1.2 §5).
const KIND_BLOCK: u64 = 2;
const KIND_VSOCK: u64 = 19;
/// VIRTIO_BLK_F_RO.
const BLOCK_READ_ONLY: u64 = 1 << 5;
/// Buffers for each direction of vsock: 512 KiB to receive, which cost nothing until they are used.
const BUFFERS: usize = 32;
/// How old news may be that a program asks for again and again without ever waiting: the host comes to
/// speak at exits alone, which cost such a program 3 % of its time on a software KVM.
const GLANCE_NS: u64 = 1_000_000;
/// How long the host may be left in the dark about what a program has sent, while that makes system calls: about
/// what two exits cost. Mostly it waits before, which tells the host too.
const DELAY_NS: u64 = 50_000;

/// The devices.
pub struct Devices {
    block: RefCell<Block>,
    vsock: RefCell<Vsock>,
    block_requests: Cell<u64>,
    /// CLOCK_MONOTONIC of the last exit for news, ns.
    looked_ns: Cell<u64>,
    /// CLOCK_MONOTONIC since when the host has not seen something, ns; `None`: it has seen all.
    unseen_ns: Cell<Option<u64>>,
}

impl Devices {
    /// Takes charge of what the boot information lists.
    ///
    /// # Panics
    /// Where a device is missing: the VMM's bug.
    pub fn new(boot: &Boot) -> Devices {
        let find = |kind| boot.info.devices.iter().find(|device| device.kind == kind);
        let block = find(KIND_BLOCK).expect("a root disk");
        let vsock = find(KIND_VSOCK).expect("a vsock device");
        Devices {
            block: RefCell::new(attach_block(boot, block)),
            vsock: RefCell::new(attach_vsock(boot, vsock)),
            block_requests: Cell::new(0),
            looked_ns: Cell::new(0),
            unseen_ns: Cell::new(None),
        }
    }

    /// How many block requests were made.
    pub fn block_requests(&self) -> u64 {
        self.block_requests.get()
    }

    /// Gives `work` the streams' driver.
    pub fn with_vsock<R>(&self, work: impl FnOnce(&mut Vsock) -> R) -> R {
        work(&mut self.vsock.borrow_mut())
    }

    /// What a stream to the host is ready for, as poll(2) says it.
    pub fn poll_stream(&self, id: StreamId) -> Poll {
        let ready = self.with_vsock(|vsock| vsock.readiness(id));
        let mut poll = Poll::empty();
        poll.set(Poll::IN, ready.readable);
        poll.set(Poll::OUT, ready.writable);
        poll.set(Poll::HUP, ready.hung_up);
        poll.set(Poll::RDHUP, ready.peer_done);
        poll.set(Poll::ERR, ready.error.is_some());
        poll
    }

    /// Something was queued for the host, which is to see it soon: at the program's next wait, at a call after
    /// [`DELAY_NS`], or when the VMM looks by itself.
    pub fn kick_soon(&self) {
        if self.unseen_ns.get().is_none() {
            self.unseen_ns.set(Some(clock::monotonic_ns()));
        }
    }

    /// Lets the host see what has been queued for too long; whether it had something to say, too.
    pub fn kick_if_late(&self) -> bool {
        let late = |since| clock::monotonic_ns().saturating_sub(since) >= DELAY_NS;
        if !self.unseen_ns.get().is_some_and(late) {
            return false;
        }
        self.tell();
        channel::kick();
        self.take_in()
    }

    /// CLOCK_MONOTONIC of the last exit for news, ns.
    pub fn looked_ns(&self) -> u64 {
        self.looked_ns.get()
    }

    /// Lets the host speak, unless it has within the last [`GLANCE_NS`], and takes in what it says: for
    /// programs that look for news and do not wait. Whether something came: what was not ready may be now.
    pub fn glance(&self) -> bool {
        let now = clock::monotonic_ns();
        let is_new = now.saturating_sub(self.looked_ns.get()) < GLANCE_NS;
        if !is_new && !self.vsock.borrow().has_used() {
            self.looked_ns.set(now);
            self.tell();
            channel::wait(now);
        }
        self.take_in()
    }

    /// Waits until a device has something or CLOCK_MONOTONIC reaches the deadline, and takes it in.
    pub fn wait(&self, deadline_ns: Option<u64>) {
        if !self.vsock.borrow().has_used() {
            self.tell();
            channel::wait(deadline_ns.unwrap_or(NO_DEADLINE));
            self.looked_ns.set(clock::monotonic_ns());
        }
        self.take_in();
    }

    /// An exit is next, at which the host sees everything.
    fn tell(&self) {
        self.unseen_ns.set(None);
        self.vsock.borrow_mut().about_to_kick();
        self.block.borrow_mut().about_to_kick();
    }

    /// Takes in what the host has said on streams; whether it has.
    fn take_in(&self) -> bool {
        trusted(self.vsock.borrow_mut().poll())
    }

    /// Fills `pieces` from the root disk, waiting for it.
    fn read_disk(&self, offset: u64, pieces: &[Piece]) -> Result<()> {
        let mut block = self.block.borrow_mut();
        self.block_requests.set(self.block_requests.get() + 1);
        let request = block.read(offset, pieces).map_err(|_| Errno::IO)?;
        loop {
            block.about_to_kick();
            channel::kick();
            while let Some(done) = trusted(block.poll()) {
                if done.request == request {
                    return done.result.map_err(|_| Errno::IO);
                }
            }
        }
    }
}

/// A device that breaks the protocol cannot be recovered from: the host lies, or has a bug.
fn trusted<T>(answer: core::result::Result<T, DeviceFault>) -> T {
    answer.unwrap_or_else(|fault| panic!("a device broke its protocol: {fault}"))
}

/// A part of the root disk, in pages, that holds one image.
pub struct Partition {
    devices: Rc<Devices>,
    first_page: u64,
    pages: u64,
}

impl Partition {
    /// The whole disk. The root image is at its beginning.
    pub fn whole(devices: Rc<Devices>) -> Partition {
        let pages = devices.block.borrow().capacity_bytes() / FRAME_SIZE as u64;
        Partition { devices, first_page: 0, pages }
    }

    /// The part that `mount` names; EINVAL where the disk ends before it.
    pub fn of(devices: Rc<Devices>, mount: &MountInfo) -> Result<Partition> {
        let whole = Partition::whole(devices);
        let first_page = mount.offset / FRAME_SIZE as u64;
        let pages = mount.len / FRAME_SIZE as u64;
        match first_page.checked_add(pages) {
            Some(end) if end <= whole.pages => Ok(Partition { first_page, pages, ..whole }),
            _ => Err(Errno::INVAL),
        }
    }
}

impl Disk for Partition {
    fn pages(&self) -> u64 {
        self.pages
    }

    fn read_pages(&self, first: u64, frames: &[Frame]) -> Result<()> {
        let pieces = pieces(frames);
        let most = self.devices.block.borrow().pieces_max();
        let mut offset = (self.first_page + first) * FRAME_SIZE as u64;
        for pieces in pieces.chunks(most) {
            self.devices.read_disk(offset, pieces)?;
            offset += pieces.iter().map(|piece| u64::from(piece.len)).sum::<u64>();
        }
        Ok(())
    }
}

/// Frames as pieces, neighbours joined: fresh frames mostly are.
fn pieces(frames: &[Frame]) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = Vec::new();
    for frame in frames {
        match pieces.last_mut() {
            Some(last) if last.gpa + u64::from(last.len) == frame.gpa() => {
                last.len += FRAME_SIZE as u32;
            }
            _ => pieces.push(Piece { gpa: frame.gpa(), len: FRAME_SIZE as u32 }),
        }
    }
    pieces
}

fn attach_block(boot: &Boot, device: &DeviceInfo) -> Block {
    let size = device.queues[0].size as u16;
    let slots = phys::reserve_region(Block::slots_bytes(size)).expect("memory at boot");
    let read_only = device.features & BLOCK_READ_ONLY != 0;
    Block::new(queue(boot, &device.queues[0]), slots, device.config, read_only)
}

fn attach_vsock(boot: &Boot, device: &DeviceInfo) -> Vsock {
    let region = |bytes| phys::reserve_region(bytes).expect("memory at boot");
    let memory = VsockMemory {
        rx: queue(boot, &device.queues[0]),
        tx: queue(boot, &device.queues[1]),
        events: queue(boot, &device.queues[2]),
        rx_buffers: region(BUFFERS * RX_BUFFER_BYTES),
        tx_buffers: region(BUFFERS * TX_BUFFER_BYTES),
        headers: region(Vsock::headers_bytes(device.queues[1].size as u16)),
    };
    Vsock::new(memory, device.config)
}

fn queue(boot: &Boot, info: &QueueInfo) -> VirtQueue {
    let size = info.size as u16;
    VirtQueue::new(QueueMemory {
        size,
        descriptors: boot.queue_region(info.descriptors, QueueMemory::descriptors_bytes(size)),
        available: boot.queue_region(info.available, QueueMemory::available_bytes(size)),
        used: boot.queue_region(info.used, QueueMemory::used_bytes(size)),
    })
}
