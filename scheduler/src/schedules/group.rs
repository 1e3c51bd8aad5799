//! Groups of schedules.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The group of a schedule that names none; it is always there.
pub(crate) const DEFAULT: &str = "default";

/// A group, limits checked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Group {
    pub(crate) name: String,
    pub(crate) tags: BTreeMap<String, String>,
    /// Of the request that made it.
    pub(crate) client_token: Option<String>,
    pub(crate) created_ms: i64,
    pub(crate) modified_ms: i64,
}
