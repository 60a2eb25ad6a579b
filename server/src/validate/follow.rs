//! What keeps the target up with a source that applications go on writing to.

use std::pin::Pin;

use crate::error::Result;

/// Brings the target up to a moving source.
pub trait Follow: Send + Sync {
    /// Applies every change logged so far; the target stands still afterwards until the next
    /// call. Returns the sequence number of the newest change that was applied. Its entry has to
    /// stay in the log until the next call, as have all that are newer.
    fn drain(&self) -> Pin<Box<dyn Future<Output = Result<i64>> + Send + '_>>;
}
