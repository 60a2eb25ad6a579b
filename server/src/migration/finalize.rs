//! `Finalize`: reverse replication ends, and what leads back is removed from both engines.

use std::time::Duration;

use switchback_proto::{
    v1::{Engine, FinalizeReport, FinalizeRequest, Finding, KeepSource, Phase, Severity},
    words::Word,
};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::{
    coordinator::backoff,
    marked,
    phase::{Event, transition},
    recorded::{self, Recorded},
    returning,
};
use crate::{
    capture::seal,
    clock,
    db::{
        Database,
        control::{ControlStore, DatabaseRecord},
    },
    dialect::finding::{self, Place, finding},
    error::{Error, Kind, Reason, Result},
    operations::{Outcome, Report, Run},
    task::cancelled,
};

/// A comparison that is older says little of what was written since.
const FRESH: Duration = Duration::from_secs(24 * 60 * 60);

/// Longest wait between two tries to remove something.
const LONGEST_WAIT: Duration = Duration::from_secs(15);

/// Ends the migration: there is no way back from here on.
pub(super) async fn run(
    (database, store): (&Database, &ControlStore),
    request: &FinalizeRequest,
    run: Run,
    halt: CancellationToken,
) -> Option<Outcome> {
    let _gate = database.gate.lock().await;
    let finalize = Finalize { database, store, run: &run, halt: &halt };
    match finalize.finalize(request).await {
        Ok(report) => Some(Outcome { report: Some(Report::Finalize(report)), error: None }),
        Err(_) if run.shutdown.is_cancelled() => None,
        Err(error) => Some(Outcome { report: None, error: Some(error) }),
    }
}

struct Finalize<'a> {
    database: &'a Database,
    store: &'a ControlStore,
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
            }
            if self.halt.is_cancelled() {
                return Err(cancelled());
            }
            // Persisted before the first thing is removed: only forward from here.
            target.begin_finalizing(name, &recorded.migration).await?;
            self.enter(Phase::Reversible, Event::FinalizeAsked, &recorded.migration).await?;
        } else if let Some(control) = self.persist(|| target.read_control(name)).await? {
            self.persist(|| target.begin_finalizing(name, &control.migration)).await?;
        }
        let migration = match self.persist(|| target.read_control(name)).await? {
            Some(control) => control.migration,
            None => self.run.journal.clone(),
        };
        let rejects = self.persist(|| target.finalize(name, &migration)).await?;
        let keep = request.keep_source();
        self.persist(|| marked::finish(&self.database.source, &migration, keep)).await?;
        let record = self.store.database(name).await?;
        let record = DatabaseRecord { active: Engine::Postgres, phase: Phase::Finalized, ..record };
        self.store.set_database(name, record).await?;
        self.enter(Phase::Finalizing, Event::Finalized, &migration).await?;
        self.database.lag.forget();
        self.database.standing.set_waits_for(None);
        Ok(FinalizeReport { findings: rejected(rejects).into_iter().collect() })
    }

    /// Does something until it is done, however long an engine is away.
    async fn persist<T, F>(&self, work: impl Fn() -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let mut waits = backoff();
        loop {
            match work().await {
                Err(error) if matches!(error.kind(), Kind::Unavailable | Kind::Exhausted) => {
                    tracing::warn!(%error, "finalizing waits for an engine");
                    let wait = waits.next().unwrap_or(LONGEST_WAIT).min(LONGEST_WAIT);
                    tokio::select! {
                        () = self.run.shutdown.cancelled() => return Err(cancelled()),
                        () = sleep(wait) => {}
                    }
                }
                done => return done,
            }
        }
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

    async fn refuse_lag(&self, recorded: &Recorded) -> Result<()> {
        let reverser = recorded.reverser(self.database)?;
        let carried = reverser.drain().await?;
        if carried.took > returning::IN_SYNC {
            reverser.drain().await?;
        }
        Ok(())
    }

    /// Records the next phase before its work begins.
    async fn enter(&self, phase: Phase, event: Event, migration: &str) -> Result<()> {
        let next = transition(phase, event)
            .map_err(|error| Error::new(Reason::Internal, error.to_string()))?;
        self.store.checkpoint(&self.run.id, next, migration).await?;
        self.run.log.phase(next);
        tracing::info!(phase = next.word(), "phase");
        Ok(())
    }
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
