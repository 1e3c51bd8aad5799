//! The bytes between a writer and a reader: of a pipe, or of one direction of a connection.
//!
//! ```text
//!   bytes ever read ──┐             ┌── bytes ever written
//!   ─────────────────[▓▓▓▓▓▓▓▓▓▓▓▓▓▓]──────────────►      at most CAPACITY apart
//!                     frame   frame                       held only while there are bytes in them
//! ```

use mayfly_hal::phys::{FRAME_SIZE, Frame};

use crate::errno::{Errno, Result};

/// A queue of bytes, up to `SLOTS` frames of them.
pub struct Ring<const SLOTS: usize> {
    /// Byte n of the stream is in slot n / FRAME_SIZE % SLOTS.
    slots: [Option<Frame>; SLOTS],
    read: u64,
    written: u64,
}

impl<const SLOTS: usize> Default for Ring<SLOTS> {
    fn default() -> Self {
        Ring { slots: [const { None }; SLOTS], read: 0, written: 0 }
    }
}

impl<const SLOTS: usize> Ring<SLOTS> {
    /// Most bytes in it.
    pub const CAPACITY: usize = SLOTS * FRAME_SIZE;

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
        Self::CAPACITY - self.len()
    }

    /// Bytes ever taken from it: the position of its front.
    pub fn read(&self) -> u64 {
        self.read
    }

    /// Bytes ever put into it: the position of its end.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Appends all of `from`, for which there is room. ENOMEM, and nothing is taken.
    pub fn push(&mut self, from: &[u8]) -> Result<()> {
        let end = self.written + from.len() as u64;
        for page in self.written / FRAME_SIZE as u64..end.div_ceil(FRAME_SIZE as u64) {
            let slot = &mut self.slots[page as usize % SLOTS];
            if slot.is_none() {
                *slot = Some(Frame::scratch().ok_or(Errno::NOMEM)?);
            }
        }
        let mut from = from;
        while !from.is_empty() {
            let (slot, offset, room) = Self::place(self.written);
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
        let count = to.len().min(self.len());
        let mut done = 0;
        while done < count {
            let (slot, offset, there) = Self::place(self.read + done as u64);
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
            let (slot, _, there) = Self::place(self.read);
            let now = (there as u64).min(end - self.read);
            self.read += now;
            // The slot is done with, unless the writer has come round to it again.
            if now == there as u64 && self.len() <= Self::CAPACITY - FRAME_SIZE {
                self.slots[slot] = None;
            }
        }
        if self.is_empty() {
            self.slots = [const { None }; SLOTS];
        }
    }

    /// Takes bytes from the front: how many there were.
    pub fn pop(&mut self, to: &mut [u8]) -> usize {
        let count = self.peek(to);
        self.skip(count);
        count
    }

    /// The slot and the offset in it of byte `position`, and how many bytes follow in the slot.
    fn place(position: u64) -> (usize, usize, usize) {
        let offset = position as usize % FRAME_SIZE;
        (position as usize / FRAME_SIZE % SLOTS, offset, FRAME_SIZE - offset)
    }
}
