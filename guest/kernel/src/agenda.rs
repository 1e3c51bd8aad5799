//! Who runs next, and who waits for what.
//!
//! ```text
//!             ┌──────────── its slice is over, it yields ───────────┐
//!             ▼                                                     │
//!   start ─▶ ready ─────────────────── next ──────────────────▶ running ─▶ gone
//!             ▲                                                     │
//!             │  woken by name (a futex, a signal) · its deadline   │ its call cannot be finished now
//!             └──────────── stirred, if it watches ◀── waiting ◀────┘
//! ```
//!
//! A waiting thread's call is made again once it is ready. One that waits for files *watches*: files keep no lists of
//! who waits for them, so all watchers are stirred where any file may have changed. All others are left alone until
//! somebody wakes them by name.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;

/// A thread's number, as programs see it (gettid(2)).
pub type Tid = u32;

/// What a thread waits for that is not running. A deadline is CLOCK_MONOTONIC, ns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Ready,
    Waiting { watches: bool, deadline_ns: Option<u64> },
}

/// All threads but the one that runs.
#[derive(Debug, Default)]
pub struct Agenda {
    ready: VecDeque<Tid>,
    states: BTreeMap<Tid, State>,
    deadlines: BTreeSet<(u64, Tid)>,
    watchers: BTreeSet<Tid>,
}

impl Agenda {
    /// Puts a thread at the end of those that are ready.
    pub fn ready(&mut self, tid: Tid) {
        self.states.insert(tid, State::Ready);
        self.ready.push_back(tid);
    }

    /// A thread waits: for files too where it `watches`, until `deadline_ns` at the latest.
    pub fn wait(&mut self, tid: Tid, watches: bool, deadline_ns: Option<u64>) {
        self.states.insert(tid, State::Waiting { watches, deadline_ns });
        if watches {
            self.watchers.insert(tid);
        }
        if let Some(deadline) = deadline_ns {
            self.deadlines.insert((deadline, tid));
        }
    }

    /// Makes a thread ready that waits; no other.
    pub fn wake(&mut self, tid: Tid) {
        let Some(State::Waiting { deadline_ns, .. }) = self.states.get(&tid).copied() else {
            return;
        };
        self.watchers.remove(&tid);
        if let Some(deadline) = deadline_ns {
            self.deadlines.remove(&(deadline, tid));
        }
        self.ready(tid);
    }

    /// Makes all watchers ready: something has happened to a file, or may have.
    pub fn stir(&mut self) {
        while let Some(tid) = self.watchers.first().copied() {
            self.wake(tid);
        }
    }

    /// Makes the threads ready whose deadlines have come.
    pub fn expire(&mut self, now_ns: u64) {
        while let Some((_, tid)) = self.deadlines.first().copied().filter(|first| first.0 <= now_ns)
        {
            self.wake(tid);
        }
    }

    /// Takes the thread that is to run next.
    pub fn take_next(&mut self) -> Option<Tid> {
        let tid = self.ready.pop_front()?;
        self.states.remove(&tid);
        Some(tid)
    }

    /// Forgets a thread.
    pub fn remove(&mut self, tid: Tid) {
        self.wake(tid);
        if self.states.remove(&tid).is_some() {
            self.ready.retain(|other| *other != tid);
        }
    }

    /// The earliest deadline.
    pub fn deadline_ns(&self) -> Option<u64> {
        self.deadlines.first().map(|first| first.0)
    }

    /// Whether a thread is ready.
    pub fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Whether a thread waits for files.
    pub fn has_watchers(&self) -> bool {
        !self.watchers.is_empty()
    }

    /// The threads that wait.
    pub fn waiting(&self) -> Vec<Tid> {
        let is_waiting = |state: &State| matches!(state, State::Waiting { .. });
        self.states.iter().filter(|(_, state)| is_waiting(state)).map(|(tid, _)| *tid).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(agenda: &mut Agenda) -> Vec<Tid> {
        core::iter::from_fn(|| agenda.take_next()).collect()
    }

    #[test]
    fn those_that_are_ready_take_turns() {
        let mut agenda = Agenda::default();
        [1, 2, 3].into_iter().for_each(|tid| agenda.ready(tid));
        for tid in [1, 2, 3, 1, 2] {
            assert_eq!(agenda.take_next(), Some(tid));
            agenda.ready(tid);
        }
    }

    #[test]
    fn only_a_waiting_thread_can_be_woken_and_once() {
        let mut agenda = Agenda::default();
        agenda.ready(1);
        agenda.wake(1);
        agenda.wake(2);
        agenda.wait(3, false, Some(10));
        agenda.wake(3);
        agenda.wake(3);
        agenda.expire(10);
        assert_eq!(order(&mut agenda), [1, 3]);
    }

    #[test]
    fn deadlines_come_in_order_and_leave_with_their_thread() {
        let mut agenda = Agenda::default();
        agenda.wait(1, false, Some(30));
        agenda.wait(2, true, Some(20));
        agenda.wait(3, false, Some(10));
        agenda.wait(4, false, None);
        agenda.remove(3);
        assert_eq!(agenda.deadline_ns(), Some(20));
        agenda.expire(19);
        assert!(!agenda.has_ready());
        agenda.expire(30);
        assert_eq!(order(&mut agenda), [2, 1]);
        assert_eq!((agenda.deadline_ns(), agenda.has_watchers()), (None, false));
        assert_eq!(agenda.waiting(), [4]);
    }

    #[test]
    fn a_stir_reaches_watchers_alone() {
        let mut agenda = Agenda::default();
        agenda.wait(1, true, Some(5));
        agenda.wait(2, false, None);
        agenda.stir();
        agenda.stir();
        assert_eq!(order(&mut agenda), [1]);
        assert_eq!(agenda.deadline_ns(), None);
    }

    #[test]
    fn who_is_gone_never_runs() {
        let mut agenda = Agenda::default();
        agenda.ready(1);
        agenda.ready(2);
        agenda.wait(3, true, Some(1));
        agenda.remove(1);
        agenda.remove(3);
        agenda.stir();
        agenda.expire(9);
        assert_eq!(order(&mut agenda), [2]);
    }
}
