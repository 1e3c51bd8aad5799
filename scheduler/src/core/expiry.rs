//! What time alone changes: deadlines that pass, and environments that are due before their invocation.

use std::time::Duration;

use super::action::Outcome;
use super::environment::State;
use super::ids::EnvironmentId;
use super::pool::Pool;

impl Pool {
    /// Does what the time that has passed asks for. Each step moves an environment past its deadline or takes a
    /// pre-warming off the list, so it comes to an end.
    pub(super) fn expire(&mut self) {
        while let Some((deadline, id)) = self.index.deadlines.first().copied()
            && deadline <= self.now
        {
            self.expire_one(id);
        }
        while let Some(deployment) = self.prewarmings.take_due(self.now) {
            self.prewarm(deployment);
        }
    }

    fn expire_one(&mut self, id: EnvironmentId) {
        let environment = self.environments[&id];
        let deployment = environment.deployment;
        match environment.state {
            State::Starting { .. } => {
                self.kill(id);
                self.blame(id, Outcome::InitTimedOut);
            }
            State::Busy { invocation, .. } => {
                self.kill(id);
                self.complete(invocation, deployment.function, Some(id), Outcome::TimedOut);
            }
            State::Idle { .. } => self.kill(id),
            State::Finishing { deadline, .. } if deadline <= self.now => {
                self.kill(id);
                self.balance(deployment.id);
            }
            State::Finishing { deadline, .. } => {
                self.change(id, State::Finishing { expected: None, deadline });
                self.balance(deployment.id);
            }
            State::Planned | State::Dying => {}
        }
    }

    /// An environment that never became ready takes the invocation that waits longest with it, unless
    /// another one is on its way for that.
    pub(super) fn blame(&mut self, id: EnvironmentId, outcome: Outcome) {
        self.provisioning_failed(id);
        let deployment = self.environments[&id].deployment;
        let lane = self.lanes.get_mut(&deployment.id).expect("an environment has a lane");
        if lane.waiting.len() > lane.coming {
            let invocation = lane.waiting.pop_front().expect("more than none wait");
            self.complete(invocation, deployment.function, Some(id), outcome);
        }
        self.balance(deployment.id);
    }

    pub(super) fn find_earliest(&self) -> Option<Duration> {
        let deadline = self.index.deadlines.first().map(|(deadline, _)| *deadline);
        // Past it, there is nothing left to cut off.
        let stop = self.stopping.filter(|stop| *stop > self.now);
        [deadline, self.prewarmings.earliest(), self.next_retry(), stop].into_iter().flatten().min()
    }
}
