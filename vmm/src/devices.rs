//! The machine's devices: carries their effects out on guest memory and the host's descriptors.
//!
//! ```text
//!   Block ── Read, Write, Flush ──▶ Disk
//!   Vsock ── Connect, Send, Receive ──▶ Streams
//!                 └── a service ──────▶ Requests
//! ```
//!
//! Both state machines are drained whenever the guest says that there is something in a queue.

use std::os::fd::OwnedFd;

use mayfly_abi::DeviceInfo;
use mayfly_abi::layout::{MMIO_HOLE, MMIO_STRIDE};
use mayfly_boot::DeviceRequest;
use mayfly_devices::block::{self, Block};
use mayfly_devices::mmio::{AttachError, Mmio, VirtioDevice, Written};
use mayfly_devices::vsock::{Effect, StreamId, Vsock};
use mayfly_devices::{GuestFault, GuestRange};
use thiserror::Error;
use virtio_bindings::virtio_config::VIRTIO_F_VERSION_1;

use crate::disk::Disk;
use crate::memory::Memory;
use crate::requests::Requests;
use crate::streams::{Moved, Streams};

/// Entries of the block device's queue: a request has three descriptors or more, and the kernel keeps
/// several in flight.
const BLOCK_QUEUE: u16 = 64;
/// Entries of the vsock device's queues: to the guest, from the guest, events.
const VSOCK_QUEUES: [u16; 3] = [64, 64, 4];
/// What the guest reads as the disk's serial number.
const DISK_ID: [u8; block::ID_BYTES] = *b"mayfly root\0\0\0\0\0\0\0\0\0";
/// Steps of one device before the other, and the outside, get a look: a hostile guest could else keep
/// the VMM busy for ever.
const STEPS_MAX: usize = 4096;

/// The root disk and the streams, behind their registers.
#[derive(Debug)]
pub struct Devices {
    root: Mmio<Block>,
    disk: Disk,
    vsock: Mmio<Vsock>,
    /// The host's ends of the streams.
    pub streams: Streams,
    /// Streams that the starter is asked for.
    pub requests: Requests,
}

/// A guest that broke a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{device}: {fault}")]
pub struct DeviceFault {
    /// Which device.
    pub device: &'static str,
    /// How.
    pub fault: GuestFault,
}

impl Devices {
    /// What the boot plan must place, in this order: the root disk, then the streams.
    pub fn requests(disk: &Disk) -> Vec<DeviceRequest> {
        vec![request(&root(disk), &[BLOCK_QUEUE]), request(&Vsock::default(), &VSOCK_QUEUES)]
    }

    /// The devices as the boot plan has placed them, ready for use.
    ///
    /// # Errors
    /// A plan that does not fit them.
    pub fn new(
        disk: Disk,
        streams: Streams,
        requests: Requests,
        placed: &[DeviceInfo],
    ) -> Result<Devices, AttachError> {
        let [first, second, ..] = placed else { return Err(AttachError::Queues(placed.len())) };
        let root = Mmio::attached(root(&disk), first.features, &first.queues)?;
        let vsock = Mmio::attached(Vsock::default(), second.features, &second.queues)?;
        Ok(Devices { root, disk, vsock, streams, requests })
    }

    /// Does all that the guest asks for and the host can do now. `true` where there is more.
    ///
    /// # Errors
    /// [`DeviceFault`].
    pub fn serve(&mut self, memory: &Memory) -> Result<bool, DeviceFault> {
        let more = self.serve_disk(memory).map_err(blame("the root disk"))?;
        Ok(self.serve_streams(memory).map_err(blame("vsock"))? || more)
    }

    /// Whether something was handed to the guest, since this was asked last, that it wants to be told of.
    ///
    /// # Errors
    /// [`DeviceFault`].
    pub fn announce(&mut self, memory: &Memory) -> Result<bool, DeviceFault> {
        let root = self.root.announce(memory.guest()).map_err(blame("the root disk"))?;
        Ok(self.vsock.announce(memory.guest()).map_err(blame("vsock"))? || root)
    }

    /// The streams' device.
    pub fn vsock(&self) -> &Vsock {
        self.vsock.device()
    }

    /// The starter has answered a request, with a socket where it grants the connection. What nobody waits
    /// for any more is closed.
    pub fn handle_answer(&mut self, request: u64, socket: Option<OwnedFd>) {
        let Some(id) = self.requests.answered(request) else { return };
        let (vsock, _) = self.vsock.parts();
        match socket {
            Some(socket) => {
                self.streams.grant(id, socket);
                vsock.accept(id);
            }
            None => vsock.refuse(id),
        }
    }

    /// A stream's descriptor is ready.
    pub fn handle_ready(&mut self, id: StreamId, read: bool, write: bool) {
        let (vsock, _) = self.vsock.parts();
        if write {
            vsock.handle_writable(id);
        }
        if read {
            vsock.handle_readable(id);
        }
    }

    /// The guest loads from where no RAM is. What does not exist reads as zero.
    pub fn read(&self, address: u64, data: &mut [u8]) {
        match place(address) {
            Some((0, offset)) => self.root.read(offset, data),
            Some((1, offset)) => self.vsock.read(offset, data),
            _ => data.fill(0),
        }
    }

    /// The guest stores to where no RAM is.
    ///
    /// # Errors
    /// [`DeviceFault`].
    pub fn write(&mut self, address: u64, data: &[u8]) -> Result<(), DeviceFault> {
        match place(address) {
            Some((0, offset)) => self.root.write(offset, data).map_err(blame("the root disk"))?,
            Some((1, offset)) => self.vsock.write(offset, data).map_err(blame("vsock"))?,
            _ => Written::Stored,
        };
        Ok(())
    }

    fn serve_disk(&mut self, memory: &Memory) -> Result<bool, GuestFault> {
        if !self.root.driven() {
            return Ok(false);
        }
        let (device, [queue]) = self.root.parts();
        for _ in 0..STEPS_MAX {
            let Some(request) = device.poll(memory.guest(), queue)? else { return Ok(false) };
            let done = match request.op {
                block::Op::Read { offset_bytes, ranges } => {
                    self.disk.read(memory, offset_bytes, ranges)
                }
                block::Op::Write { offset_bytes, ranges } => {
                    self.disk.write(memory, offset_bytes, ranges)
                }
                block::Op::Flush => self.disk.flush(),
            };
            let token = request.token;
            token.complete(memory.guest(), queue, done)?;
        }
        Ok(true)
    }

    fn serve_streams(&mut self, memory: &Memory) -> Result<bool, GuestFault> {
        if !self.vsock.driven() {
            return Ok(false);
        }
        let (vsock, queues) = self.vsock.parts();
        for _ in 0..STEPS_MAX {
            let Some(effect) = vsock.poll(memory.guest(), queues)? else { return Ok(false) };
            let step = carry_out(effect, memory, &mut self.streams, &mut self.requests);
            match step {
                Step::Done => {}
                Step::More => return Ok(true),
                Step::Accept(id) => vsock.accept(id),
                Step::Refuse(id) => vsock.refuse(id),
                Step::Sent(id, count) => vsock.sent(memory.guest(), queues, id, count)?,
                Step::Received(id, count) => vsock.received(memory.guest(), queues, id, count)?,
                Step::WouldBlock(id) => vsock.would_block(queues, id),
                Step::Reset(id) => {
                    vsock.reset_stream(id);
                    self.streams.close(id);
                }
            }
        }
        Ok(true)
    }
}

/// What is to be told to the vsock device after an effect.
enum Step {
    Done,
    More,
    Accept(StreamId),
    Refuse(StreamId),
    Sent(StreamId, usize),
    Received(StreamId, usize),
    WouldBlock(StreamId),
    Reset(StreamId),
}

fn carry_out(
    effect: Effect<'_>,
    memory: &Memory,
    streams: &mut Streams,
    requests: &mut Requests,
) -> Step {
    match effect {
        Effect::Connect { id, .. } if streams.connect(id) => Step::Accept(id),
        Effect::Connect { id, .. } if requests.open(id) => Step::Done,
        Effect::Connect { id, .. } => Step::Refuse(id),
        Effect::Send { id, ranges } => send(id, streams, &memory.spans(ranges)),
        Effect::SendHeld { id, bytes } => send(id, streams, &[bytes]),
        Effect::Receive { id, ranges } => receive(id, streams, memory, ranges),
        Effect::ShutdownWrite { id } => {
            if let Some(end) = streams.get(id) {
                end.shut_down_write();
            }
            Step::Done
        }
        Effect::Closed { id, .. } => {
            streams.close(id);
            requests.forget(id);
            Step::Done
        }
        // No stream is begun by the host yet.
        Effect::Connected { .. } => Step::Done,
        Effect::Yield => Step::More,
    }
}

fn send(id: StreamId, streams: &mut Streams, from: &[impl crate::scatter::Piece]) -> Step {
    match streams.get(id).map(|end| end.write(from)) {
        Some(Moved::Bytes(count)) => Step::Sent(id, count),
        Some(Moved::WouldBlock) => Step::Sent(id, 0),
        Some(Moved::Failed) | None => Step::Reset(id),
    }
}

fn receive(id: StreamId, streams: &mut Streams, memory: &Memory, ranges: &[GuestRange]) -> Step {
    match streams.get(id).map(|end| end.read(&memory.spans(ranges))) {
        Some(Moved::Bytes(count)) => Step::Received(id, count),
        Some(Moved::WouldBlock) => Step::WouldBlock(id),
        Some(Moved::Failed) | None => Step::Reset(id),
    }
}

fn root(disk: &Disk) -> Block {
    Block::new(disk.capacity_sectors(), disk.read_only(), DISK_ID)
}

fn request<D: VirtioDevice>(device: &D, queue_sizes: &[u16]) -> DeviceRequest {
    let mut config = [0; 8];
    config.copy_from_slice(&device.config()[..8]);
    DeviceRequest {
        kind: D::DEVICE_ID,
        // The kernel of ours polls: it wants no event index, and asks for no indirect tables.
        features: device.features() | 1 << VIRTIO_F_VERSION_1,
        config: u64::from_le_bytes(config),
        queue_sizes: queue_sizes.to_vec(),
    }
}

/// Which device an address belongs to, and the offset in its registers.
fn place(address: u64) -> Option<(u64, u64)> {
    let offset = address.checked_sub(MMIO_HOLE)?;
    Some((offset / MMIO_STRIDE, offset % MMIO_STRIDE))
}

fn blame(device: &'static str) -> impl FnOnce(GuestFault) -> DeviceFault {
    move |fault| DeviceFault { device, fault }
}
