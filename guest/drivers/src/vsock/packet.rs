//! The packet header (virtio 1.2 §5.10.6).

use mayfly_abi::ports::HOST_CID;
use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::StreamId;

/// Bytes of a header.
pub(super) const HEADER_BYTES: usize = size_of::<Header>();
/// VIRTIO_VSOCK_TYPE_STREAM.
const TYPE_STREAM: u16 = 1;
/// VIRTIO_VSOCK_SHUTDOWN_F_RECEIVE: the sender of this will receive no more.
const SHUTDOWN_RECEIVE: u32 = 1;
/// VIRTIO_VSOCK_SHUTDOWN_F_SEND: the sender of this will send no more.
const SHUTDOWN_SEND: u32 = 2;

/// The header as it lies in memory.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
pub(super) struct Header {
    source_cid: U64,
    destination_cid: U64,
    source_port: U32,
    destination_port: U32,
    len: U32,
    kind: U16,
    op: U16,
    flags: U32,
    buffer_allocation: U32,
    forwarded: U32,
}

const _: () = assert!(HEADER_BYTES == 44);

/// What a packet says, either way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op {
    Request,
    Response,
    Reset,
    /// The sender will not receive, will not send.
    Shutdown {
        receive: bool,
        send: bool,
    },
    /// So many bytes of data follow.
    Data(u32),
    CreditUpdate,
    CreditRequest,
}

/// A packet from the host.
#[derive(Clone, Copy, Debug)]
pub(super) struct Packet {
    pub id: StreamId,
    /// `None`: an operation or type that this driver does not know; the stream is to be reset.
    pub op: Option<Op>,
    /// The host's buffer for this stream, bytes.
    pub buffer_allocation: u32,
    /// Bytes that the host has taken so far, modulo 2³².
    pub forwarded: u32,
}

impl Header {
    /// Parses a packet for the guest `cid`. `None` where it is for somebody else.
    pub(super) fn parse(&self, cid: u64) -> Option<Packet> {
        if self.source_cid.get() != HOST_CID || self.destination_cid.get() != cid {
            return None;
        }
        Some(Packet {
            id: StreamId {
                local_port: self.destination_port.get(),
                peer_port: self.source_port.get(),
            },
            op: self.op(),
            buffer_allocation: self.buffer_allocation.get(),
            forwarded: self.forwarded.get(),
        })
    }

    fn op(&self) -> Option<Op> {
        let flags = self.flags.get();
        match (self.kind.get(), self.op.get()) {
            (TYPE_STREAM, 1) => Some(Op::Request),
            (TYPE_STREAM, 2) => Some(Op::Response),
            (TYPE_STREAM, 3) => Some(Op::Reset),
            (TYPE_STREAM, 4) => Some(Op::Shutdown {
                receive: flags & SHUTDOWN_RECEIVE != 0,
                send: flags & SHUTDOWN_SEND != 0,
            }),
            (TYPE_STREAM, 5) => Some(Op::Data(self.len.get())),
            (TYPE_STREAM, 6) => Some(Op::CreditUpdate),
            (TYPE_STREAM, 7) => Some(Op::CreditRequest),
            _ => None,
        }
    }

    /// A packet from the guest `cid`. Credit is this side's, as in [`Packet`].
    pub(super) fn to_host(
        cid: u64,
        id: StreamId,
        op: Op,
        allocation: u32,
        forwarded: u32,
    ) -> Header {
        let (number, len, flags) = match op {
            Op::Request => (1, 0, 0),
            Op::Response => (2, 0, 0),
            Op::Reset => (3, 0, 0),
            Op::Shutdown { receive, send } => {
                let receive = if receive { SHUTDOWN_RECEIVE } else { 0 };
                let send = if send { SHUTDOWN_SEND } else { 0 };
                (4, 0, receive | send)
            }
            Op::Data(len) => (5, len, 0),
            Op::CreditUpdate => (6, 0, 0),
            Op::CreditRequest => (7, 0, 0),
        };
        Header {
            source_cid: cid.into(),
            destination_cid: HOST_CID.into(),
            source_port: id.local_port.into(),
            destination_port: id.peer_port.into(),
            len: len.into(),
            kind: TYPE_STREAM.into(),
            op: number.into(),
            flags: flags.into(),
            buffer_allocation: allocation.into(),
            forwarded: forwarded.into(),
        }
    }
}
