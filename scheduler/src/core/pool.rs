//! The pool of execution environments: what each event means for it.
//!
//! ```text
//!   Invoke ──▶ fewer under way than are reserved? (`reserved.rs`) ── no ─▶ OverReserved
//!                 │ yes
//!                 ▼
//!              idle environment of this deployment? ── yes ─▶ the one used last
//!                 │ no
//!                 ▼
//!              more environments on their way than invocations waiting? ── yes ─▶ wait for that
//!                 │ no
//!                 ▼
//!              memory in the budget, or held by idle environments of others? ── yes ─▶ start one, wait
//!                 │ no
//!                 ▼
//!              Throttled
//! ```
//!
//! So an invocation that waits always has an environment on its way, each with a deadline: none waits for
//! ever. The second and third question are asked again (`capacity.rs`) whenever an environment is lost.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::action::{Action, Ending, Outcome};
use super::environment::{Environment, State};
use super::event::Event;
use super::ids::{Deployment, DeploymentId, EnvironmentId, FunctionId, InvocationId};
use super::lane::Lane;
use super::limits::Limits;

/// All environments, and the invocations that wait for one.
#[derive(Debug)]
pub struct Pool {
    pub(super) limits: Limits,
    pub(super) now: Duration,
    pub(super) environments: BTreeMap<EnvironmentId, Environment>,
    pub(super) lanes: BTreeMap<DeploymentId, Lane>,
    /// Functions whose concurrency is bounded, and by how much.
    pub(super) reserved: BTreeMap<FunctionId, u32>,
    pub(super) actions: VecDeque<Action>,
    /// When time alone changes something.
    earliest: Option<Duration>,
    next_environment: u64,
    /// Set by a shutdown: when work still going on is cut off.
    stopping: Option<Duration>,
    has_stopped: bool,
}

impl Pool {
    /// A pool without environments.
    pub fn new(limits: Limits) -> Pool {
        Pool {
            limits,
            now: Duration::ZERO,
            environments: BTreeMap::new(),
            lanes: BTreeMap::new(),
            reserved: BTreeMap::new(),
            actions: VecDeque::new(),
            earliest: None,
            next_environment: 0,
            stopping: None,
            has_stopped: false,
        }
    }

    /// Takes note of what happened at `now`. A clock that runs backwards stands still here.
    pub fn handle(&mut self, event: Event, now: Duration) {
        self.now = self.now.max(now);
        if self.earliest.is_some_and(|earliest| earliest <= self.now) {
            self.expire();
        }
        match event {
            Event::Invoke { invocation, deployment } => self.invoke(invocation, deployment),
            Event::Ready { environment } => self.ready(environment),
            Event::Responded { environment, invocation } => {
                self.responded(environment, invocation);
            }
            Event::InitFailed { environment } => self.init_failed(environment),
            Event::Ended { environment, ending } => self.ended(environment, ending),
            Event::Retire { deployment } => self.retire(deployment),
            Event::Reserve { function, limit } => self.reserve(function, limit),
            Event::Shutdown { deadline } => self.shutdown(deadline),
            Event::Tick => {}
        }
        self.start_planned();
        self.finish_stop();
        self.earliest = self.find_earliest();
        #[cfg(debug_assertions)]
        self.check();
    }

    /// The next thing to do, if there is any.
    pub fn poll(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When a [`Event::Tick`] is due, at the latest.
    pub fn next_deadline(&self) -> Option<Duration> {
        self.earliest
    }

    /// Environments alive, by any measure.
    pub fn environment_count(&self) -> usize {
        self.environments.len()
    }

    fn invoke(&mut self, invocation: InvocationId, deployment: Deployment) {
        if self.stopping.is_some() {
            return self.complete(invocation, None, Outcome::Stopping);
        }
        if self.is_over_reserved(deployment.function) {
            return self.complete(invocation, None, Outcome::OverReserved);
        }
        let lane = self.lanes.entry(deployment.id).or_insert_with(|| Lane::new(deployment));
        match lane.idle.pop() {
            Some(environment) => self.dispatch(environment, invocation),
            None => {
                lane.waiting.push_back(invocation);
                self.balance(deployment.id);
            }
        }
    }

    fn ready(&mut self, id: EnvironmentId) {
        let Some(environment) = self.environments.get_mut(&id) else { return };
        if !matches!(environment.state, State::Starting { .. } | State::Finishing { .. }) {
            return;
        }
        let deployment = environment.deployment.id;
        let lane = self.lanes.get_mut(&deployment).expect("an environment has a lane");
        if let State::Starting { since, .. } = environment.state {
            lane.start_time = self.now.saturating_sub(since);
        }
        if let Some(invocation) = lane.waiting.pop_front() {
            self.dispatch(id, invocation);
        } else if lane.is_retired || self.stopping.is_some() {
            self.kill(id);
        } else {
            environment.state = State::Idle { since: self.now };
            lane.idle.push(id);
        }
        self.balance(deployment);
    }

    fn dispatch(&mut self, id: EnvironmentId, invocation: InvocationId) {
        let environment = self.environments.get_mut(&id).expect("a live environment is dispatched");
        let is_cold = std::mem::replace(&mut environment.is_new, false);
        let deadline = self.now.saturating_add(environment.deployment.timeout);
        environment.state = State::Busy { invocation, deadline };
        self.actions.push_back(Action::Dispatch { environment: id, invocation, is_cold });
    }

    fn responded(&mut self, id: EnvironmentId, answered: InvocationId) {
        let Some(environment) = self.environments.get_mut(&id) else { return };
        let State::Busy { invocation, deadline } = environment.state else { return };
        if invocation == answered {
            let lane = &self.lanes[&environment.deployment.id];
            let patience = self.limits.finishing_max.max(lane.start_time);
            let expected = self.now.saturating_add(patience);
            environment.state = State::Finishing { expected, deadline };
            self.complete(invocation, Some(id), Outcome::Answered);
        }
    }

    fn init_failed(&mut self, id: EnvironmentId) {
        let Some(environment) = self.environments.get(&id) else { return };
        if matches!(environment.state, State::Starting { .. }) {
            self.kill(id);
            self.blame(id, Outcome::InitFailed);
        }
    }

    fn ended(&mut self, id: EnvironmentId, ending: Ending) {
        let Some(environment) = self.environments.get(&id) else { return };
        let (state, deployment) = (environment.state, environment.deployment.id);
        match state {
            State::Starting { .. } => {
                // It is not on its way any more when its invocation is looked for.
                self.kill_silently(id);
                self.blame(id, Outcome::Died(ending));
            }
            State::Busy { invocation, .. } => {
                self.complete(invocation, Some(id), Outcome::Died(ending));
            }
            State::Planned | State::Idle { .. } | State::Finishing { .. } | State::Dying => {}
        }
        self.remove(id);
        self.balance(deployment);
        self.drop_lane_if_empty(deployment);
    }

    fn retire(&mut self, deployment: DeploymentId) {
        let Some(lane) = self.lanes.get_mut(&deployment) else { return };
        lane.is_retired = true;
        for id in std::mem::take(&mut lane.idle) {
            self.kill(id);
        }
    }

    fn shutdown(&mut self, deadline: Duration) {
        self.stopping = Some(deadline);
        let waiting: Vec<InvocationId> =
            self.lanes.values_mut().flat_map(|lane| lane.waiting.drain(..)).collect();
        for invocation in waiting {
            self.complete(invocation, None, Outcome::Stopping);
        }
        let deployments: Vec<DeploymentId> = self.lanes.keys().copied().collect();
        for deployment in deployments {
            self.balance(deployment);
        }
        self.kill_where(|state| matches!(state, State::Starting { .. } | State::Idle { .. }));
    }

    /// Cuts off what a shutdown waited for long enough, and says when nothing is left.
    fn finish_stop(&mut self) {
        let Some(deadline) = self.stopping else { return };
        if deadline <= self.now {
            let busy = |environment: (&EnvironmentId, &Environment)| match environment.1.state {
                State::Busy { invocation, .. } => Some((*environment.0, invocation)),
                _ => None,
            };
            for (id, invocation) in self.environments.iter().filter_map(busy).collect::<Vec<_>>() {
                self.complete(invocation, Some(id), Outcome::Stopping);
            }
            self.kill_where(|state| !matches!(state, State::Dying));
        }
        if self.environments.is_empty() && !self.has_stopped {
            self.has_stopped = true;
            self.actions.push_back(Action::Stopped);
        }
    }

    /// Does what the time that has passed asks for.
    fn expire(&mut self) {
        let due = |(id, environment): (&EnvironmentId, &Environment)| {
            // At the moment before now, so that an expectation that ends now is seen.
            let deadline = environment.deadline(Duration::ZERO, self.limits.idle_max)?;
            (deadline <= self.now).then_some(*id)
        };
        let due: Vec<EnvironmentId> = self.environments.iter().filter_map(due).collect();
        for id in due {
            self.expire_one(id);
        }
    }

    fn expire_one(&mut self, id: EnvironmentId) {
        let environment = self.environments[&id];
        match environment.state {
            State::Starting { .. } => {
                self.kill(id);
                self.blame(id, Outcome::InitTimedOut);
            }
            State::Busy { invocation, .. } => {
                self.kill(id);
                self.complete(invocation, Some(id), Outcome::TimedOut);
            }
            State::Idle { .. } => self.kill(id),
            State::Finishing { deadline, .. } => {
                if deadline <= self.now {
                    self.kill(id);
                }
                self.balance(environment.deployment.id);
            }
            State::Planned | State::Dying => {}
        }
    }

    /// An environment that never became ready takes the invocation that waits longest with it, unless
    /// another one is on its way for that.
    fn blame(&mut self, id: EnvironmentId, outcome: Outcome) {
        let deployment = self.environments[&id].deployment.id;
        let coming = self.coming(deployment);
        let lane = self.lanes.get_mut(&deployment).expect("an environment has a lane");
        if lane.waiting.len() > coming {
            let invocation = lane.waiting.pop_front().expect("more than none wait");
            self.complete(invocation, Some(id), outcome);
        }
        self.balance(deployment);
    }

    fn kill_where(&mut self, which: impl Fn(&State) -> bool) {
        let found = self.environments.iter().filter(|(_, environment)| which(&environment.state));
        for id in found.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.kill(id);
        }
    }

    pub(super) fn kill(&mut self, id: EnvironmentId) {
        self.kill_silently(id);
        self.actions.push_back(Action::Kill { environment: id });
    }

    fn kill_silently(&mut self, id: EnvironmentId) {
        let environment = self.environments.get_mut(&id).expect("a live environment is killed");
        environment.state = State::Dying;
        if let Some(lane) = self.lanes.get_mut(&environment.deployment.id) {
            lane.idle.retain(|idle| *idle != id);
        }
    }

    pub(super) fn complete(
        &mut self,
        invocation: InvocationId,
        environment: Option<EnvironmentId>,
        outcome: Outcome,
    ) {
        self.actions.push_back(Action::Complete { invocation, environment, outcome });
    }

    /// A number that no environment had before.
    pub(super) fn number_environment(&mut self) -> EnvironmentId {
        self.next_environment += 1;
        EnvironmentId(self.next_environment)
    }

    fn find_earliest(&self) -> Option<Duration> {
        let environments = self.environments.values();
        let deadlines = environments.filter_map(|one| one.deadline(self.now, self.limits.idle_max));
        // Past it, there is nothing left to cut off.
        let stop = self.stopping.filter(|stop| *stop > self.now);
        deadlines.chain(stop).min()
    }
}
