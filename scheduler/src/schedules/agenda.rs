//! Schedules by the time when they are due, in memory: the clock looks at those alone that are, of 100,000.
//!
//! ```text
//!   Registry ── a change is over ──▶ refresh: one entry moves          by_time: (due, key) ── due, next ──▶ tick
//!            ── a change failed, or its client went away ─▶ in doubt: all of it is made anew, at the next tick
//! ```
//!
//! What is here may be late, never wrong for long: whether a schedule is due is asked again in its transaction.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::schedule::Schedule;

/// When each schedule is due that is.
#[derive(Debug, Default)]
pub(super) struct Agenda(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    by_key: HashMap<Arc<str>, i64>,
    by_time: BTreeSet<(i64, Arc<str>)>,
    /// Whether something may have changed that it was not told of.
    is_doubtful: bool,
}

/// A change under way: unless it is over, the agenda is in doubt.
pub(super) struct Doubt<'a>(&'a Agenda);

impl Doubt<'_> {
    /// The change is over, and the agenda has it.
    pub(super) fn over(self) {
        std::mem::forget(self);
    }
}

impl Drop for Doubt<'_> {
    fn drop(&mut self) {
        self.0.lock().is_doubtful = true;
    }
}

impl Agenda {
    /// To be taken before a change whose end may never be heard of.
    pub(super) fn doubt(&self) -> Doubt<'_> {
        Doubt(self)
    }

    /// Whether it may differ from the schedules.
    pub(super) fn is_doubtful(&self) -> bool {
        self.lock().is_doubtful
    }

    /// Begins anew with what `list` says. What changes meanwhile is refreshed behind it.
    pub(super) fn make(&self, list: impl FnOnce() -> Vec<Arc<Schedule>>) {
        let mut state = self.lock();
        *state = State::default();
        for one in list() {
            state.put(&Schedule::key(&one.group, &one.name), due_ms(&one));
        }
    }

    /// Has one schedule where `now` says. That is asked while nobody else refreshes, so the last change counts.
    pub(super) fn refresh(&self, key: &str, now: impl FnOnce() -> Option<Arc<Schedule>>) {
        let mut state = self.lock();
        let due_ms = now().and_then(|one| due_ms(&one));
        state.put(key, due_ms);
    }

    /// Keys of those that are due at `now_ms`, the first ones first, at most `count`.
    pub(super) fn due(&self, now_ms: i64, count: usize) -> Vec<String> {
        let state = self.lock();
        let due = state.by_time.iter().take_while(|(due_ms, _)| *due_ms <= now_ms);
        due.take(count).map(|(_, key)| key.to_string()).collect()
    }

    /// When the first one is due.
    pub(super) fn next(&self) -> Option<i64> {
        self.lock().by_time.first().map(|(due_ms, _)| *due_ms)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn put(&mut self, key: &str, due_ms: Option<i64>) {
        if let Some((key, before_ms)) = self.by_key.remove_entry(key) {
            self.by_time.remove(&(before_ms, key));
        }
        if let Some(due_ms) = due_ms {
            let key: Arc<str> = key.into();
            self.by_key.insert(Arc::clone(&key), due_ms);
            self.by_time.insert((due_ms, key));
        }
    }
}

/// One that is over is due to go, since ever.
fn due_ms(schedule: &Schedule) -> Option<i64> {
    let run = schedule.next.filter(|_| schedule.is_enabled);
    run.map(|run| run.due_ms).or(schedule.is_over().then_some(0))
}

#[cfg(test)]
mod tests {
    use super::super::schedule::Run;
    use super::*;

    fn schedule(name: &str, due_ms: i64) -> Arc<Schedule> {
        let next = Some(Run { scheduled_ms: due_ms, due_ms });
        let (group, name) = ("g".into(), name.into());
        Arc::new(Schedule { group, name, is_enabled: true, next, ..Schedule::default() })
    }

    #[test]
    fn those_are_due_whose_time_has_come_the_first_ones_first() {
        let agenda = Agenda::default();
        agenda.make(|| vec![schedule("a", 30), schedule("b", 10), schedule("c", 20)]);
        let key = |name| Schedule::key("g", name);
        assert_eq!(agenda.due(9, 9), [""; 0]);
        assert_eq!(agenda.due(20, 9), [key("b"), key("c")]);
        assert_eq!(agenda.due(99, 2), [key("b"), key("c")]);
        agenda.refresh(&key("b"), || Some(schedule("b", 40)));
        agenda.refresh(&key("c"), || None);
        assert_eq!((agenda.next(), agenda.due(99, 9)), (Some(30), vec![key("a"), key("b")]));
        let disabled = Schedule { is_enabled: false, ..(*schedule("a", 30)).clone() };
        agenda.refresh(&key("a"), || Some(Arc::new(disabled)));
        assert_eq!((agenda.next(), agenda.due(99, 9)), (Some(40), vec![key("b")]));
    }

    #[test]
    fn a_change_that_is_not_over_leaves_it_in_doubt() {
        let agenda = Agenda::default();
        agenda.doubt().over();
        assert!(!agenda.is_doubtful());
        drop(agenda.doubt());
        assert!(agenda.is_doubtful());
        agenda.make(Vec::new);
        assert!(!agenda.is_doubtful());
    }
}
