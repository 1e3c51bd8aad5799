//! Function URLs: an HTTP endpoint of a function's own, or of one of its aliases.

use serde::{Deserialize, Serialize};

/// An endpoint and its rules.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FunctionUrl {
    /// Names it among all: 32 of `[0-9a-f]`, the first label of its host.
    pub id: String,
    /// Who may call it.
    pub auth_type: AuthType,
    /// What browsers are told about callers from other origins, if anything.
    pub cors: Option<Cors>,
    /// How the function's answer reaches the caller, where somebody has said it.
    #[serde(default)]
    pub invoke_mode: Option<InvokeMode>,
    /// When it was made, ms since 1970.
    pub created_ms: i64,
    /// When it was changed last, ms since 1970.
    pub modified_ms: i64,
}

/// Who may call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AuthType {
    /// Whoever the function's policy allows it: everybody, or nobody.
    #[serde(rename = "NONE")]
    None,
    /// Whoever signs the request.
    #[serde(rename = "AWS_IAM")]
    Iam,
}

/// How an answer reaches the caller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum InvokeMode {
    /// When it is whole.
    #[default]
    Buffered,
    /// While the function writes it.
    ResponseStream,
}

/// Cross-origin resource sharing (Fetch standard, "CORS protocol"), as clients configure it. Its JSON is Lambda's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Cors {
    /// Whether credentials go with requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_credentials: Option<bool>,
    /// Request headers, or `*`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_headers: Option<Vec<String>>,
    /// Methods, or `*`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_methods: Option<Vec<String>>,
    /// Origins, or `*`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_origins: Option<Vec<String>>,
    /// Response headers that scripts may read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expose_headers: Option<Vec<String>>,
    /// How long browsers may keep all this, s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_age: Option<i64>,
}
