//! Reserved concurrency: how many invocations of one function may be under way at once (Lambda developer guide,
//! "Configuring reserved concurrency"). It is a bound; room for that many is not kept free of others.

use super::ids::{Deployment, FunctionId};
use super::pool::Pool;

impl Pool {
    pub(super) fn reserve(&mut self, function: FunctionId, limit: Option<u32>) {
        match limit {
            Some(limit) => self.reserved.insert(function, limit),
            None => self.reserved.remove(&function),
        };
    }

    /// Whether one more invocation of this deployment would be one too many. Provisioned environments count whether
    /// they work or wait: what is held for one version is not there for another.
    pub(super) fn is_over_reserved(&self, deployment: &Deployment) -> bool {
        let limit = self.reserved.get(&deployment.function);
        limit.is_some_and(|limit| {
            self.under_way(deployment.function) + self.held_besides(deployment) > *limit as usize
        })
    }

    /// Invocations of the function, all of its versions together, that wait or run.
    pub(super) fn under_way(&self, function: FunctionId) -> usize {
        self.under_way.get(&function).copied().unwrap_or_default()
    }

    /// Another invocation of the function is accepted.
    pub(super) fn accept(&mut self, function: FunctionId) {
        let under_way = self.under_way.entry(function).or_default();
        *under_way += 1;
        if *under_way == 1 {
            self.keep_alive.arrived(function, self.now);
        }
    }

    /// An invocation of the function that was accepted is over.
    pub(super) fn conclude(&mut self, function: FunctionId) {
        let under_way = self.under_way.get_mut(&function).expect("it was accepted");
        *under_way -= 1;
        if *under_way == 0 {
            self.under_way.remove(&function);
            self.keep_alive.rested(function, self.now);
        }
    }
}
