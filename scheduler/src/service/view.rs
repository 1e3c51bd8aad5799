//! What an operator sees: the pool, and each environment in it.

use serde_json::{Value, json};

use super::Service;
use crate::core::{Action, Outcome};

/// What has become of invocations since the platform started.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    cold: u64,
    warm: u64,
    throttled: u64,
    over_reserved: u64,
}

impl Counts {
    /// Takes note of what is going to be done.
    pub(super) fn count(&mut self, action: &Action) {
        match action {
            Action::Dispatch { is_cold: true, .. } => self.cold += 1,
            Action::Dispatch { is_cold: false, .. } => self.warm += 1,
            Action::Complete { outcome: Outcome::Throttled, .. } => self.throttled += 1,
            Action::Complete { outcome: Outcome::OverReserved, .. } => self.over_reserved += 1,
            _ => {}
        }
    }
}

impl Service {
    /// The environments that are alive, oldest first, and the pool that they are in.
    pub(crate) fn environments(&self) -> Value {
        let state = self.lock();
        let mut found: Vec<_> = state.environments.iter().collect();
        found.sort_unstable_by_key(|(id, _)| **id);
        let shown = found.into_iter().map(|(id, environment)| {
            let (moments, stream) = environment.moments();
            json!({
                "Environment": id.0,
                "FunctionName": environment.function,
                "Version": environment.version.to_string(),
                "State": state.pool.stage(*id).map(|stage| stage.name()),
                "MemorySize": environment.memory_mib,
                "ResidentBytes": environment.memory_used_max(),
                "AgeMs": environment.age().as_millis() as u64,
                "LogStreamName": stream,
                "MomentsNs": moments.json(),
            })
        });
        let Counts { cold, warm, throttled, over_reserved } = state.counts;
        json!({
            "Environments": shown.collect::<Vec<_>>(),
            "Pool": {
                "KeepAlive": self.limits.keep_alive.to_string(),
                "MemoryMiB": state.pool.memory_mib(),
                "MemoryMaxMiB": self.limits.memory_mib,
                "EnvironmentsMax": self.limits.environments_max,
                "Invocations": {
                    "Cold": cold,
                    "Warm": warm,
                    "Throttled": throttled,
                    "OverReserved": over_reserved,
                },
            },
        })
    }
}
