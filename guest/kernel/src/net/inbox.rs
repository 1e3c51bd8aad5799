//! What has been sent to a socket and not been read: bytes, or messages.
//!
//! ```text
//!   ring    ▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓
//!   marks   ├── message ──┤├─ message ──┤      each with its sender and descriptors
//!           or  ├─ a piece of a stream, sent with descriptors ─┤
//! ```

use alloc::collections::VecDeque;
use core::cell::{Cell, RefCell};

use mayfly_hal::phys::FRAME_SIZE;

use super::{Address, Head, Received, Rights};
use crate::errno::{Errno, Result};
use crate::fs::ring::Ring;

/// Bytes that wait for one socket: Linux's default (net.core.rmem_default).
pub const INBOX_BYTES: usize = 208 << 10;
/// Longest message.
pub const MESSAGE_MAX: usize = 128 << 10;
/// Most messages, or pieces with descriptors, that wait for one socket: empty ones take no bytes.
pub const MARKS_MAX: usize = 512;

/// A message, or a piece of a stream that was sent with descriptors.
struct Mark {
    /// The position of its first byte.
    start: u64,
    len: usize,
    envelope: Envelope,
}

/// What comes with a message besides its bytes.
#[derive(Default)]
pub struct Envelope {
    /// From whom.
    pub from: Option<Address>,
    /// Descriptors.
    pub rights: Option<Rights>,
    /// What its packet's head says.
    pub head: Head,
}

impl Envelope {
    /// The same once more. ENOMEM, ETOOMANYREFS.
    fn duplicate(&self) -> Result<Envelope> {
        let rights = self.rights.as_ref().map(Rights::duplicate).transpose()?;
        Ok(Envelope { from: self.from.clone(), rights, head: self.head })
    }
}

struct Queue {
    ring: Ring,
    marks: VecDeque<Mark>,
}

impl Default for Queue {
    fn default() -> Queue {
        Queue { ring: Ring::new(INBOX_BYTES / FRAME_SIZE), marks: VecDeque::new() }
    }
}

/// The queue that one socket reads.
pub struct Inbox {
    queue: RefCell<Queue>,
    /// Bytes of a stream that may wait.
    limit: Cell<usize>,
    /// How often something came.
    arrivals: Cell<u64>,
    /// A writer found too little room.
    choked: Cell<bool>,
    /// How often there was room again after that.
    relieved: Cell<u64>,
}

impl Default for Inbox {
    fn default() -> Inbox {
        Inbox {
            queue: RefCell::default(),
            limit: Cell::new(INBOX_BYTES),
            arrivals: Cell::default(),
            choked: Cell::default(),
            relieved: Cell::default(),
        }
    }
}

impl Inbox {
    /// Has fewer bytes of a stream wait than [`INBOX_BYTES`]; what waits stays.
    pub fn set_limit(&self, bytes: usize) {
        self.limit.set(bytes.min(INBOX_BYTES));
        self.relieve();
    }

    /// Bytes of a stream that find room.
    fn room(&self, queue: &Queue) -> usize {
        queue.ring.room().min(self.limit.get().saturating_sub(queue.ring.len()))
    }

    /// Bytes that wait.
    pub fn len(&self) -> usize {
        self.queue.borrow().ring.len()
    }

    /// Whether nothing waits, not even an empty message.
    pub fn is_empty(&self) -> bool {
        let queue = self.queue.borrow();
        queue.ring.is_empty() && queue.marks.is_empty()
    }

    /// Bytes of the first message.
    pub fn first_len(&self) -> usize {
        self.queue.borrow().marks.front().map_or(0, |mark| mark.len)
    }

    /// Whether poll(2) is to say that a writer finds room: once a third is free, so that a writer who
    /// waits is not woken for every few bytes.
    pub fn has_room(&self) -> bool {
        let queue = self.queue.borrow();
        self.room(&queue) >= queue.ring.len() / 2 && queue.marks.len() < MARKS_MAX
    }

    /// Something came, or what waits is news.
    pub fn arrived(&self) {
        self.arrivals.update(|arrivals| arrivals.wrapping_add(1));
    }

    /// How often something came.
    pub fn arrivals(&self) -> u64 {
        self.arrivals.get()
    }

    /// How often a writer who was short of room got some.
    pub fn relieved(&self) -> u64 {
        self.relieved.get()
    }

    /// Appends the front of `bytes` to the stream: how many. EAGAIN, ENOMEM.
    pub fn write(&self, bytes: &[u8], rights: Option<Rights>) -> Result<usize> {
        let mut queue = self.queue.borrow_mut();
        let count = bytes.len().min(self.room(&queue));
        self.choked.set(count < bytes.len());
        if bytes.is_empty() {
            return Ok(0);
        }
        if count == 0 || rights.is_some() && queue.marks.len() >= MARKS_MAX {
            self.choked.set(true);
            return Err(Errno::AGAIN);
        }
        let start = queue.ring.written();
        queue.ring.push(&bytes[..count])?;
        if rights.is_some() {
            let envelope = Envelope { rights, ..Envelope::default() };
            queue.marks.push_back(Mark { start, len: count, envelope });
        }
        self.arrived();
        Ok(count)
    }

    /// Appends a message, whole. EAGAIN, EMSGSIZE, ENOMEM.
    pub fn post(&self, bytes: &[u8], envelope: Envelope) -> Result<usize> {
        if bytes.len() > MESSAGE_MAX {
            return Err(Errno::MSGSIZE);
        }
        let mut queue = self.queue.borrow_mut();
        if queue.ring.room() < bytes.len() || queue.marks.len() >= MARKS_MAX {
            self.choked.set(true);
            return Err(Errno::AGAIN);
        }
        let start = queue.ring.written();
        queue.ring.push(bytes)?;
        queue.marks.push_back(Mark { start, len: bytes.len(), envelope });
        self.arrived();
        Ok(bytes.len())
    }

    /// Reads bytes of the stream, up to the end of the first piece that has descriptors with it: they
    /// come with its first byte. EAGAIN where there are none.
    pub fn read(&self, to: &mut [u8], peek: bool) -> Result<Received> {
        let mut queue = self.queue.borrow_mut();
        if queue.ring.is_empty() {
            return Err(Errno::AGAIN);
        }
        let front = queue.ring.read();
        let distance = |position: u64| usize::try_from(position - front).unwrap_or(usize::MAX);
        let piece = queue.marks.front().map(|mark| (distance(mark.start), mark.len));
        let room = piece.map_or(to.len(), |(before, len)| to.len().min(before + len));
        let count = queue.ring.peek(&mut to[..room]);
        let reached = piece.is_some_and(|(before, _)| count > before);
        let rights = match queue.marks.front() {
            Some(mark) if reached && peek => mark.envelope.duplicate()?.rights,
            Some(_) if reached => queue.marks.pop_front().and_then(|mark| mark.envelope.rights),
            _ => None,
        };
        if !peek {
            queue.ring.skip(count);
        }
        drop(queue);
        self.relieve();
        Ok(Received { count, whole: count, rights, ..Received::default() })
    }

    /// Takes the first message; what does not fit into `to` is lost. EAGAIN where there is none.
    pub fn fetch(&self, to: &mut [u8], peek: bool) -> Result<Received> {
        let mut queue = self.queue.borrow_mut();
        let mark = queue.marks.front().ok_or(Errno::AGAIN)?;
        let whole = mark.len;
        let room = to.len().min(whole);
        let envelope = if peek {
            mark.envelope.duplicate()?
        } else {
            queue.marks.pop_front().map(|mark| mark.envelope).unwrap_or_default()
        };
        let count = queue.ring.peek(&mut to[..room]);
        if !peek {
            queue.ring.skip(whole);
        }
        drop(queue);
        self.relieve();
        let Envelope { from, rights, head } = envelope;
        Ok(Received { count, whole, is_message: true, from, rights, head })
    }

    /// Throws away all that waits.
    pub fn clear(&self) {
        // Bound, so that the queue is free when the files in it end.
        let queue = self.queue.take();
        drop(queue);
    }

    fn relieve(&self) {
        if self.choked.get() && self.has_room() {
            self.choked.set(false);
            self.relieved.update(|relieved| relieved.wrapping_add(1));
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::rc::Rc;
    use std::vec;

    use super::*;
    use crate::fs::OpenFlags;
    use crate::fs::testing::machine;
    use crate::net::InFlight;

    #[test]
    fn a_stream_takes_what_fits_and_tells_of_room_late() {
        let inbox = Inbox::default();
        let bytes = vec![7; INBOX_BYTES + 1];
        assert_eq!(inbox.write(&bytes, None), Ok(INBOX_BYTES));
        assert_eq!(inbox.write(b"x", None), Err(Errno::AGAIN));
        let mut buffer = vec![0; INBOX_BYTES];
        assert_eq!(inbox.read(&mut buffer[..100], false).unwrap().count, 100);
        assert!(!inbox.has_room());
        assert_eq!(inbox.relieved(), 0);
        assert_eq!(inbox.read(&mut buffer, false).unwrap().count, INBOX_BYTES - 100);
        assert_eq!((inbox.has_room(), inbox.relieved()), (true, 1));
    }

    #[test]
    fn a_limit_holds_back_what_comes_and_keeps_what_is_there() {
        let inbox = Inbox::default();
        inbox.write(&[7; 5000], None).unwrap();
        inbox.set_limit(4000);
        assert_eq!((inbox.write(b"x", None), inbox.has_room()), (Err(Errno::AGAIN), false));
        let mut buffer = [0; 4000];
        assert_eq!(inbox.read(&mut buffer, false).unwrap().count, 4000);
        assert_eq!((inbox.has_room(), inbox.relieved()), (true, 1));
        assert_eq!(inbox.write(&[7; 5000], None), Ok(3000));
        inbox.set_limit(usize::MAX);
        assert_eq!((inbox.has_room(), inbox.relieved()), (true, 2));
    }

    #[test]
    fn messages_keep_their_bounds() {
        let inbox = Inbox::default();
        for message in [&b"one"[..], b"", b"three"] {
            inbox.post(message, Envelope::default()).unwrap();
        }
        let mut buffer = [0; 4];
        let peeked = inbox.fetch(&mut buffer, true).unwrap();
        assert_eq!((peeked.count, &buffer[..3]), (3, &b"one"[..]));
        assert_eq!(inbox.fetch(&mut buffer, false).unwrap().count, 3);
        assert_eq!(inbox.fetch(&mut buffer, false).unwrap().whole, 0);
        let cut = inbox.fetch(&mut buffer, false).unwrap();
        assert_eq!((cut.count, cut.whole, &buffer), (4, 5, b"thre"));
        assert_eq!(inbox.fetch(&mut buffer, false).err(), Some(Errno::AGAIN));
        assert!(inbox.is_empty());
        assert_eq!(inbox.post(&vec![0; MESSAGE_MAX + 1], Envelope::default()), Err(Errno::MSGSIZE));
        while inbox.post(b"", Envelope::default()).is_ok() {}
        assert_eq!(inbox.queue.borrow().marks.len(), MARKS_MAX);
    }

    #[test]
    fn descriptors_come_with_their_byte() {
        let machine = machine();
        let file = machine.open("/dev/null", OpenFlags::RDWR).unwrap();
        let in_flight = Rc::new(InFlight::default());
        let rights = || in_flight.send([file.clone()].to_vec()).unwrap();
        let inbox = Inbox::default();
        inbox.write(b"ab", None).unwrap();
        inbox.write(b"cd", Some(rights())).unwrap();
        inbox.write(b"ef", Some(rights())).unwrap();
        let mut buffer = [0; 9];
        let mut read = |peek| {
            let got = inbox.read(&mut buffer, peek).unwrap();
            (got.count, got.rights.map_or(0, |rights| rights.receive().len()))
        };
        assert_eq!(read(true), (4, 1), "the piece's end ends the read");
        assert_eq!(read(false), (4, 1));
        assert_eq!(Rc::strong_count(&file), 2, "one is in flight still");
        inbox.clear();
        assert_eq!(Rc::strong_count(&file), 1);
    }
}
