//! What is to be sampled of a function's invocations (Lambda developer guide, "Visualize Lambda function
//! invocations using AWS X-Ray").

use serde::{Deserialize, Serialize};

/// TracingConfig's Mode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Tracing {
    /// What the caller's trace header says.
    #[default]
    PassThrough,
    /// Some of them anyway.
    Active,
}
