//! What a layer is: files that functions share, in versions that never change.

use serde::{Deserialize, Serialize};

use crate::policy::Policy;

/// One version of a layer. Nothing of it changes but who may have it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerVersion {
    /// 1–140 of `[a-zA-Z0-9-_]`.
    pub name: String,
    /// From 1 on; never given out twice.
    pub version: u64,
    /// At most 256 characters.
    pub description: String,
    /// The licence: at most 512 characters.
    pub license: Option<String>,
    /// Runtimes that its publisher says it is for; nothing is made of it. At most 15.
    pub runtimes: Vec<String>,
    /// Likewise, of `x86_64` and `arm64`.
    pub architectures: Vec<String>,
    /// When it was published, ms since 1970.
    pub created_ms: i64,
    /// SHA-256 of the uploaded zip, lower-case hexadecimal.
    pub code_sha256: String,
    /// Size of the uploaded zip, bytes.
    pub code_size: u64,
    /// Who may have it.
    #[serde(default)]
    pub policy: Policy,
    /// A UUID for optimistic locking by clients who change the policy; empty before the first of them.
    #[serde(default)]
    pub revision_id: String,
}

/// A version of a layer in a function. It says where its files are, so it outlives the version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerUse {
    /// The version's ARN.
    pub arn: String,
    /// SHA-256 of its zip, lower-case hexadecimal.
    pub code_sha256: String,
    /// Size of its zip, bytes.
    pub code_size: u64,
}
