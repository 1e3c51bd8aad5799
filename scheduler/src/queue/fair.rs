//! Whose turn it is: what can run at once, shared among the queues that have work.
//!
//! ```text
//!   capacity   grows with what ran, shrinks to what runs when something is refused   (as TCP finds a path's)
//!   a share    capacity / queues at work, at least 1
//!   the turn   goes round, from behind the queue that was served last
//! ```
//!
//! So a flood in one queue leaves room for all others, whatever its length.

use std::collections::{BTreeMap, BTreeSet};

/// What is tried first, before anything is known.
const CAPACITY_FIRST: f64 = 8.0;
/// Messages of one queue taken in one turn.
const TURN_MAX: usize = 32;

/// How a piece of work ended, as far as sharing goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Load {
    /// It ran: there may be room for more.
    Ran,
    /// There was no room for it.
    NoRoom,
    /// It says nothing about room.
    Other,
}

/// Who runs how much.
#[derive(Debug)]
pub struct Shares {
    capacity: f64,
    capacity_max: f64,
    /// Below it, capacity grows fast: nothing has been refused yet.
    threshold: f64,
    running: BTreeMap<String, usize>,
    served_last: Option<String>,
}

impl Shares {
    /// Nothing runs, and so much may at once, at most.
    pub fn new(capacity_max: usize) -> Shares {
        let capacity_max = capacity_max.max(1) as f64;
        Shares {
            capacity: CAPACITY_FIRST.min(capacity_max),
            capacity_max,
            threshold: capacity_max,
            running: BTreeMap::new(),
            served_last: None,
        }
    }

    /// How many messages to take now of which queues, of those that have any due, each within its own limit. They
    /// count as running from now on.
    pub fn plan(
        &mut self,
        due: &BTreeSet<String>,
        limit: impl Fn(&str) -> usize,
    ) -> Vec<(String, usize)> {
        let at_work = due.iter().chain(self.running.keys()).collect::<BTreeSet<_>>().len();
        let capacity = self.capacity as usize;
        let share = (capacity / at_work.max(1)).max(1);
        let mut free = capacity.saturating_sub(self.total());
        let last = self.served_last.clone().unwrap_or_default();
        let (before, behind): (Vec<&String>, Vec<_>) = due.iter().partition(|lane| **lane <= last);
        let mut plan = Vec::new();
        for lane in behind.into_iter().chain(before) {
            let has = self.running.get(lane).copied().unwrap_or(0);
            let room = share.min(limit(lane)).saturating_sub(has);
            let count = room.min(free).min(TURN_MAX);
            if count > 0 {
                free -= count;
                *self.running.entry(lane.clone()).or_default() += count;
                self.served_last = Some(lane.clone());
                plan.push((lane.clone(), count));
            }
        }
        plan
    }

    /// So many of those that were planned were not there.
    pub fn give_back(&mut self, lane: &str, count: usize) {
        if let Some(running) = self.running.get_mut(lane) {
            *running = running.saturating_sub(count);
            if *running == 0 {
                self.running.remove(lane);
            }
        }
    }

    /// One ended.
    pub fn finished(&mut self, lane: &str, load: Load) {
        self.give_back(lane, 1);
        match load {
            Load::Ran if self.capacity < self.threshold => self.capacity += 1.0,
            Load::Ran => self.capacity += 1.0 / self.capacity,
            Load::NoRoom => {
                // Those that still run found room.
                self.capacity = (self.total() as f64).clamp(1.0, self.capacity);
                self.threshold = self.capacity;
            }
            Load::Other => {}
        }
        self.capacity = self.capacity.min(self.capacity_max);
    }

    fn total(&self) -> usize {
        self.running.values().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lanes(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn one_alone_gets_all_that_there_is() {
        let mut shares = Shares::new(1024);
        assert_eq!(shares.plan(&lanes(&["a"]), |_| 1024), [("a".to_owned(), 8)]);
        assert!(shares.plan(&lanes(&["a"]), |_| 1024).is_empty());
        // Capacity grows while nothing is refused.
        for _ in 0..8 {
            shares.finished("a", Load::Ran);
        }
        assert_eq!(shares.plan(&lanes(&["a"]), |_| 1024), [("a".to_owned(), 16)]);
    }

    #[test]
    fn a_queues_own_limit_holds() {
        let mut shares = Shares::new(1024);
        assert_eq!(shares.plan(&lanes(&["a"]), |_| 2), [("a".to_owned(), 2)]);
        shares.finished("a", Load::Other);
        assert_eq!(shares.plan(&lanes(&["a"]), |_| 2), [("a".to_owned(), 1)]);
    }

    /// Room for 4: a flood in one queue, and a message now and then in 20 others.
    #[test]
    fn a_flood_starves_nobody() {
        const ROOM: usize = 4;
        let mut shares = Shares::new(1024);
        let others: Vec<String> = (0..20).map(|number| format!("other {number}")).collect();
        let mut waiting: BTreeMap<String, usize> = BTreeMap::from([("flood".into(), 100_000)]);
        let mut since: BTreeMap<String, usize> = BTreeMap::new();
        let mut running: Vec<String> = Vec::new();
        let mut longest = 0;
        let mut flooded = 0;
        for round in 0..2000 {
            if round % 5 == 0 {
                let other = &others[round / 5 % others.len()];
                *waiting.entry(other.clone()).or_default() += 1;
                since.entry(other.clone()).or_insert(round);
            }
            let due = waiting.iter().filter(|(_, count)| **count > 0);
            let due: BTreeSet<String> = due.map(|(lane, _)| lane.clone()).collect();
            for (lane, count) in shares.plan(&due, |_| 1024) {
                let there = waiting[&lane].min(count);
                shares.give_back(&lane, count - there);
                for _ in 0..there {
                    if running.len() < ROOM {
                        running.push(lane.clone());
                        *waiting.get_mut(&lane).unwrap() -= 1;
                        if let Some(since) = since.remove(&lane) {
                            longest = longest.max(round - since);
                        }
                    } else {
                        shares.finished(&lane, Load::NoRoom);
                    }
                }
            }
            // The one that runs longest ends.
            if !running.is_empty() {
                let lane = running.remove(0);
                flooded += usize::from(lane == "flood");
                shares.finished(&lane, Load::Ran);
            }
        }
        assert!(since.len() <= 1, "{since:?} wait");
        assert!(longest <= 3 * ROOM, "one waited {longest} rounds");
        assert!(flooded > 1000, "and yet the flood went on: {flooded}");
    }
}
