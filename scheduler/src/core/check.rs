//! What must hold between any two events.

use std::collections::{BTreeMap, BTreeSet};

use super::environment::State;
use super::ids::{DeploymentId, FunctionId};
use super::index::Index;
use super::lane::Lane;
use super::pool::Pool;

impl Pool {
    /// Panics where the pool contradicts itself. In debug builds this runs after each event.
    ///
    /// # Panics
    /// With the name of the rule that is broken.
    pub fn check(&self) {
        self.check_budget();
        self.check_invocations();
        self.check_lanes();
    }

    fn check_budget(&self) {
        let mut index = Index::default();
        self.environments.iter().for_each(|(id, environment)| index.add(*id, environment));
        assert_eq!(index, self.index, "the index (right) is not what the environments say");
        let limits = &self.limits;
        assert!(index.held.memory_mib <= limits.memory_mib, "more memory held than there is");
        assert!(
            index.staying.memory_mib <= limits.memory_mib,
            "more memory promised than there is"
        );
        assert!(index.held.count <= limits.environments_max, "too many environments");
    }

    fn check_invocations(&self) {
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
            assert!(seen.insert(invocation), "an invocation is in two places");
            *under_way.entry(function).or_default() += 1;
        }
        assert_eq!(under_way, self.under_way, "invocations under way are miscounted (right)");
    }

    fn check_lanes(&self) {
        let mut lanes: BTreeMap<DeploymentId, Lane> = BTreeMap::new();
        for (id, environment) in &self.environments {
            let deployment = environment.deployment;
            let lane = lanes.entry(deployment.id).or_insert_with(|| Lane::new(deployment));
            lane.add(*id, &environment.state);
        }
        for (id, lane) in &self.lanes {
            assert!(!lane.is_empty(), "a lane without use");
            assert!(lane.waiting.len() <= lane.coming, "an invocation waits for nothing");
            assert!(
                lane.waiting.is_empty() || lane.idle.is_empty(),
                "work and an idle environment"
            );
            assert!(lane.idle.is_empty() || !self.is_retired(*id), "a retired one is kept warm");
            // What its environments do not tell.
            let told = lanes.entry(*id).or_insert_with(|| Lane::new(lane.deployment));
            told.waiting.clone_from(&lane.waiting);
            told.start_time = lane.start_time;
        }
        assert_eq!(lanes, self.lanes, "the lanes (right) are not what the environments say");
    }
}
