//! When to connect again: soon at first, then less and less often. Until then whoever asks is refused at once.

use std::time::{Duration, Instant};

use super::PostgresError;
use crate::queue::engine::{EngineError, Result};

/// From the first failure to the next attempt.
const WAIT_MIN: Duration = Duration::from_millis(100);
/// The longest wait: a server that is back is found by then.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// What is known of a server that can't be reached.
#[derive(Debug, Default)]
pub(super) struct Retry(Option<Failure>);

#[derive(Debug)]
struct Failure {
    why: EngineError,
    wait: Duration,
    until: Instant,
}

impl Retry {
    /// Connects, if it is time to.
    pub(super) fn attempt<T>(
        &mut self,
        connect: impl FnOnce() -> std::result::Result<T, PostgresError>,
    ) -> Result<T> {
        if let Some(failure) = self.0.as_ref().filter(|failure| Instant::now() < failure.until) {
            return Err(failure.why.clone());
        }
        match connect() {
            Ok(connected) => {
                self.0 = None;
                Ok(connected)
            }
            Err(error) => {
                let why = match error {
                    PostgresError::Outdated => EngineError::Outdated,
                    error => EngineError::Unavailable(error.to_string()),
                };
                let wait = self.0.as_ref().map_or(WAIT_MIN, |before| before.wait * 2).min(WAIT_MAX);
                self.0 = Some(Failure { why: why.clone(), wait, until: Instant::now() + wait });
                Err(why)
            }
        }
    }
}
