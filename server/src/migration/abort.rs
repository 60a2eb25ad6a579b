//! `Abort`, as an operation of its own.

use switchback_proto::v1::{AbortReport, AbortRequest, Engine, MigrateRequest, Phase};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::{
    activation,
    build::Context,
    finalize::{left_behind, not_given_back},
    marked,
};
use crate::{
    capture::mark,
    db::{
        Database,
        control::{ControlStore, DatabaseRecord},
    },
    error::{Error, Reason, Result},
    operations::{Outcome, Report, Run},
    telemetry::spans,
};

/// Ends a migration that has not been cut over and undoes it.
pub(super) async fn run(
    (database, store): (&Database, &ControlStore),
    _request: &AbortRequest,
    run: &Run,
    halt: &CancellationToken,
) -> Outcome {
    let _gate = database.gate.lock().await;
    match undo(database, store, run, halt).instrument(spans::phase(Phase::Aborting)).await {
        Ok(report) => Outcome { report: Some(Report::Abort(report)), error: None },
        Err(error) => Outcome { report: None, error: Some(error) },
    }
}

/// The migration of this server that has marked the source and that PostgreSQL does not record:
/// its database was replaced, or somebody removed the schema.
async fn unrecorded(
    database: &Database,
    store: &ControlStore,
    phase: Phase,
) -> Result<Option<String>> {
    let Some(mark) = marked::marked(&database.source).await? else { return Ok(None) };
    let followed = matches!(phase, Phase::Following | Phase::Halted);
    if followed || store.operation(&mark.migration).await?.is_some() {
        return Ok(Some(mark.migration));
    }
    Err(mark::foreign(&database.source, &mark))
}

async fn undo(
    database: &Database,
    store: &ControlStore,
    run: &Run,
    halt: &CancellationToken,
) -> Result<AbortReport> {
    let name = &database.config.name;
    let record = store.database(name).await?;
    if record.active == Engine::Postgres {
        return Err(activation::already(name));
    }
    let target = database.target();
    let migration = match target.read_control(name).await? {
        Some(control) => control.migration,
        None => unrecorded(database, store, record.phase).await?.ok_or_else(|| {
            Error::new(Reason::NotMigrated, format!("no migration of {name} has begun"))
                .hint("`switchback status` shows where the database is")
        })?,
    };
    run.log.phase(Phase::Aborting);
    let request = MigrateRequest::default();
    let context = Context {
        id: &migration,
        database,
        target: &target,
        request: &request,
        log: &run.log,
        halt,
    };
    let removed = activation::undo(&context, &migration).await?;
    store.set_database(name, DatabaseRecord { phase: Phase::Idle, ..record }).await?;
    database.lag.forget();
    database.standing.set_waits_for(None);
    // A PostgreSQL that was given up and came back is free for another migration.
    if store.given_up(name).await?.as_ref() == Some(&migration) {
        store.take_back(name).await?;
        database.standing.set_given_up(None);
    }
    let left = target.left_behind(name).await?;
    let missing = target.not_given_back(name).await?;
    let stay = left_behind(left).into_iter().chain(not_given_back(&missing));
    Ok(AbortReport { removed, findings: stay.collect() })
}
