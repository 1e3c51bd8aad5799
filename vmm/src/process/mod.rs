//! One VM, one process: both ends of the control socket.

mod child;
pub(crate) mod control;
mod launch;
mod pid;

pub use child::child_main;
pub use control::FrameError;
pub use launch::{LaunchError, Starting, Vm};
