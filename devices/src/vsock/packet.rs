//! The packet header (virtio 1.2 §5.10.6), copied from the guest once and parsed into something that
//! can't be wrong.

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

/// A packet from the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Packet {
    pub id: StreamId,
    /// `None`: the guest broke the protocol, and the stream is to be reset.
    pub op: Option<Op>,
    /// The guest's buffer for this stream, bytes.
    pub buffer_allocation: u32,
    /// Bytes that the guest has taken so far, modulo 2³².
    pub forwarded: u32,
}

impl Header {
    /// Parses a packet of the guest `guest_cid` whose header is followed by `room` bytes. `None` where it
    /// is not from that guest to this host: there is nobody to answer.
    pub(super) fn parse(&self, guest_cid: u64, room: u64) -> Option<Packet> {
        if self.source_cid.get() != guest_cid || self.destination_cid.get() != HOST_CID {
            return None;
        }
        Some(Packet {
            id: StreamId {
                guest_port: self.source_port.get(),
                host_port: self.destination_port.get(),
            },
            op: self.op(room),
            buffer_allocation: self.buffer_allocation.get(),
            forwarded: self.forwarded.get(),
        })
    }

    fn op(&self, room: u64) -> Option<Op> {
        let (len, flags) = (self.len.get(), self.flags.get());
        match (self.kind.get(), self.op.get(), len) {
            (TYPE_STREAM, 1, 0) => Some(Op::Request),
            (TYPE_STREAM, 2, 0) => Some(Op::Response),
            (TYPE_STREAM, 3, 0) => Some(Op::Reset),
            (TYPE_STREAM, 4, 0) => Some(Op::Shutdown {
                receive: flags & SHUTDOWN_RECEIVE != 0,
                send: flags & SHUTDOWN_SEND != 0,
            }),
            (TYPE_STREAM, 5, len) if u64::from(len) <= room => Some(Op::Data(len)),
            (TYPE_STREAM, 6, 0) => Some(Op::CreditUpdate),
            (TYPE_STREAM, 7, 0) => Some(Op::CreditRequest),
            _ => None,
        }
    }

    /// A packet to the guest `guest_cid`. Credit is this side's, as in [`Packet`].
    pub(super) fn to_guest(
        guest_cid: u64,
        id: StreamId,
        op: Op,
        buffer_allocation: u32,
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
            source_cid: HOST_CID.into(),
            destination_cid: guest_cid.into(),
            source_port: id.host_port.into(),
            destination_port: id.guest_port.into(),
            len: len.into(),
            kind: TYPE_STREAM.into(),
            op: number.into(),
            flags: flags.into(),
            buffer_allocation: buffer_allocation.into(),
            forwarded: forwarded.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: StreamId = StreamId { guest_port: 0x0102_0304, host_port: 0x0506_0708 };

    #[test]
    fn a_header_lies_as_the_specification_draws_it() {
        let shutdown = Op::Shutdown { receive: true, send: false };
        let header = Header::to_guest(3, ID, shutdown, 0x11, 0x22);
        #[rustfmt::skip]
        let expected = [
            2, 0, 0, 0, 0, 0, 0, 0,  3, 0, 0, 0, 0, 0, 0, 0,
            8, 7, 6, 5,  4, 3, 2, 1,  0, 0, 0, 0,  1, 0,  4, 0,
            1, 0, 0, 0,  0x11, 0, 0, 0,  0x22, 0, 0, 0,
        ];
        assert_eq!(header.as_bytes(), expected);
    }

    fn from_guest(op: u16, len: u32) -> Header {
        Header {
            source_cid: 3.into(),
            destination_cid: HOST_CID.into(),
            op: op.into(),
            len: len.into(),
            ..Header::to_guest(3, ID, Op::Request, 0, 0)
        }
    }

    #[test]
    fn only_this_guest_is_heard() {
        assert!(from_guest(1, 0).parse(3, 0).is_some());
        assert!(from_guest(1, 0).parse(4, 0).is_none());
        assert!(Header { destination_cid: 1.into(), ..from_guest(1, 0) }.parse(3, 0).is_none());
    }

    #[test]
    fn what_makes_no_sense_has_no_meaning() {
        let op = |op, len, room| from_guest(op, len).parse(3, room).unwrap().op;
        assert_eq!(op(5, 10, 10), Some(Op::Data(10)));
        assert_eq!(op(5, 11, 10), None, "more data than the chain holds");
        assert_eq!(op(1, 1, 10), None, "a request with data");
        assert_eq!(op(0, 0, 0), None);
        assert_eq!(op(8, 0, 0), None);
        let seqpacket = Header { kind: 2.into(), ..from_guest(1, 0) };
        assert_eq!(seqpacket.parse(3, 0).unwrap().op, None);
    }
}
