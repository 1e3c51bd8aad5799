//! Provisioned concurrency: environments that are started ahead and kept, whoever else wants memory (Lambda developer
//! guide, "Configuring provisioned concurrency for a function").
//!
//! ```text
//!   Provision { deployment, count } ─▶ target ── too few, and room ──▶ Start ─▶ … Idle, for good
//!                                        │  ▲                                    │
//!                                        │  └── one that ends is replaced ◀──────┘
//!                                        └── too many ──▶ the idle go, the others become ordinary ones
//! ```
//!
//! One that can't be started, or ends without work, is tried again after a pause that doubles: a function that does not
//! start must not keep the host busy.

use std::collections::BTreeMap;
use std::time::Duration;

use super::environment::{Environment, State};
use super::ids::{Deployment, DeploymentId, EnvironmentId, FunctionId};
use super::lane::Lane;
use super::pool::Pool;

/// The first pause after a failure, and the longest.
const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(300);

/// What is wanted of one deployment.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) deployment: Deployment,
    pub(super) wanted: usize,
    /// Starts that failed, since the last that did not.
    failures: u32,
    /// Nothing is started before.
    retry: Duration,
}

/// How far a deployment's provisioned concurrency has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Provisioned {
    /// Environments that are wanted.
    pub wanted: usize,
    /// Environments that are ready: they wait or work.
    pub allocated: usize,
    /// Those of them that wait.
    pub available: usize,
    /// Whether the last start failed.
    pub is_failing: bool,
}

/// The targets, by deployment; none of them wants nothing.
pub(super) type Targets = BTreeMap<DeploymentId, Target>;

impl Pool {
    /// How far the provisioned concurrency of a deployment has come.
    pub fn provisioned(&self, deployment: DeploymentId) -> Provisioned {
        let Some(target) = self.targets.get(&deployment) else { return Provisioned::default() };
        let states = self
            .lanes
            .get(&deployment)
            .into_iter()
            .flat_map(|lane| lane.provisioned.iter().map(|id| &self.environments[id].state));
        let mut told = Provisioned {
            wanted: target.wanted,
            is_failing: target.failures > 0,
            ..Provisioned::default()
        };
        for state in states {
            told.allocated += usize::from(!matches!(state, State::Starting { .. }));
            told.available += usize::from(matches!(state, State::Idle { .. }));
        }
        told
    }

    pub(super) fn provision(&mut self, deployment: Deployment, count: u32) {
        let is_over = self.is_retired(deployment.id) || self.stopping.is_some();
        let wanted = if is_over { 0 } else { count as usize };
        if wanted == 0 {
            self.targets.remove(&deployment.id);
        } else {
            let (failures, retry) = (0, self.now);
            self.targets.insert(deployment.id, Target { deployment, wanted, failures, retry });
        }
        self.release(deployment.id, wanted);
    }

    /// Gives up all targets of a function.
    pub(super) fn unprovision(&mut self, which: impl Fn(FunctionId) -> bool) {
        let targets = self.targets.values().map(|target| target.deployment);
        let chosen: Vec<_> = targets.filter(|one| which(one.function)).collect();
        for deployment in chosen {
            self.provision(deployment, 0);
        }
    }

    /// Keeps so many provisioned environments at most: of the others, the idle end and the rest become ordinary.
    fn release(&mut self, deployment: DeploymentId, wanted: usize) {
        let lane = self.lanes.get(&deployment);
        let mut members: Vec<EnvironmentId> =
            lane.into_iter().flat_map(|lane| lane.provisioned.iter().copied()).collect();
        let is_idle =
            |id: &EnvironmentId| matches!(self.environments[id].state, State::Idle { .. });
        // The idle first, then the newest.
        members.sort_by_key(|id| (!is_idle(id), std::cmp::Reverse(*id)));
        let surplus = members.len().saturating_sub(wanted);
        for id in members.into_iter().take(surplus) {
            if matches!(self.environments[&id].state, State::Idle { .. }) {
                self.kill(id);
            } else {
                self.become_ordinary(id);
            }
        }
        self.drop_lane_if_empty(deployment);
    }

    /// Starts what is missing, as far as there is room, be it that of idle environments.
    pub(super) fn fill_provisioned(&mut self) {
        let due = self.targets.values().filter(|target| target.retry <= self.now);
        let short = due.filter(|target| self.missing(target) > 0).map(|target| target.deployment);
        for deployment in short.collect::<Vec<_>>() {
            while self.targets.get(&deployment.id).is_some_and(|target| self.missing(target) > 0)
                && self.make_room(&deployment)
                && self.has_room(&deployment)
            {
                let id = self.create(Environment::provisioned(deployment));
                self.start(id);
            }
        }
    }

    fn missing(&self, target: &Target) -> usize {
        let have = self.lanes.get(&target.deployment.id).map_or(0, |lane| lane.provisioned.len());
        target.wanted.saturating_sub(have)
    }

    /// A provisioned environment has become ready.
    pub(super) fn provisioning_succeeded(&mut self, deployment: DeploymentId) {
        if let Some(target) = self.targets.get_mut(&deployment) {
            target.failures = 0;
        }
    }

    /// One could not be started, or ended without work.
    pub(super) fn provisioning_failed(&mut self, id: EnvironmentId) {
        let environment = self.environments[&id];
        let target = self.targets.get_mut(&environment.deployment.id);
        if let Some(target) = target.filter(|_| environment.is_provisioned) {
            let pause = PAUSE_MIN.saturating_mul(1 << target.failures.min(16)).min(PAUSE_MAX);
            target.failures = target.failures.saturating_add(1);
            target.retry = self.now.saturating_add(pause);
        }
    }

    /// When what could not be started is tried again.
    pub(super) fn next_retry(&self) -> Option<Duration> {
        let waiting = self.targets.values().filter(|target| target.retry > self.now);
        waiting.filter(|target| self.missing(target) > 0).map(|target| target.retry).min()
    }

    /// How many invocations of the function could not be accepted besides one more of this deployment, since
    /// provisioned environments are held for others; the one more is counted.
    pub(super) fn held_besides(&self, deployment: &Deployment) -> usize {
        let targets =
            self.targets.values().filter(|one| one.deployment.function == deployment.function);
        let mut held = 0;
        let mut own = 0;
        for target in targets {
            let lane = self.lanes.get(&target.deployment.id);
            let unused = target.wanted.saturating_sub(lane.map_or(0, Lane::under_way));
            if target.deployment.id == deployment.id { own = unused } else { held += unused }
        }
        held + own.max(1)
    }
}
