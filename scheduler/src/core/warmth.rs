//! What becomes of an environment without work, as the keep-alive policy says: kept, or ended and made anew in time
//! for the next invocation.
//!
//! ```text
//!   last answer        pre-warming            keep-alive
//!   ─────┬──────────────────────────┬───────────────────────────┬─────▶
//!        │ nothing is loaded        │ Start … Idle              │ ended
//!        └ ended, if this is not 0                              unless an invocation came
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::environment::{Environment, State};
use super::ids::{Deployment, DeploymentId, EnvironmentId};
use super::pool::Pool;

/// Environments that are to be started without an invocation, one for a deployment.
#[derive(Debug, Default)]
pub(super) struct Prewarmings {
    by_time: BTreeSet<(Duration, DeploymentId)>,
    planned: BTreeMap<DeploymentId, (Duration, Deployment)>,
}

impl Prewarmings {
    fn set(&mut self, at: Duration, deployment: Deployment) {
        self.cancel(deployment.id);
        self.by_time.insert((at, deployment.id));
        self.planned.insert(deployment.id, (at, deployment));
    }

    pub(super) fn cancel(&mut self, deployment: DeploymentId) {
        if let Some((at, _)) = self.planned.remove(&deployment) {
            self.by_time.remove(&(at, deployment));
        }
    }

    pub(super) fn clear(&mut self) {
        *self = Prewarmings::default();
    }

    pub(super) fn earliest(&self) -> Option<Duration> {
        self.by_time.first().map(|(at, _)| *at)
    }

    pub(super) fn take_due(&mut self, now: Duration) -> Option<Deployment> {
        let (_, id) = *self.by_time.first().filter(|(at, _)| *at <= now)?;
        self.by_time.pop_first();
        self.planned.remove(&id).map(|(_, deployment)| deployment)
    }
}

impl Pool {
    /// An environment has no work. `has_worked` is false for one that has only been started.
    pub(super) fn rest(&mut self, id: EnvironmentId, has_worked: bool) {
        let Environment { deployment, is_provisioned, .. } = self.environments[&id];
        let windows = self.keep_alive.windows(deployment.function);
        let is_last = has_worked && self.under_way(deployment.function) == 0;
        let turn = self.next_turn;
        self.next_turn += 1;
        let pause = if has_worked { windows.pre_warming } else { Duration::ZERO };
        let until =
            windows.keep_alive.map(|keep| self.now.saturating_add(pause).saturating_add(keep));
        let until = until.filter(|_| !is_provisioned);
        self.change(id, State::Idle { turn, until });
        if is_last && !windows.pre_warming.is_zero() {
            self.unload(deployment, windows.pre_warming);
        }
    }

    /// Ends what is idle of a deployment whose next invocation is not expected before `pause` is over.
    fn unload(&mut self, deployment: Deployment, pause: Duration) {
        self.kill_idle(deployment.id, |is_provisioned| !is_provisioned);
        self.prewarmings.set(self.now.saturating_add(pause), deployment);
    }

    /// Starts an environment for an invocation that is expected, where there is none and memory is free: nobody
    /// loses anything for a guess.
    pub(super) fn prewarm(&mut self, deployment: Deployment) {
        let lane = self.lanes.get(&deployment.id);
        let is_served = lane.is_some_and(|lane| lane.coming > 0 || !lane.idle.is_empty());
        if !is_served && self.has_room(&deployment) {
            let id = self.create(Environment::ordinary(deployment));
            self.start(id);
        }
    }

    /// Ends what is idle of a deployment, as far as `which` says so of what is provisioned or not.
    pub(super) fn kill_idle(&mut self, deployment: DeploymentId, which: impl Fn(bool) -> bool) {
        let idle = self.lanes.get(&deployment).map(|lane| lane.idle.clone());
        let idle =
            idle.into_iter().flatten().filter(|((is_provisioned, _), _)| which(*is_provisioned));
        for (_, id) in idle {
            self.kill(id);
        }
    }
}
