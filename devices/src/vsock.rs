//! virtio-vsock, stream sockets between guest and host (virtio 1.2 §5.10).
//!
//! A packet is a 44-byte header and, for OP_RW, data. Streams are named by their two ports. Each side
//! tells the other in every header how much room it has (`buf_alloc`) and how much it has taken so far
//! (`fwd_cnt`); who sends must keep within that *credit*, so no packet is ever dropped for want of room.
//!
//! ```text
//!   guest                                         device                                     VMM
//!     │ tx: REQUEST port 1 ─────────────────────────►│ Connect { id, port: 1 } ──────────────►│ a socket
//!     │◄──────────────────────────── rx: RESPONSE    │◄────────────────────────── accept(id) ─┤
//!     │ tx: RW, 16 KiB ─────────────────────────────►│ Send { id, ranges } ──────────────────►│ writev
//!     │                                              │◄──────────────────────── sent(id, n) ──┤
//!     │                                              │◄───────────── handle_readable(id) ─────┤ epoll
//!     │                                              │ Receive { id, ranges } ───────────────►│ readv
//!     │◄─────────────────────────────── rx: RW       │◄──────────────────── received(id, n) ──┤
//!     │ tx: SHUTDOWN, both ─────────────────────────►│ Closed { id } ────────────────────────►│ close
//!     │◄──────────────────────────────── rx: RST     │                                        │
//! ```
//!
//! Data is moved between socket and guest memory by the VMM, at once and without a copy. Only what a
//! socket refuses to take at the moment is copied, into the stream's bounded buffer; credit for it is
//! given back when the socket has really taken it.
//!
//! | file | idea |
//! | --- | --- |
//! | `packet` | the header, parsed once |
//! | `credit` | who may send how much |
//! | `connection` | one stream's state |
//! | `device` | the table of streams; what the VMM may ask and tell |
//! | `effect` | what the VMM is asked |
//! | `inbound` | packets from the guest |
//! | `outbound` | packets to the guest |
//! | `snapshot` | the state as plain data |
//!
//! **Bounds.** Streams: [`STREAMS_MAX`]. Bytes held for slow sockets: [`HELD_MAX`] in all, then the guest's
//! packets wait in its own queue. Control packets that a guest gives no buffers for: each stream owes at
//! most one of each kind; resets without a stream are at most [`RESETS_MAX`], then the same applies.

mod connection;
mod credit;
mod device;
mod effect;
mod inbound;
mod outbound;
mod packet;
mod snapshot;

pub use connection::Connection;
pub use credit::{RecvCredit, SendCredit};
pub use device::{ConnectError, HELD_MAX, QUEUE_SIZE_MAX, Queues, RESETS_MAX, STREAMS_MAX, Vsock};
pub use effect::{Closed, Effect};
pub use snapshot::{RestoreError, VsockState};

use serde::{Deserialize, Serialize};

/// Names a stream for as long as it lives: its two ports. The VMM hears [`Effect::Closed`] before the
/// same name can come again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StreamId {
    /// The guest's port.
    pub guest_port: u32,
    /// The host's port.
    pub host_port: u32,
}

#[cfg(test)]
mod tests;
