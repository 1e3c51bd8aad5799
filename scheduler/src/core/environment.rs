//! One execution environment, as a state machine.
//!
//! ```text
//!   Planned ─ memory is free ─▶ Starting ─ Ready ─▶ Idle ◀──── Ready ──────┐
//!      │                           │                 │ ▲                   │
//!      │                           │        Dispatch │ │ (next call)       │
//!      │                           │                 ▼ │                   │
//!      │                           │               Busy ── Responded ─▶ Finishing
//!      │                           │                 │                     │
//!      ▼ not needed any more       ▼ init error,     ▼ time-out            ▼ time-out
//!     gone ◀──────── Ended ───── Dying ◀─────────────┴─────────────────────┘
//! ```
//!
//! `Ended` leads to gone from every state in which a process exists: an environment may die at any step.

use std::time::Duration;

use super::ids::{Deployment, InvocationId};

/// An environment's place in its life. Times are in the pool's own clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Its memory is promised, but still held by environments that are dying.
    Planned,
    /// Its microVM boots and its runtime initialises.
    Starting {
        /// Since when.
        since: Duration,
        /// When that has taken too long.
        deadline: Duration,
    },
    /// Its runtime waits for an invocation.
    Idle {
        /// Its place among all that ever were idle: a greater one was used later.
        turn: u64,
        /// When it has been kept for long enough; `None` for as long as nobody wants its memory.
        until: Option<Duration>,
    },
    /// It runs this invocation.
    Busy {
        /// Which.
        invocation: InvocationId,
        /// When that has taken too long.
        deadline: Duration,
    },
    /// It has answered, and is expected to ask for more.
    Finishing {
        /// Until when new invocations wait for it rather than for a new environment; `None` once that is over.
        expected: Option<Duration>,
        /// When it has taken too long: the answered invocation's own deadline.
        deadline: Duration,
    },
    /// It is being killed.
    Dying,
}

/// An environment and what it is made for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Environment {
    pub(super) deployment: Deployment,
    pub(super) state: State,
    /// Whether it counts for its deployment's provisioned concurrency: it is kept, whoever wants its memory.
    pub(super) is_provisioned: bool,
}

impl Environment {
    /// One for an invocation, not started yet.
    pub(super) fn ordinary(deployment: Deployment) -> Environment {
        Environment { deployment, state: State::Planned, is_provisioned: false }
    }

    /// One that is to be kept, not started yet.
    pub(super) fn provisioned(deployment: Deployment) -> Environment {
        Environment { is_provisioned: true, ..Environment::ordinary(deployment) }
    }
}

impl State {
    /// Whether a process exists, so that memory is taken.
    pub(super) fn holds_memory(&self) -> bool {
        !matches!(self, State::Planned)
    }

    /// Whether it counts against the budget for good: not dying.
    pub(super) fn stays(&self) -> bool {
        !matches!(self, State::Dying)
    }

    /// Whether an invocation may wait for it.
    pub(super) fn is_coming(&self) -> bool {
        match self {
            State::Planned | State::Starting { .. } => true,
            State::Finishing { expected, .. } => expected.is_some(),
            State::Idle { .. } | State::Busy { .. } | State::Dying => false,
        }
    }

    /// When time alone changes something here.
    pub(super) fn deadline(&self) -> Option<Duration> {
        match *self {
            State::Planned | State::Dying => None,
            State::Starting { deadline, .. } | State::Busy { deadline, .. } => Some(deadline),
            State::Idle { until, .. } => until,
            State::Finishing { expected, deadline } => {
                Some(expected.map_or(deadline, |expected| expected.min(deadline)))
            }
        }
    }
}
