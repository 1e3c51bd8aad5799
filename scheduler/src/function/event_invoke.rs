//! What is said of a function's asynchronous invocations, one for each qualifier.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Most retries of an event whose function fails, and as many where nothing is said.
pub const RETRIES_MAX: u32 = 2;
/// Oldest that an event may become, and as old where nothing is said: 6 h.
pub const AGE_S_MAX: u32 = 21_600;

/// FunctionEventInvokeConfig: what is absent has its default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EventInvoke {
    /// 0 to 2.
    pub retries_max: Option<u32>,
    /// 60 to 21,600.
    pub age_s_max: Option<u32>,
    /// Where records of successes go: an ARN.
    pub on_success: Option<String>,
    /// Where records of failures go: an ARN.
    pub on_failure: Option<String>,
    /// When this was said, ms since 1970.
    pub modified_ms: i64,
}

impl EventInvoke {
    /// How often an event is tried again when its function has failed.
    pub fn retries(&self) -> u32 {
        self.retries_max.unwrap_or(RETRIES_MAX)
    }

    /// How old an event may become.
    pub fn age(&self) -> Duration {
        Duration::from_secs(self.age_s_max.unwrap_or(AGE_S_MAX).into())
    }
}
