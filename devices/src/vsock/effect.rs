//! What the device asks of the VMM, and its own shorthand for that.

use super::StreamId;
#[cfg(doc)]
use super::Vsock;
use crate::Scatter;

/// What the VMM must do, or know.
///
/// After `Send`, `SendHeld` and `Receive` it answers before it polls again; no answer counts as "nothing
/// was taken".
#[derive(Debug, PartialEq, Eq)]
pub enum Effect<'a> {
    /// The guest connects to a host port: [`Vsock::accept`] or [`Vsock::refuse`], now or later.
    Connect {
        /// The stream to be.
        id: StreamId,
        /// The host port, `id.host_port`.
        port: u32,
    },
    /// The guest has accepted a stream that the host began.
    Connected {
        /// The stream.
        id: StreamId,
    },
    /// Write these bytes of guest memory to the stream's socket; answer [`Vsock::sent`].
    Send {
        /// The stream.
        id: StreamId,
        /// The bytes, in order.
        ranges: &'a Scatter,
    },
    /// Write these bytes to the stream's socket; answer [`Vsock::sent`].
    SendHeld {
        /// The stream.
        id: StreamId,
        /// The bytes.
        bytes: &'a [u8],
    },
    /// Read from the stream's socket into these ranges; answer [`Vsock::received`] or
    /// [`Vsock::would_block`].
    Receive {
        /// The stream.
        id: StreamId,
        /// Room for as much as the guest can take, in order.
        ranges: &'a Scatter,
    },
    /// The guest will send no more, and all it sent is written: shut the socket down for writing.
    ShutdownWrite {
        /// The stream.
        id: StreamId,
    },
    /// The stream is gone: close its socket.
    Closed {
        /// The stream.
        id: StreamId,
        /// How it ended.
        why: Closed,
    },
    /// Nothing, for now: a guest keeps the device busy with packets that mean no work. Poll again, after
    /// a look at everything else.
    Yield,
}

/// How a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// Both directions came to their end.
    Finished,
    /// The guest did not accept it.
    Refused,
    /// The guest reset it, or its whole device.
    Reset,
    /// The guest broke the protocol: more data than credit, or what makes no sense.
    Violation,
}

/// What the VMM has yet to hear.
#[derive(Clone, Copy, Debug)]
pub(super) enum Note {
    Connect(StreamId),
    Connected(StreamId),
    ShutdownWrite(StreamId),
    Closed(StreamId, Closed),
}

/// The effect that waits for an answer.
#[derive(Clone, Copy, Debug)]
pub(super) enum Pending {
    /// `Send`: so many bytes, in `chain`.
    Send(StreamId, u32),
    /// `SendHeld`: so many bytes were shown.
    SendHeld(StreamId, u32),
    /// `Receive`: room for so many bytes, in `chain`, behind the header's place.
    Receive(StreamId, u32),
}

/// One step of the device: an [`Effect`] that borrows nothing yet.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    Note(Note),
    Pending(Pending),
    Yield,
}
