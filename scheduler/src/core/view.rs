//! The pool as others see it.

use super::environment::State;
use super::ids::EnvironmentId;
use super::pool::Pool;

/// An environment's place in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It waits for memory.
    Planned,
    /// It boots and initialises.
    Starting,
    /// It waits for an invocation.
    Idle,
    /// It runs one.
    Busy,
    /// It has answered, and has not asked for more yet.
    Finishing,
    /// It is being ended.
    Dying,
}

impl Stage {
    /// Its name, in lower case.
    pub fn name(self) -> &'static str {
        match self {
            Stage::Planned => "planned",
            Stage::Starting => "starting",
            Stage::Idle => "idle",
            Stage::Busy => "busy",
            Stage::Finishing => "finishing",
            Stage::Dying => "dying",
        }
    }
}

impl Pool {
    /// Where an environment stands; nothing for one that is gone.
    pub fn stage(&self, environment: EnvironmentId) -> Option<Stage> {
        let stage = match self.environments.get(&environment)?.state {
            State::Planned => Stage::Planned,
            State::Starting { .. } => Stage::Starting,
            State::Idle { .. } => Stage::Idle,
            State::Busy { .. } => Stage::Busy,
            State::Finishing { .. } => Stage::Finishing,
            State::Dying => Stage::Dying,
        };
        Some(stage)
    }

    /// Environments alive, by any measure.
    pub fn environment_count(&self) -> usize {
        self.environments.len()
    }

    /// Memory that environments hold, those included that are dying, MiB.
    pub fn memory_mib(&self) -> u64 {
        self.index.held.memory_mib
    }
}
