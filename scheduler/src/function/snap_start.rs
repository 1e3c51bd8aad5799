//! Whether published versions are to start from a snapshot (Lambda developer guide, "Improving startup performance with
//! Lambda SnapStart").

use serde::{Deserialize, Serialize};

/// SnapStart's ApplyOn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum SnapStart {
    /// Never.
    #[default]
    None,
    /// Those that are published.
    PublishedVersions,
}
