//! Everything that belongs to one deployment: its environments, and the invocations that wait for one.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use super::environment::{Environment, State};
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
    /// How many of them run an invocation.
    pub(super) busy: usize,
    /// Those that count for its provisioned concurrency: not dying.
    pub(super) provisioned: BTreeSet<EnvironmentId>,
    /// Those that are idle, by whether they are provisioned and by their turn, a provisioned one used last at the
    /// end: its caches are the warmest, and the others get a chance to grow old.
    pub(super) idle: BTreeMap<(bool, u64), EnvironmentId>,
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
            busy: 0,
            provisioned: BTreeSet::new(),
            planned: BTreeSet::new(),
            idle: BTreeMap::new(),
            waiting: VecDeque::new(),
            start_time: Duration::ZERO,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.members == 0 && self.waiting.is_empty()
    }

    /// Invocations that wait or run.
    pub(super) fn under_way(&self) -> usize {
        self.waiting.len() + self.busy
    }

    /// Counts an environment in.
    pub(super) fn add(&mut self, id: EnvironmentId, environment: &Environment) {
        let Environment { state, is_provisioned, .. } = environment;
        self.members += 1;
        self.coming += usize::from(state.is_coming());
        if *is_provisioned && state.stays() {
            self.provisioned.insert(id);
        }
        match state {
            State::Planned => drop(self.planned.insert(id)),
            State::Idle { turn, .. } => drop(self.idle.insert((*is_provisioned, *turn), id)),
            State::Busy { .. } => self.busy += 1,
            _ => {}
        }
    }

    /// Counts an environment out, as it was when it was counted in.
    pub(super) fn remove(&mut self, id: EnvironmentId, environment: &Environment) {
        let Environment { state, is_provisioned, .. } = environment;
        self.members -= 1;
        self.coming -= usize::from(state.is_coming());
        self.provisioned.remove(&id);
        match state {
            State::Planned => drop(self.planned.remove(&id)),
            State::Idle { turn, .. } => drop(self.idle.remove(&(*is_provisioned, *turn))),
            State::Busy { .. } => self.busy -= 1,
            _ => {}
        }
    }
}
