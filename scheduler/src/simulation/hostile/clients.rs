//! What clients change while everything runs: functions with versions and an alias, what is reserved for them, and what
//! of them is to be kept.
//!
//! ```text
//!   latest ── publish ─▶ versions ◀─ move ── alias
//!     │                      ▲                 ▲
//!     └─ replace, delete     └── asked: how many environments, by name; what several names ask for adds up
//! ```

use std::collections::BTreeMap;
use std::time::Duration;

use super::world::{Judgement, Phase, Process, World, holds};
use crate::core::{Deployment, DeploymentId, EnvironmentId, Event, FunctionId, InvocationId};

/// Published versions of a function at a time; the oldest is deleted for one more.
const VERSIONS_MAX: usize = 2;
/// Environments that are asked for at most, and invocations that are reserved, by one call. With the budgets of the
/// worlds, what all ask for has room in some and none in others.
const ASKED_MAX: u64 = 3;
const RESERVED_MAX: u64 = 3;

/// What environments are asked for by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Name {
    Version(DeploymentId),
    Alias,
}

/// A function, as its client knows it.
#[derive(Debug)]
pub(super) struct Function {
    id: FunctionId,
    latest: Deployment,
    /// The oldest first.
    versions: Vec<Deployment>,
    /// Which of the versions.
    alias: Option<Deployment>,
    asked: BTreeMap<Name, u32>,
}

impl Function {
    fn new(latest: Deployment, versions: Vec<Deployment>) -> Function {
        let alias = versions.first().copied();
        Function { id: latest.function, latest, versions, alias, asked: BTreeMap::new() }
    }

    /// $LATEST, and what has been published.
    fn all(&self) -> Vec<Deployment> {
        [self.latest].into_iter().chain(self.versions.iter().copied()).collect()
    }

    /// How many environments of a deployment are to be kept.
    fn wanted(&self, deployment: DeploymentId) -> u32 {
        let names = |name: &Name| match name {
            Name::Version(version) => *version == deployment,
            Name::Alias => self.alias.is_some_and(|alias| alias.id == deployment),
        };
        self.asked.iter().filter(|(name, _)| names(name)).map(|(_, count)| count).sum()
    }
}

impl World {
    /// A function with versions, the first of which its alias names.
    pub(super) fn function(&mut self, id: FunctionId) -> Function {
        let versions = (0..VERSIONS_MAX).map(|_| self.deployment(id)).collect();
        Function::new(self.deployment(id), versions)
    }

    /// Another deployment of a function.
    fn deployment(&mut self, function: FunctionId) -> Deployment {
        let id = DeploymentId(self.new_id());
        let memory_mib = 128 << self.random.below(3);
        let timeout = Duration::from_secs(1 + self.random.below(5));
        Deployment { id, function, memory_mib, timeout }
    }

    fn any(&mut self) -> usize {
        self.random.below(self.functions.len() as u64) as usize
    }

    /// What each function is now.
    pub(super) fn latest(&self) -> Vec<Deployment> {
        self.functions.iter().map(|function| function.latest).collect()
    }

    /// Any function: what its alias names, $LATEST or any other version.
    pub(super) fn any_version(&mut self) -> Deployment {
        let index = self.any();
        let Function { latest, versions, alias, .. } = &self.functions[index];
        let chosen = self.random.below(8) as usize;
        *versions.get(chosen).or(alias.as_ref().filter(|_| chosen > 4)).unwrap_or(latest)
    }

    pub(super) fn invoke(&mut self, deployment: Deployment) -> Judgement {
        let invocation = InvocationId(self.new_id());
        let is_over = self.is_over_reserved(&deployment);
        self.ask(invocation, deployment);
        self.event(Event::Invoke { invocation, deployment })?;
        let is_accepted = self.open.contains_key(&invocation);
        holds(!(is_over && is_accepted), "no more is under way than is reserved")
    }

    /// Whether one more invocation would be more than is reserved for its function. Each deployment takes what has no
    /// answer yet, or what is provisioned for it where that is more.
    pub(super) fn is_over_reserved(&self, deployment: &Deployment) -> bool {
        let Some(limit) = self.reserved.get(&deployment.function) else { return false };
        let mut taken: BTreeMap<DeploymentId, usize> = BTreeMap::from([(deployment.id, 1)]);
        let ours = |one: &Deployment| one.function == deployment.function;
        for open in self.open.values().filter(|open| ours(&open.deployment)) {
            *taken.entry(open.deployment.id).or_default() += 1;
        }
        for (one, count) in self.provisioned.values().filter(|(one, _)| ours(one)) {
            let taken = taken.entry(one.id).or_default();
            *taken = (*taken).max(*count as usize);
        }
        taken.values().sum::<usize>() > *limit as usize
    }

    /// One of the calls that change what is to run, or how much of it.
    pub(super) fn change(&mut self) -> Judgement {
        self.tally.updates += 1;
        let index = self.any();
        match self.random.below(100) {
            0..30 => self.reserve(index),
            30..55 => self.ask_for(index),
            55..80 => self.move_alias(index),
            80..86 => self.publish(index),
            86..95 => self.replace(index),
            _ => self.delete(index),
        }
    }

    fn reserve(&mut self, index: usize) -> Judgement {
        let function = self.functions[index].id;
        let limit = Some(self.random.below(RESERVED_MAX + 2) as u32);
        let limit = limit.filter(|limit| u64::from(*limit) <= RESERVED_MAX);
        match limit {
            Some(limit) => self.reserved.insert(function, limit),
            None => self.reserved.remove(&function),
        };
        self.event(Event::Reserve { function, limit })
    }

    /// More or fewer environments of a version, or of what the alias names, are to be kept.
    fn ask_for(&mut self, index: usize) -> Judgement {
        let function = &mut self.functions[index];
        let all = function.all();
        let version = all.get(self.random.below(2 * all.len() as u64) as usize);
        let (name, deployment) = match (version, function.alias) {
            (None, Some(version)) => (Name::Alias, version),
            (version, _) => {
                let version = *version.unwrap_or(&function.latest);
                (Name::Version(version.id), version)
            }
        };
        match self.random.below(ASKED_MAX + 1) as u32 {
            0 => drop(function.asked.remove(&name)),
            count => drop(function.asked.insert(name, count)),
        }
        self.tell_wanted(index, deployment)
    }

    /// The alias names another version, and what is asked for by its name comes along: the old version's go first, or
    /// the new one's come first.
    fn move_alias(&mut self, index: usize) -> Judgement {
        let function = &mut self.functions[index];
        let Some(count) = (function.versions.len() as u64).checked_sub(1) else { return Ok(()) };
        let to = function.versions[self.random.below(count + 1) as usize];
        let from = function.alias.replace(to).filter(|from| from.id != to.id);
        self.tally.moves += u64::from(from.is_some() && function.asked.contains_key(&Name::Alias));
        let mut told = [from, Some(to)];
        if self.random.below(2) == 0 {
            told.reverse();
        }
        told.into_iter().flatten().try_for_each(|one| self.tell_wanted(index, one))
    }

    /// What $LATEST is becomes a version.
    fn publish(&mut self, index: usize) -> Judgement {
        let id = DeploymentId(self.new_id());
        let function = &mut self.functions[index];
        let version = Deployment { id, ..function.latest };
        function.versions.push(version);
        if function.versions.len() <= VERSIONS_MAX {
            return Ok(());
        }
        // A version that an alias names can't be deleted.
        let in_use = function.alias.map(|alias| alias.id);
        let place = function.versions.iter().position(|one| Some(one.id) != in_use);
        let oldest = function.versions.remove(place.unwrap_or_default());
        self.retire(index, oldest)
    }

    /// A function gets new code.
    fn replace(&mut self, index: usize) -> Judgement {
        let old = self.functions[index].latest;
        self.functions[index].latest = self.deployment(old.function);
        self.retire(index, old)
    }

    /// A deployment is over. Now and then a call that set out before comes after.
    fn retire(&mut self, index: usize, old: Deployment) -> Judgement {
        self.functions[index].asked.remove(&Name::Version(old.id));
        self.provisioned.remove(&old.id);
        self.release(old.id, 0);
        self.event(Event::Retire { deployment: old.id })?;
        match self.random.below(4) {
            0 | 1 => self.invoke(old),
            2 => self.event(Event::Provision { deployment: old, count: 1 }),
            _ => Ok(()),
        }
    }

    /// A function goes, and another one comes.
    fn delete(&mut self, index: usize) -> Judgement {
        let id = FunctionId(self.new_id());
        let new = self.function(id);
        let old = std::mem::replace(&mut self.functions[index], new);
        for deployment in old.all() {
            self.provisioned.remove(&deployment.id);
            self.release(deployment.id, 0);
            self.event(Event::Retire { deployment: deployment.id })?;
        }
        self.reserved.remove(&old.id);
        self.event(Event::Forget { function: old.id })
    }

    /// Tells the pool how many environments of a deployment are to be kept, as all names together ask.
    fn tell_wanted(&mut self, index: usize, deployment: Deployment) -> Judgement {
        let count = self.functions[index].wanted(deployment.id);
        if count == 0 {
            self.provisioned.remove(&deployment.id);
        } else {
            self.provisioned.insert(deployment.id, (deployment, count));
        }
        self.release(deployment.id, count as usize);
        self.event(Event::Provision { deployment, count })
    }

    /// Nobody asks for any environment any more.
    pub(super) fn ask_for_none(&mut self) -> Judgement {
        self.functions.iter_mut().for_each(|function| function.asked.clear());
        let all: Vec<Deployment> = self.provisioned.values().map(|(one, _)| *one).collect();
        for deployment in all {
            self.provisioned.remove(&deployment.id);
            self.release(deployment.id, 0);
            self.event(Event::Provision { deployment, count: 0 })?;
        }
        Ok(())
    }

    /// Keeps so many environments of a deployment at most. Of the others, those that wait are first to go, then the
    /// newest; they are as any other from now on.
    pub(super) fn release(&mut self, deployment: DeploymentId, wanted: usize) {
        let kept = |one: &Process| one.is_kept() && one.deployment.id == deployment;
        let mut kept: Vec<(EnvironmentId, &mut Process)> = self
            .processes
            .iter_mut()
            .filter(|(_, one)| kept(one))
            .map(|(id, one)| (*id, one))
            .collect();
        kept.sort_by_key(|(id, one)| (one.phase != Phase::Waiting, std::cmp::Reverse(*id)));
        let surplus = kept.len().saturating_sub(wanted);
        kept.into_iter().take(surplus).for_each(|(_, one)| one.is_provisioned = false);
    }
}
