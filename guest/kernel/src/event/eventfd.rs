//! A counter as a file (eventfd(2)).

use core::cell::Cell;

use crate::errno::{Errno, Result};
use crate::fs::{File, Poll, Pulse};

/// Bytes of the counter, and of every read and write.
const COUNT_BYTES: usize = 8;
/// The largest count.
const COUNT_MAX: u64 = u64::MAX - 1;

/// The counter.
pub struct EventFd {
    count: Cell<u64>,
    /// Whether a read takes 1 (EFD_SEMAPHORE), not all.
    semaphore: bool,
    pulse: Cell<Pulse>,
}

impl EventFd {
    /// A counter that begins at `count`.
    pub fn new(count: u32, semaphore: bool) -> EventFd {
        EventFd { count: Cell::new(count.into()), semaphore, pulse: Cell::default() }
    }
}

impl File for EventFd {
    fn read(&self, _offset: u64, to: &mut [u8]) -> Result<usize> {
        let to = to.first_chunk_mut::<COUNT_BYTES>().ok_or(Errno::INVAL)?;
        let count = self.count.get();
        if count == 0 {
            return Err(Errno::AGAIN);
        }
        let taken = if self.semaphore { 1 } else { count };
        self.count.set(count - taken);
        self.pulse.update(|pulse| Pulse { output: pulse.output + 1, ..pulse });
        *to = taken.to_ne_bytes();
        Ok(COUNT_BYTES)
    }

    fn write(&self, _offset: u64, from: &[u8]) -> Result<usize> {
        let more = u64::from_ne_bytes(*from.first_chunk::<COUNT_BYTES>().ok_or(Errno::INVAL)?);
        if more > COUNT_MAX {
            return Err(Errno::INVAL);
        }
        let sum = self.count.get().checked_add(more).filter(|sum| *sum <= COUNT_MAX);
        self.count.set(sum.ok_or(Errno::AGAIN)?);
        self.pulse.update(|pulse| Pulse { input: pulse.input + 1, ..pulse });
        Ok(COUNT_BYTES)
    }

    fn poll(&self) -> Poll {
        let count = self.count.get();
        let mut poll = Poll::empty();
        poll.set(Poll::IN, count > 0);
        poll.set(Poll::OUT, count < COUNT_MAX);
        poll
    }

    fn pulse(&self) -> Option<Pulse> {
        Some(self.pulse.get())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(file: &EventFd) -> Result<u64> {
        let mut bytes = [0; COUNT_BYTES];
        file.read(0, &mut bytes).map(|_| u64::from_ne_bytes(bytes))
    }

    #[test]
    fn a_read_takes_the_sum_or_one_of_it() {
        let sum = EventFd::new(2, false);
        sum.write(0, &3_u64.to_ne_bytes()).unwrap();
        assert_eq!((read(&sum), read(&sum)), (Ok(5), Err(Errno::AGAIN)));
        let semaphore = EventFd::new(2, true);
        assert_eq!((read(&semaphore), read(&semaphore)), (Ok(1), Ok(1)));
        assert_eq!(read(&semaphore), Err(Errno::AGAIN));
        assert_eq!(sum.read(0, &mut [0; 7]), Err(Errno::INVAL));
    }

    #[test]
    fn the_count_never_overflows() {
        let file = EventFd::new(1, false);
        assert_eq!(file.write(0, &u64::MAX.to_ne_bytes()), Err(Errno::INVAL));
        assert_eq!(file.write(0, &COUNT_MAX.to_ne_bytes()), Err(Errno::AGAIN));
        file.write(0, &(COUNT_MAX - 1).to_ne_bytes()).unwrap();
        assert_eq!(file.poll(), Poll::IN);
        assert_eq!(read(&file), Ok(COUNT_MAX));
        assert_eq!(file.poll(), Poll::OUT);
    }
}
