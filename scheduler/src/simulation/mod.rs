//! The core in worlds that are made up: no virtual machine, no clock, and everything follows from a seed.
//!
//! ```text
//!   hostile ─ environments die, hang, lie; clocks jump ─┐
//!                                                       ├─▶ Pool, the real one ─▶ judged, or counted
//!   trace ─── a day of a platform, recorded or made ────┘
//! ```

pub mod hostile;
mod placement;
mod random;
pub mod replay;
pub mod trace;

pub use placement::Crowd;
pub use random::Random;
