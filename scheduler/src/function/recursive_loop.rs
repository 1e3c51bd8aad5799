//! What is to become of a function that invokes itself by way of other services (Lambda developer guide, "Lambda
//! recursive loop detection"). Loops of destinations are detected: see `crate::poller`.

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
