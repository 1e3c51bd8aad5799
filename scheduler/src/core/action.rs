//! What the scheduler wants done.

use super::ids::{Deployment, EnvironmentId, InvocationId};

/// Something to do. None of them may fail in silence: each is answered by an event, or ends a matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Start an environment, for an invocation that waits or for one that is expected. Answered by `Ready`, `InitFailed` or `Ended`.
    Start {
        /// The new environment's number.
        environment: EnvironmentId,
        /// What runs in it.
        deployment: Deployment,
        /// Whether it is started to be kept, for nobody in particular.
        is_provisioned: bool,
    },
    /// Answer the environment's waiting `next`. Answered by `Responded` or `Ended`.
    Dispatch {
        /// Who runs it.
        environment: EnvironmentId,
        /// What it runs.
        invocation: InvocationId,
        /// Whether the client waited for the environment's start.
        is_cold: bool,
    },
    /// Destroy an environment. Answered by `Ended`, whatever state the environment is in.
    Kill {
        /// Which.
        environment: EnvironmentId,
    },
    /// Answer the client. Comes exactly once for each invocation.
    Complete {
        /// Which.
        invocation: InvocationId,
        /// Where it ran or was to run, if it came to that.
        environment: Option<EnvironmentId>,
        /// With what.
        outcome: Outcome,
    },
    /// The last environment is gone after a shutdown.
    Stopped,
}

/// How an invocation went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The runtime answered; the shell holds the answer.
    Answered,
    /// It ran for longer than its function's time-out.
    TimedOut,
    /// Its environment did not become ready in time.
    InitTimedOut,
    /// The runtime reported that it can't be initialised; the shell holds what it said.
    InitFailed,
    /// Its environment ended before it was answered.
    Died(Ending),
    /// It was not accepted: environments at work take the whole budget.
    Throttled,
    /// It was not accepted: as many of its function's invocations are under way as are reserved for it.
    OverReserved,
    /// The service went down before it was answered.
    Stopping,
}

/// How an environment ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Its program exited with this status.
    Exited(u8),
    /// This signal killed its program.
    Signaled(u8),
    /// The code has nothing that can be run.
    InvalidEntrypoint,
    /// The host failed.
    Failed,
    /// The scheduler wanted it so.
    Killed,
}
