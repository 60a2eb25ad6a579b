//! Comparisons on schedule.

use std::time::{Duration, Instant};

use switchback_proto::v1::ValidateRequest;
use tokio::time::interval;

use super::{Migrations, carrier::carries};
use crate::{
    clock,
    db::Database,
    error::Result,
    operations::{Operations, Request},
};

/// Between two looks whether a comparison is due.
const LOOK_AT_SCHEDULE: Duration = Duration::from_secs(60);

impl Migrations {
    /// Compares both engines from time to time, where the configuration asks for it. Like one that
    /// somebody asked for, a comparison is an operation.
    pub(super) async fn validate_on_schedule(&self, database: &Database, operations: &Operations) {
        let Some(every) = database.config.validate_every else { return };
        let name = &database.config.name;
        let mut ticks = interval(every.min(LOOK_AT_SCHEDULE));
        let mut last: Option<Instant> = None;
        loop {
            ticks.tick().await;
            // One that found a difference is not repeated at once either.
            if last.is_some_and(|last| last.elapsed() < every) {
                continue;
            }
            match self.is_due(database, every).await {
                Ok(true) => {}
                Ok(false) => continue,
                Err(error) => {
                    tracing::debug!(database = name, %error, "whether a comparison is due is unknown");
                    continue;
                }
            }
            last = Some(Instant::now());
            let request = ValidateRequest { database: name.clone(), ..ValidateRequest::default() };
            match operations.start(Request::Validate(request)).await {
                // One that waits for its turn is not joined by a second one.
                Ok(id) => operations.ended(&id).await,
                Err(error) => {
                    tracing::warn!(database = name, %error, "the comparison could not be started");
                }
            }
        }
    }

    async fn is_due(&self, database: &Database, every: Duration) -> Result<bool> {
        let name = &database.config.name;
        let own = database.standing.coordinator() == database.target().holder().name;
        if !own || !carries(self.store.database(name).await?.phase) {
            return Ok(false);
        }
        let every = i64::try_from(every.as_millis()).unwrap_or(i64::MAX);
        let validated = self.store.validated_at(name).await?;
        Ok(validated.is_none_or(|at| clock::now_millis().saturating_sub(at) >= every))
    }
}
