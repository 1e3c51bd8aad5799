//! What the scheduler counts by: functions, deployments, environments, invocations.

use std::time::Duration;

/// One function, one version, one configuration. Whatever changes any of them makes another deployment,
/// so "reused for the same deployment only" is all that keeps functions apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeploymentId(pub u64);

/// One function, in all its versions and deployments: what concurrency is reserved for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FunctionId(pub u64);

/// One execution environment: one microVM, from the decision to start it to its end. Never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EnvironmentId(pub u64);

/// One invocation. The shell numbers them; the number is not the request id that clients see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InvocationId(pub u64);

/// What the scheduler must know of a deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deployment {
    /// Which.
    pub id: DeploymentId,
    /// Of which function.
    pub function: FunctionId,
    /// What one environment takes out of the budget, MiB.
    pub memory_mib: u64,
    /// The longest that one invocation may run.
    pub timeout: Duration,
}
