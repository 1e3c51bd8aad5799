//! Virtio devices as pure state machines: guest bytes in, effects out.
//!
//! ```text
//!    guest's driver                     this crate                         the VMM
//!   ┌────────────────┐   registers   ┌──────────────┐
//!   │                ├──────────────►│ Mmio<D>      │  status, features, where the queues are
//!   │   virtqueues   │               ├──────────────┤
//!   │ (guest memory) │◄──┬──────────►│ Queue, Chain │  descriptors, parsed once, as checked ranges
//!   │                │   │           ├──────────────┤  poll ──► "read these bytes into these ranges"
//!   └────────────────┘   │           │ Block, Vsock │◄──────── complete, sent, received …
//!                        │           └──────────────┘                         │
//!                        └───── preadv, pwritev, readv, writev ◄──────────────┘
//! ```
//!
//! A device holds no descriptor, clock or thread. It takes guest memory as an argument, names the ranges
//! that data goes to or comes from, and the VMM moves the data there without a copy in between. So the
//! devices run in plain tests and under fuzzing, joined to the guest's real drivers over plain memory,
//! and their state is plain data that a snapshot can hold.
//!
//! **The guest is hostile.** What it writes is copied once and parsed into types that can't be wrong
//! ([`GuestRange`], [`Chain`]). A request that makes no sense is answered as the specification says; a
//! queue that makes no sense ends in a [`GuestFault`], and the VMM ends the machine. Nothing panics,
//! loops without a bound, or names memory that the guest does not have.
//!
//! Everything follows virtio 1.2, modern only.
#![forbid(unsafe_code)]

pub mod block;
mod fault;
pub mod mmio;
pub mod queue;
mod range;
pub mod vsock;

pub use block::Block;
pub use fault::{Fault, GuestFault};
pub use mmio::{Mmio, VirtioDevice};
pub use queue::{Chain, Queue};
pub use range::{GuestRange, Scatter};
pub use vsock::Vsock;

#[cfg(test)]
mod testing;
