//! Getting in step with the source, and the switch.

use std::time::{Duration, Instant};

use switchback_proto::v1::LagEvent;

use super::{Coordinator, Event, Goal, Journal, outcome::described};
use crate::{
    apply::Extent,
    error::{Error, Reason, Result},
    migration::{
        attempt::Limit,
        cutover::{self, Switched},
        following::{Drained, Follower},
    },
    task::cancelled,
};

/// A batch that took no longer has hardly anything left for the lock.
const IN_SYNC: Duration = Duration::from_millis(100);

/// A cutover does not wait for longer than this until the lag is small.
const SETTLE: Duration = Duration::from_secs(60);

impl Coordinator<'_> {
    /// Carries changes over until hardly any are left.
    pub(super) async fn settle(&self, follower: &Follower) -> Result<()> {
        let began = Instant::now();
        loop {
            let drained = follower.drain(Extent::All).await?;
            self.tell(drained);
            if self.is_cutover() && began.elapsed() > SETTLE {
                let message = "changes come faster than they can be carried over";
                return Err(Error::new(Reason::CutoverFailed, message)
                    .hint("switch when applications write less; SQLite goes on and is followed"));
            }
            if drained.took <= IN_SYNC || drained.changes == 0 {
                return Ok(());
            }
            if self.halt.is_cancelled() {
                return Err(cancelled());
            }
        }
    }

    pub(super) async fn switch(&self, journal: &mut Journal) -> Result<Event> {
        let deadline = match self.goal {
            Goal::Cutover(deadline) => deadline,
            Goal::Follow | Goal::Switch => cutover::DEADLINE,
        };
        let limit = Limit { began: Instant::now(), deadline };
        let follower = self.follower(journal)?;
        let context = self.context();
        match cutover::switch(&context, self.store, &follower, journal, limit).await? {
            Switched::Done => Ok(Event::Activated),
            Switched::Retreated(error) => {
                tracing::warn!(%error, "the switch was given up; SQLite goes on");
                // An engine that is away comes back; what holds a lock has to be ended.
                if !error.is_retryable() || self.is_cutover() {
                    journal.failure = Some(described(&self.in_time(error).await));
                }
                Ok(Event::Retreated)
            }
        }
    }

    pub(super) fn follower(&self, journal: &Journal) -> Result<Follower> {
        let follower = Follower::new(&self.context(), journal)?;
        Ok(match self.goal {
            Goal::Cutover(deadline) => follower.waiting(deadline),
            Goal::Follow | Goal::Switch => follower,
        })
    }

    pub(super) fn tell(&self, drained: Drained) {
        let lag = self.database.lag.now();
        let lag_changes = lag.changes.max(drained.behind);
        self.run.log.lag(LagEvent { lag_changes, lag_ms: lag.millis() });
    }
}
