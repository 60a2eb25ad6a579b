//! What an operation does that only goes forward: its phases are recorded, and an engine that is away
//! is waited for.

use std::time::Duration;

use switchback_proto::{v1::Phase, words::Word};
use tokio::time::sleep;

use super::{
    coordinator::backoff,
    phase::{Event, transition},
};
use crate::{
    db::control::ControlStore,
    error::{Error, Kind, Reason, Result},
    operations::Run,
    task::cancelled,
};

/// Longest wait between two tries.
const LONGEST_WAIT: Duration = Duration::from_secs(15);

/// Records the next phase before its work begins.
pub(super) async fn enter(
    (store, run): (&ControlStore, &Run),
    phase: Phase,
    event: Event,
    journal: &str,
) -> Result<Phase> {
    let next = transition(phase, event)
        .map_err(|error| Error::new(Reason::Internal, error.to_string()))?;
    store.checkpoint(&run.id, next, journal).await?;
    run.log.phase(next);
    tracing::info!(phase = next.word(), "phase");
    Ok(next)
}

/// Does something until it is done, however long an engine is away or lacks space.
pub(super) async fn until_done<T, F>(run: &Run, work: impl Fn() -> F) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    let mut waits = backoff();
    loop {
        match work().await {
            Err(error) if matches!(error.kind(), Kind::Unavailable | Kind::Exhausted) => {
                tracing::warn!(%error, "the operation waits for an engine");
                let wait = waits.next().unwrap_or(LONGEST_WAIT).min(LONGEST_WAIT);
                tokio::select! {
                    () = run.shutdown.cancelled() => return Err(cancelled()),
                    () = sleep(wait) => {}
                }
            }
            done => return done,
        }
    }
}
