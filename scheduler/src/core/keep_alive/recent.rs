//! A cache: all that fits stays, and whoever was used least recently makes room.

use std::time::Duration;

use super::{KeepAlive, Windows};
use crate::core::ids::FunctionId;

/// Keeps each environment until its memory is wanted.
#[derive(Clone, Copy, Debug)]
pub struct LeastRecentlyUsed;

impl KeepAlive for LeastRecentlyUsed {
    fn windows(&mut self, _: FunctionId) -> Windows {
        Windows { pre_warming: Duration::ZERO, keep_alive: None }
    }
}
