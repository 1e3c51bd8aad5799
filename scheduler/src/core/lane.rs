//! Everything that belongs to one deployment: its environments, and the invocations that wait for one.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use super::ids::{Deployment, EnvironmentId, InvocationId};

/// A deployment at work. A lane without members and waiting invocations is dropped.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) deployment: Deployment,
    /// All environments of this deployment, in any state.
    pub(super) members: BTreeSet<EnvironmentId>,
    /// Those that are idle, the one used last at the end: its caches are the warmest, and the others get a
    /// chance to grow old.
    pub(super) idle: Vec<EnvironmentId>,
    /// Invocations accepted but not dispatched, the oldest first.
    pub(super) waiting: VecDeque<InvocationId>,
    /// How long the last start took, from the decision to readiness.
    pub(super) start_time: Duration,
    /// Whether its environments go when their work is done.
    pub(super) is_retired: bool,
}

impl Lane {
    pub(super) fn new(deployment: Deployment) -> Lane {
        Lane {
            deployment,
            members: BTreeSet::new(),
            idle: Vec::new(),
            waiting: VecDeque::new(),
            start_time: Duration::ZERO,
            is_retired: false,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty() && self.waiting.is_empty()
    }
}
