//! Everything that belongs to one deployment: its environments, and the invocations that wait for one.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use super::environment::State;
use super::ids::{Deployment, EnvironmentId, InvocationId};

/// A deployment at work. A lane without members and waiting invocations is dropped.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Lane {
    pub(super) deployment: Deployment,
    /// How many environments of this deployment there are, in any state.
    pub(super) members: usize,
    /// How many of them are on their way to an invocation.
    pub(super) coming: usize,
    /// Those that have not been started.
    pub(super) planned: BTreeSet<EnvironmentId>,
    /// Those that are idle, by their turn, the one used last at the end: its caches are the warmest, and the
    /// others get a chance to grow old.
    pub(super) idle: BTreeMap<u64, EnvironmentId>,
    /// Invocations accepted but not dispatched, the oldest first.
    pub(super) waiting: VecDeque<InvocationId>,
    /// How long the last start took, from the decision to readiness.
    pub(super) start_time: Duration,
}

impl Lane {
    pub(super) fn new(deployment: Deployment) -> Lane {
        Lane {
            deployment,
            members: 0,
            coming: 0,
            planned: BTreeSet::new(),
            idle: BTreeMap::new(),
            waiting: VecDeque::new(),
            start_time: Duration::ZERO,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.members == 0 && self.waiting.is_empty()
    }

    /// Counts an environment in.
    pub(super) fn add(&mut self, id: EnvironmentId, state: &State) {
        self.members += 1;
        self.coming += usize::from(state.is_coming());
        match state {
            State::Planned => drop(self.planned.insert(id)),
            State::Idle { turn, .. } => drop(self.idle.insert(*turn, id)),
            _ => {}
        }
    }

    /// Counts an environment out, as it was when it was counted in.
    pub(super) fn remove(&mut self, id: EnvironmentId, state: &State) {
        self.members -= 1;
        self.coming -= usize::from(state.is_coming());
        match state {
            State::Planned => drop(self.planned.remove(&id)),
            State::Idle { turn, .. } => drop(self.idle.remove(turn)),
            _ => {}
        }
    }
}
