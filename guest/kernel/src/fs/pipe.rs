//! Pipes and FIFOs (pipe(7)).
//!
//! ```text
//!   End (writes) ──► Ring, 64 KiB ──► End (reads)
//! ```
//!
//! Nothing waits here: what would, is EAGAIN. Opening a FIFO does not wait for the other side either;
//! instead its reader finds it empty, not ended, until there has been a writer, and the other way round.

use alloc::rc::Rc;
use core::cell::{Cell, RefCell};

use linux_raw_sys::general as linux;
use linux_raw_sys::ioctl::FIONREAD;
use mayfly_hal::phys::FRAME_SIZE;

use super::file::{File, IoctlArgument, Poll, Pulse};
use super::inode::Inode;
use super::open::OpenFlags;
use super::ring::Ring;
use super::stat::{FileType, Stat};
use crate::errno::{Errno, Result};

/// Bytes that a pipe holds: Linux's default.
pub const PIPE_CAPACITY: usize = 64 << 10;
/// Most bytes that a pipe may be made to hold: what Linux's fs.pipe-max-size is. Linux lets root go beyond.
pub const PIPE_CAPACITY_MAX: usize = 1 << 20;
/// The largest size that F_SETPIPE_SZ takes for one at all, as Linux has it.
const REQUEST_MAX: u64 = 1 << 31;
/// A write of up to so many bytes is taken whole or not at all.
pub const PIPE_BUF: usize = linux::PIPE_BUF as usize;

const SLOTS: usize = PIPE_CAPACITY / FRAME_SIZE;

/// What the two ends share.
pub struct Pipe {
    ring: RefCell<Ring>,
    readers: Cell<u32>,
    writers: Cell<u32>,
    had_reader: Cell<bool>,
    had_writer: Cell<bool>,
}

impl Pipe {
    /// A pipe without ends.
    pub fn new() -> Rc<Pipe> {
        Rc::new(Pipe {
            ring: RefCell::new(Ring::new(SLOTS)),
            readers: Cell::new(0),
            writers: Cell::new(0),
            had_reader: Cell::new(false),
            had_writer: Cell::new(false),
        })
    }

    /// Most bytes in it (F_GETPIPE_SZ).
    pub fn capacity(&self) -> usize {
        self.ring.borrow().capacity()
    }

    /// Makes it hold `bytes`, rounded up to a power of two of pages, and says how many these are (F_SETPIPE_SZ). EBUSY
    /// where there are more in it, EINVAL, ENOMEM; EPERM beyond [`PIPE_CAPACITY_MAX`].
    pub fn set_capacity(&self, bytes: u64) -> Result<usize> {
        if bytes > REQUEST_MAX {
            return Err(Errno::INVAL);
        }
        let capacity = (bytes as usize).max(FRAME_SIZE).next_power_of_two();
        if capacity > PIPE_CAPACITY_MAX {
            return Err(Errno::PERM);
        }
        self.ring.borrow_mut().resize(capacity / FRAME_SIZE)?;
        Ok(capacity)
    }

    /// Bytes that can be read without waiting. EAGAIN where there are none yet; 0: nor will there be any.
    pub fn available(&self) -> Result<usize> {
        match self.ring.borrow().len() {
            0 if self.writers.get() > 0 || !self.had_writer.get() => Err(Errno::AGAIN),
            count => Ok(count),
        }
    }

    /// Bytes that can be written without waiting. EAGAIN where these are none now; EPIPE (and the caller's SIGPIPE)
    /// where nobody is left to read.
    pub fn room(&self) -> Result<usize> {
        if self.readers.get() == 0 {
            return Err(if self.had_reader.get() { Errno::PIPE } else { Errno::AGAIN });
        }
        match self.ring.borrow().room() {
            0 => Err(Errno::AGAIN),
            room => Ok(room),
        }
    }

    /// Copies what follows `skip` bytes from the front, which stay: how many bytes there were.
    pub fn peek(&self, skip: usize, to: &mut [u8]) -> usize {
        let ring = self.ring.borrow();
        ring.peek_at(skip.min(ring.len()), to)
    }

    /// Drops bytes from the front.
    pub fn skip(&self, count: usize) {
        self.ring.borrow_mut().skip(count);
    }

    /// Opens one end, or both. ENXIO for a writer that is not to wait where there is no reader.
    pub fn open(self: &Rc<Pipe>, flags: OpenFlags) -> Result<Rc<dyn File>> {
        let (reads, writes) = (flags.reads(), flags.writes());
        let at_once = flags.contains(OpenFlags::NONBLOCK);
        if at_once && writes && !reads && self.readers.get() == 0 {
            return Err(Errno::NXIO);
        }
        self.readers.update(|count| count + u32::from(reads));
        self.writers.update(|count| count + u32::from(writes));
        self.had_reader.update(|had| had || reads);
        // A reader that does not wait for a writer finds the end of the stream instead.
        self.had_writer.update(|had| had || writes || reads && at_once);
        Ok(Rc::new(End { pipe: self.clone(), reads, writes }))
    }
}

/// An open end.
struct End {
    pipe: Rc<Pipe>,
    reads: bool,
    writes: bool,
}

impl Drop for End {
    fn drop(&mut self) {
        let pipe = &self.pipe;
        pipe.readers.update(|count| count - u32::from(self.reads));
        pipe.writers.update(|count| count - u32::from(self.writes));
        if pipe.readers.get() == 0 && pipe.writers.get() == 0 {
            // A FIFO forgets its bytes and its past with its last end.
            pipe.ring.replace(Ring::new(SLOTS));
            pipe.had_reader.set(false);
            pipe.had_writer.set(false);
        }
    }
}

impl File for End {
    fn read(&self, _offset: u64, to: &mut [u8]) -> Result<usize> {
        let pipe = &self.pipe;
        if to.is_empty() {
            return Ok(0);
        }
        pipe.available()?;
        Ok(pipe.ring.borrow_mut().pop(to))
    }

    fn write(&self, _offset: u64, from: &[u8]) -> Result<usize> {
        let pipe = &self.pipe;
        if from.is_empty() {
            return Ok(0);
        }
        let room = pipe.room()?;
        if from.len() <= PIPE_BUF && from.len() > room {
            return Err(Errno::AGAIN);
        }
        let count = from.len().min(room);
        pipe.ring.borrow_mut().push(&from[..count])?;
        Ok(count)
    }

    fn poll(&self) -> Poll {
        let pipe = &self.pipe;
        let ring = pipe.ring.borrow();
        let mut poll = Poll::empty();
        if self.reads {
            poll.set(Poll::IN, !ring.is_empty());
            poll.set(Poll::HUP, pipe.writers.get() == 0 && pipe.had_writer.get());
        }
        if self.writes {
            poll.set(Poll::OUT, ring.room() >= PIPE_BUF);
            poll.set(Poll::ERR, pipe.readers.get() == 0 && pipe.had_reader.get());
        }
        poll
    }

    fn pulse(&self) -> Option<Pulse> {
        let pipe = &self.pipe;
        let ring = pipe.ring.borrow();
        // An end that is gone is news for both.
        let gone =
            u64::from(pipe.writers.get() == 0) << 63 | u64::from(pipe.readers.get() == 0) << 62;
        Some(Pulse { input: ring.written() ^ gone, output: ring.read() ^ gone })
    }

    fn pipe(&self) -> Option<&Rc<Pipe>> {
        Some(&self.pipe)
    }

    fn ioctl(&self, request: u32, argument: &dyn IoctlArgument) -> Result<u32> {
        if request != FIONREAD {
            return Err(Errno::NOTTY);
        }
        let count = self.pipe.ring.borrow().len() as u32;
        argument.write(&count.to_ne_bytes())?;
        Ok(0)
    }
}

/// The inode of a pipe without a name, for fstat(2) and for opening its /proc/self/fd link.
pub(super) struct PipeInode {
    pub(super) pipe: Rc<Pipe>,
    pub(super) stat: Stat,
}

impl Inode for PipeInode {
    fn stat(&self) -> Stat {
        self.stat
    }

    fn file_type(&self) -> FileType {
        FileType::Fifo
    }

    fn open(&self, flags: OpenFlags) -> Result<Option<Rc<dyn File>>> {
        self.pipe.open(flags).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use std::vec;
    use std::vec::Vec;

    use mayfly_hal::phys::{Frame, usage};

    use super::*;

    fn pair() -> (Rc<dyn File>, Rc<dyn File>) {
        let pipe = Pipe::new();
        let reader = pipe.open(OpenFlags::RDONLY).unwrap();
        (reader, pipe.open(OpenFlags::WRONLY).unwrap())
    }

    #[test]
    fn bytes_come_out_in_order_whatever_the_pieces() {
        let before = usage().free;
        let (reader, writer) = pair();
        let (mut sent, mut seen) = (0_u32, Vec::new());
        let mut buffer = [0; 5000];
        // Sizes without a common factor with the page walk through every alignment.
        for round in 0..2000_u32 {
            let piece: Vec<u8> = (0..round * 37 % 4099).map(|n| ((sent + n) % 251) as u8).collect();
            sent += writer.write(0, &piece).unwrap_or(0) as u32;
            if round % 3 > 0 {
                let want = (round * 61 % 4999) as usize + 1;
                if let Ok(count) = reader.read(0, &mut buffer[..want]) {
                    seen.extend_from_slice(&buffer[..count]);
                }
            }
        }
        drop(writer);
        loop {
            match reader.read(0, &mut buffer) {
                Ok(0) => break,
                Ok(count) => seen.extend_from_slice(&buffer[..count]),
                Err(errno) => panic!("{errno:?}"),
            }
        }
        assert!(sent as usize > 4 * PIPE_CAPACITY && seen.len() == sent as usize);
        assert!(seen.iter().enumerate().all(|(n, &byte)| byte == (n % 251) as u8));
        assert_eq!(usage().free, before, "an empty pipe holds no frames");
    }

    #[test]
    fn the_capacity_is_64_kib_and_small_writes_are_whole() {
        let (reader, writer) = pair();
        let big = vec![1; PIPE_CAPACITY - 100];
        assert_eq!(writer.write(0, &big), Ok(big.len()));
        assert_eq!(writer.write(0, &[2; 101]), Err(Errno::AGAIN), "not 100 of it");
        assert!(!writer.poll().contains(Poll::OUT));
        assert_eq!(writer.write(0, &[2; PIPE_BUF + 1]), Ok(100), "a large one is taken in part");
        assert_eq!(writer.write(0, &[3]), Err(Errno::AGAIN));
        let mut buffer = vec![0; 2 * PIPE_CAPACITY];
        assert_eq!(reader.read(0, &mut buffer), Ok(PIPE_CAPACITY));
        assert_eq!(buffer[PIPE_CAPACITY - 101..PIPE_CAPACITY - 99], [1, 2]);
        assert_eq!(writer.poll(), Poll::OUT);
    }

    #[test]
    fn a_wrapped_ring_keeps_the_frame_that_both_ends_are_in() {
        let (reader, writer) = pair();
        let mut buffer = vec![0; PIPE_CAPACITY];
        writer.write(0, &vec![1; PIPE_CAPACITY]).unwrap();
        reader.read(0, &mut buffer[..100]).unwrap();
        writer.write(0, &[2; 100]).unwrap();
        reader.read(0, &mut buffer[..FRAME_SIZE]).unwrap();
        let count = reader.read(0, &mut buffer).unwrap();
        assert_eq!(count, PIPE_CAPACITY - FRAME_SIZE);
        assert!(buffer[count - 100..count].iter().all(|&byte| byte == 2));
        assert!(buffer[..count - 100].iter().all(|&byte| byte == 1));
    }

    #[test]
    fn closing_an_end_tells_the_other() {
        let (reader, writer) = pair();
        assert_eq!(reader.read(0, &mut [0]), Err(Errno::AGAIN));
        assert_eq!(reader.poll(), Poll::empty());
        writer.write(0, b"x").unwrap();
        drop(writer);
        assert_eq!(reader.poll(), Poll::IN | Poll::HUP);
        assert_eq!(reader.read(0, &mut [0; 9]), Ok(1));
        assert_eq!(reader.read(0, &mut [0]), Ok(0));
        let (reader, writer) = pair();
        drop(reader);
        assert_eq!(writer.write(0, b"x"), Err(Errno::PIPE));
        assert_eq!(writer.poll(), Poll::OUT | Poll::ERR);
    }

    #[test]
    fn a_fifo_waits_for_the_first_of_the_other_side() {
        let pipe = Pipe::new();
        let at_once = OpenFlags::WRONLY | OpenFlags::NONBLOCK;
        assert_eq!(pipe.open(at_once).err(), Some(Errno::NXIO));
        let writer = pipe.open(OpenFlags::WRONLY).unwrap();
        assert_eq!(writer.write(0, b"x"), Err(Errno::AGAIN), "no reader yet is not EPIPE");
        drop(writer);
        let reader = pipe.open(OpenFlags::RDONLY).unwrap();
        assert_eq!(reader.read(0, &mut [0]), Err(Errno::AGAIN), "no writer yet is not the end");
        drop(pipe.open(at_once).unwrap());
        assert_eq!(reader.read(0, &mut [0]), Ok(0));
        let both = pipe.open(OpenFlags::RDWR).unwrap();
        assert_eq!(both.write(0, b"x"), Ok(1));
        assert_eq!(both.read(0, &mut [0]), Ok(1));
    }

    #[test]
    fn a_pipe_holds_what_it_is_made_to_hold() {
        let pipe = Pipe::new();
        let both = pipe.open(OpenFlags::RDWR).unwrap();
        // Both ends of what is in it are in one slot, and move to slots of their own.
        both.write(0, &vec![1; PIPE_CAPACITY]).unwrap();
        both.read(0, &mut [0; 100]).unwrap();
        both.write(0, &[2; 100]).unwrap();
        assert_eq!(pipe.set_capacity(PIPE_CAPACITY as u64 - 1), Ok(PIPE_CAPACITY));
        assert_eq!(pipe.set_capacity(PIPE_CAPACITY as u64 + 1), Ok(2 * PIPE_CAPACITY));
        assert_eq!(both.write(0, &vec![3; PIPE_CAPACITY + 1]), Ok(PIPE_CAPACITY));
        assert_eq!(pipe.set_capacity(PIPE_CAPACITY as u64), Err(Errno::BUSY));
        let mut buffer = vec![0; 3 * PIPE_CAPACITY];
        assert_eq!(both.read(0, &mut buffer), Ok(2 * PIPE_CAPACITY));
        let runs = [(1, 0..PIPE_CAPACITY - 100), (2, PIPE_CAPACITY - 100..PIPE_CAPACITY)];
        assert!(runs.into_iter().all(|(is, at)| buffer[at].iter().all(|byte| *byte == is)));
        assert!(buffer[PIPE_CAPACITY..2 * PIPE_CAPACITY].iter().all(|byte| *byte == 3));
        assert_eq!(pipe.set_capacity(0), Ok(FRAME_SIZE));
        assert_eq!(both.write(0, &buffer), Ok(FRAME_SIZE));
        assert_eq!(pipe.set_capacity(PIPE_CAPACITY_MAX as u64 + 1), Err(Errno::PERM));
        assert_eq!(pipe.set_capacity(REQUEST_MAX + 1), Err(Errno::INVAL));
    }

    #[test]
    fn what_is_looked_at_stays() {
        let pipe = Pipe::new();
        let both = pipe.open(OpenFlags::RDWR).unwrap();
        assert_eq!(pipe.available(), Err(Errno::AGAIN));
        both.write(0, b"hello").unwrap();
        let mut buffer = [0; 8];
        assert_eq!((pipe.peek(1, &mut buffer), &buffer[..4]), (4, &b"ello"[..]));
        assert_eq!(pipe.peek(9, &mut buffer), 0);
        pipe.skip(4);
        assert_eq!((pipe.available(), pipe.room()), (Ok(1), Ok(PIPE_CAPACITY - 1)));
    }

    #[test]
    fn without_memory_nothing_is_taken() {
        let (reader, writer) = pair();
        writer.write(0, &[1; 10]).unwrap();
        let hoard: Vec<Frame> = core::iter::from_fn(Frame::scratch).collect();
        assert_eq!(writer.write(0, &[2; 4090]), Err(Errno::NOMEM));
        drop(hoard);
        assert_eq!(reader.read(0, &mut [0; 100]), Ok(10));
    }
}
