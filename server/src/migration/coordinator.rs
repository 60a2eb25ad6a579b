//! The coordinator of a migration: a short loop over phases.
//!
//! What follows what is decided in `phase`; what a phase does is elsewhere. Here each phase is
//! recorded before its work begins, and its work is repeated while PostgreSQL is away.

mod backup;
mod outcome;
mod patience;
mod switching;

use std::time::{Duration, Instant};

use switchback_proto::v1::{CutoverMode, MigrateRequest, Phase, Severity};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::{
    activation,
    attempt::{self, Limit},
    build,
    finalize::not_given_back,
    index,
    journal::Journal,
    keeper::stands_in_the_way,
    phase::{Event, transition},
    planning, steady, validation,
};
use outcome::{described, error_of, failure, success};
pub(super) use patience::backoff;
use patience::{LONGEST_WAIT, finishes};

use crate::{
    backup::Backups,
    db::{
        Database,
        control::{ControlStore, DatabaseRecord},
        target::Target,
    },
    dialect::finding,
    error::{Error, Kind, Reason, Result},
    operations::{Outcome, Run},
    task::cancelled,
    telemetry::spans,
};

/// How often a full state directory is tried again.
const RECORD_AGAIN: Duration = Duration::from_secs(1);

/// How far an operation goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Goal {
    /// Migrate, and stay in sync until somebody switches.
    Follow,
    /// Migrate and switch.
    Switch,
    /// Switch what follows already, within a deadline; what fails goes on following.
    Cutover(Duration),
}

/// One migration.
pub(super) struct Coordinator<'a> {
    database: &'a Database,
    store: &'a ControlStore,
    backups: &'a Backups,
    target: Target,
    request: MigrateRequest,
    /// Id of the migration: the operation's own, or that of the one that is switched.
    migration: String,
    goal: Goal,
    run: Run,
    halt: CancellationToken,
}

impl<'a> Coordinator<'a> {
    pub(super) fn new(
        (database, store, backups): (&'a Database, &'a ControlStore, &'a Backups),
        request: MigrateRequest,
        run: Run,
        halt: CancellationToken,
    ) -> Self {
        let manual = request.cutover() == CutoverMode::Manual;
        Self {
            database,
            store,
            backups,
            target: database.target(),
            request,
            migration: run.id.clone(),
            goal: if manual { Goal::Follow } else { Goal::Switch },
            run,
            halt,
        }
    }

    /// Switches another operation's migration.
    pub(super) fn cutover(self, migration: String, deadline: Duration) -> Self {
        Self { migration, goal: Goal::Cutover(deadline), ..self }
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
                Phase::Following if journal.failure.is_some() || self.goal == Goal::Follow => {
                    return self.leave_following(journal).await;
                }
                Phase::Halted => {
                    self.record_halt(&journal).await;
                    return Some(failure(journal));
                }
                Phase::Idle if journal.failure.is_some() => return Some(failure(journal)),
                _ => {}
            }
            let begun = Instant::now();
            let span = spans::phase(phase);
            let result = self.patiently(phase, &mut journal).instrument(span.clone()).await;
            if let Err(error) = &result {
                spans::failed(&span, error.reason().as_str());
            }
            drop(span);
            self.account(phase, begun, &mut journal);
            let event = match result {
                Ok(event) => Ok(event),
                Err(_) if self.run.shutdown.is_cancelled() => return None,
                Err(error) => Err(self.overruled(phase, error).await),
            };
            let event = match event {
                Ok(event) => event,
                // What another server coordinates is not undone here.
                Err(error) if error.reason() == Reason::LeaseHeld => {
                    return Some(Outcome { report: None, error: Some(error) });
                }
                Err(error) if phase == Phase::Following && self.is_cutover() => {
                    journal.failure = Some(described(&self.in_time(error).await));
                    return self.leave_following(journal).await;
                }
                // What follows is not undone because it could not be switched.
                Err(error) if self.is_cutover() && error.reason() != Reason::Halted => {
                    journal.failure = Some(described(&error));
                    Event::Retreated
                }
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
        let whose = (self.store, &self.run);
        while let Err(error) = steady::enter(whose, phase, event, &record).await {
            if self.run.shutdown.is_cancelled() {
                return Err(error);
            }
            // To end here would leave in the target what was made.
            tracing::error!(%error, "the next phase could not be recorded yet");
            sleep(RECORD_AGAIN).await;
        }
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
            journal.failure = Some(described(&error));
        }
        event
    }

    /// A server that was paused meets what another one has done since: that is why it failed.
    async fn overruled(&self, phase: Phase, error: Error) -> Error {
        if matches!(phase, Phase::Idle | Phase::Planning) {
            return error;
        }
        match self.target.check_tenure(&self.run.database).await {
            Err(held) if held.reason() == Reason::LeaseHeld => held,
            _ => error,
        }
    }

    fn is_cutover(&self) -> bool {
        matches!(self.goal, Goal::Cutover(_))
    }

    /// Ends the operation and leaves the pair in sync: the follower goes on. Without the record
    /// nobody would follow, so it is waited for; `None` where the server's shutdown cut it off.
    async fn leave_following(&self, journal: Journal) -> Option<Outcome> {
        let mut waits = backoff();
        while let Err(error) = self.record_following().await {
            tracing::error!(%error, "that the pair is followed could not be recorded");
            // A cutover has found it recorded.
            if self.is_cutover() {
                break;
            }
            if error.kind() != Kind::Unavailable && error.kind() != Kind::Exhausted {
                return Some(Outcome { report: None, error: Some(error) });
            }
            let wait = waits.next().unwrap_or(LONGEST_WAIT);
            self.wait(&error, wait, Phase::CuttingOver).await.ok()?;
        }
        self.database.wake.notify_one();
        Some(if journal.failure.is_some() { failure(journal) } else { success(journal) })
    }

    /// What kept a cutover from beginning: a lock that did not come in time says so.
    async fn in_time(&self, error: Error) -> Error {
        let Goal::Cutover(deadline) = self.goal else { return error };
        let limit = Limit { began: Instant::now(), deadline };
        match error.reason() {
            Reason::SourceLocked => attempt::busy(limit).caused_by(error),
            // PostgreSQL answers: it was another session.
            Reason::TargetUnreachable if self.target.postgres().version().await.is_ok() => {
                attempt::late(limit, &error)
            }
            _ => error,
        }
    }

    async fn record_following(&self) -> Result<()> {
        let name = &self.run.database;
        self.target.set_phase(name, &self.migration, "following").await?;
        let record = self.store.database(name).await?;
        self.store.set_database(name, DatabaseRecord { phase: Phase::Following, ..record }).await
    }

    /// Shows in the database's state that a person is needed.
    async fn record_halt(&self, journal: &Journal) {
        let why = error_of(journal);
        let found = stands_in_the_way(Severity::Blocker, finding::FOLLOWING_STOPPED, &why);
        if let Err(error) = self.store.halt(&self.run.database, &found).await {
            tracing::error!(%error, "the halt could not be recorded");
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
                self.back_up(journal).await?;
                Ok(Event::Planned)
            }
            Phase::Installing => {
                build::install(&context, journal).await?;
                Ok(Event::Installed)
            }
            Phase::Copying => {
                build::copy(&context, journal).await?;
                Ok(Event::Copied)
            }
            Phase::Indexing => {
                self.follower(journal)?.catch_up(|drained| self.tell(drained)).await?;
                index::index(&context, journal).await?;
                Ok(Event::Indexed)
            }
            Phase::Validating => {
                validation::migrated(&context, &self.follower(journal)?, journal).await?;
                if let Err(error) = self.store.set_validated(&self.run.database).await {
                    tracing::warn!(%error, "the time of the comparison could not be recorded");
                }
                Ok(Event::Matched)
            }
            Phase::Following => {
                self.settle(&self.follower(journal)?).await?;
                let allowed = self.request.allow_rejects;
                build::refuse_more_rejects(&self.follower(journal)?, allowed).await?;
                Ok(Event::InSync)
            }
            Phase::CuttingOver => self.switch(journal).await,
            Phase::Aborting => {
                let removed = activation::undo(&context, &self.migration).await?;
                let missing = self.target.not_given_back(&self.run.database).await?;
                not_given_back(&missing).into_iter().for_each(|found| self.run.log.finding(found));
                tracing::info!(removed, "the target is clean again");
                Ok(Event::Undone)
            }
            other => Err(Error::new(Reason::Internal, format!("no work for {other:?}"))),
        }
    }

    fn context(&self) -> build::Context<'_> {
        build::Context {
            id: &self.migration,
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
        journal.epoch = self.store.database(&self.run.database).await?.epoch;
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
