//! `Rollback`, as an operation of its own.

use std::time::{Duration, Instant};

use switchback_proto::v1::{
    CutoverForecast, Finding, LagEvent, Phase, RollbackReport, RollbackRequest, Severity,
};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::{
    attempt::{AGAIN, Limit},
    cut::reason,
    cutover::DEADLINE,
    finished_unless_cut, forced,
    phase::Event,
    recorded::{self, Recorded},
    returning::{Gone, IN_SYNC, Return, late},
    reversing::Reverser,
    steady::{enter, until_done},
    versions::{self, Towards},
};
use crate::{
    db::{
        Database,
        control::{ControlStore, DatabaseRecord},
        postgres::failed,
    },
    error::{Error, Reason, Result},
    operations::{Outcome, Report, Run},
    task::cancelled,
    telemetry::spans,
};

/// A rollback does not wait for longer than this until the lag is small.
const SETTLE: Duration = Duration::from_secs(60);

/// What the resume record of a rollback says once it may have been decided.
const BEGUN: &str = "begun";

/// Makes SQLite the active engine again, with everything that was written on PostgreSQL since.
pub(super) async fn run(
    (database, store): (&Database, &ControlStore),
    request: &RollbackRequest,
    run: Run,
    halt: CancellationToken,
) -> Option<Outcome> {
    let _gate = database.gate.lock().await;
    let rollback = Rollback { database, store, run: &run, halt: &halt };
    let done = if request.from_last_drain {
        forced::go_back(database, store, request).await
    } else if request.dry_run {
        rollback.forecast(request).await
    } else {
        rollback.roll_back(request).await
    };
    finished_unless_cut(&run, done.map(Report::Rollback))
}

struct Rollback<'a> {
    database: &'a Database,
    store: &'a ControlStore,
    run: &'a Run,
    halt: &'a CancellationToken,
}

impl Rollback<'_> {
    async fn roll_back(&self, request: &RollbackRequest) -> Result<RollbackReport> {
        let recorded = self.find().await?;
        let reverser = recorded.reverser(self.database)?;
        let (mut findings, mut carried) = (Vec::new(), 0);
        // It may have been decided, and PostgreSQL may be away.
        if self.run.journal.is_empty() {
            self.require_versions(&recorded).await?;
            let mut left = LeftBehind::default();
            let accepted = request.accept_unrepresentable;
            let settled = self.settle_within(&reverser, accepted, &mut left);
            carried = settled.instrument(spans::phase(Phase::Reversible)).await?;
            findings = left.drift;
        }
        self.enter(Phase::Reversible, Event::RollbackAsked).await?;
        let limit = limit(request);
        let plan = recorded.plan();
        let (database, store, shutdown) = (self.database, self.store, &self.run.shutdown);
        let accepted = request.accept_unrepresentable;
        let way = Return { database, store, reverser: &reverser, plan, limit, accepted, shutdown };
        match way.go().instrument(spans::phase(Phase::RollingBack)).await {
            Ok(Gone { pause_ms, epoch, changes, left_behind, findings: left }) => {
                findings.extend(left);
                // Whatever the state directory lacks, it is so.
                while let Err(error) = self.enter(Phase::RollingBack, Event::Returned).await {
                    way.pause(&error).await?;
                }
                self.drop_foreign_keys().await;
                Ok(RollbackReport {
                    write_pause_ms: pause_ms,
                    epoch,
                    changes: carried + changes,
                    findings,
                    left_behind,
                    ..RollbackReport::default()
                })
            }
            Err(error) if self.run.shutdown.is_cancelled() => Err(error),
            Err(error) => {
                self.enter(Phase::RollingBack, Event::Retreated).await?;
                Err(error)
            }
        }
    }

    /// Carries changes back until hardly any are left, unless more would be left behind than is
    /// accepted. How many changes that were.
    async fn settle_within(
        &self,
        reverser: &Reverser,
        accepted: u64,
        left: &mut LeftBehind,
    ) -> Result<u64> {
        left.drift = reverser.drift().await?;
        left.check(accepted)?;
        let carried = self.settle(reverser).await?;
        if reverser.is_lenient() {
            // Only now: what was put right a moment ago is carried back.
            left.drift = reverser.drift().await?;
            left.rows = reverser.rows_to_leave().await?;
            left.check(accepted)?;
        }
        Ok(carried)
    }

    async fn require_versions(&self, recorded: &Recorded) -> Result<()> {
        let planned = (recorded.plan(), recorded.schema());
        versions::require_equal(self.database, planned, Towards::Sqlite).await
    }

    async fn find(&self) -> Result<Recorded> {
        if self.run.journal.is_empty() {
            return recorded::reversible(self.database).await;
        }
        // It may have been decided.
        until_done(self.run, || recorded::any(self.database)).await
    }

    /// Carries changes back until hardly any are left; how many that were.
    async fn settle(&self, reverser: &Reverser) -> Result<u64> {
        let (began, mut carried) = (Instant::now(), 0);
        loop {
            let batch = reverser.drain().await?;
            carried += batch.changes;
            let lag = self.database.lag.now();
            self.run.log.lag(LagEvent { lag_changes: lag.changes, lag_ms: lag.millis() });
            if batch.took <= IN_SYNC || batch.changes == 0 {
                return Ok(carried);
            }
            if began.elapsed() > SETTLE {
                let message = "changes come faster than they can be carried back";
                return Err(Error::new(Reason::RollbackFailed, message)
                    .hint("go back when applications write less; PostgreSQL goes on"));
            }
            if self.halt.is_cancelled() {
                return Err(cancelled());
            }
        }
    }

    /// Records the next phase before its work begins.
    async fn enter(&self, phase: Phase, event: Event) -> Result<()> {
        let next = enter((self.store, self.run), phase, event, BEGUN).await?;
        let record = self.store.database(&self.run.database).await?;
        if next == Phase::Reversible && record.phase != next {
            let record = DatabaseRecord { phase: next, ..record };
            self.store.set_database(&self.run.database, record).await?;
        }
        Ok(())
    }

    /// The follower does so too, before its first batch.
    async fn drop_foreign_keys(&self) {
        let target = self.database.target();
        if let Err(error) = target.drop_foreign_keys(&self.run.database, DEADLINE).await {
            tracing::warn!(%error, "the foreign keys are dropped later");
        }
    }

    /// Says whether a rollback would work now: it tries everything but the commits.
    async fn forecast(&self, request: &RollbackRequest) -> Result<RollbackReport> {
        let recorded = self.find().await?;
        let reverser = recorded.reverser(self.database)?;
        let mut forecast = CutoverForecast::default();
        let mut left = LeftBehind::default();
        let tried = async {
            self.require_versions(&recorded).await?;
            self.settle_within(&reverser, request.accept_unrepresentable, &mut left).await?;
            let began = Instant::now();
            let last = reverser.drain().await?;
            forecast.lag_changes = last.changes;
            self.rehearse(&recorded, limit(request)).await?;
            Ok::<_, Error>(began.elapsed())
        };
        match tried.await {
            Ok(took) => {
                forecast.go = true;
                forecast.expected_pause_ms = took.as_secs_f64() * 1000.0;
            }
            Err(error) => forecast.reasons.push(reason(&error)),
        }
        let (forecast, left_behind) = (Some(forecast), left.rows);
        Ok(RollbackReport { forecast, left_behind, ..RollbackReport::default() })
    }

    /// Takes every lock that the way back needs, and gives it back.
    async fn rehearse(&self, recorded: &Recorded, limit: Limit) -> Result<()> {
        let mut client = self.database.postgres.get().await?;
        let transaction = client.transaction().await.map_err(failed)?;
        let target = self.database.target();
        let plan = recorded.plan();
        // Applications wait meanwhile: not for long.
        let wait = limit.deadline.min(AGAIN);
        let limit = Limit { deadline: wait, ..limit };
        target.lock_tables(&transaction, plan, wait).await.map_err(|error| late(limit, &error))?;
        target.close(&transaction, plan).await?;
        transaction.rollback().await.map_err(failed)
    }
}

/// What PostgreSQL has and SQLite has no place for.
#[derive(Debug, Default)]
struct LeftBehind {
    /// Tables and columns.
    drift: Vec<Finding>,
    /// Rows that are kept aside.
    rows: u64,
}

impl LeftBehind {
    /// Refused unless so much is accepted, and where there is no way back at all.
    fn check(&self, accepted: u64) -> Result<()> {
        if let Some(blocker) = self.drift.iter().find(|f| f.severity() == Severity::Blocker) {
            let message = format!("nothing can be carried back: {}", named(blocker));
            return Err(Error::new(Reason::ReturnRefused, message)
                .hint("undo the change of PostgreSQL's schema, then go back again"));
        }
        let changes = u64::try_from(self.drift.len()).unwrap_or(u64::MAX);
        let count = changes.saturating_add(self.rows);
        if count <= accepted {
            return Ok(());
        }
        let mut parts = Vec::new();
        if changes > 0 {
            let named: Vec<String> = self.drift.iter().map(named).collect();
            parts.push(format!(
                "{changes} changes of PostgreSQL's schema cannot go back: {}",
                named.join("; ")
            ));
        }
        if self.rows > 0 {
            parts.push(format!("{} rows are kept aside that SQLite cannot hold", self.rows));
        }
        Err(Error::new(Reason::ReturnRefused, parts.join("; "))
            .hint(format!("undo them, or leave them behind with --accept-left-behind {count}")))
    }
}

fn named(finding: &Finding) -> String {
    let place = match finding.column.as_str() {
        "" => finding.table.clone(),
        column => format!("{}.{column}", finding.table),
    };
    format!("{place}: {}", finding.message)
}

fn limit(request: &RollbackRequest) -> Limit {
    let deadline = match request.deadline_ms {
        0 => DEADLINE,
        millis => Duration::from_millis(millis),
    };
    Limit { began: Instant::now(), deadline }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::finding::{self, Place, finding};

    #[test]
    fn rows_and_changes_of_the_schema_are_left_behind_by_their_sum() {
        let place = Place::column("t", "c");
        let new = finding(Severity::Warning, finding::TARGET_CHANGED, place, "it is new", "");
        let left = LeftBehind { drift: vec![new], rows: 2 };
        assert!(left.check(3).is_ok());
        let refused = left.check(2).unwrap_err();
        assert_eq!(refused.reason(), Reason::ReturnRefused);
        assert_eq!(
            refused.message(),
            "1 changes of PostgreSQL's schema cannot go back: t.c: it is new; 2 rows are kept aside \
             that SQLite cannot hold"
        );
        assert!(refused.hint_text().contains("--accept-left-behind 3"));
        assert!(LeftBehind::default().check(0).is_ok());
    }
}
