//! Who may have memory: keeps each deployment's environments in balance with the invocations that wait.
//!
//! ```text
//!   budget  │ Busy, Starting, … │ Idle (others') │ Dying │ free │
//!                                 ▲ can be killed   ▲ held until Ended
//!                                                   an environment promised to it is Planned
//! ```

use super::action::{Action, Outcome};
use super::environment::{Environment, State};
use super::ids::{Deployment, DeploymentId, EnvironmentId};
use super::index::Share;
use super::lane::Lane;
use super::pool::Pool;

impl Pool {
    /// Makes as many environments come as invocations wait, or throttles the newest of those.
    pub(super) fn balance(&mut self, deployment: DeploymentId) {
        while let Some(lane) = self.lanes.get_mut(&deployment) {
            if lane.waiting.len() < lane.coming {
                // Give up the newest one that has not been started.
                let Some(planned) = lane.planned.last().copied() else { break };
                self.remove(planned);
            } else if lane.waiting.len() > lane.coming {
                let wanted = lane.deployment;
                if self.make_room(&wanted) {
                    self.create(Environment::ordinary(wanted));
                } else if let Some(invocation) =
                    self.lanes.get_mut(&deployment).and_then(|lane| lane.waiting.pop_back())
                {
                    self.complete(invocation, wanted.function, None, Outcome::Throttled);
                }
            } else {
                break;
            }
        }
        self.drop_lane_if_empty(deployment);
    }

    /// Whether there is, or will be, room for one more; idle environments go for it, the least recently
    /// used first, but only if that helps.
    pub(super) fn make_room(&mut self, wanted: &Deployment) -> bool {
        let working = self.index.staying.without(self.index.idle);
        if !self.fits(working.with(wanted.memory_mib)) {
            return false;
        }
        while !self.fits(self.index.staying.with(wanted.memory_mib)) {
            let (_, victim) =
                self.index.resting.first_key_value().expect("all idle ones together leave room");
            self.kill(*victim);
        }
        true
    }

    /// Whether there is room for one more now, at nobody's cost.
    pub(super) fn has_room(&self, wanted: &Deployment) -> bool {
        self.fits(self.index.staying.with(wanted.memory_mib))
            && self.fits(self.index.held.with(wanted.memory_mib))
    }

    fn fits(&self, share: Share) -> bool {
        share.memory_mib <= self.limits.memory_mib && share.count <= self.limits.environments_max
    }

    /// Starts what is planned, in order, as far as memory is free.
    pub(super) fn start_planned(&mut self) {
        while let Some(id) = self.index.planned.first().copied() {
            let memory_mib = self.environments[&id].deployment.memory_mib;
            if !self.fits(self.index.held.with(memory_mib)) {
                break;
            }
            self.start(id);
        }
    }

    /// Starts an environment that is planned.
    pub(super) fn start(&mut self, id: EnvironmentId) {
        let Environment { deployment, is_provisioned, .. } = self.environments[&id];
        let patience = self.limits.init_max.max(deployment.timeout);
        let deadline = self.now.saturating_add(patience);
        self.change(id, State::Starting { since: self.now, deadline });
        self.actions.push_back(Action::Start { environment: id, deployment, is_provisioned });
    }

    /// A new environment, under a number that none had before.
    pub(super) fn create(&mut self, environment: Environment) -> EnvironmentId {
        self.next_environment += 1;
        let id = EnvironmentId(self.next_environment);
        self.index.add(id, &environment);
        let deployment = environment.deployment;
        let lane = self.lanes.entry(deployment.id).or_insert_with(|| Lane::new(deployment));
        lane.add(id, &environment);
        self.environments.insert(id, environment);
        id
    }

    /// Moves an environment on. Every change of a state comes through here.
    pub(super) fn change(&mut self, id: EnvironmentId, state: State) {
        self.alter(id, |environment| environment.state = state);
    }

    /// Has a provisioned environment be as any other: it is not kept any more.
    pub(super) fn become_ordinary(&mut self, id: EnvironmentId) {
        self.alter(id, |environment| environment.is_provisioned = false);
    }

    fn alter(&mut self, id: EnvironmentId, alter: impl FnOnce(&mut Environment)) {
        let environment = self.environments.get_mut(&id).expect("a live environment changes");
        let lane = self.lanes.get_mut(&environment.deployment.id).expect("it has a lane");
        self.index.remove(id, environment);
        lane.remove(id, environment);
        alter(environment);
        self.index.add(id, environment);
        lane.add(id, environment);
    }

    pub(super) fn remove(&mut self, id: EnvironmentId) {
        let Some(environment) = self.environments.remove(&id) else { return };
        self.index.remove(id, &environment);
        if let Some(lane) = self.lanes.get_mut(&environment.deployment.id) {
            lane.remove(id, &environment);
        }
    }

    pub(super) fn drop_lane_if_empty(&mut self, deployment: DeploymentId) {
        if self.lanes.get(&deployment).is_some_and(Lane::is_empty) {
            self.lanes.remove(&deployment);
        }
    }
}
