//! The form of messages (netlink(7)).
//!
//! ```text
//!   struct nlmsghdr   length u32 · type u16 · flags u16 · sequence u32 · port u32        16 bytes
//!   body              a structure of the type's, then attributes: length u16 · type u16 · value
//!   every part begins at a multiple of 4
//! ```

use alloc::vec::Vec;

/// Bytes of a struct nlmsghdr.
pub const HEADER_BYTES: usize = 16;
/// NLMSG_ERROR: an errno, negative, or 0; and the request that it is about.
pub const ERROR: u16 = 2;
/// NLMSG_DONE: the end of several messages.
pub const DONE: u16 = 3;
/// NLMSG_MIN_TYPE: the first type that is not netlink's own.
pub const FIRST_TYPE: u16 = 16;
/// NLM_F_REQUEST.
pub const REQUEST: u16 = 1;
/// NLM_F_MULTI: more follow, up to [`DONE`].
pub const MULTI: u16 = 2;
/// NLM_F_ACK: an answer is wanted, even if nothing is wrong.
pub const ACKNOWLEDGE: u16 = 4;
/// NLM_F_DUMP: everything there is.
pub const DUMP: u16 = 0x300;
/// NLM_F_CAPPED: an error does not quote the request's body.
pub const CAPPED: u16 = 0x100;

/// A message's head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// What it is.
    pub kind: u16,
    /// NLM_F_….
    pub flags: u16,
    /// The request's number, which its answers have too.
    pub sequence: u32,
    /// Whose it is.
    pub port: u32,
}

/// A message that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// Its head.
    pub header: Header,
    /// All of its bytes, the head among them.
    pub bytes: &'a [u8],
}

impl<'a> Message<'a> {
    /// What follows the head.
    pub fn body(&self) -> &'a [u8] {
        &self.bytes[HEADER_BYTES..]
    }

    /// The value of an attribute, behind a structure of `skip` bytes.
    pub fn attribute(&self, skip: usize, wanted: u16) -> Option<&'a [u8]> {
        let mut rest = self.body().get(aligned(skip)..)?;
        loop {
            let (head, _) = rest.split_first_chunk::<4>()?;
            let [len, kind] = halves(head);
            let value = rest.get(4..usize::from(len))?;
            if kind == wanted {
                return Some(value);
            }
            rest = rest.get(aligned(usize::from(len))..)?;
        }
    }
}

/// The messages in what was sent at once, up to the first that makes no sense.
pub fn messages(mut bytes: &[u8]) -> impl Iterator<Item = Message<'_>> {
    core::iter::from_fn(move || {
        let (head, _) = bytes.split_first_chunk::<HEADER_BYTES>()?;
        let [len, mixed, sequence, port] = words(head);
        let whole = bytes.get(..len as usize).filter(|whole| whole.len() >= HEADER_BYTES)?;
        bytes = bytes.get(aligned(whole.len())..).unwrap_or_default();
        let (kind, flags) = (mixed as u16, (mixed >> 16) as u16);
        Some(Message { header: Header { kind, flags, sequence, port }, bytes: whole })
    })
}

/// Messages that are written one after the other.
#[derive(Default)]
pub struct Writer {
    bytes: Vec<u8>,
    start: usize,
}

impl Writer {
    /// Begins a message.
    pub fn begin(&mut self, header: Header) -> &mut Writer {
        self.start = self.bytes.len();
        let Header { kind, flags, sequence, port } = header;
        let mixed = u32::from(kind) | u32::from(flags) << 16;
        for word in [HEADER_BYTES as u32, mixed, sequence, port] {
            self.bytes.extend_from_slice(&word.to_ne_bytes());
        }
        self
    }

    /// More of its body, filled up to a multiple of 4: as on Linux the message's length counts what fills it up, and
    /// musl reads past the end of one that does not.
    pub fn put(&mut self, bytes: &[u8]) -> &mut Writer {
        self.bytes.extend_from_slice(bytes);
        self.bytes.resize(aligned(self.bytes.len()), 0);
        let len = (self.bytes.len() - self.start) as u32;
        self.bytes[self.start..self.start + 4].copy_from_slice(&len.to_ne_bytes());
        self
    }

    /// An attribute.
    pub fn attribute(&mut self, kind: u16, value: &[u8]) -> &mut Writer {
        let head = (value.len() + 4) as u32 | u32::from(kind) << 16;
        self.put(&head.to_ne_bytes()).put(value)
    }

    /// All messages.
    pub fn finish(self) -> Vec<u8> {
        self.bytes
    }
}

fn aligned(len: usize) -> usize {
    len.next_multiple_of(4)
}

fn words<const N: usize>(bytes: &[u8; 16]) -> [u32; N] {
    let (chunks, _) = bytes.as_chunks::<4>();
    core::array::from_fn(|index| u32::from_ne_bytes(chunks[index]))
}

fn halves(bytes: &[u8; 4]) -> [u16; 2] {
    let [a, b, c, d] = *bytes;
    [u16::from_ne_bytes([a, b]), u16::from_ne_bytes([c, d])]
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: Header = Header { kind: 18, flags: REQUEST, sequence: 7, port: 9 };

    #[test]
    fn what_is_written_is_read_attributes_and_all() {
        let mut writer = Writer::default();
        writer.begin(HEADER).put(&[1; 5]).attribute(3, b"lo\0").attribute(4, &[9; 4]);
        writer.begin(Header { kind: DONE, ..HEADER }).put(&[0; 4]);
        let bytes = writer.finish();
        let read: Vec<_> = messages(&bytes).collect();
        assert_eq!(read.len(), 2);
        assert_eq!((read[0].header, &read[0].body()[..5]), (HEADER, &[1; 5][..]));
        assert_eq!(read[0].attribute(5, 3), Some(&b"lo\0"[..]));
        assert_eq!(read[0].attribute(5, 4), Some(&[9; 4][..]));
        assert_eq!(read[0].attribute(5, 5), None);
        assert!(read.iter().all(|message| message.bytes.len().is_multiple_of(4)));
        assert_eq!((read[1].header.kind, read[1].body()), (DONE, &[0; 4][..]));
    }

    #[test]
    fn lengths_that_lie_end_the_reading() {
        let mut writer = Writer::default();
        writer.begin(HEADER).put(&[0; 4]).attribute(3, &[1, 2]);
        let honest = writer.finish();
        for lie in [0u32, 15, 29, u32::MAX] {
            let mut bytes = honest.clone();
            bytes[..4].copy_from_slice(&lie.to_ne_bytes());
            assert_eq!(messages(&bytes).count(), 0, "{lie}");
        }
        for lie in [0u16, 3, 9, u16::MAX] {
            let mut bytes = honest.clone();
            bytes[20..22].copy_from_slice(&lie.to_ne_bytes());
            let read = messages(&bytes).next().unwrap();
            assert_eq!(read.attribute(4, 3), None, "{lie}");
            assert_eq!(read.attribute(400, 3), None);
        }
        for end in 0..honest.len() {
            let found = messages(&honest[..end]).find_map(|read| read.attribute(4, 9));
            assert_eq!(found, None);
        }
        assert_eq!(messages(&[0; 64]).count(), 0);
    }
}
