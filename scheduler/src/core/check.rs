//! What must hold between any two events.
//!
//! Nothing here trusts what the pool keeps up as it goes: sums, orders and lanes are made anew from the
//! environments, and compared.

use std::collections::{BTreeMap, BTreeSet};

use super::environment::State;
use super::ids::{DeploymentId, FunctionId};
use super::index::Index;
use super::lane::Lane;
use super::pool::Pool;

/// A rule that does not hold, in words.
pub type Rule = &'static str;

impl Pool {
    /// Looks for a contradiction in all that the pool knows. In debug builds this runs after each event.
    ///
    /// # Errors
    /// The rule that is broken.
    pub fn check(&self) -> Result<(), Rule> {
        self.check_budget()?;
        self.check_invocations()?;
        self.check_lanes()
    }

    fn check_budget(&self) -> Result<(), Rule> {
        let mut index = Index::default();
        self.environments.iter().for_each(|(id, environment)| index.add(*id, environment));
        holds(index == self.index, "the index is what the environments say")?;
        let limits = &self.limits;
        holds(index.held.memory_mib <= limits.memory_mib, "no more memory is held than there is")?;
        holds(
            index.staying.memory_mib <= limits.memory_mib,
            "no more memory is promised than there is",
        )?;
        holds(index.held.count <= limits.environments_max, "there are not too many environments")
    }

    fn check_invocations(&self) -> Result<(), Rule> {
        let mut seen = BTreeSet::new();
        let mut under_way: BTreeMap<FunctionId, usize> = BTreeMap::new();
        let waiting = self.lanes.values().flat_map(|lane| {
            lane.waiting.iter().map(|invocation| (lane.deployment.function, *invocation))
        });
        let running = self.environments.values().filter_map(|one| match one.state {
            State::Busy { invocation, .. } => Some((one.deployment.function, invocation)),
            _ => None,
        });
        for (function, invocation) in waiting.chain(running) {
            holds(seen.insert(invocation), "an invocation is in one place")?;
            *under_way.entry(function).or_default() += 1;
        }
        holds(under_way == self.under_way, "invocations under way are counted rightly")
    }

    fn check_lanes(&self) -> Result<(), Rule> {
        let mut lanes: BTreeMap<DeploymentId, Lane> = BTreeMap::new();
        for (id, environment) in &self.environments {
            let deployment = environment.deployment;
            let lane = lanes.entry(deployment.id).or_insert_with(|| Lane::new(deployment));
            lane.add(*id, environment);
        }
        for (id, lane) in &self.lanes {
            let (waits, idles) = (!lane.waiting.is_empty(), !lane.idle.is_empty());
            holds(!lane.is_empty(), "each lane has a use")?;
            holds(lane.waiting.len() <= lane.coming, "no invocation waits for nothing")?;
            holds(!(waits && idles), "no invocation waits beside an idle environment")?;
            holds(!(idles && self.is_retired(*id)), "nothing that is retired is kept warm")?;
            let wanted = self.targets.get(id).map_or(0, |target| target.wanted);
            holds(lane.provisioned.len() <= wanted, "no more is provisioned than is wanted")?;
            // What its environments do not tell.
            let told = lanes.entry(*id).or_insert_with(|| Lane::new(lane.deployment));
            told.waiting.clone_from(&lane.waiting);
            told.start_time = lane.start_time;
        }
        holds(lanes == self.lanes, "the lanes are what the environments say")
    }
}

fn holds(condition: bool, rule: Rule) -> Result<(), Rule> {
    if condition { Ok(()) } else { Err(rule) }
}
