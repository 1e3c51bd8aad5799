//! What must hold between any two events.

use std::collections::BTreeSet;

use super::environment::{Environment, State};
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
        let limit = self.limits.memory_mib;
        assert!(
            self.memory_mib(Environment::holds_memory) <= limit,
            "more memory held than there is"
        );
        assert!(self.memory_mib(Environment::stays) <= limit, "more memory promised than there is");
        let processes = self.environments.values().filter(|one| one.holds_memory()).count();
        assert!(processes <= self.limits.environments_max, "too many environments");
    }

    fn check_invocations(&self) {
        let mut seen = BTreeSet::new();
        let waiting = self.lanes.values().flat_map(|lane| &lane.waiting).copied();
        let running = self.environments.values().filter_map(|one| match one.state {
            State::Busy { invocation, .. } => Some(invocation),
            _ => None,
        });
        for invocation in waiting.chain(running) {
            assert!(seen.insert(invocation), "an invocation is in two places");
        }
    }

    fn check_lanes(&self) {
        for (id, environment) in &self.environments {
            let lane = self.lanes.get(&environment.deployment.id).expect("no lane");
            assert!(lane.members.contains(id), "an environment is missing in its lane");
            let is_idle = matches!(environment.state, State::Idle { .. });
            assert_eq!(lane.idle.contains(id), is_idle, "the list of idle environments is wrong");
        }
        for (id, lane) in &self.lanes {
            assert_eq!(*id, lane.deployment.id, "a lane under another's name");
            assert!(!lane.is_empty(), "a lane without use");
            assert!(lane.waiting.len() <= self.coming(*id), "an invocation waits for nothing");
            assert!(
                lane.waiting.is_empty() || lane.idle.is_empty(),
                "work and an idle environment"
            );
            for member in &lane.members {
                let environment = self.environments.get(member).expect("a member that is gone");
                assert_eq!(environment.deployment.id, *id, "an environment in another's lane");
            }
        }
    }
}
