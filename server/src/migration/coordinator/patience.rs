//! Patience: a phase's work is repeated while an engine is away.

use std::time::{Duration, Instant};

use backon::{BackoffBuilder, ExponentialBuilder};
use switchback_proto::v1::{Engine, Phase, WaitingEvent};
use tokio::time::sleep;

use super::{Coordinator, Event, Goal, Journal};
use crate::{
    error::{Error, Reason, Result},
    migration::marked,
    shutdown::overdue,
    task::cancelled,
};

/// Longest wait between two attempts to reach PostgreSQL.
pub(super) const LONGEST_WAIT: Duration = Duration::from_secs(15);

/// A server that is away for longer than this is not just restarting.
const PATIENCE: Duration = Duration::from_secs(30 * 60);

/// Undoing does not hold up the answer for longer than this; the next migration finishes it.
const PATIENCE_UNDOING: Duration = Duration::from_secs(60);

impl Coordinator<'_> {
    /// Does a phase's work, again and again while an engine is away.
    pub(super) async fn patiently(&self, phase: Phase, journal: &mut Journal) -> Result<Event> {
        let patience = match (phase, self.goal) {
            // Nothing is changed yet: whoever asks is better off with the answer.
            (Phase::Idle | Phase::Planning, _) => Duration::ZERO,
            // It is followed all the same, and whoever asks has said how long to wait.
            (Phase::Following, Goal::Cutover(deadline)) => deadline,
            (Phase::Aborting, _) => PATIENCE_UNDOING,
            _ => PATIENCE,
        };
        let mut waits = backoff();
        let mut away_since = None;
        loop {
            let error = match self.step(phase, journal).await {
                Err(error) if error.is_retryable() || self.goes_forward(phase, &error).await => {
                    error
                }
                Err(error) if phase == Phase::Aborting && error.reason() != Reason::LeaseHeld => {
                    return Ok(self.leave_rest(&error, journal));
                }
                done => return done,
            };
            let since = *away_since.get_or_insert_with(Instant::now);
            if since.elapsed() >= patience && !self.in_doubt().await {
                return if phase == Phase::Aborting {
                    Ok(self.leave_rest(&error, journal))
                } else {
                    Err(error)
                };
            }
            let wait = waits.next().unwrap_or(LONGEST_WAIT);
            self.wait(&error, wait, phase).await?;
        }
    }

    pub(super) async fn wait(&self, error: &Error, wait: Duration, phase: Phase) -> Result<()> {
        tracing::warn!(%error, retry_in_ms = millis(wait), "waiting for an engine");
        let engine = match error.reason() {
            Reason::SourceLocked => Engine::Sqlite,
            _ => Engine::Postgres,
        };
        self.run.log.waiting(WaitingEvent {
            engine: engine.into(),
            message: error.to_string(),
            retry_in_ms: millis(wait),
            ..WaitingEvent::default()
        });
        let stop = if finishes(phase) { &self.run.shutdown } else { &self.halt };
        tokio::select! {
            () = stop.cancelled() => Err(cancelled()),
            () = sleep(wait) => Ok(()),
        }
    }

    /// The decision may have been made: only forward, whatever PostgreSQL or the state directory
    /// says, unless the switch was given up in good order.
    async fn goes_forward(&self, phase: Phase, error: &Error) -> bool {
        let settled = [Reason::CutoverFailed, Reason::Halted, Reason::TargetInUse];
        phase == Phase::CuttingOver && !settled.contains(&error.reason()) && self.in_doubt().await
    }

    /// The source is fenced and PostgreSQL cannot say what it has decided: only it can tell.
    async fn in_doubt(&self) -> bool {
        let fenced = marked::fenced(&self.database.source, &self.migration).await;
        fenced.is_ok_and(|attempt| attempt.is_some())
    }

    /// Undoing cannot be finished now: says what is left, and ends.
    fn leave_rest(&self, error: &Error, journal: &mut Journal) -> Event {
        tracing::error!(%error, "the target could not be cleaned");
        if let Some(failure) = &mut journal.failure {
            let rest = format!(
                "the target still holds what the migration made ({error}); \
                 the next migration removes it first"
            );
            // A cancelled operation's own hint says that nothing is left.
            let own = failure.reason != Reason::Cancelled.as_str() && !failure.hint.is_empty();
            failure.hint = if own { format!("{}; {rest}", failure.hint) } else { rest };
        }
        Event::Undone
    }

    async fn step(&self, phase: Phase, journal: &mut Journal) -> Result<Event> {
        let work = self.work(phase, journal);
        if finishes(phase) {
            return work.await;
        }
        // The copy and the scans notice `halt` themselves; the rest is cut off here.
        tokio::select! {
            biased;
            done = work => done,
            () = overdue(&self.run.shutdown) => Err(cancelled()),
            () = async {
                self.halt.cancelled().await;
                sleep(Duration::from_secs(5)).await;
            } => Err(cancelled()),
        }
    }
}

/// Undoing goes on when the caller has cancelled, which is why it is undone; and it is too late
/// to cancel what PostgreSQL may have decided.
pub(super) fn finishes(phase: Phase) -> bool {
    matches!(phase, Phase::Aborting | Phase::CuttingOver)
}

pub(in crate::migration) fn backoff() -> impl Iterator<Item = Duration> {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(200))
        .with_max_delay(LONGEST_WAIT)
        .with_jitter()
        .without_max_times()
        .build()
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
