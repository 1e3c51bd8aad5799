//! DeadLetterConfig: the queue that a function's failed events go to.

use super::Platform;
use super::error::ApiError;
use super::shapes::DeadLetterConfig;
use crate::poller::Target;

/// The ARN of the queue that a configuration names, if it names one.
///
/// # Errors
/// There is no such queue.
pub(super) fn target(
    platform: &Platform,
    config: &DeadLetterConfig,
) -> Result<Option<String>, ApiError> {
    let arn = config.target_arn.as_deref().filter(|arn| !arn.is_empty());
    let Some(arn) = arn else { return Ok(None) };
    let queue = match Target::parse(&platform.service.identity, arn) {
        Some(Target::Queue(name)) => platform.queues.get(name),
        _ => None,
    };
    match queue.filter(|queue| !queue.attributes.is_fifo) {
        Some(_) => Ok(Some(arn.to_owned())),
        None => Err(ApiError::invalid(format!(
            "The provided target ARN {arn} is invalid: it names no standard queue of this platform."
        ))),
    }
}
