//! The same time for all functions: what most platforms do.

use std::time::Duration;

use super::{KeepAlive, Windows};
use crate::core::ids::FunctionId;

/// Keeps each environment for this long after its work.
#[derive(Clone, Copy, Debug)]
pub struct FixedTime(pub Duration);

impl KeepAlive for FixedTime {
    fn windows(&mut self, _: FunctionId) -> Windows {
        Windows { pre_warming: Duration::ZERO, keep_alive: Some(self.0) }
    }
}
