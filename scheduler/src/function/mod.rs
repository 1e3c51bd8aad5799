//! What a function is: its configuration as clients set it, and what the platform adds.
//!
//! ```text
//!   Entry  ├─ latest   ── Function, version $LATEST: what updates change
//!          ├─ versions ── Function, versions 1, 2, …: copies that never change
//!          └─ settings
//! ```

mod alias;
mod entry;
mod event_invoke;
mod logging;
mod provisioning;
mod recursive_loop;
mod runtime_updates;
mod snap_start;
mod tracing;
mod url;
mod url_form;
mod version;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::layer::LayerUse;
use crate::logs::group;

pub use alias::Alias;
pub use entry::{Entry, Settings};
pub use event_invoke::{AGE_S_MAX, EventInvoke, RETRIES_MAX};
pub use logging::{LogFormat, LogLevel, Logging};
pub use provisioning::Provisioning;
pub use recursive_loop::RecursiveLoop;
pub use runtime_updates::{RuntimeUpdates, UpdateRuntimeOn};
pub use snap_start::SnapStart;
pub use tracing::Tracing;
pub use url::{AuthType, Cors, FunctionUrl, InvokeMode};
pub use url_form::UrlForm;
pub use version::{LATEST, Version};

/// What a client decides about a function, defaults filled in and limits checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Configuration {
    /// 1–64 of `[a-zA-Z0-9-_]`.
    pub name: String,
    /// Lambda's name of it, such as `provided.al2023` or `python3.11`.
    pub runtime: String,
    /// ARN of the execution role.
    pub role: String,
    /// Passed to the runtime as `_HANDLER`.
    pub handler: String,
    /// At most 256 characters.
    pub description: String,
    /// 1–900.
    pub timeout_s: u32,
    /// 128–10,240.
    pub memory_mib: u32,
    /// Size of /tmp, 512–10,240.
    pub tmp_mib: u32,
    /// Environment variables, 4 KB together.
    pub variables: BTreeMap<String, String>,
    /// Whether there was something said of them: then they are told, even where there are none.
    #[serde(default)]
    pub has_environment: bool,
    /// At most five, in the order of their merging into /opt.
    #[serde(default)]
    pub layers: Vec<LayerUse>,
    /// Where events go whose asynchronous invocations have failed for good: a queue's ARN.
    #[serde(default)]
    pub dead_letter: Option<String>,
    /// Whether its invocations are to be traced: kept and told, nothing follows from it.
    #[serde(default)]
    pub tracing: Tracing,
    /// Whether its versions are to start from a snapshot: kept and told, nothing follows from it.
    #[serde(default)]
    pub snap_start: SnapStart,
    /// How its log is written, and where.
    #[serde(default)]
    pub logging: Logging,
}

impl Configuration {
    /// The group of its log.
    pub fn log_group(&self) -> String {
        self.logging.group.clone().unwrap_or_else(|| group::of_function(&self.name))
    }

    /// The name of its log.
    pub(crate) fn log(&self) -> String {
        group::directory(&self.log_group()).unwrap_or_else(|| self.name.clone())
    }
}

/// A version of a function as the store keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// Names the function through all its versions and updates; another one of the same name has another.
    pub id: u64,
    /// Names this version, configuration and code together: any change makes another.
    pub deployment: u64,
    /// Which version it is.
    pub version: Version,
    /// What the client decided.
    pub configuration: Configuration,
    /// SHA-256 of the uploaded zip, lower-case hexadecimal.
    pub code_sha256: String,
    /// Size of the uploaded zip, bytes.
    pub code_size: u64,
    /// When it was changed last, ms since 1970.
    pub modified_ms: i64,
    /// A UUID for optimistic locking by clients.
    pub revision_id: String,
}
