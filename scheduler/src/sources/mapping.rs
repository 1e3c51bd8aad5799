//! What a mapping is.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// An event source mapping, limits checked.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Mapping {
    /// A UUID.
    pub(crate) id: String,
    /// The queue's name.
    pub(crate) queue: String,
    /// The function's name and qualifier.
    pub(crate) function: String,
    pub(crate) qualifier: Option<String>,
    pub(crate) is_enabled: bool,
    /// Messages in one event, 1 to 10,000.
    pub(crate) batch_size: usize,
    /// How long to wait for a full batch, 0 to 300 s.
    pub(crate) window_s: u32,
    /// Batches at work at once, 2 to 1,000, where that is bounded.
    pub(crate) concurrency_max: Option<u32>,
    /// Patterns, as they came; a message that none of them fits is passed over.
    pub(crate) filters: Vec<String>,
    /// Whether the function says which messages failed.
    pub(crate) reports_failures: bool,
    pub(crate) modified_ms: i64,
    /// At most 50.
    pub(crate) tags: BTreeMap<String, String>,
}
