//! Provisioned concurrency: what the pool is to keep, and how far it has come.

use std::sync::Arc;

use super::{Service, deployment_of};
use crate::core::{DeploymentId, Event, Provisioned};
use crate::function::Function;

impl Service {
    /// Keeps so many environments of these versions, from now on. What `wanted` says is asked while nobody else can
    /// say another thing, so the last one to have changed it has the last word.
    pub(crate) fn provision(&self, wanted: impl FnOnce() -> Vec<(Arc<Function>, u32)>) {
        let mut state = self.lock();
        for (function, count) in wanted() {
            let deployment = deployment_of(&function);
            if count > 0 && !state.pool.is_retired(deployment.id) {
                state.functions.entry(deployment.id).or_insert(function);
            }
            self.handle_locked(&mut state, Event::Provision { deployment, count });
        }
    }

    /// How far the environments of a deployment have come.
    pub(crate) fn provisioned(&self, deployment: u64) -> Provisioned {
        self.lock().pool.provisioned(DeploymentId(deployment))
    }

    /// Memory for all environments together, MiB.
    pub(crate) fn memory_max(&self) -> u64 {
        self.limits.memory_mib
    }
}
