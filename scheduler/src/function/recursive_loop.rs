//! What is to become of a function that invokes itself by way of other services (Lambda developer guide, "Lambda
//! recursive loop detection"). Loops are known by X-Amzn-Trace-Id: `service/trace.rs`.

use serde::{Deserialize, Serialize};

/// What is to become of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum RecursiveLoop {
    /// It goes on.
    Allow,
    /// It is stopped.
    #[default]
    Terminate,
}
