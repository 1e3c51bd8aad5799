//! Sums and orders over all environments, kept up with each change of one, so that no question about all of them
//! looks at each of them.
//!
//! ```text
//!   question                                    answered by
//!   is there room for one more?                 held, staying, idle
//!   which idle one was used least recently?     resting, its first
//!   what waits for memory?                      planned
//!   whose time is up?                           deadlines, their first
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::environment::{Environment, State};
use super::ids::EnvironmentId;

/// How many, and what they take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Share {
    pub(super) count: usize,
    pub(super) memory_mib: u64,
}

/// What is known of all environments together.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Index {
    /// Those whose process exists.
    pub(super) held: Share,
    /// Those that are not dying.
    pub(super) staying: Share,
    /// Those that are idle and may go: provisioned ones stay.
    pub(super) idle: Share,
    /// Those that wait for memory, the oldest first.
    pub(super) planned: BTreeSet<EnvironmentId>,
    /// Those that are idle and may go, by their turn: the least recently used first.
    pub(super) resting: BTreeMap<u64, EnvironmentId>,
    /// When time alone changes something, and where.
    pub(super) deadlines: BTreeSet<(Duration, EnvironmentId)>,
}

impl Share {
    /// This and one more.
    pub(super) fn with(self, memory_mib: u64) -> Share {
        Share { count: self.count + 1, memory_mib: self.memory_mib.saturating_add(memory_mib) }
    }

    /// This without another part of it.
    pub(super) fn without(self, part: Share) -> Share {
        Share { count: self.count - part.count, memory_mib: self.memory_mib - part.memory_mib }
    }

    fn add(&mut self, memory_mib: u64) {
        *self = self.with(memory_mib);
    }

    fn remove(&mut self, memory_mib: u64) {
        *self = self.without(Share { count: 1, memory_mib });
    }
}

impl Index {
    /// Counts an environment in.
    pub(super) fn add(&mut self, id: EnvironmentId, environment: &Environment) {
        let Environment { deployment, state, is_provisioned } = environment;
        if state.holds_memory() {
            self.held.add(deployment.memory_mib);
        }
        if state.stays() {
            self.staying.add(deployment.memory_mib);
        }
        if let Some(deadline) = state.deadline() {
            self.deadlines.insert((deadline, id));
        }
        match state {
            State::Planned => drop(self.planned.insert(id)),
            State::Idle { turn, .. } if !is_provisioned => {
                self.idle.add(deployment.memory_mib);
                self.resting.insert(*turn, id);
            }
            _ => {}
        }
    }

    /// Counts an environment out, as it was when it was counted in.
    pub(super) fn remove(&mut self, id: EnvironmentId, environment: &Environment) {
        let Environment { deployment, state, is_provisioned } = environment;
        if state.holds_memory() {
            self.held.remove(deployment.memory_mib);
        }
        if state.stays() {
            self.staying.remove(deployment.memory_mib);
        }
        if let Some(deadline) = state.deadline() {
            self.deadlines.remove(&(deadline, id));
        }
        match state {
            State::Planned => drop(self.planned.remove(&id)),
            State::Idle { turn, .. } if !is_provisioned => {
                self.idle.remove(deployment.memory_mib);
                self.resting.remove(turn);
            }
            _ => {}
        }
    }
}
