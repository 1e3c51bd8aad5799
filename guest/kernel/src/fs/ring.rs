//! The bytes between a writer and a reader: of a pipe, or of one direction of a connection.
//!
//! ```text
//!   bytes ever read ──┐             ┌── bytes ever written
//!   ─────────────────[▓▓▓▓▓▓▓▓▓▓▓▓▓▓]──────────────►      at most `capacity` apart
//!                     frame   frame                       held only while there are bytes in them
//! ```

use alloc::boxed::Box;
use alloc::vec::Vec;

use mayfly_hal::phys::{FRAME_SIZE, Frame};

use crate::errno::{Errno, Result};

/// A queue of bytes, up to as many frames of them as it has slots.
pub struct Ring {
    /// Byte n of the stream is in slot n / FRAME_SIZE % slots.
    slots: Box<[Option<Frame>]>,
    read: u64,
    written: u64,
}

impl Ring {
    /// An empty queue of so many frames, one at least.
    pub fn new(slots: usize) -> Ring {
        let slots = core::iter::repeat_with(|| None).take(slots.max(1)).collect();
        Ring { slots, read: 0, written: 0 }
    }

    /// Most bytes in it.
    pub fn capacity(&self) -> usize {
        self.slots.len() * FRAME_SIZE
    }

    /// Bytes in it.
    pub fn len(&self) -> usize {
        (self.written - self.read) as usize
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.read == self.written
    }

    /// Bytes that it takes.
    pub fn room(&self) -> usize {
        self.capacity() - self.len()
    }

    /// Bytes ever taken from it: the position of its front.
    pub fn read(&self) -> u64 {
        self.read
    }

    /// Bytes ever put into it: the position of its end.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Moves what is in it to so many slots. EBUSY where it does not fit there, ENOMEM; either way nothing has changed.
    pub fn resize(&mut self, slots: usize) -> Result<()> {
        if self.len() > slots * FRAME_SIZE {
            return Err(Errno::BUSY);
        }
        let mut empty = Vec::new();
        empty.try_reserve_exact(slots).map_err(|_| Errno::NOMEM)?;
        empty.resize(slots, None);
        let mut other = Ring { slots: empty.into(), read: self.read, written: self.read };
        let mut bounce = [0; BOUNCE_BYTES];
        while other.len() < self.len() {
            let count = self.peek_at(other.len(), &mut bounce);
            other.push(&bounce[..count])?;
        }
        *self = other;
        Ok(())
    }

    /// Appends all of `from`, for which there is room. ENOMEM, and nothing is taken.
    pub fn push(&mut self, from: &[u8]) -> Result<()> {
        let end = self.written + from.len() as u64;
        for page in self.written / FRAME_SIZE as u64..end.div_ceil(FRAME_SIZE as u64) {
            let slot = page as usize % self.slots.len();
            if self.slots[slot].is_none() {
                self.slots[slot] = Some(Frame::scratch().ok_or(Errno::NOMEM)?);
            }
        }
        let mut from = from;
        while !from.is_empty() {
            let (slot, offset, room) = self.place(self.written);
            let (now, later) = from.split_at(from.len().min(room));
            if let Some(frame) = &self.slots[slot] {
                frame.write(offset, now);
            }
            self.written += now.len() as u64;
            from = later;
        }
        Ok(())
    }

    /// Copies bytes from the front: how many there were.
    pub fn peek(&self, to: &mut [u8]) -> usize {
        self.peek_at(0, to)
    }

    /// Copies what follows `skip` bytes from the front, which are there: how many bytes there were.
    pub fn peek_at(&self, skip: usize, to: &mut [u8]) -> usize {
        let count = to.len().min(self.len() - skip);
        let mut done = 0;
        while done < count {
            let (slot, offset, there) = self.place(self.read + (skip + done) as u64);
            let now = there.min(count - done);
            if let Some(frame) = &self.slots[slot] {
                frame.read(offset, &mut to[done..done + now]);
            }
            done += now;
        }
        count
    }

    /// Drops bytes from the front, as many of `count` as there are.
    pub fn skip(&mut self, count: usize) {
        let end = self.read + count.min(self.len()) as u64;
        while self.read < end {
            let (slot, _, there) = self.place(self.read);
            let now = (there as u64).min(end - self.read);
            self.read += now;
            // The slot is done with, unless the writer has come round to it again.
            if now == there as u64 && self.len() <= self.capacity() - FRAME_SIZE {
                self.slots[slot] = None;
            }
        }
        if self.is_empty() {
            self.slots.fill(None);
        }
    }

    /// Takes bytes from the front: how many there were.
    pub fn pop(&mut self, to: &mut [u8]) -> usize {
        let count = self.peek(to);
        self.skip(count);
        count
    }

    /// The slot and the offset in it of byte `position`, and how many bytes follow in the slot.
    fn place(&self, position: u64) -> (usize, usize, usize) {
        let offset = position as usize % FRAME_SIZE;
        (position as usize / FRAME_SIZE % self.slots.len(), offset, FRAME_SIZE - offset)
    }
}

/// Bytes that are moved at a time to other slots: they lie on the kernel's stack.
const BOUNCE_BYTES: usize = 512;
