//! Whether what the pool wants done is right, by what is true in the world.

use std::collections::BTreeMap;

use super::world::{Judgement, Open, Phase, Process, World, holds};
use crate::core::{Action, DeploymentId, EnvironmentId, InvocationId, KeepAlivePolicy, Outcome};

impl World {
    pub(super) fn judge(&mut self, action: Action) -> Judgement {
        match action {
            Action::Start { environment, deployment, is_provisioned } => {
                holds(!self.is_stopping, "nothing is started after a shutdown")?;
                let waits = |open: &Open| open.deployment == deployment && !open.is_dispatched;
                if is_provisioned {
                    self.tally.provisioned += 1;
                    let wanted =
                        self.provisioned.get(&deployment.id).map_or(0, |(_, count)| *count);
                    let have = self.pool.provisioned(deployment.id);
                    let is_wanted = wanted > 0 && have.wanted == wanted as usize;
                    holds(is_wanted, "what is started to be kept is to be kept")?;
                } else if !self.open.values().any(waits) {
                    self.tally.started_ahead += 1;
                    let may = self.limits.keep_alive == KeepAlivePolicy::Hybrid
                        && !self.pool.is_retired(deployment.id);
                    holds(may, "an environment is started for somebody")?;
                }
                let phase = Phase::Booting;
                let (since, is_killed) = (self.now, false);
                let process = Process { deployment, phase, since, is_killed, is_provisioned };
                let before = self.processes.insert(environment, process);
                holds(before.is_none(), "an environment's number is new")
            }
            Action::Dispatch { environment, invocation, .. } => {
                self.judge_dispatch(environment, invocation)
            }
            Action::Kill { environment } => {
                let process = self.processes.get_mut(&environment);
                let process = process.ok_or("only what is alive is killed")?;
                holds(!process.is_killed, "nothing is killed twice")?;
                let is_kept = process.is_provisioned && process.phase == Phase::Waiting;
                process.is_killed = true;
                holds(!is_kept || self.is_stopping, "what is to be kept is not taken for others")
            }
            Action::Complete { invocation, environment, outcome } => {
                let open = self.open.remove(&invocation);
                let open = open.ok_or("an outcome comes once, for what was asked")?;
                self.judge_outcome(invocation, &open, environment, outcome)
            }
            Action::Stopped => {
                let is_over = self.processes.is_empty() && self.open.is_empty();
                holds(is_over && self.is_stopping, "it has stopped when all is over")?;
                holds(!self.has_stopped, "it stops once")?;
                self.has_stopped = true;
                Ok(())
            }
        }
    }

    fn judge_dispatch(
        &mut self,
        environment: EnvironmentId,
        invocation: InvocationId,
    ) -> Judgement {
        self.tally.dispatched += 1;
        let process = self.processes.get_mut(&environment).ok_or("somebody is dispatched to")?;
        let open = self.open.get_mut(&invocation).ok_or("what is dispatched was asked for")?;
        holds(!process.is_killed, "nothing is dispatched to the dying")?;
        holds(process.phase == Phase::Waiting, "an environment has one invocation at a time")?;
        holds(process.deployment == open.deployment, "an environment is of one deployment")?;
        holds(!open.is_dispatched, "an invocation is dispatched once")?;
        open.is_dispatched = true;
        (process.phase, process.since) = (Phase::Running(invocation), self.now);
        Ok(())
    }

    fn judge_outcome(
        &mut self,
        invocation: InvocationId,
        open: &Open,
        environment: Option<EnvironmentId>,
        outcome: Outcome,
    ) -> Judgement {
        let process = environment.and_then(|environment| self.processes.get(&environment));
        match outcome {
            Outcome::Answered => {
                let process = process.ok_or("somebody has answered")?;
                holds(process.phase == Phase::Answered, "who is said to have answered has")
            }
            Outcome::TimedOut => {
                self.tally.time_outs += 1;
                let process = process.ok_or("somebody has taken too long")?;
                let is_its = process.phase == Phase::Running(invocation);
                let is_over = self.now - process.since >= open.deployment.timeout;
                holds(is_its && is_over, "who is said to have taken too long has")
            }
            Outcome::InitTimedOut => {
                self.tally.time_outs += 1;
                holds(!open.is_dispatched, "who waits for a start does not run")
            }
            Outcome::Throttled => {
                self.tally.refused += 1;
                holds(
                    !open.is_dispatched && self.is_full(open),
                    "whoever is throttled finds no room",
                )
            }
            Outcome::OverReserved => {
                self.tally.refused += 1;
                let is_over = self.is_over_reserved(&open.deployment);
                holds(is_over, "whoever is over a bound has one")
            }
            Outcome::Stopping => holds(self.is_stopping, "whoever is told of a shutdown sees one"),
            Outcome::InitFailed | Outcome::Died(_) => Ok(()),
        }
    }

    /// Whether one more had no room. Some memory may be promised to environments that wait for room: as much as
    /// others that are not answered want, at most; the budget itself is `Pool::check`'s matter.
    fn is_full(&self, open: &Open) -> bool {
        let works = |process: &&Process| {
            let is_kept = process.is_provisioned || process.phase != Phase::Waiting;
            !process.is_killed && is_kept
        };
        let working = self.processes.values().filter(works);
        let taken: u64 = working.clone().map(|one| one.deployment.memory_mib).sum();
        let promised: u64 = self.open.values().map(|one| one.deployment.memory_mib).sum();
        taken + promised + open.deployment.memory_mib > self.limits.memory_mib
            || working.count() + self.open.len() >= self.limits.environments_max
    }

    pub(super) fn judge_state(&self) -> Judgement {
        let held: u64 = self.processes.values().map(|process| process.deployment.memory_mib).sum();
        holds(held <= self.limits.memory_mib, "the machine has the memory")?;
        holds(held == self.pool.memory_mib(), "the pool knows what is held")?;
        let count = self.processes.len();
        holds(count <= self.limits.environments_max, "there are not too many processes")?;
        let is_within = self.open.len() <= self.limits.environments_max;
        holds(is_within, "no more is under way than may be at work at once")?;
        self.judge_kept()?;
        for process in self.processes.values().filter(|process| !process.is_killed) {
            let age = self.now - process.since;
            match process.phase {
                Phase::Running(_) => {
                    holds(age < process.deployment.timeout, "nothing runs for too long")?;
                }
                Phase::Waiting => {
                    let is_retired = self.pool.is_retired(process.deployment.id);
                    holds(!is_retired && !self.is_stopping, "nothing idle outlives its use")?;
                }
                Phase::Booting | Phase::Answered => {}
            }
        }
        Ok(())
    }

    /// No more is kept than is wanted, and what is kept is what the pool says.
    fn judge_kept(&self) -> Judgement {
        let mut kept: BTreeMap<DeploymentId, (usize, usize)> = BTreeMap::new();
        for process in self.processes.values().filter(|process| process.is_kept()) {
            let (count, ready) = kept.entry(process.deployment.id).or_default();
            *count += 1;
            *ready += usize::from(process.phase != Phase::Booting);
        }
        for (deployment, (_, wanted)) in &self.provisioned {
            let (count, ready) = kept.get(deployment).copied().unwrap_or_default();
            holds(count <= *wanted as usize, "no more is kept than is wanted")?;
            let told = self.pool.provisioned(*deployment).allocated;
            holds(told == ready, "the pool knows what is kept")?;
        }
        Ok(())
    }
}
