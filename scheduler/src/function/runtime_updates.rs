//! When a version's runtime is updated (Lambda developer guide, "Understanding how Lambda manages runtime version
//! updates"). A runtime here is an image that is built once, so the wish is kept, and nothing follows from it.

use serde::{Deserialize, Serialize};

/// What a client wants of a version's runtime.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuntimeUpdates {
    /// When.
    pub on: UpdateRuntimeOn,
    /// The one runtime version that it is to keep, by its ARN; only where updates are manual.
    pub runtime_version_arn: Option<String>,
}

/// When a runtime is updated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum UpdateRuntimeOn {
    /// When there is a new one.
    #[default]
    Auto,
    /// When its client says so.
    Manual,
    /// When its function is changed.
    FunctionUpdate,
}
