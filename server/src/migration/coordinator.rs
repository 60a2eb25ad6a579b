//! The coordinator of a migration: a short loop over phases.
//!
//! What follows what is decided in `phase`; what a phase does is elsewhere. Here each phase is
//! recorded before its work begins, and its work is repeated while PostgreSQL is away.

use std::{
    sync::{Mutex, OnceLock, PoisonError},
    time::{Duration, Instant},
};

use backon::{BackoffBuilder, ExponentialBuilder};
use switchback_proto::v1::{Engine, MigrateRequest, OperationError, Phase, WaitingEvent};
use tokio_util::sync::CancellationToken;

use super::{
    activation, build,
    cutover::{self, Switched, Watched},
    index,
    journal::Journal,
    phase::{Event, transition},
    planning,
    source_watch::SourceWatch,
    validation,
};
use crate::{
    db::{
        Database,
        control::{ControlStore, DatabaseRecord},
        target::Target,
    },
    error::{Error, Kind, Reason, Result},
    operations::{Outcome, Report, Run},
    task::cancelled,
};

/// Longest wait between two attempts to reach PostgreSQL.
const LONGEST_WAIT: Duration = Duration::from_secs(15);

/// How often a full state directory is tried again.
const RECORD_AGAIN: Duration = Duration::from_secs(1);

/// A server that is away for longer than this is not just restarting.
const PATIENCE: Duration = Duration::from_secs(30 * 60);

/// Undoing does not hold up the answer for longer than this; the next migration finishes it.
const PATIENCE_UNDOING: Duration = Duration::from_secs(60);

/// One migration.
pub(super) struct Coordinator<'a> {
    database: &'a Database,
    store: &'a ControlStore,
    target: Target,
    request: MigrateRequest,
    run: Run,
    halt: CancellationToken,
    /// Has seen the source since before it was validated.
    watch: Mutex<Option<SourceWatch>>,
    /// When this process began to switch.
    switching: OnceLock<Instant>,
}

impl<'a> Coordinator<'a> {
    pub(super) fn new(
        database: &'a Database,
        store: &'a ControlStore,
        request: MigrateRequest,
        run: Run,
        halt: CancellationToken,
    ) -> Self {
        let target = Target::new(database.postgres.clone());
        Self {
            database,
            store,
            target,
            request,
            run,
            halt,
            watch: Mutex::default(),
            switching: OnceLock::new(),
        }
    }

    /// Runs to the end; `None` where the server's shutdown cut it off.
    pub(super) async fn run(self) -> Option<Outcome> {
        let mut journal = match Journal::parse(&self.run.journal) {
            Ok(journal) => journal,
            Err(error) => return Some(Outcome { report: None, error: Some(error) }),
        };
        loop {
            let phase = journal.phase();
            match phase {
                Phase::Reversible => return Some(success(journal)),
                Phase::Halted => {
                    self.record_halt().await;
                    return Some(failure(journal));
                }
                Phase::Idle if journal.failure.is_some() => return Some(failure(journal)),
                _ => {}
            }
            let begun = Instant::now();
            let result = self.patiently(phase, &mut journal).await;
            self.account(phase, begun, &mut journal);
            let event = match result {
                Ok(event) => event,
                Err(_) if self.run.shutdown.is_cancelled() => return None,
                Err(error) => self.give_up(error, &mut journal),
            };
            match self.enter(phase, event, &mut journal).await {
                Ok(()) => {}
                Err(_) if self.run.shutdown.is_cancelled() => return None,
                Err(error) => return Some(Outcome { report: None, error: Some(error) }),
            }
        }
    }

    /// Records the next phase before its work begins.
    async fn enter(&self, phase: Phase, event: Event, journal: &mut Journal) -> Result<()> {
        let next = transition(phase, event)
            .map_err(|error| Error::new(Reason::Internal, error.to_string()))?;
        journal.set_phase(next);
        let record = journal.to_json()?;
        while let Err(error) = self.store.checkpoint(&self.run.id, next, &record).await {
            if self.run.shutdown.is_cancelled() {
                return Err(error);
            }
            // To end here would leave in the target what was made.
            tracing::error!(%error, "the next phase could not be recorded yet");
            tokio::time::sleep(RECORD_AGAIN).await;
        }
        self.run.log.phase(next);
        tracing::info!(phase = switchback_proto::words::Word::word(next), "phase");
        Ok(())
    }

    fn give_up(&self, error: Error, journal: &mut Journal) -> Event {
        // An error while undoing does not hide why it is undone.
        let event = match error.reason() {
            Reason::Halted => Event::Contradicted,
            _ if error.kind() == Kind::Cancelled => Event::Cancelled,
            _ => Event::Failed,
        };
        if journal.failure.is_none() {
            journal.failure = Some(OperationError {
                reason: error.reason().as_str().into(),
                message: error.to_string(),
                hint: error.hint_text().into(),
            });
        }
        event
    }

    /// Does a phase's work, again and again while an engine is away.
    async fn patiently(&self, phase: Phase, journal: &mut Journal) -> Result<Event> {
        let patience = match phase {
            // Nothing is changed yet: whoever asks is better off with the answer.
            Phase::Idle | Phase::Planning => Duration::ZERO,
            Phase::Aborting => PATIENCE_UNDOING,
            _ => PATIENCE,
        };
        let mut waits = backoff();
        let mut away_since = None;
        loop {
            let error = match self.step(phase, journal).await {
                Err(error) if error.is_retryable() || self.goes_forward(phase, &error).await => {
                    error
                }
                Err(error) if phase == Phase::Aborting => {
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

    async fn wait(&self, error: &Error, wait: Duration, phase: Phase) -> Result<()> {
        tracing::warn!(%error, retry_in_ms = millis(wait), "waiting for an engine");
        let engine = match error.reason() {
            Reason::SourceLocked => Engine::Sqlite,
            _ => Engine::Postgres,
        };
        self.run.log.waiting(WaitingEvent {
            engine: engine.into(),
            message: error.to_string(),
            retry_in_ms: millis(wait),
        });
        let stop = if finishes(phase) { &self.run.shutdown } else { &self.halt };
        tokio::select! {
            () = stop.cancelled() => Err(cancelled()),
            () = tokio::time::sleep(wait) => Ok(()),
        }
    }

    /// The decision may have been made: only forward, whatever PostgreSQL or the state directory
    /// says, unless the switch was given up in good order.
    async fn goes_forward(&self, phase: Phase, error: &Error) -> bool {
        let settled = [Reason::CutoverFailed, Reason::Halted, Reason::TargetInUse];
        phase == Phase::CuttingOver && !settled.contains(&error.reason()) && self.in_doubt().await
    }

    /// Shows in the database's state that a person is needed.
    async fn record_halt(&self) {
        let name = &self.run.database;
        let recorded = async {
            let record = self.store.database(name).await?;
            self.store.set_database(name, DatabaseRecord { phase: Phase::Halted, ..record }).await
        };
        if let Err(error) = recorded.await {
            tracing::error!(%error, "the halt could not be recorded");
        }
    }

    /// The source is fenced and PostgreSQL cannot say what it has decided: only it can tell.
    async fn in_doubt(&self) -> bool {
        let fenced = cutover::fenced(&self.database.source, &self.run.id).await;
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
            () = async {
                self.halt.cancelled().await;
                tokio::time::sleep(Duration::from_secs(5)).await;
            } => Err(cancelled()),
        }
    }

    async fn work(&self, phase: Phase, journal: &mut Journal) -> Result<Event> {
        if !finishes(phase) && self.halt.is_cancelled() {
            return Err(cancelled());
        }
        let context = self.context();
        match phase {
            Phase::Idle => Ok(Event::Requested),
            Phase::Planning => {
                self.plan(journal).await?;
                Ok(Event::Planned)
            }
            Phase::Installing => {
                build::install(&context, journal.plan()?).await?;
                Ok(Event::Installed)
            }
            Phase::Copying => {
                build::copy(&context, journal).await?;
                Ok(Event::Copied)
            }
            Phase::Indexing => {
                index::index(&context, journal).await?;
                Ok(Event::Indexed)
            }
            Phase::Validating => {
                let watch = validation::migrated(&context, journal).await?;
                *self.watch.lock().unwrap_or_else(PoisonError::into_inner) = Some(watch);
                Ok(Event::Matched)
            }
            Phase::CuttingOver => {
                let watch = self.watch.lock().unwrap_or_else(PoisonError::into_inner).take();
                let began = *self.switching.get_or_init(Instant::now);
                let watched = Watched { watch, began };
                match cutover::switch(&context, self.store, journal, watched).await? {
                    Switched::Done => Ok(Event::Activated),
                    Switched::Unwatched => Ok(Event::Unwatched),
                }
            }
            Phase::Aborting => {
                let removed = activation::undo(&context, &self.run.id).await?;
                tracing::info!(removed, "the target is clean again");
                Ok(Event::Undone)
            }
            other => Err(Error::new(Reason::Internal, format!("no work for {other:?}"))),
        }
    }

    fn context(&self) -> build::Context<'_> {
        build::Context {
            id: &self.run.id,
            database: self.database,
            target: &self.target,
            request: &self.request,
            log: &self.run.log,
            halt: &self.halt,
        }
    }

    async fn plan(&self, journal: &mut Journal) -> Result<()> {
        activation::admit(&self.context(), self.store).await?;
        let options = self.request.options.clone().unwrap_or_default();
        let planned = planning::make(planning::Inputs {
            database: self.database,
            options: &options,
            given: self.request.plan.as_ref(),
            log: &self.run.log,
            halt: &self.halt,
        })
        .await?;
        for finding in &planned.plan.findings {
            self.run.log.finding(finding.clone());
        }
        planning::refuse_blockers(&planned.plan)?;
        journal.report.findings = planned.plan.findings.clone();
        journal.plan = Some(planned.plan);
        journal.schema = Some(planned.schema);
        Ok(())
    }

    /// Adds the time of a phase to the report.
    fn account(&self, phase: Phase, begun: Instant, journal: &mut Journal) {
        let spent = begun.elapsed().as_secs_f64();
        let seconds = journal.report.seconds.get_or_insert_default();
        match phase {
            Phase::Planning => seconds.planning += spent,
            Phase::Copying => seconds.copying += spent,
            Phase::Indexing => seconds.indexing += spent,
            Phase::Validating => seconds.validating += spent,
            _ => {}
        }
        seconds.total += spent;
    }
}

/// Undoing goes on when the caller has cancelled, which is why it is undone; and it is too late
/// to cancel what PostgreSQL may have decided.
fn finishes(phase: Phase) -> bool {
    matches!(phase, Phase::Aborting | Phase::CuttingOver)
}

fn backoff() -> impl Iterator<Item = Duration> {
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

fn success(journal: Journal) -> Outcome {
    Outcome { report: Some(Report::Migrate(journal.report)), error: None }
}

fn failure(journal: Journal) -> Outcome {
    let failure = journal.failure.unwrap_or_default();
    let reason = Reason::ALL.iter().copied().find(|reason| reason.as_str() == failure.reason);
    let error = Error::new(reason.unwrap_or(Reason::Internal), failure.message).hint(failure.hint);
    Outcome { report: Some(Report::Migrate(journal.report)), error: Some(error) }
}
