//! Provisioned concurrency, as clients ask for it.

use serde::{Deserialize, Serialize};

/// How many environments of a version, or of what an alias names, are to be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provisioning {
    /// From 1 on.
    pub count: u32,
    /// When that was asked for, ms since 1970.
    pub modified_ms: i64,
}
