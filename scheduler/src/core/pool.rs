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

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use super::action::{Action, Ending, Outcome};
use super::environment::{Environment, State};
use super::event::Event;
use super::ids::{Deployment, DeploymentId, EnvironmentId, FunctionId, InvocationId};
use super::index::Index;
use super::keep_alive::KeepAlive;
use super::lane::Lane;
use super::limits::Limits;
use super::provisioned::Targets;
use super::warmth::Prewarmings;

/// So many retired deployments are remembered, the newest: an invocation that set out before its deployment was
/// replaced comes within moments.
const RETIRED_MAX: usize = 4096;

/// All environments, and the invocations that wait for one.
#[derive(Debug)]
pub struct Pool {
    pub(super) limits: Limits,
    pub(super) keep_alive: Box<dyn KeepAlive>,
    pub(super) now: Duration,
    pub(super) environments: BTreeMap<EnvironmentId, Environment>,
    pub(super) index: Index,
    pub(super) lanes: BTreeMap<DeploymentId, Lane>,
    /// Invocations that wait or run, of functions that have any.
    pub(super) under_way: BTreeMap<FunctionId, usize>,
    /// Functions whose concurrency is bounded, and by how much.
    pub(super) reserved: BTreeMap<FunctionId, u32>,
    pub(super) prewarmings: Prewarmings,
    /// How many environments are to be kept, of deployments of which any are.
    pub(super) targets: Targets,
    /// Deployments of which nothing is kept warm.
    retired: BTreeSet<DeploymentId>,
    pub(super) actions: VecDeque<Action>,
    /// When time alone changes something.
    earliest: Option<Duration>,
    pub(super) next_environment: u64,
    pub(super) next_turn: u64,
    /// Set by a shutdown: when work still going on is cut off.
    pub(super) stopping: Option<Duration>,
    pub(super) has_stopped: bool,
}

impl Pool {
    /// A pool without environments.
    pub fn new(limits: Limits) -> Pool {
        Pool {
            limits,
            keep_alive: limits.keep_alive.policy(),
            now: Duration::ZERO,
            environments: BTreeMap::new(),
            index: Index::default(),
            lanes: BTreeMap::new(),
            under_way: BTreeMap::new(),
            reserved: BTreeMap::new(),
            prewarmings: Prewarmings::default(),
            targets: Targets::new(),
            retired: BTreeSet::new(),
            actions: VecDeque::new(),
            earliest: None,
            next_environment: 0,
            next_turn: 0,
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
            Event::Provision { deployment, count } => self.provision(deployment, count),
            Event::Forget { function } => self.forget(function),
            Event::Shutdown { deadline } => self.shutdown(deadline),
            Event::Tick => {}
        }
        self.start_planned();
        self.fill_provisioned();
        self.finish_stop();
        self.earliest = self.find_earliest();
        debug_assert_eq!(self.check(), Ok(()));
    }

    /// The next thing to do, if there is any.
    pub fn poll(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When a [`Event::Tick`] is due, at the latest.
    pub fn next_deadline(&self) -> Option<Duration> {
        self.earliest
    }

    /// Whether the deployment has been replaced or deleted.
    pub fn is_retired(&self, deployment: DeploymentId) -> bool {
        self.retired.contains(&deployment)
    }

    fn invoke(&mut self, invocation: InvocationId, deployment: Deployment) {
        let refused = |outcome| Action::Complete { invocation, environment: None, outcome };
        if self.stopping.is_some() {
            return self.actions.push_back(refused(Outcome::Stopping));
        }
        if self.is_over_reserved(&deployment) {
            return self.actions.push_back(refused(Outcome::OverReserved));
        }
        self.accept(deployment.function);
        self.prewarmings.cancel(deployment.id);
        let lane = self.lanes.entry(deployment.id).or_insert_with(|| Lane::new(deployment));
        match lane.idle.last_key_value().map(|(_, environment)| *environment) {
            Some(environment) => self.dispatch(environment, invocation, false),
            None => {
                lane.waiting.push_back(invocation);
                self.balance(deployment.id);
            }
        }
    }

    fn ready(&mut self, id: EnvironmentId) {
        let Some(environment) = self.environments.get(&id) else { return };
        let (deployment, is_provisioned) = (environment.deployment.id, environment.is_provisioned);
        let lane = self.lanes.get_mut(&deployment).expect("an environment has a lane");
        let is_new = match environment.state {
            State::Starting { since, .. } => {
                lane.start_time = self.now.saturating_sub(since);
                true
            }
            State::Finishing { .. } => false,
            _ => return,
        };
        let waiting = lane.waiting.pop_front();
        if is_new && is_provisioned {
            self.provisioning_succeeded(deployment);
        }
        if let Some(invocation) = waiting {
            self.dispatch(id, invocation, is_new);
        } else if self.is_retired(deployment) || self.stopping.is_some() {
            self.kill(id);
        } else {
            self.rest(id, !is_new);
        }
        self.balance(deployment);
    }

    fn dispatch(&mut self, id: EnvironmentId, invocation: InvocationId, is_cold: bool) {
        let timeout = self.environments[&id].deployment.timeout;
        let deadline = self.now.saturating_add(timeout);
        self.change(id, State::Busy { invocation, deadline });
        self.actions.push_back(Action::Dispatch { environment: id, invocation, is_cold });
    }

    fn responded(&mut self, id: EnvironmentId, answered: InvocationId) {
        let Some(environment) = self.environments.get(&id) else { return };
        let State::Busy { invocation, deadline } = environment.state else { return };
        if invocation == answered {
            let deployment = environment.deployment;
            let patience = self.limits.finishing_max.max(self.lanes[&deployment.id].start_time);
            let expected = Some(self.now.saturating_add(patience));
            self.change(id, State::Finishing { expected, deadline });
            self.complete(invocation, deployment.function, Some(id), Outcome::Answered);
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
        let (state, deployment) = (environment.state, environment.deployment);
        match state {
            State::Starting { .. } => {
                // It is not on its way any more when its invocation is looked for.
                self.change(id, State::Dying);
                self.blame(id, Outcome::Died(ending));
            }
            State::Busy { invocation, .. } => {
                let outcome = Outcome::Died(ending);
                self.complete(invocation, deployment.function, Some(id), outcome);
            }
            State::Idle { .. } => self.provisioning_failed(id),
            State::Planned | State::Finishing { .. } | State::Dying => {}
        }
        self.remove(id);
        self.balance(deployment.id);
        self.drop_lane_if_empty(deployment.id);
    }

    fn retire(&mut self, deployment: DeploymentId) {
        self.retired.insert(deployment);
        if self.retired.len() > RETIRED_MAX {
            self.retired.pop_first();
        }
        self.prewarmings.cancel(deployment);
        if let Some(target) = self.targets.get(&deployment) {
            self.provision(target.deployment, 0);
        }
        self.kill_idle(deployment, |_| true);
    }

    fn forget(&mut self, function: FunctionId) {
        self.reserved.remove(&function);
        self.unprovision(|one| one == function);
        self.keep_alive.forget(function);
    }

    pub(super) fn kill(&mut self, id: EnvironmentId) {
        self.change(id, State::Dying);
        self.actions.push_back(Action::Kill { environment: id });
    }

    /// Ends an invocation that was accepted.
    pub(super) fn complete(
        &mut self,
        invocation: InvocationId,
        function: FunctionId,
        environment: Option<EnvironmentId>,
        outcome: Outcome,
    ) {
        self.conclude(function);
        self.actions.push_back(Action::Complete { invocation, environment, outcome });
    }
}
