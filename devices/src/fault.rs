//! What a guest can do that ends its machine.
//!
//! A fault is always the guest's: its driver or its virtqueues are broken beyond answering. Requests that
//! are merely wrong never come here; the device answers those.

use thiserror::Error;

/// The guest broke a virtqueue; the device can't go on.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("the guest broke virtqueue {queue}: {fault}")]
pub struct GuestFault {
    /// Index of the queue in its device.
    pub queue: u16,
    /// What is wrong with it.
    pub fault: Fault,
}

/// What is wrong with a virtqueue.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum Fault {
    /// A notification names a queue that does not exist or that was never made ready (virtio 1.2 §4.2.2).
    #[error("it was notified but is not ready")]
    NotReady,
    /// A size that is 0, no power of two, or more than offered (virtio 1.2 §2.7).
    #[error("its size is not a power of two within what the device offers")]
    Size,
    /// A descriptor table or ring that is not aligned (virtio 1.2 §2.7).
    #[error("a ring is not aligned")]
    Alignment,
    /// A descriptor table or ring that lies outside guest memory.
    #[error("a ring lies outside guest memory")]
    RingOutsideMemory,
    /// The available index is further ahead than the queue is long (virtio 1.2 §2.7.13.3).
    #[error("the available index is ahead by more than the queue's size")]
    AvailableIndex,
    /// A chain that loops, leaves its table, holds more than 2³² bytes, or nests indirect tables
    /// (virtio 1.2 §2.7.5).
    #[error("a descriptor chain does not end")]
    BrokenChain,
    /// A chain of more descriptors than [`Chain::DESCRIPTORS_MAX`](crate::Chain::DESCRIPTORS_MAX).
    #[error("a descriptor chain is too long")]
    LongChain,
    /// A readable descriptor behind a writable one (virtio 1.2 §2.7.4.2).
    #[error("a readable descriptor follows a writable one")]
    Order,
    /// A buffer that lies outside guest memory.
    #[error("{len} bytes at {address:#x} lie outside guest memory")]
    OutsideMemory {
        /// Guest-physical address of the buffer.
        address: u64,
        /// Its length in bytes.
        len: u32,
    },
    /// A block request without a byte for its status: there is no way to answer (virtio 1.2 §5.2.6).
    #[error("a request has no room for its status")]
    NoStatus,
    /// A receive buffer that can't hold a packet's header and a byte of data (virtio 1.2 §5.10.6).
    #[error("a receive buffer is too small for a packet")]
    SmallBuffer,
    /// As many requests in a row as the queue is long, and not one that means work.
    #[error("a flood of malformed requests")]
    Flood,
}
