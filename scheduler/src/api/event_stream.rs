//! Event streams: messages in one body, as AWS's services frame them (Smithy, "Amazon Event Stream
//! Specification"; numbers are big-endian, checksums are CRC-32 as in IEEE 802.3).
//!
//! ```text
//!   │ u32 total │ u32 headers │ u32 CRC │ headers … │ payload … │ u32 CRC │
//!   └────── covered by the first ──────┘                              │
//!   └────────────────── covered by the second ───────────────────────┘
//!
//!   header:  │ u8 length │ name … │ u8 7 = string │ u16 length │ value … │
//! ```

use bytes::{BufMut, Bytes, BytesMut};

/// What the body is called.
pub(super) const CONTENT_TYPE: &str = "application/vnd.amazon.eventstream";

/// Bytes of a message besides headers and payload.
const FRAME_BYTES: usize = 16;
/// The type of a header whose value is text.
const STRING: u8 = 7;
/// Largest payload of one message that we make: one read of a connection.
const PAYLOAD_BYTES_MAX: usize = 64 * 1024;

/// One message: an event of this kind.
pub(super) fn event(kind: &str, content_type: &str, payload: &[u8]) -> Bytes {
    let mut headers = BytesMut::new();
    for (name, value) in
        [(":message-type", "event"), (":event-type", kind), (":content-type", content_type)]
    {
        // All of these are our own, and short.
        headers.put_u8(name.len() as u8);
        headers.put_slice(name.as_bytes());
        headers.put_u8(STRING);
        headers.put_u16(value.len() as u16);
        headers.put_slice(value.as_bytes());
    }
    let total = FRAME_BYTES + headers.len() + payload.len();
    let mut message = BytesMut::with_capacity(total);
    message.put_u32(total as u32);
    message.put_u32(headers.len() as u32);
    message.put_u32(crc32fast::hash(&message));
    message.put_slice(&headers);
    message.put_slice(payload);
    message.put_u32(crc32fast::hash(&message));
    message.freeze()
}

/// As many messages as this many bytes take.
pub(super) fn events(kind: &str, content_type: &str, payload: &[u8]) -> Bytes {
    let messages = payload.chunks(PAYLOAD_BYTES_MAX).map(|part| event(kind, content_type, part));
    messages.collect::<Vec<_>>().concat().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_laid_out_as_specified() {
        let message = event("E", "t", b"xy");
        let headers = b"\x0d:message-type\x07\0\x05event\x0b:event-type\x07\0\x01E\x0d:content-type\x07\0\x01t";
        let number = |at: usize| u32::from_be_bytes(message[at..at + 4].try_into().unwrap());
        assert_eq!(number(0) as usize, message.len());
        assert_eq!(number(4) as usize, headers.len());
        assert_eq!(number(8), crc32fast::hash(&message[..8]));
        let end = message.len() - 4;
        assert_eq!(&message[12..end], [&headers[..], b"xy"].concat());
        assert_eq!(number(end), crc32fast::hash(&message[..end]));
        // The check value of the polynomial.
        assert_eq!(crc32fast::hash(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn large_payloads_go_in_pieces() {
        let one = event("E", "t", b"").len();
        let bytes = events("E", "t", &vec![b'x'; 2 * PAYLOAD_BYTES_MAX + 1]);
        assert_eq!(bytes.len(), 3 * one + 2 * PAYLOAD_BYTES_MAX + 1);
        assert!(events("E", "t", b"").is_empty());
    }
}
