//! What can happen to the scheduler.

use std::time::Duration;

use super::action::Ending;
use super::ids::{Deployment, DeploymentId, EnvironmentId, FunctionId, InvocationId};

/// Something happened. Events of an environment that is dying or gone are late, not wrong: they change
/// nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A client wants this deployment to run. The number must be new.
    Invoke {
        /// The shell's number for it.
        invocation: InvocationId,
        /// What is to run.
        deployment: Deployment,
    },
    /// The environment's runtime asks for its next invocation.
    Ready {
        /// Which.
        environment: EnvironmentId,
    },
    /// The runtime gave its answer to this invocation, be it a result or an error.
    Responded {
        /// Which.
        environment: EnvironmentId,
        /// What it believes to be answering.
        invocation: InvocationId,
    },
    /// The runtime reported that it can't be initialised.
    InitFailed {
        /// Which.
        environment: EnvironmentId,
    },
    /// The environment is gone, and its memory free again.
    Ended {
        /// Which.
        environment: EnvironmentId,
        /// How.
        ending: Ending,
    },
    /// The deployment has been replaced or deleted: finish what was accepted, keep nothing warm.
    Retire {
        /// Which.
        deployment: DeploymentId,
    },
    /// So many invocations of the function may be under way at once, from now on; those that are accepted
    /// already stay.
    Reserve {
        /// Which.
        function: FunctionId,
        /// How many; `None` for as many as there is room for.
        limit: Option<u32>,
    },
    /// So many environments of the deployment are to be ready, always; of one that is retired, none.
    Provision {
        /// Which.
        deployment: Deployment,
        /// How many.
        count: u32,
    },
    /// The function has been deleted: what was learnt of it and reserved for it is gone.
    Forget {
        /// Which.
        function: FunctionId,
    },
    /// No more work is accepted; [`super::Action::Stopped`] follows when the last environment is gone.
    Shutdown {
        /// When environments still at work are killed.
        deadline: Duration,
    },
    /// Time has passed.
    Tick,
}
