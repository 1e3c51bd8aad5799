//! Who may have memory: keeps each deployment's environments in balance with the invocations that wait.
//!
//! ```text
//!   budget  │ Busy, Starting, … │ Idle (others') │ Dying │ free │
//!                                 ▲ can be killed   ▲ held until Ended
//!                                                   an environment promised to it is Planned
//! ```

use std::time::Duration;

use super::action::{Action, Outcome};
use super::environment::{Environment, State};
use super::ids::{Deployment, DeploymentId, EnvironmentId};
use super::pool::Pool;

impl Pool {
    /// How many environments of this deployment are on their way to an invocation.
    pub(super) fn coming(&self, deployment: DeploymentId) -> usize {
        let members = self.lanes.get(&deployment).into_iter().flat_map(|lane| &lane.members);
        members.filter(|id| self.environments[*id].is_coming(self.now)).count()
    }

    /// Makes as many environments come as invocations wait, or throttles the newest of those.
    pub(super) fn balance(&mut self, deployment: DeploymentId) {
        let mut coming = self.coming(deployment);
        while let Some(lane) = self.lanes.get_mut(&deployment) {
            if lane.waiting.len() < coming {
                if !self.drop_planned(deployment) {
                    break;
                }
                coming -= 1;
            } else if lane.waiting.len() > coming {
                let wanted = lane.deployment;
                if self.make_room(&wanted) {
                    self.plan(wanted);
                    coming += 1;
                } else if let Some(invocation) =
                    self.lanes.get_mut(&deployment).and_then(|lane| lane.waiting.pop_back())
                {
                    self.complete(invocation, None, Outcome::Throttled);
                }
            } else {
                break;
            }
        }
        self.drop_lane_if_empty(deployment);
    }

    /// Whether there is, or will be, room for one more; idle environments go for it, the least recently
    /// used first, but only if that helps.
    fn make_room(&mut self, wanted: &Deployment) -> bool {
        let mut staying = self.environments.values().filter(|one| one.stays()).count();
        let mut memory_mib = self.memory_mib(Environment::stays);
        let mut idle: Vec<(Duration, EnvironmentId)> = self
            .environments
            .iter()
            .filter_map(|(id, one)| Some((idle_since(one)?, *id)))
            .collect();
        let idle_mib: u64 =
            idle.iter().map(|(_, id)| self.environments[id].deployment.memory_mib).sum();
        if memory_mib - idle_mib + wanted.memory_mib > self.limits.memory_mib
            || staying - idle.len() >= self.limits.environments_max
        {
            return false;
        }
        idle.sort_unstable();
        let mut victims = idle.into_iter();
        while memory_mib + wanted.memory_mib > self.limits.memory_mib
            || staying >= self.limits.environments_max
        {
            let (_, victim) = victims.next().expect("all idle ones together leave room");
            memory_mib -= self.environments[&victim].deployment.memory_mib;
            staying -= 1;
            self.kill(victim);
        }
        true
    }

    fn plan(&mut self, deployment: Deployment) {
        let id = self.number_environment();
        let planned = Environment { deployment, state: State::Planned, is_new: true };
        self.environments.insert(id, planned);
        let lane = self.lanes.get_mut(&deployment.id).expect("whoever waits has a lane");
        lane.members.insert(id);
    }

    /// Starts what is planned, in order, as far as memory is free.
    pub(super) fn start_planned(&mut self) {
        let planned = |one: &Environment| matches!(one.state, State::Planned);
        let ids: Vec<EnvironmentId> =
            self.environments.iter().filter(|(_, one)| planned(one)).map(|(id, _)| *id).collect();
        if ids.is_empty() {
            return;
        }
        let mut held_mib = self.memory_mib(Environment::holds_memory);
        let mut processes = self.environments.len() - ids.len();
        for id in ids {
            let deployment = self.environments[&id].deployment;
            held_mib += deployment.memory_mib;
            processes += 1;
            if held_mib > self.limits.memory_mib || processes > self.limits.environments_max {
                break;
            }
            let patience = self.limits.init_max.max(deployment.timeout);
            let state =
                State::Starting { since: self.now, deadline: self.now.saturating_add(patience) };
            self.environments.entry(id).and_modify(|one| one.state = state);
            self.actions.push_back(Action::Start { environment: id, deployment });
        }
    }

    /// Gives up the newest environment of this deployment that has not been started.
    fn drop_planned(&mut self, deployment: DeploymentId) -> bool {
        let members = self.lanes.get(&deployment).into_iter().flat_map(|lane| &lane.members);
        let mut planned = members.filter(|id| self.environments[*id].state == State::Planned);
        let Some(id) = planned.next_back().copied() else { return false };
        self.remove(id);
        true
    }

    pub(super) fn remove(&mut self, id: EnvironmentId) {
        let Some(environment) = self.environments.remove(&id) else { return };
        if let Some(lane) = self.lanes.get_mut(&environment.deployment.id) {
            lane.members.remove(&id);
            lane.idle.retain(|idle| *idle != id);
        }
    }

    pub(super) fn drop_lane_if_empty(&mut self, deployment: DeploymentId) {
        if self.lanes.get(&deployment).is_some_and(|lane| lane.is_empty()) {
            self.lanes.remove(&deployment);
        }
    }

    /// Memory of the environments for which `which` holds, MiB.
    pub(super) fn memory_mib(&self, which: impl Fn(&Environment) -> bool) -> u64 {
        let chosen = self.environments.values().filter(|environment| which(environment));
        chosen.map(|environment| environment.deployment.memory_mib).sum()
    }
}

fn idle_since(environment: &Environment) -> Option<Duration> {
    match environment.state {
        State::Idle { since } => Some(since),
        _ => None,
    }
}
