//! The end of a pool: nothing new is accepted, what runs may end in time, the rest is cut off.

use std::time::Duration;

use super::action::{Action, Outcome};
use super::environment::{Environment, State};
use super::ids::{DeploymentId, EnvironmentId};
use super::pool::Pool;

impl Pool {
    pub(super) fn shutdown(&mut self, deadline: Duration) {
        self.stopping = Some(deadline);
        self.prewarmings.clear();
        self.unprovision(|_| true);
        let deployments: Vec<DeploymentId> = self.lanes.keys().copied().collect();
        for id in deployments {
            let lane = self.lanes.get_mut(&id).expect("balance drops no lane but its own");
            let function = lane.deployment.function;
            for invocation in std::mem::take(&mut lane.waiting) {
                self.complete(invocation, function, None, Outcome::Stopping);
            }
            self.balance(id);
        }
        self.kill_where(|state| matches!(state, State::Starting { .. } | State::Idle { .. }));
    }

    /// Cuts off what a shutdown waited for long enough, and says when nothing is left.
    pub(super) fn finish_stop(&mut self) {
        let Some(deadline) = self.stopping else { return };
        if deadline <= self.now {
            let busy = |(id, environment): (&EnvironmentId, &Environment)| match environment.state {
                State::Busy { invocation, .. } => {
                    Some((*id, environment.deployment.function, invocation))
                }
                _ => None,
            };
            let cut: Vec<_> = self.environments.iter().filter_map(busy).collect();
            for (id, function, invocation) in cut {
                self.complete(invocation, function, Some(id), Outcome::Stopping);
            }
            self.kill_where(State::stays);
        }
        if self.environments.is_empty() && !self.has_stopped {
            self.has_stopped = true;
            self.actions.push_back(Action::Stopped);
        }
    }

    fn kill_where(&mut self, which: impl Fn(&State) -> bool) {
        let found = self.environments.iter().filter(|(_, environment)| which(&environment.state));
        for id in found.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.kill(id);
        }
    }
}
