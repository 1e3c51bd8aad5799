//! Who waits at which futex (futex(2)).
//!
//! ```text
//!   queues:   (memory, address) ─▶ owner │ [thread, bits] [thread, bits] …    in order of arrival
//!   waiting:  thread ─▶ its queue                                      so that it can leave
//! ```
//!
//! A thread that is woken is not in here any more: that is how its call, made again, learns of it. One that waits to
//! inherit a futex with priority inheritance waits for no bits: nothing wakes it but what its owner does.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

use crate::agenda::Tid;

/// A futex: a word of memory, which processes may share at different addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// A word of one address space.
    Private {
        /// Which: the guest-physical address of its page tables' root.
        space: u64,
        /// The word's address.
        address: u64,
    },
    /// A word of a file that is mapped shared.
    Shared {
        /// `st_dev` of the file.
        dev: u64,
        /// `st_ino` of the file.
        ino: u64,
        /// Where in the file.
        offset: u64,
    },
}

/// FUTEX_BITSET_MATCH_ANY.
pub const ANY: u32 = !0;

#[derive(Clone, Copy, Debug)]
struct Waiter {
    tid: Tid,
    bits: u32,
}

/// The bits of one that waits to inherit.
const HEIR: u32 = 0;

/// Who waits at a futex.
#[derive(Debug, Default)]
struct Queue {
    waiters: VecDeque<Waiter>,
    /// Whose it is, where there are heirs.
    owner: Option<Tid>,
}

/// All queues. They are as long as there are threads.
#[derive(Debug, Default)]
pub struct Futexes {
    queues: BTreeMap<Key, Queue>,
    waiting: BTreeMap<Tid, Key>,
}

impl Futexes {
    /// Puts a thread, which is in no queue, at the end of one.
    pub fn wait(&mut self, key: Key, tid: Tid, bits: u32) {
        self.queues.entry(key).or_default().waiters.push_back(Waiter { tid, bits });
        self.waiting.insert(tid, key);
    }

    /// Puts a thread, which is in no queue, at the end of those that wait to inherit what is `owner`'s.
    pub fn inherit(&mut self, key: Key, tid: Tid, owner: Tid) {
        self.wait(key, tid, HEIR);
        self.own(key, owner);
    }

    /// Notes whose a futex is; whether there are heirs.
    pub fn own(&mut self, key: Key, owner: Tid) -> bool {
        let Some(queue) = self.queues.get_mut(&key) else { return false };
        let has_heirs = queue.waiters.iter().any(|waiter| waiter.bits == HEIR);
        queue.owner = has_heirs.then_some(owner);
        has_heirs
    }

    /// Makes the heir that has waited longest the owner: who it is, and whether there are more.
    pub fn hand_over(&mut self, key: Key) -> Option<(Tid, bool)> {
        let queue = self.queues.get_mut(&key)?;
        let index = queue.waiters.iter().position(|waiter| waiter.bits == HEIR)?;
        let heir = queue.waiters.remove(index)?.tid;
        self.waiting.remove(&heir);
        let more = self.own(key, heir);
        self.forget_if_empty(key);
        Some((heir, more))
    }

    /// Takes out one heir of each futex whose owner ends.
    pub fn bequeath(&mut self, owner: Tid, mut woken: impl FnMut(Tid)) {
        let is_owned = |(_, queue): &(&Key, &Queue)| queue.owner == Some(owner);
        let keys: Vec<Key> = self.queues.iter().filter(is_owned).map(|(key, _)| *key).collect();
        keys.into_iter().filter_map(|key| self.hand_over(key)).for_each(|(heir, _)| woken(heir));
    }

    fn forget_if_empty(&mut self, key: Key) {
        if self.queues.get(&key).is_some_and(|queue| queue.waiters.is_empty()) {
            self.queues.remove(&key);
        }
    }

    /// Whether a thread is in a queue.
    pub fn is_waiting(&self, tid: Tid) -> bool {
        self.waiting.contains_key(&tid)
    }

    /// Takes a thread out of its queue, if it is in one.
    pub fn cancel(&mut self, tid: Tid) {
        let Some(key) = self.waiting.remove(&tid) else { return };
        let Some(queue) = self.queues.get_mut(&key) else { return };
        queue.waiters.retain(|waiter| waiter.tid != tid);
        self.forget_if_empty(key);
    }

    /// Wakes up to `most` of those who wait for one of `bits`, the longest wait first; how many it were.
    pub fn wake(&mut self, key: Key, most: u32, bits: u32, mut woken: impl FnMut(Tid)) -> u32 {
        let Some(Queue { waiters, .. }) = self.queues.get_mut(&key) else { return 0 };
        let (mut count, mut index) = (0, 0);
        while count < most && index < waiters.len() {
            if waiters[index].bits & bits == 0 {
                index += 1;
            } else if let Some(waiter) = waiters.remove(index) {
                self.waiting.remove(&waiter.tid);
                woken(waiter.tid);
                count += 1;
            }
        }
        self.forget_if_empty(key);
        count
    }

    /// Wakes up to `wake` of those at `from`, and sends up to `send` of the others to `to`; how many it were together.
    pub fn requeue(
        &mut self,
        from: Key,
        to: Key,
        wake: u32,
        send: u32,
        woken: impl FnMut(Tid),
    ) -> u32 {
        let count = self.wake(from, wake, ANY, woken);
        let Some(queue) = self.queues.get_mut(&from) else { return count };
        let (heirs, mut sent): (VecDeque<_>, VecDeque<_>) =
            queue.waiters.drain(..).partition(|waiter| waiter.bits == HEIR);
        let rest = sent.split_off(sent.len().min(send as usize));
        queue.waiters.extend(heirs.into_iter().chain(rest));
        self.forget_if_empty(from);
        for waiter in &sent {
            self.waiting.insert(waiter.tid, to);
        }
        let number = sent.len() as u32;
        if number > 0 {
            self.queues.entry(to).or_default().waiters.append(&mut sent);
        }
        count + number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Key = Key::Private { space: 2, address: 0x1000 };
    const B: Key = Key::Private { space: 2, address: 0x2000 };

    fn waiting(key: Key, tids: impl IntoIterator<Item = Tid>) -> Futexes {
        let mut futexes = Futexes::default();
        tids.into_iter().for_each(|tid| futexes.wait(key, tid, ANY));
        futexes
    }

    fn wake(futexes: &mut Futexes, key: Key, most: u32, bits: u32) -> Vec<Tid> {
        let mut woken = Vec::new();
        let count = futexes.wake(key, most, bits, |tid| woken.push(tid));
        assert_eq!(count as usize, woken.len());
        woken
    }

    #[test]
    fn the_longest_wait_ends_first_and_exactly_so_many() {
        let mut futexes = waiting(A, [5, 6, 7]);
        assert_eq!(wake(&mut futexes, B, 9, ANY), []);
        assert_eq!(wake(&mut futexes, A, 2, ANY), [5, 6]);
        assert!(!futexes.is_waiting(5) && futexes.is_waiting(7));
        assert_eq!(wake(&mut futexes, A, u32::MAX, ANY), [7]);
        assert!(futexes.queues.is_empty() && futexes.waiting.is_empty(), "nothing is left behind");
    }

    #[test]
    fn the_same_address_of_another_process_is_another_futex() {
        let mut futexes = waiting(A, [5]);
        let other = Key::Private { space: 3, address: 0x1000 };
        assert_eq!(wake(&mut futexes, other, 1, ANY), []);
    }

    #[test]
    fn bits_choose_among_those_who_wait() {
        let mut futexes = Futexes::default();
        futexes.wait(A, 5, 1);
        futexes.wait(A, 6, 2);
        futexes.wait(A, 7, 3);
        assert_eq!(wake(&mut futexes, A, 9, 2), [6, 7]);
        assert!(futexes.is_waiting(5));
    }

    #[test]
    fn who_leaves_is_not_woken() {
        let mut futexes = waiting(A, [5, 6]);
        futexes.cancel(5);
        futexes.cancel(5);
        assert_eq!(wake(&mut futexes, A, 9, ANY), [6]);
    }

    #[test]
    fn requeued_threads_wait_elsewhere_in_order() {
        let mut futexes = waiting(A, 1..=6);
        futexes.wait(B, 9, ANY);
        let mut woken = Vec::new();
        assert_eq!(futexes.requeue(A, B, 1, 3, |tid| woken.push(tid)), 4);
        assert_eq!(woken, [1]);
        assert_eq!(wake(&mut futexes, A, 9, ANY), [5, 6]);
        futexes.cancel(3);
        assert_eq!(wake(&mut futexes, B, 9, ANY), [9, 2, 4]);
        assert!(futexes.queues.is_empty() && futexes.waiting.is_empty());
    }

    #[test]
    fn heirs_are_woken_by_their_owner_alone_one_after_the_other() {
        let mut futexes = Futexes::default();
        for tid in [5, 6, 7] {
            futexes.inherit(A, tid, 2);
        }
        assert_eq!(wake(&mut futexes, A, 9, ANY), []);
        assert_eq!(futexes.requeue(A, B, 9, 9, |_| ()), 0);
        assert_eq!(futexes.hand_over(A), Some((5, true)));
        futexes.cancel(6);
        let mut woken = Vec::new();
        futexes.bequeath(2, |tid| woken.push(tid));
        assert_eq!(woken, [], "it is another's by now");
        futexes.bequeath(5, |tid| woken.push(tid));
        assert_eq!(woken, [7]);
        assert_eq!((futexes.hand_over(A), futexes.own(A, 9)), (None, false));
        assert!(futexes.queues.is_empty() && futexes.waiting.is_empty());
    }

    #[test]
    fn a_futex_may_be_requeued_to_itself() {
        let mut futexes = waiting(A, [1, 2]);
        assert_eq!(futexes.requeue(A, A, 0, 9, |_| ()), 2);
        assert_eq!(wake(&mut futexes, A, 9, ANY), [1, 2]);
    }
}
