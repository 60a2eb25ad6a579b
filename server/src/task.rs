//! Work beside the asynchronous threads, and how it is stopped.

use crate::error::{Error, Reason, Result};

/// Runs work that blocks on files or the processor.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| {
        Err(Error::new(Reason::Internal, "a worker stopped on a defect").caused_by(error))
    })
}

/// The error of work that was stopped on request.
pub(crate) fn cancelled() -> Error {
    Error::new(Reason::Cancelled, "the operation was cancelled")
        .hint("nothing of it is left; it can be started again")
}
