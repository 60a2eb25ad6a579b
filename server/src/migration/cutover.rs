//! The switch to PostgreSQL: fence SQLite, then one commit in PostgreSQL decides.
//!
//! Each step reads both engines' records first, so that it can be begun again at any instant. The
//! deciding transaction is open before SQLite's lock is taken (docs/adr/0006): what takes long is
//! done while writers go on, and under the lock only the last changes are carried over.

use std::time::Duration;

use switchback_proto::v1::{Engine, Phase};
use tokio::time::sleep;

use super::{
    attempt::{AGAIN, Limit, Switch, given_up},
    build::Context,
    capture, constraints,
    following::Follower,
    journal::Journal,
    marked::{fenced, lower},
    resume::{Decision, Records, Step, next_step},
    versions::{self, Towards},
};
use crate::{
    db::control::{ControlStore, DatabaseRecord},
    error::{Error, Reason, Result},
    failpoint,
};

/// How long a switch waits for the locks of both engines unless asked otherwise, before it gives up
/// and SQLite goes on.
pub(super) const DEADLINE: Duration = Duration::from_secs(5);

/// How a switch went on.
pub(super) enum Switched {
    /// PostgreSQL is active.
    Done,
    /// It was given up: SQLite is open, and PostgreSQL follows.
    Retreated(Error),
}

/// Makes PostgreSQL the active engine.
pub(super) async fn switch(
    context: &Context<'_>,
    store: &ControlStore,
    follower: &Follower,
    journal: &mut Journal,
    limit: Limit,
) -> Result<Switched> {
    let mut failure: Option<Error> = None;
    loop {
        let records = match records(context).await {
            // Nothing is fenced: SQLite goes on, whatever PostgreSQL records of the attempt.
            Err(error) if error.is_retryable() && is_open(context).await => {
                return Ok(Switched::Retreated(failure.unwrap_or(error)));
            }
            records => records?,
        };
        match (next_step(records), failure.take()) {
            (Step::Attempt, Some(error)) => {
                // Without an answer it stays pending, and the next attempt replaces it.
                let _ = retreat(context, records.attempt).await;
                return Ok(Switched::Retreated(error));
            }
            (Step::Attempt, None) => {
                // Before anything is fenced. An engine that is away is met again.
                if let Err(error) = versions_are_equal(context, journal).await {
                    return Ok(Switched::Retreated(error));
                }
                // An earlier version has migrated without it.
                capture::capture(context, journal.plan()?, journal).await?;
                failpoint::hit("attempt.before");
                let number = context.target.begin_attempt(context.name(), context.id).await?;
                failpoint::hit("attempt.after");
                let switch = Switch { context, follower, number, limit, fenced: false };
                failure = switch.make(journal).await.err();
                refuse_foreign(&mut failure)?;
            }
            (Step::Decide(number), _) => {
                let switch = Switch { context, follower, number, limit, fenced: true };
                failure = switch.make(journal).await.err();
                refuse_foreign(&mut failure)?;
                if failure.is_some() && limit.is_over() {
                    retreat(context, number).await?;
                } else if failure.is_some() {
                    sleep(AGAIN).await;
                }
            }
            (Step::Done, _) => {
                record(context, store, journal).await?;
                constraints::validate(context, journal).await?;
                return Ok(Switched::Done);
            }
            (Step::Unfence(attempt), error) => {
                failure = error.or_else(|| Some(given_up()));
                lower(&context.database.source, &follower.schema, context.id, attempt).await?;
            }
            (Step::Halt, _) => return Err(halted(records)),
        }
    }
}

async fn versions_are_equal(context: &Context<'_>, journal: &Journal) -> Result<()> {
    let planned = (journal.plan()?, journal.schema()?);
    versions::require_equal(context.database, planned, Towards::Postgres).await
}

/// Gives an attempt up; where it has been decided meanwhile, that stays.
async fn retreat(context: &Context<'_>, number: i64) -> Result<()> {
    failpoint::hit("retreat.before");
    context.target.retreat(context.name(), context.id, number).await?;
    failpoint::hit("retreat.after");
    Ok(())
}

async fn is_open(context: &Context<'_>) -> bool {
    let fenced = fenced(&context.database.source, context.id).await;
    fenced.is_ok_and(|attempt| attempt.is_none())
}

/// Nothing more is changed for a migration that another server coordinates.
fn refuse_foreign(failure: &mut Option<Error>) -> Result<()> {
    match failure.take_if(|error| error.reason() == Reason::LeaseHeld) {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

async fn records(context: &Context<'_>) -> Result<Records> {
    let record = context.target.switch_record(context.name(), context.id).await?;
    let unknown = || Error::new(Reason::Halted, format!("unknown decision {}", record.decision));
    Ok(Records {
        decision: Decision::from_word(&record.decision).ok_or_else(unknown)?,
        postgres_active: record.postgres_active,
        attempt: record.attempt,
        fenced: fenced(&context.database.source, context.id).await?,
    })
}

/// The control database follows what PostgreSQL has decided.
async fn record(context: &Context<'_>, store: &ControlStore, journal: &mut Journal) -> Result<()> {
    let record = context.target.switch_record(context.name(), context.id).await?;
    let epoch = u64::try_from(record.epoch).unwrap_or_default();
    journal.report.cutover.get_or_insert_default().epoch = epoch;
    let record = DatabaseRecord { active: Engine::Postgres, epoch, phase: Phase::Reversible };
    failpoint::hit("record.before");
    store.set_database(context.name(), record).await?;
    failpoint::hit("record.after");
    // What was behind is done; what is written from now on is carried back.
    context.database.lag.forget();
    context.database.wake.notify_one();
    Ok(())
}

fn halted(found: Records) -> Error {
    Error::new(Reason::Halted, format!("both engines' records contradict each other: {found:?}"))
        .hint(
            "one of the two was restored or changed by hand, and nothing was changed since: compare \
             them; where SQLite is to go on, `switchback migrate` opens it first",
        )
}
