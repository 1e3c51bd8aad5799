//! What the pool must stay within.

use std::time::Duration;

use super::keep_alive::KeepAlivePolicy;

/// Bounds and patience of a [`super::Pool`].
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Memory for all environments together, MiB.
    pub memory_mib: u64,
    /// Environments alive at once. Since each invocation that waits has an environment on its way to it,
    /// this bounds the waiting ones too.
    pub environments_max: usize,
    /// What becomes of an environment without work.
    pub keep_alive: KeepAlivePolicy,
    /// How long an environment may take to become ready, where its function's time-out is not longer.
    pub init_max: Duration,
    /// How long an environment that has answered is expected to ask for more: until then, and for as long as
    /// the last start took, a new invocation waits for it, since that is sooner than any start.
    pub finishing_max: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            memory_mib: 4096,
            environments_max: 1024,
            keep_alive: KeepAlivePolicy::default(),
            // The Lambda developer guide, "Lambda execution environment lifecycle": Init is limited to 10 s.
            init_max: Duration::from_secs(10),
            finishing_max: Duration::from_millis(20),
        }
    }
}
