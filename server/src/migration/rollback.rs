//! `Rollback`, as an operation of its own.

use std::time::{Duration, Instant};

use switchback_proto::v1::{
    CutoverForecast, Finding, LagEvent, Phase, RollbackReport, RollbackRequest, Severity,
};
use tokio_util::sync::CancellationToken;

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
        let findings = self.left_behind(&reverser, request).await?;
        let carried = if self.run.journal.is_empty() { self.settle(&reverser).await? } else { 0 };
        self.enter(Phase::Reversible, Event::RollbackAsked).await?;
        let limit = limit(request);
        let plan = recorded.plan();
        let (database, store, shutdown) = (self.database, self.store, &self.run.shutdown);
        let way = Return { database, store, reverser: &reverser, plan, limit, shutdown };
        match way.go().await {
            Ok(Gone { pause_ms, epoch, changes }) => {
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

    /// What PostgreSQL has and SQLite has no place for; refused unless so much is accepted.
    async fn left_behind(
        &self,
        reverser: &Reverser,
        request: &RollbackRequest,
    ) -> Result<Vec<Finding>> {
        // It may have been decided, and PostgreSQL may be away.
        if !self.run.journal.is_empty() {
            return Ok(Vec::new());
        }
        let findings = reverser.drift().await?;
        if let Some(blocker) = findings.iter().find(|f| f.severity() == Severity::Blocker) {
            let message = format!("nothing can be carried back: {}", named(blocker));
            return Err(Error::new(Reason::ReturnRefused, message)
                .hint("undo the change of PostgreSQL's schema, then go back again"));
        }
        let count = u64::try_from(findings.len()).unwrap_or(u64::MAX);
        if count <= request.accept_unrepresentable {
            return Ok(findings);
        }
        let named: Vec<String> = findings.iter().map(named).collect();
        let message =
            format!("{count} changes of PostgreSQL's schema cannot go back: {}", named.join("; "));
        Err(Error::new(Reason::ReturnRefused, message)
            .hint(format!("undo them, or leave them behind with --accept-left-behind {count}")))
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
        let tried = async {
            self.left_behind(&reverser, request).await?;
            self.settle(&reverser).await?;
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
        Ok(RollbackReport { forecast: Some(forecast), ..RollbackReport::default() })
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
