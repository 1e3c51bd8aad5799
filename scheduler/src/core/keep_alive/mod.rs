//! Keep-alive policies: how long an environment without work is kept, and when one is started before its invocation.
//!
//! ```text
//!   Pool ── arrived, rested ─▶ policy (learns when a function is idle)
//!   Pool ◀─ windows ────────── policy
//! ```
//!
//! Under every policy memory comes first: an invocation that needs room takes it from the idle environment that was
//! used least recently (`capacity.rs`). A policy only decides what goes before that.

mod fixed;
mod forecast;
mod histogram;
mod hybrid;
mod recent;
#[cfg(test)]
mod tests;

use std::fmt::{self, Debug, Display};
use std::str::FromStr;
use std::time::Duration;

use thiserror::Error;

use super::ids::FunctionId;
pub use fixed::FixedTime;
pub use histogram::Histogram;
pub use hybrid::Hybrid;
pub use recent::LeastRecentlyUsed;

/// What becomes of an environment whose work is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Windows {
    /// How long nothing needs to be loaded after the last answer; zero for "keep what is there".
    pub pre_warming: Duration,
    /// How long it is kept after that; `None` for as long as nobody wants its memory.
    pub keep_alive: Option<Duration>,
}

/// Decides what is kept warm. Times are in the pool's own clock.
pub trait KeepAlive: Debug + Send {
    /// An invocation of a function comes, of which none was under way.
    fn arrived(&mut self, function: FunctionId, now: Duration) {
        let _ = (function, now);
    }

    /// The last invocation under way of a function is over.
    fn rested(&mut self, function: FunctionId, now: Duration) {
        let _ = (function, now);
    }

    /// What becomes of the function's environments, if it rests from now on.
    fn windows(&mut self, function: FunctionId) -> Windows;

    /// The function is no more.
    fn forget(&mut self, function: FunctionId) {
        let _ = function;
    }
}

/// Which policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeepAlivePolicy {
    /// [`FixedTime`].
    Fixed(Duration),
    /// [`LeastRecentlyUsed`].
    LeastRecentlyUsed,
    /// [`Hybrid`].
    Hybrid,
}

impl KeepAlivePolicy {
    /// A policy that knows nothing yet.
    pub fn policy(self) -> Box<dyn KeepAlive> {
        match self {
            KeepAlivePolicy::Fixed(time) => Box::new(FixedTime(time)),
            KeepAlivePolicy::LeastRecentlyUsed => Box::new(LeastRecentlyUsed),
            KeepAlivePolicy::Hybrid => Box::new(Hybrid::default()),
        }
    }
}

impl Default for KeepAlivePolicy {
    /// Five minutes: what is called again at all is mostly called again by then.
    fn default() -> KeepAlivePolicy {
        KeepAlivePolicy::Fixed(Duration::from_secs(300))
    }
}

/// Words that name no policy.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("it is fixed:TIME (such as fixed:90s, fixed:10m, fixed:2h), lru or hybrid")]
pub struct NoPolicy;

impl FromStr for KeepAlivePolicy {
    type Err = NoPolicy;

    fn from_str(text: &str) -> Result<KeepAlivePolicy, NoPolicy> {
        match text {
            "lru" => Ok(KeepAlivePolicy::LeastRecentlyUsed),
            "hybrid" => Ok(KeepAlivePolicy::Hybrid),
            _ => text
                .strip_prefix("fixed:")
                .and_then(time)
                .map(KeepAlivePolicy::Fixed)
                .ok_or(NoPolicy),
        }
    }
}

/// A number and a unit: `90s`, `10m`, `2h`.
fn time(text: &str) -> Option<Duration> {
    let (number, seconds) = match text.split_at_checked(text.len().checked_sub(1)?)? {
        (number, "s") => (number, 1),
        (number, "m") => (number, 60),
        (number, "h") => (number, 3600),
        _ => return None,
    };
    let is_plain = number.bytes().all(|byte| byte.is_ascii_digit());
    let number: u32 = number.parse().ok().filter(|_| is_plain)?;
    Some(Duration::from_secs(u64::from(number) * seconds))
}

impl Display for KeepAlivePolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeepAlivePolicy::LeastRecentlyUsed => f.write_str("lru"),
            KeepAlivePolicy::Hybrid => f.write_str("hybrid"),
            KeepAlivePolicy::Fixed(time) => match time.as_secs() {
                hours if hours > 0 && hours % 3600 == 0 => write!(f, "fixed:{}h", hours / 3600),
                minutes if minutes > 0 && minutes % 60 == 0 => write!(f, "fixed:{}m", minutes / 60),
                seconds => write!(f, "fixed:{seconds}s"),
            },
        }
    }
}
