//! The guest's virtio drivers: virtqueues, disks, stream sockets (virtio 1.2).
//!
//! ```text
//!   kernel ── submit, send, recv ──► Block, Vsock ── chains ──► VirtQueue ──► memory shared
//!          ◄── poll, readiness ─────              ◄─ used ────           ◄──  with the device
//! ```
//!
//! The devices come ready: the boot information says where each queue lies, and no register is ever
//! touched. A driver never notifies a device and never waits. It says [`VirtQueue::needs_kick`]; the
//! kernel has one exit that means "serve every queue", and chooses when to pay for it.
//!
//! All memory comes from the kernel as [`DmaRegion`]s. A page that was never touched costs microseconds
//! at its first use, so everything here takes the buffer that was used last.
//!
//! The device is believed in what data says, never in what memory safety or a bound depends on: a used
//! entry that makes no sense is a [`DeviceFault`].
//!
//! The tests are in the workspace's `virtio_pair`, where the drivers meet the real devices, and a wild one.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod block;
mod buffers;
pub mod virtqueue;
pub mod vsock;

pub use block::Block;
pub use mayfly_hal::dma::DmaRegion;
pub use virtqueue::{DeviceFault, VirtQueue};
pub use vsock::Vsock;
