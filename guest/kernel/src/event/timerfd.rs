//! A timer as a file (timerfd_create(2)): readable once it has expired.

use alloc::rc::Rc;

use super::Timer;
use crate::errno::{Errno, Result};
use crate::fs::{File, Poll, Pulse};

/// Bytes of the number of expiries that a read gives.
const COUNT_BYTES: usize = 8;

/// A timer's file.
pub struct TimerFd(
    /// The timer.
    pub Rc<Timer>,
);

impl File for TimerFd {
    fn read(&self, _offset: u64, to: &mut [u8]) -> Result<usize> {
        let to = to.first_chunk_mut::<COUNT_BYTES>().ok_or(Errno::INVAL)?;
        match self.0.take_expired() {
            0 => Err(Errno::AGAIN),
            expired => {
                *to = expired.to_ne_bytes();
                Ok(COUNT_BYTES)
            }
        }
    }

    fn poll(&self) -> Poll {
        if self.0.expired() > 0 { Poll::IN } else { Poll::empty() }
    }

    fn pulse(&self) -> Option<Pulse> {
        Some(Pulse { input: self.0.ever_expired(), output: 0 })
    }

    fn timer(&self) -> Option<&Timer> {
        Some(&self.0)
    }
}
