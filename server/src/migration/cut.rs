//! `Cutover`, as an operation of its own.

use std::time::{Duration, Instant};

use switchback_proto::v1::{CutoverForecast, CutoverReport, CutoverRequest, Phase};
use tokio_util::sync::CancellationToken;

use super::{
    attempt::rehearse,
    build::refuse_more_rejects,
    coordinator::Coordinator,
    cutover::DEADLINE,
    following::Follower,
    recorded::{self, Recorded},
    versions::{self, Towards},
};
use crate::{
    apply::Extent,
    backup::Backups,
    db::{Database, control::ControlStore},
    error::{Error, Reason, Result},
    operations::{Outcome, Report, Run},
};

/// How long a dry run tries for each lock that the switch will need: longer than autovacuum takes
/// to give way.
const TRY: Duration = Duration::from_secs(2);

/// Makes PostgreSQL the active engine of a database whose migration is in following.
pub(super) async fn run(
    (database, store, backups): (&Database, &ControlStore, &Backups),
    request: &CutoverRequest,
    mut run: Run,
    halt: CancellationToken,
) -> Option<Outcome> {
    let _gate = database.gate.lock().await;
    let found = async {
        refuse_halted(database, store, &run).await?;
        find(database, &run).await
    };
    let recorded = match found.await {
        Ok(recorded) => recorded,
        Err(error) if request.dry_run && error.reason() == Reason::Halted => {
            return Some(forecast_of(CutoverForecast {
                reasons: vec![reason(&error)],
                ..CutoverForecast::default()
            }));
        }
        Err(error) => return Some(failed(error)),
    };
    if request.dry_run {
        return Some(forecast(database, &recorded).await.unwrap_or_else(failed));
    }
    if run.journal.is_empty() {
        match recorded.journal(Phase::Following).to_json() {
            Ok(journal) => run.journal = journal,
            Err(error) => return Some(failed(error)),
        }
    }
    let deadline = match request.deadline_ms {
        0 => DEADLINE,
        millis => Duration::from_millis(millis),
    };
    let coordinator = Coordinator::new((database, store, backups), recorded.request, run, halt)
        .cutover(recorded.migration, deadline);
    let outcome = Box::pin(coordinator.run()).await?;
    let report = match outcome.report {
        Some(Report::Migrate(report)) => report.cutover.map(Report::Cutover),
        other => other,
    };
    Some(Outcome { report, ..outcome })
}

/// What needs a person is not switched; a cutover that has begun goes on by both engines' records.
async fn refuse_halted(database: &Database, store: &ControlStore, run: &Run) -> Result<()> {
    let why = store.halted_by(&database.config.name).await?;
    why.filter(|_| run.journal.is_empty())
        .map_or(Ok(()), |why| Err(Error::new(Reason::Halted, why.message).hint(why.hint)))
}

/// A cutover that a restart takes up may have been decided already.
async fn find(database: &Database, run: &Run) -> Result<Recorded> {
    if run.journal.is_empty() {
        return recorded::following(database).await;
    }
    let control = database.target().read_control(&database.config.name).await?;
    match control {
        Some(control) => Recorded::parse(&control),
        None => recorded::following(database).await,
    }
}

fn failed(error: Error) -> Outcome {
    Outcome { report: None, error: Some(error) }
}

/// Says whether a cutover would work now: it tries everything but the commits.
async fn forecast(database: &Database, recorded: &Recorded) -> Result<Outcome> {
    let follower = recorded.follower(database)?.waiting(TRY);
    let mut reasons = Vec::new();
    let mut expected = Duration::ZERO;
    let mut lag = 0;
    match drained(&follower).await {
        Ok((took, behind)) => (expected, lag) = (took, behind),
        Err(error) => reasons.push(reason(&error)),
    }
    let planned = (recorded.plan(), recorded.schema());
    if let Err(error) = versions::require_equal(database, planned, Towards::Postgres).await {
        reasons.push(reason(&error));
    }
    if let Err(error) = refuse_more_rejects(&follower, recorded.request.allow_rejects).await {
        reasons.push(reason(&error));
    }
    if reasons.is_empty() {
        match rehearse(&follower, recorded.plan(), TRY).await {
            Ok(held) => expected += held,
            Err(error) => reasons.push(reason(&error)),
        }
    }
    let forecast = CutoverForecast {
        go: reasons.is_empty(),
        reasons,
        expected_pause_ms: expected.as_secs_f64() * 1000.0,
        lag_changes: lag,
    };
    Ok(forecast_of(forecast))
}

fn forecast_of(forecast: CutoverForecast) -> Outcome {
    let report = CutoverReport { forecast: Some(forecast), ..CutoverReport::default() };
    Outcome { report: Some(Report::Cutover(report)), error: None }
}

/// Catches up, then measures a batch as small as the one under the lock will be.
async fn drained(follower: &Follower) -> Result<(Duration, u64)> {
    follower.drain(Extent::All).await?;
    let began = Instant::now();
    let drained = follower.drain(Extent::All).await?;
    Ok((began.elapsed(), drained.changes))
}

pub(super) fn reason(error: &Error) -> String {
    if error.hint_text().is_empty() {
        return error.to_string();
    }
    format!("{error}: {}", error.hint_text())
}
