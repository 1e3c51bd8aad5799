//! Signals that wait to be taken: of a thread, or of a process.

use alloc::collections::VecDeque;

use linux_raw_sys::general as linux;

use super::{Info, SIGRTMIN, SYNCHRONOUS, bit};

/// Most signals in one queue: RLIMIT_SIGPENDING.
pub const QUEUED_MAX: usize = 1024;

/// si_code of what kill(2) sends.
const SI_USER: i32 = linux::SI_USER as i32;
/// Most expiries of a timer that one signal tells of: si_overrun is an int (timer_getoverrun(2), DELAYTIMER_MAX).
const OVERRUNS_MAX: u64 = i32::MAX as u64;

/// The queue.
#[derive(Clone, Debug, Default)]
pub struct Queue {
    waiting: VecDeque<Info>,
    arrived: u64,
}

impl Queue {
    /// Adds a signal. One below SIGRTMIN that waits already is there once, and so is a timer's, which counts what it
    /// stands for. False where the queue is full, which those are never lost by: each has a place of its own, and so has
    /// one of each number that kill(2) sends (Linux's __send_signal_locked).
    pub fn push(&mut self, info: Info) -> bool {
        self.arrived += 1;
        if info.code == linux::SI_TIMER
            && let Some(same) = self.waiting.iter_mut().find(|other| other.is_from_timer_of(&info))
        {
            let overruns = (same.fields[0] >> 32) + (info.fields[0] >> 32) + 1;
            let id = same.fields[0] & u64::from(u32::MAX);
            same.fields[0] = id | overruns.min(OVERRUNS_MAX) << 32;
            return true;
        }
        let (is_real_time, is_full) = (info.signal >= SIGRTMIN, self.waiting.len() >= QUEUED_MAX);
        if is_real_time && is_full && !matches!(info.code, linux::SI_TIMER | SI_USER) {
            return false;
        }
        let waits = self.mask() & bit(info.signal) != 0;
        if !waits || is_real_time && !(is_full && info.code == SI_USER) {
            self.waiting.push_back(info);
        }
        true
    }

    /// How many signals have ever come.
    pub fn arrived(&self) -> u64 {
        self.arrived
    }

    /// The signals that wait, as a mask.
    pub fn mask(&self) -> u64 {
        self.waiting.iter().fold(0, |mask, info| mask | bit(info.signal))
    }

    /// Takes the next signal in `wanted`: the lowest number first, and the oldest of that number.
    pub fn take(&mut self, wanted: u64) -> Option<Info> {
        let wanted = self.mask() & wanted;
        let first = if wanted & SYNCHRONOUS != 0 { wanted & SYNCHRONOUS } else { wanted };
        let lowest = first & first.wrapping_neg();
        let index = self.waiting.iter().position(|info| bit(info.signal) == lowest)?;
        self.waiting.remove(index)
    }

    /// Forgets every signal in `mask`.
    pub fn remove(&mut self, mask: u64) {
        self.waiting.retain(|info| bit(info.signal) & mask == 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn info(signal: u8, value: u64) -> Info {
        Info { signal, fields: [0, value, 0], ..Info::default() }
    }

    fn drain(queue: &mut Queue) -> Vec<(u8, u64)> {
        core::iter::from_fn(|| queue.take(!0)).map(|info| (info.signal, info.fields[1])).collect()
    }

    #[test]
    fn real_time_signals_queue_and_others_do_not() {
        let mut queue = Queue::default();
        for value in 0..3 {
            assert!(queue.push(info(40, value)) && queue.push(info(15, value)));
        }
        assert_eq!(drain(&mut queue), [(15, 0), (40, 0), (40, 1), (40, 2)]);
    }

    #[test]
    fn faults_come_first_then_the_lowest_number() {
        let mut queue = Queue::default();
        for signal in [34, 10, 2, 11] {
            queue.push(info(signal, 0));
        }
        assert_eq!(queue.take(!bit(2)), Some(info(11, 0)));
        assert_eq!(queue.take(bit(10) | bit(34)), Some(info(10, 0)));
        queue.remove(bit(34));
        assert_eq!(drain(&mut queue), [(2, 0)]);
    }

    #[test]
    fn a_timers_signal_waits_once_and_counts() {
        let mut queue = Queue::default();
        let info = |id: u64, overrun: u64| Info {
            signal: 40,
            code: linux::SI_TIMER,
            fields: [id | overrun << 32, 0, 0],
        };
        for info in [info(1, 0), info(2, 5), info(1, 2), info(1, 0)] {
            assert!(queue.push(info));
        }
        assert_eq!((queue.take(!0), queue.take(!0)), (Some(info(1, 4)), Some(info(2, 5))));
        assert_eq!(queue.take(!0), None);
        for _ in 0..3 {
            queue.push(info(1, OVERRUNS_MAX));
        }
        assert_eq!(queue.take(!0), Some(info(1, OVERRUNS_MAX)));
    }

    #[test]
    fn a_queue_has_a_bound() {
        let mut queue = Queue::default();
        let queued = |signal: u8| Info { code: linux::SI_QUEUE, ..info(signal, 0) };
        assert!((0..QUEUED_MAX).all(|_| queue.push(queued(63))));
        assert!(!queue.push(queued(63)));
        assert!(!queue.push(queued(62)));
    }

    #[test]
    fn a_full_queue_loses_no_plain_signal() {
        let mut queue = Queue::default();
        let queued = Info { code: linux::SI_QUEUE, ..info(63, 0) };
        assert!((0..QUEUED_MAX).all(|_| queue.push(queued)));
        assert!(queue.push(info(9, 0)) && queue.push(info(14, 0)) && queue.push(info(14, 0)));
        assert_eq!(
            (queue.take(!bit(63)), queue.take(!bit(63))),
            (Some(info(9, 0)), Some(info(14, 0)))
        );
        // Of what kill(2) sends, one of each number.
        assert!(queue.push(info(62, 1)) && queue.push(info(62, 2)) && queue.push(info(63, 0)));
        assert_eq!((queue.take(bit(62)), queue.take(bit(62))), (Some(info(62, 1)), None));
        assert_eq!(drain(&mut queue).len(), QUEUED_MAX);
    }
}
