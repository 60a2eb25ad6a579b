//! One run of an operation, when it is its turn, until the server stops.

use std::sync::Arc;

use super::{Driver, Outcome, Request, Run, places::Turn};
use crate::{shutdown::overdue, task::cancelled};

/// Runs an operation whose wait for a place has ended so; `None` where the server's stop cut it off.
pub(super) async fn in_turn(driver: Arc<dyn Driver>, run: Run, turn: Turn) -> Option<Outcome> {
    match turn {
        Turn::Stopped => return None,
        // Nothing was done.
        Turn::Cancelled if !run.resumed => {
            return Some(Outcome { report: None, error: Some(cancelled()) });
        }
        // What an earlier run did is undone at once: nobody waits for that.
        Turn::Cancelled | Turn::Now => {}
    }
    if !can_be_left(&run.request) {
        return driver.run(run).await;
    }
    let work = run.shutdown.clone();
    tokio::select! {
        biased;
        outcome = driver.run(run) => outcome,
        () = overdue(&work) => {
            tracing::warn!("the operation waits for an engine: it goes on at the next start");
            None
        }
    }
}

/// Whether a stop may leave it wherever it is. What fences applications, or replaces what they
/// use, has all the time that a stop may take; a migration decides by its phase.
fn can_be_left(request: &Request) -> bool {
    match request {
        Request::Plan(_)
        | Request::Validate(_)
        | Request::Backup(_)
        | Request::VerifyBackup(_)
        | Request::Abort(_)
        | Request::Finalize(_) => true,
        Request::Restore(request) => !request.restore_as.is_empty(),
        Request::Migrate(_) | Request::Cutover(_) | Request::Rollback(_) => false,
    }
}
