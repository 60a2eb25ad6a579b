//! One attempt to switch: everything but its record and its end.

use std::time::{Duration, Instant};

use rusqlite::Connection;
use switchback_proto::v1::{CutoverReport, Engine, Finding, Plan};
use tokio::time::{sleep, timeout};
use tokio_postgres::Transaction;

use super::{build::Context, constraints, following::Follower, journal::Journal};
use crate::{
    apply::{self, Batch, Extent},
    capture::{fence, guard, lock, mark},
    db::{
        postgres::failed,
        target::{
            Attempt, FollowPosition, advance, begin_returning, enable_triggers, position_in, shapes,
        },
    },
    dialect::ddl,
    error::{Error, Reason, Result},
    failpoint,
    task::blocking,
    telemetry::metrics,
};

/// Between two tries for PostgreSQL's locks, of which each waits a little itself.
pub(super) const AGAIN: Duration = Duration::from_millis(50);

/// How long a switch may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limit {
    /// When it was begun in this process: tries that failed count too.
    pub(super) began: Instant,
    pub(super) deadline: Duration,
}

impl Limit {
    pub(super) fn left(self) -> Duration {
        self.deadline.saturating_sub(self.began.elapsed())
    }

    pub(super) fn is_over(self) -> bool {
        self.left().is_zero()
    }
}

/// One try of one attempt.
pub(super) struct Switch<'a> {
    pub(super) context: &'a Context<'a>,
    pub(super) follower: &'a Follower,
    pub(super) number: i64,
    pub(super) limit: Limit,
    /// SQLite is fenced by this attempt already.
    pub(super) fenced: bool,
}

/// What the lock is held for.
struct Held {
    connection: Connection,
    since: Instant,
    batch: Batch,
    /// Highest ids that AUTOINCREMENT has given, by table.
    sequences: Vec<(String, i64)>,
}

impl Switch<'_> {
    /// Commits the decision, or leaves everything as it was. Where an engine's answer to a commit
    /// is lost, only the records say which.
    pub(super) async fn make(&self, journal: &mut Journal) -> Result<()> {
        let mut client = self.context.target.postgres().get().await?;
        let transaction = loop {
            let transaction = client.transaction().await.map_err(failed)?;
            match self.prepare(&transaction, journal.plan()?).await {
                Ok(()) => break transaction,
                Err(error) if self.is_final(&error) => return Err(error),
                Err(error) if self.limit.is_over() => return Err(late(self.limit, &error)),
                // Applications and autovacuum hold locks on the tables.
                Err(_) => transaction.rollback().await.map_err(failed)?,
            }
            sleep(AGAIN).await;
        };
        let mut plan = journal.plan()?.clone();
        // Nobody changes a table that is locked.
        let shapes = shapes(&transaction, &plan.target_schema).await?;
        let since = position_in(&transaction, self.context.name(), self.context.id).await?;
        let mut held = self.hold(since.clone()).await?;
        let writing = self.write(&transaction, &mut held, &since, &mut plan);
        let limit = self.limit.left().max(AGAIN);
        let findings = match timeout(limit, writing).await {
            Ok(Err(error)) if error.reason() != Reason::Cancelled => return Err(error),
            Ok(Ok(findings)) => findings,
            // PostgreSQL's own time-out, or this one.
            Ok(Err(_)) | Err(_) => return Err(slow(self.limit)),
        };
        let since = held.since;
        let at = self.fence(held, journal).await?;
        begin_returning(&transaction, self.context.name(), at, &shapes).await?;
        failpoint::hit("decide.before");
        transaction.commit().await.map_err(failed)?;
        failpoint::hit("decide.after");
        let pause = since.elapsed().as_secs_f64() * 1000.0;
        metrics::record_write_pause(self.context.name(), Engine::Sqlite, pause);
        journal.report.cutover =
            Some(CutoverReport { write_pause_ms: pause, ..CutoverReport::default() });
        self.tell(journal, findings, plan);
        Ok(())
    }

    async fn prepare(&self, transaction: &Transaction<'_>, plan: &Plan) -> Result<()> {
        let attempt = Attempt { plan, migration: self.context.id, number: self.number };
        self.context.target.prepare_decision(transaction, attempt, self.limit.left()).await
    }

    fn is_final(&self, error: &Error) -> bool {
        let settled = [Reason::LeaseHeld, Reason::CutoverFailed, Reason::TargetInUse];
        settled.contains(&error.reason())
    }

    /// Takes SQLite's write lock and reads what is not carried over yet. Writers wait from here on.
    async fn hold(&self, since: FollowPosition) -> Result<Held> {
        let (source, tables) = (self.follower.source.clone(), self.follower.tables.clone());
        let (schema, scratch) = (self.follower.schema.clone(), self.follower.scratch.clone());
        let (limit, id) = (self.limit, self.context.id.clone());
        let fenced = self.fenced.then_some(self.number);
        blocking(move || {
            let connection = source.open()?;
            let explain = |error| source.explain(error);
            lock::begin(&connection, &source, limit.left()).map_err(|error| {
                match error.reason() {
                    Reason::SourceLocked => busy(limit).caused_by(error),
                    _ => error,
                }
            })?;
            let held = Instant::now();
            // The records were read before the lock was taken.
            let mark = mark::read(&connection).map_err(explain)?;
            if mark.is_none_or(|mark| mark.migration != id || mark.fenced != fenced) {
                return Err(given_up());
            }
            let source_of = (&connection, &source);
            let batch = apply::read(source_of, (&tables, &schema), &since, Extent::All, &scratch)?;
            let sequences = sequences(&connection).map_err(explain)?;
            Ok(Held { since: held, batch, sequences, connection })
        })
        .await
    }

    async fn write(
        &self,
        transaction: &Transaction<'_>,
        held: &mut Held,
        since: &FollowPosition,
        plan: &mut Plan,
    ) -> Result<Vec<Finding>> {
        let (follower, batch) = (self.follower, &mut held.batch);
        apply::write(transaction, &follower.name, &follower.tables, batch).await?;
        let holder = &self.context.target.holder().id;
        let who = (follower.name.as_str(), follower.migration.as_str(), holder.as_str());
        // The fence's commit is the beat.
        let to = (batch.upto, since.beat, batch.version);
        advance(transaction, who, since, to).await?;
        let sql = ddl::set_sequences(plan, &held.sequences);
        transaction.batch_execute(&sql).await.map_err(failed)?;
        // A table cannot be altered while it has constraints to check.
        transaction.batch_execute("SET CONSTRAINTS ALL IMMEDIATE").await.map_err(failed)?;
        // Only now: what the batch has deleted would cascade, and triggers would fire.
        let findings = constraints::add(transaction, self.context, plan).await?;
        enable_triggers(transaction, plan).await?;
        Ok(findings)
    }

    /// Fences SQLite, and returns its beat and its schema's version.
    async fn fence(&self, held: Held, journal: &Journal) -> Result<(i64, i64)> {
        let fenced = self.fenced;
        let (file, moved) =
            (self.follower.source.clone(), self.context.database.postgres.display());
        let (schema, number, limit) = (journal.schema()?.clone(), self.number, self.limit);
        blocking(move || {
            let connection = held.connection;
            let explain = |error| file.explain(error);
            if !fenced {
                fence::raise(&connection, &schema, number, &moved).map_err(explain)?;
            }
            let beat = mark::read(&connection).map_err(explain)?.map_or(0, |mark| mark.beat);
            let version = guard::schema_version(&connection).map_err(explain)?;
            if fenced {
                return Ok((beat, version));
            }
            failpoint::hit("fence.before");
            lock::commit(&connection, &file, limit.left()).map_err(|error| {
                match error.reason() {
                    Reason::SourceLocked => read_for_long(limit).caused_by(error),
                    _ => error,
                }
            })?;
            failpoint::hit("fence.after");
            Ok((beat, version))
        })
        .await
    }

    fn tell(&self, journal: &mut Journal, findings: Vec<Finding>, plan: Plan) {
        for finding in findings {
            self.context.log.finding(finding.clone());
            journal.report.findings.push(finding);
        }
        journal.plan = Some(plan);
    }
}

/// Takes every lock that a switch needs and raises the fence, and commits none of it. Returns how
/// long SQLite's lock was held.
pub(super) async fn rehearse(follower: &Follower, plan: &Plan, wait: Duration) -> Result<Duration> {
    let mut client = follower.target.postgres().get().await?;
    let transaction = client.transaction().await.map_err(failed)?;
    let limit = Limit { began: Instant::now(), deadline: wait };
    follower
        .target
        .lock_tables(&transaction, plan, wait)
        .await
        .map_err(|error| late(limit, &error))?;
    let (source, schema) = (follower.source.clone(), follower.schema.clone());
    let held = blocking(move || {
        let connection = source.open()?;
        let explain = |error| source.explain(error);
        lock::begin(&connection, &source, wait).map_err(|error| match error.reason() {
            Reason::SourceLocked => busy(limit).caused_by(error),
            _ => error,
        })?;
        let held = Instant::now();
        fence::raise(&connection, &schema, 0, "").map_err(explain)?;
        connection.execute_batch("ROLLBACK").map_err(explain)?;
        Ok(held.elapsed())
    })
    .await?;
    transaction.rollback().await.map_err(failed)?;
    Ok(held)
}

fn sequences(connection: &Connection) -> rusqlite::Result<Vec<(String, i64)>> {
    let exists = "SELECT EXISTS (SELECT 1 FROM main.sqlite_schema WHERE name = 'sqlite_sequence')";
    if !connection.query_row(exists, [], |row| row.get::<_, bool>(0))? {
        return Ok(Vec::new());
    }
    let sql = "SELECT name, seq FROM main.sqlite_sequence WHERE typeof(seq) = 'integer'";
    let mut statement = connection.prepare(sql)?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    rows.collect()
}

pub(super) fn busy(limit: Limit) -> Error {
    let message = format!("the source's write lock was not free within {:?}", limit.deadline);
    Error::new(Reason::CutoverFailed, message).hint(
        "a transaction of an application stays open: end it, then switch again \
         (`switchback cutover`); SQLite goes on and is followed",
    )
}

/// In a rollback journal nobody commits while somebody reads.
fn read_for_long(limit: Limit) -> Error {
    let message = format!("a reader held the source's lock for longer than {:?}", limit.deadline);
    Error::new(Reason::CutoverFailed, message).hint(
        "a read of an application stays open: end it, then switch again (`switchback cutover`); \
         SQLite goes on and is followed",
    )
}

pub(super) fn late(limit: Limit, error: &Error) -> Error {
    let message = format!("the switch was not made within {:?}: {error}", limit.deadline);
    Error::new(Reason::CutoverFailed, message).hint(
        "end the sessions that hold locks on the target's tables, then switch again \
         (`switchback cutover`); SQLite goes on and is followed",
    )
}

fn slow(limit: Limit) -> Error {
    let message = format!("PostgreSQL did not take the last changes within {:?}", limit.deadline);
    Error::new(Reason::CutoverFailed, message).hint(
        "see what PostgreSQL is busy with, then switch again (`switchback cutover`, with a longer \
         `--deadline` where there are very many tables); SQLite goes on and is followed",
    )
}

pub(super) fn given_up() -> Error {
    Error::new(Reason::CutoverFailed, "the attempt to switch was given up")
        .hint("switch again (`switchback cutover`); SQLite goes on and is followed")
}
