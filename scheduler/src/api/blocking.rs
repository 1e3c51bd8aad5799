//! Work that waits for a disk, away from the threads that serve connections.

use tokio::task::spawn_blocking;

use super::error::ApiError;

/// Does `work` on a thread that may block.
///
/// # Errors
/// Its own; a ServiceException where it did not come to an end.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    spawn_blocking(work).await.map_err(|error| ApiError::service(error.to_string()))?
}
