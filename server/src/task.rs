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

/// Runs work to its end although nobody polls whoever waits for it. A stream is polled only while
/// its reader takes something: in the middle of a question it would keep a connection of a pool
/// from everybody else, for as long as its reader likes.
pub(crate) async fn detached<T: Send + 'static>(
    work: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T> {
    tokio::spawn(work).await.unwrap_or_else(|error| {
        Err(Error::new(Reason::Internal, "a question stopped on a defect").caused_by(error))
    })
}

/// The error of work that was stopped on request.
pub(crate) fn cancelled() -> Error {
    Error::new(Reason::Cancelled, "the operation was cancelled")
        .hint("nothing of it is left; it can be started again")
}
