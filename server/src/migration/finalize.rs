//! `Finalize`: reverse replication ends, and what leads back is removed from both engines.

use std::time::Duration;

use switchback_proto::v1::{
    Engine, FinalizeReport, FinalizeRequest, Finding, KeepSource, Phase, Severity,
};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::{
    constraints, finished_unless_cut, marked,
    phase::Event,
    recorded::{self, Recorded},
    returning,
    steady::{enter, until_done},
};
use crate::{
    backup::Backups,
    capture::seal,
    clock,
    db::{
        Database,
        control::{ControlStore, DatabaseRecord},
    },
    dialect::finding::{self, Place, finding},
    error::{Error, Reason, Result},
    operations::{Outcome, Report, Run},
    task::cancelled,
    telemetry::spans,
};

/// A comparison that is older says little of what was written since.
const FRESH: Duration = Duration::from_secs(24 * 60 * 60);

/// Ends the migration: there is no way back from here on.
pub(super) async fn run(
    (database, store, backups): (&Database, &ControlStore, &Backups),
    request: &FinalizeRequest,
    run: Run,
    halt: CancellationToken,
) -> Option<Outcome> {
    let _gate = database.gate.lock().await;
    let finalize = Finalize { database, store, backups, run: &run, halt: &halt };
    // It has one phase: what comes before it only asks.
    let done = finalize.finalize(request).instrument(spans::phase(Phase::Finalizing)).await;
    finished_unless_cut(&run, done.map(Report::Finalize))
}

struct Finalize<'a> {
    database: &'a Database,
    store: &'a ControlStore,
    backups: &'a Backups,
    run: &'a Run,
    halt: &'a CancellationToken,
}

impl Finalize<'_> {
    async fn finalize(&self, request: &FinalizeRequest) -> Result<FinalizeReport> {
        let name = &self.database.config.name;
        let target = self.database.target();
        if self.run.journal.is_empty() {
            if request.keep_source() == KeepSource::Sealed {
                seal::check_possible()?;
            }
            let (recorded, begun) = recorded::to_finalize(self.database).await?;
            if !request.force && !begun {
                self.refuse_stale().await?;
                self.refuse_lag(&recorded).await?;
                self.refuse_without_backup(&recorded).await?;
            }
            if self.halt.is_cancelled() {
                return Err(cancelled());
            }
            // Persisted before the first thing is removed: only forward from here.
            target.begin_finalizing(name, &recorded.migration).await?;
            let asked = (Phase::Reversible, Event::FinalizeAsked);
            enter((self.store, self.run), asked.0, asked.1, &recorded.migration).await?;
        }
        let run = self.run;
        let migration = match until_done(run, || target.read_control(name)).await? {
            Some(control) => {
                if let Ok(plan) = serde_json::from_str(&control.plan) {
                    until_done(run, || constraints::finish(&target, name, &plan)).await?;
                }
                control.migration
            }
            None => run.journal.clone(),
        };
        // PostgreSQL last: its record says `finalized` only when nothing is left to do.
        let keep = request.keep_source();
        until_done(run, || marked::finish(&self.database.source, &migration, keep)).await?;
        let rejects = until_done(run, || target.finalize(name, &migration)).await?;
        self.database.standing.set_kept_aside(Vec::new());
        until_done(run, || self.record(&migration)).await?;
        self.database.lag.forget();
        self.database.standing.set_waits_for(None);
        let left = until_done(run, || target.left_behind(name)).await?;
        let missing = until_done(run, || target.not_given_back(name)).await?;
        let stay = rejected(rejects).into_iter().chain(left_behind(left));
        let stay = stay.chain(not_given_back(&missing));
        Ok(FinalizeReport { findings: stay.collect() })
    }

    async fn record(&self, migration: &str) -> Result<()> {
        let name = &self.database.config.name;
        let record = self.store.database(name).await?;
        let record = DatabaseRecord { active: Engine::Postgres, phase: Phase::Finalized, ..record };
        self.store.set_database(name, record).await?;
        let ended = (Phase::Finalizing, Event::Finalized);
        enter((self.store, self.run), ended.0, ended.1, migration).await.map(drop)
    }

    async fn refuse_stale(&self) -> Result<()> {
        let validated = self.store.validated_at(&self.database.config.name).await?;
        let fresh = i64::try_from(FRESH.as_millis()).unwrap_or(i64::MAX);
        if validated.is_some_and(|at| clock::now_millis().saturating_sub(at) < fresh) {
            return Ok(());
        }
        Err(Error::new(Reason::ValidationStale, "both engines were not compared within a day")
            .hint("compare them (`switchback validate`), or finalize all the same with --force"))
    }

    /// The backup from before the migration is what is left of it, once there is no way back.
    async fn refuse_without_backup(&self, recorded: &Recorded) -> Result<()> {
        let id = &recorded.request.backup_id;
        if id.is_empty() {
            return Ok(());
        }
        let checked = self.backups.check(&self.database.config.name, id).await;
        checked.map_err(|error| {
            let hint = "make another one (`switchback backup`) and finalize with --force, or bring \
                        the store back";
            match error.reason() {
                Reason::UnknownBackup => Error::new(Reason::BackupMissing, error.message()),
                _ => error,
            }
            .at("the backup from before the migration")
            .hint(hint)
        })
    }

    async fn refuse_lag(&self, recorded: &Recorded) -> Result<()> {
        let reverser = recorded.reverser(self.database)?;
        let carried = reverser.drain().await?;
        if carried.took > returning::IN_SYNC {
            reverser.drain().await?;
        }
        Ok(())
    }
}

/// Rows that a rollback has left behind are nowhere else.
pub(super) fn left_behind(rows: u64) -> Option<Finding> {
    (rows > 0).then(|| {
        finding(
            Severity::Note,
            finding::LEFT_BEHIND_STAY,
            Place::database(),
            format!("{rows} rows that a rollback has left behind stay in switchback.kept_aside"),
            "drop the schema switchback once nobody needs them and no database is in it",
        )
    })
}

/// What an application's tables have lost for good, unless a person makes it again.
pub(super) fn not_given_back(missing: &[String]) -> Option<Finding> {
    (!missing.is_empty()).then(|| {
        let message = format!("could not be made again: {}", missing.join(", "));
        let hint = "the log says why; switchback.set_aside has the statements: run them, then drop \
                    the schema switchback where no database is in it";
        let place = Place::database();
        let found = finding(Severity::Warning, finding::NOT_GIVEN_BACK, place, message, hint);
        Finding { count: u64::try_from(missing.len()).unwrap_or(u64::MAX), ..found }
    })
}

/// Rows that were rejected are nowhere else.
fn rejected(rows: u64) -> Option<Finding> {
    (rows > 0).then(|| {
        finding(
            Severity::Note,
            finding::REJECTS_STAY,
            Place::database(),
            format!("{rows} rejected rows stay in switchback.rejects"),
            "drop the schema switchback once nobody needs them",
        )
    })
}
