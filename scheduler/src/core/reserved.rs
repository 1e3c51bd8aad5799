//! Reserved concurrency: how many invocations of one function may be under way at once (Lambda developer guide,
//! "Configuring reserved concurrency"). It is a bound; room for that many is not kept free of others.

use super::environment::State;
use super::ids::FunctionId;
use super::pool::Pool;

impl Pool {
    pub(super) fn reserve(&mut self, function: FunctionId, limit: Option<u32>) {
        match limit {
            Some(limit) => self.reserved.insert(function, limit),
            None => self.reserved.remove(&function),
        };
    }

    /// Whether one more invocation of the function would be one too many.
    pub(super) fn is_over_reserved(&self, function: FunctionId) -> bool {
        let limit = self.reserved.get(&function);
        limit.is_some_and(|limit| self.under_way(function) >= *limit as usize)
    }

    /// Invocations of the function, all of its versions together, that wait or run.
    fn under_way(&self, function: FunctionId) -> usize {
        let lanes = self.lanes.values().filter(|lane| lane.deployment.function == function);
        let is_busy = |state: &State| matches!(state, State::Busy { .. });
        lanes
            .map(|lane| {
                let states = lane.members.iter().map(|id| &self.environments[id].state);
                lane.waiting.len() + states.filter(|state| is_busy(state)).count()
            })
            .sum()
    }
}
