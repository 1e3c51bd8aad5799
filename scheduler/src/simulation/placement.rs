//! The core alone, as fast as it goes: placements in a pool of any size, with environments that cost no time.

use std::time::Duration;

use crate::core::{
    Action, Deployment, DeploymentId, Ending, Event, FunctionId, InvocationId, KeepAlivePolicy,
    Limits, Pool,
};

const MEMORY_MIB: u64 = 128;
const TICK: Duration = Duration::from_micros(10);

/// A full pool: one idle environment for each of its deployments, and as many deployments more that have none.
#[derive(Debug)]
pub struct Crowd {
    pool: Pool,
    now: Duration,
    environments: u64,
    invocations: u64,
    started: u64,
    /// The deployment that gets the next cold placement; those before it have an environment each.
    next_cold: u64,
}

impl Crowd {
    /// A pool of so many environments, which is more than none.
    pub fn new(environments: u64) -> Crowd {
        let limits = Limits {
            memory_mib: environments * MEMORY_MIB,
            environments_max: environments as usize,
            keep_alive: KeepAlivePolicy::LeastRecentlyUsed,
            ..Limits::default()
        };
        let mut crowd = Crowd {
            pool: Pool::new(limits),
            now: Duration::ZERO,
            environments,
            invocations: 0,
            started: 0,
            next_cold: 0,
        };
        for _ in 0..environments {
            crowd.place_cold();
        }
        crowd
    }

    /// An invocation that finds an environment, one after the other, to the next question of its runtime.
    pub fn place_warm(&mut self) {
        let place = self.invocations % self.environments;
        self.invoke(self.next_cold + self.environments + place);
    }

    /// An invocation that takes the place of the environment that was used least recently, to the next question of
    /// its runtime.
    pub fn place_cold(&mut self) {
        self.invoke(self.next_cold);
        self.next_cold = (self.next_cold + 1) % (2 * self.environments);
    }

    /// Environments alive.
    pub fn environment_count(&self) -> usize {
        self.pool.environment_count()
    }

    /// Environments that have been started so far.
    pub fn started(&self) -> u64 {
        self.started
    }

    fn invoke(&mut self, deployment: u64) {
        let deployment = Deployment {
            id: DeploymentId(deployment % (2 * self.environments)),
            function: FunctionId(deployment % (2 * self.environments)),
            memory_mib: MEMORY_MIB,
            timeout: Duration::from_secs(3),
        };
        let invocation = InvocationId(self.invocations);
        self.invocations += 1;
        self.event(Event::Invoke { invocation, deployment });
        while let Some(action) = self.pool.poll() {
            match action {
                Action::Kill { environment } => {
                    self.event(Event::Ended { environment, ending: Ending::Killed });
                }
                Action::Start { environment, .. } => {
                    self.started += 1;
                    self.event(Event::Ready { environment });
                }
                Action::Dispatch { environment, invocation, .. } => {
                    self.event(Event::Responded { environment, invocation });
                    self.event(Event::Ready { environment });
                }
                Action::Complete { .. } | Action::Stopped => {}
            }
        }
    }

    fn event(&mut self, event: Event) {
        self.now += TICK;
        self.pool.handle(event, self.now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warm_placements_start_nothing_and_cold_ones_start_one_each() {
        let mut crowd = Crowd::new(10);
        assert_eq!((crowd.environment_count(), crowd.started()), (10, 10));
        (0..25).for_each(|_| crowd.place_warm());
        assert_eq!((crowd.environment_count(), crowd.started()), (10, 10));
        (0..35).for_each(|_| crowd.place_cold());
        assert_eq!((crowd.environment_count(), crowd.started()), (10, 45));
        (0..25).for_each(|_| crowd.place_warm());
        assert_eq!(crowd.started(), 45);
    }
}
