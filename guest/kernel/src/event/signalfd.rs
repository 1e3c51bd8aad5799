//! Signals as a file (signalfd(2)): whoever reads takes what waits for itself.
//!
//! ```text
//!   the reader's own queue ─┐
//!   its process's queue ────┴─ those in the mask ─▶ records of 128 bytes (struct signalfd_siginfo)
//! ```
//!
//! The queues are those of the thread that runs, also after fork(2): the file keeps nothing but its mask.

use alloc::rc::Rc;
use core::cell::Cell;

use linux_raw_sys::general as linux;

use crate::errno::{Errno, Result};
use crate::fs::{File, Poll, Pulse};
use crate::signal::{Info, Waiting, blockable};

/// Bytes of a record.
const RECORD_BYTES: usize = 128;

/// The file.
pub struct SignalFd {
    mask: Cell<u64>,
    waiting: Rc<dyn Waiting>,
}

impl SignalFd {
    /// A file of the signals in `mask` that wait for who runs.
    pub fn new(mask: u64, waiting: Rc<dyn Waiting>) -> SignalFd {
        SignalFd { mask: Cell::new(blockable(mask)), waiting }
    }

    /// Tells of other signals from now on.
    pub fn set_mask(&self, mask: u64) {
        self.mask.set(blockable(mask));
    }
}

impl File for SignalFd {
    fn read(&self, _offset: u64, to: &mut [u8]) -> Result<usize> {
        let (records, _) = to.as_chunks_mut::<RECORD_BYTES>();
        if records.is_empty() {
            return Err(Errno::INVAL);
        }
        let mut read = 0;
        for to in records {
            let Some(info) = self.waiting.take(self.mask.get()) else { break };
            *to = record(&info);
            read += RECORD_BYTES;
        }
        if read > 0 { Ok(read) } else { Err(Errno::AGAIN) }
    }

    fn poll(&self) -> Poll {
        let waits = self.waiting.mask() & self.mask.get() != 0;
        if waits { Poll::IN } else { Poll::empty() }
    }

    fn pulse(&self) -> Option<Pulse> {
        Some(Pulse { input: self.waiting.arrived(), output: 0 })
    }

    fn signals(&self) -> Option<&SignalFd> {
        Some(self)
    }
}

/// A struct signalfd_siginfo: which of its fields mean something depends on the signal's cause.
fn record(info: &Info) -> [u8; RECORD_BYTES] {
    let mut record = [0; RECORD_BYTES];
    let [first, second, third] = info.fields;
    let (low, high) = (first as u32, (first >> 32) as u32);
    let mut put = |at: usize, bytes: &[u8]| record[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, &u32::from(info.signal).to_ne_bytes());
    put(8, &info.code.to_ne_bytes());
    if info.code == linux::SI_TIMER {
        // ssi_tid, ssi_overrun.
        put(24, &low.to_ne_bytes());
        put(32, &high.to_ne_bytes());
    } else if info.is_fault() {
        // ssi_addr.
        put(72, &first.to_ne_bytes());
        return record;
    } else {
        // ssi_pid, ssi_uid.
        put(12, &low.to_ne_bytes());
        put(16, &high.to_ne_bytes());
    }
    if info.is_of_child() {
        // ssi_status, ssi_utime.
        put(40, &(second as u32).to_ne_bytes());
        put(56, &third.to_ne_bytes());
    } else {
        // ssi_int, ssi_ptr.
        put(44, &(second as u32).to_ne_bytes());
        put(48, &second.to_ne_bytes());
    }
    record
}

#[cfg(test)]
mod tests {
    use core::cell::RefCell;

    use super::*;
    use crate::family::Status;
    use crate::signal::{Queue, bit};

    impl Waiting for RefCell<Queue> {
        fn mask(&self) -> u64 {
            self.borrow().mask()
        }

        fn arrived(&self) -> u64 {
            self.borrow().arrived()
        }

        fn take(&self, wanted: u64) -> Option<Info> {
            self.borrow_mut().take(wanted)
        }
    }

    fn number(record: &[u8], at: usize) -> u32 {
        u32::from_ne_bytes(record[at..at + 4].try_into().unwrap())
    }

    #[test]
    fn reads_take_whole_records_of_the_masks_signals() {
        let queue = Rc::new(RefCell::new(Queue::default()));
        let file = SignalFd::new(bit(9) | bit(10) | bit(40), queue.clone());
        let mut buffer = [0xff; 2 * RECORD_BYTES + 5];
        assert_eq!(file.read(0, &mut buffer[..127]), Err(Errno::INVAL));
        assert_eq!((file.read(0, &mut buffer), file.poll()), (Err(Errno::AGAIN), Poll::empty()));
        let before = file.pulse();
        for signal in [9, 40, 12, 10, 40] {
            let fields = [7 | 5 << 32, 0x1_0000_0002, 0];
            assert!(queue.borrow_mut().push(Info { signal, code: -1, fields }));
        }
        assert_eq!(file.poll(), Poll::IN);
        assert_ne!(file.pulse(), before);
        assert_eq!(file.read(0, &mut buffer), Ok(2 * RECORD_BYTES));
        let second = &buffer[RECORD_BYTES..];
        assert_eq!((number(&buffer, 0), number(second, 0), number(second, 8)), (10, 40, u32::MAX));
        assert_eq!((number(second, 12), number(second, 16), number(second, 44)), (7, 5, 2));
        assert_eq!(second[48..56], 0x1_0000_0002_u64.to_ne_bytes());
        assert_eq!(buffer[2 * RECORD_BYTES..], [0xff; 5]);
        file.set_mask(bit(12));
        assert_eq!(file.read(0, &mut buffer), Ok(RECORD_BYTES));
        assert_eq!((number(&buffer, 0), file.poll()), (12, Poll::empty()));
        assert_eq!(queue.borrow().mask(), bit(9) | bit(40), "nobody takes SIGKILL so");
    }

    #[test]
    fn a_records_fields_are_its_causes() {
        let child = record(&Info::from_child(17, 7, Status::Exited(3), 40_000_000));
        assert_eq!((number(&child, 8), number(&child, 12), number(&child, 40)), (1, 7, 3));
        assert_eq!(number(&child, 56), 4);
        let fault = record(&Info::fault(11, 1, 0x7000));
        assert_eq!((number(&fault, 72), number(&fault, 12)), (0x7000, 0));
        let fields = [3 | 9 << 32, 77, 0];
        let timer = record(&Info { signal: 40, code: linux::SI_TIMER, fields });
        assert_eq!((number(&timer, 24), number(&timer, 32), number(&timer, 44)), (3, 9, 77));
    }
}
