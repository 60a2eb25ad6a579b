//! What operations do: plan, migrate, validate, cut over, roll back, finalize, abort.

mod abort;
mod activation;
mod attempt;
mod build;
mod capture;
mod carrier;
mod constraints;
mod coordinator;
mod cut;
mod cutover;
mod existing;
mod finalize;
mod fitting;
mod following;
mod forced;
mod index;
mod install;
mod journal;
mod keeper;
mod keeping;
mod marked;
pub mod phase;
mod planning;
mod recorded;
mod rehearsal;
mod resume;
mod returning;
mod reversing;
mod rollback;
mod schedule;
mod steady;
mod validation;
mod versions;
mod watching;

use std::{future::Future, pin::Pin, sync::Arc};

use switchback_proto::v1::{Phase, PlanReport, PlanRequest};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::{
    backup::Backups,
    db::{Database, DatabaseSet, control::ControlStore},
    dialect::ddl,
    error::{Reason, Result},
    operations::{Driver, Outcome, Report, Request, Run},
    telemetry::spans,
};

/// Runs every kind of operation.
#[derive(Debug, Clone)]
pub struct Migrations {
    set: Arc<DatabaseSet>,
    store: ControlStore,
    backups: Backups,
}

impl Migrations {
    /// Over the configured databases.
    pub fn new(set: Arc<DatabaseSet>, store: ControlStore, backups: Backups) -> Self {
        Self { set, store, backups }
    }

    async fn dispatch(&self, run: Run) -> Option<Outcome> {
        let halt = halt(&run);
        let shutdown = run.shutdown.clone();
        let outcome = match self.set.get(&run.database) {
            Err(error) => Outcome { report: None, error: Some(error) },
            Ok(database) => match &run.request {
                Request::Plan(request) => {
                    let request = request.clone();
                    finished(plan(database, &request, &run, &halt).await)
                }
                Request::Validate(request) => {
                    let request = request.clone();
                    validation::run((database, &self.store), &request, &run, &halt).await
                }
                Request::Cutover(request) => {
                    let request = request.clone();
                    return Box::pin(cut::run(
                        (database, &self.store, &self.backups),
                        &request,
                        run,
                        halt,
                    ))
                    .await;
                }
                Request::Abort(request) => {
                    let request = request.clone();
                    abort::run((database, &self.store), &request, &run, &halt).await
                }
                Request::Rollback(request) => {
                    let request = request.clone();
                    return Box::pin(rollback::run((database, &self.store), &request, run, halt))
                        .await;
                }
                Request::Finalize(request) => {
                    let request = request.clone();
                    return Box::pin(finalize::run(
                        (database, &self.store, &self.backups),
                        &request,
                        run,
                        halt,
                    ))
                    .await;
                }
                Request::Backup(_) | Request::Restore(_) | Request::VerifyBackup(_) => {
                    return Box::pin(self.backups.run(database, run, halt)).await;
                }
                Request::Migrate(request) => {
                    let request = request.clone();
                    let _gate = database.gate.lock().await;
                    let parts = (database, &self.store, &self.backups);
                    let coordinator = coordinator::Coordinator::new(parts, *request, run, halt);
                    return Box::pin(coordinator.run()).await;
                }
            },
        };
        // What only reads begins again after a restart.
        let stopped = shutdown.is_cancelled()
            && outcome.error.as_ref().is_some_and(|e| e.reason() == Reason::Cancelled);
        (!stopped).then_some(outcome)
    }
}

impl Driver for Migrations {
    fn run(&self, run: Run) -> Pin<Box<dyn Future<Output = Option<Outcome>> + Send + '_>> {
        Box::pin(self.dispatch(run))
    }
}

/// A token that is cancelled when the caller asks to stop and when the server stops.
fn halt(run: &Run) -> CancellationToken {
    let halt = run.cancel.child_token();
    let (shutdown, stop) = (run.shutdown.clone(), halt.clone());
    tokio::spawn(async move {
        tokio::select! {
            () = shutdown.cancelled() => stop.cancel(),
            () = stop.cancelled() => {}
        }
    });
    halt
}

/// `None` where the server's shutdown cut it off.
fn finished_unless_cut(run: &Run, result: Result<Report>) -> Option<Outcome> {
    let cut = result.is_err() && run.shutdown.is_cancelled();
    (!cut).then(|| finished(result))
}

fn finished(result: Result<Report>) -> Outcome {
    match result {
        Ok(report) => Outcome { report: Some(report), error: None },
        Err(error) => Outcome { report: None, error: Some(error) },
    }
}

async fn plan(
    database: &Database,
    request: &PlanRequest,
    run: &Run,
    halt: &CancellationToken,
) -> Result<Report> {
    let started = std::time::Instant::now();
    run.log.phase(Phase::Planning);
    let options = request.options.clone().unwrap_or_default();
    let planned = planning::make(planning::Inputs {
        database,
        options: &options,
        given: None,
        log: &run.log,
        halt,
    })
    .instrument(spans::phase(Phase::Planning))
    .await?;
    for finding in &planned.plan.findings {
        run.log.finding(finding.clone());
    }
    let statements = ddl::statements(&planned.plan).into_iter().map(|step| step.sql).collect();
    Ok(Report::Plan(PlanReport {
        plan: Some(planned.plan),
        statements,
        seconds: started.elapsed().as_secs_f64(),
    }))
}
