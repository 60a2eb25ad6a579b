//! How many streams may be open at once.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::{Error, Reason, Result};

/// Streams of operations' events: a thousand watchers of one operation and as many of others.
/// Each holds some kilobytes, and a page of events where its reader is slow.
const MOST_OPERATIONS: usize = 4096;

/// Streams of databases' states: each of them asks both engines every second.
const MOST_DATABASES: usize = 256;

/// Places for open streams; clones share them.
#[derive(Debug, Clone)]
pub struct Watchers {
    operations: Arc<Semaphore>,
    databases: Arc<Semaphore>,
}

impl Default for Watchers {
    fn default() -> Self {
        Self {
            operations: Arc::new(Semaphore::new(MOST_OPERATIONS)),
            databases: Arc::new(Semaphore::new(MOST_DATABASES)),
        }
    }
}

impl Watchers {
    /// A place for a stream of events, for as long as it is held.
    pub(super) fn of_operation(&self) -> Result<OwnedSemaphorePermit> {
        place(&self.operations, MOST_OPERATIONS)
    }

    /// A place for a stream of states, for as long as it is held.
    pub(super) fn of_database(&self) -> Result<OwnedSemaphorePermit> {
        place(&self.databases, MOST_DATABASES)
    }
}

fn place(places: &Arc<Semaphore>, most: usize) -> Result<OwnedSemaphorePermit> {
    Arc::clone(places).try_acquire_owned().map_err(|_| {
        Error::new(Reason::TooManyStreams, format!("{most} streams are open, and no more may be"))
            .hint("close some, and try again later; an operation goes on without a stream")
    })
}
