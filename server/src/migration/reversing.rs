//! Reverse replication: what applications write on PostgreSQL is carried back to SQLite, one batch
//! after the other, until the migration is finalized or rolled back.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use rusqlite::Connection;
use switchback_proto::v1::Plan;
use tokio_postgres::{Client, IsolationLevel, Transaction};
use tracing::Instrument;

use super::{build::Context, journal::Journal, keeping::Leaving};
use crate::{
    apply::{
        self,
        reverse::{self, Refused, ReversedTable, Taken},
    },
    capture::{guard, lock, mark},
    db::{
        lag::Lag,
        postgres::failed,
        source::SourceFile,
        standing::Standing,
        target::{Returned, Target, advance_returned, given_values, returned, waiting},
    },
    dialect::{capture::keyed_schema, schema::SourceSchema},
    error::{Error, Reason, Result},
    failpoint,
    task::blocking,
    telemetry::spans,
};

/// How long a batch waits for SQLite's lock: readers of a rollback-journal file hold it up.
const LOCK_WAIT: Duration = Duration::from_secs(5);

/// Between two records of the time until when everything is carried back.
const TELL: Duration = Duration::from_secs(1);

/// Nobody else changes what is in the log. A server that was stopped in the middle does not keep it.
const LIMITS: &str = "SET LOCAL lock_timeout = '10s'; \
                      SET LOCAL idle_in_transaction_session_timeout = '1h'";

/// What a batch did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CarriedBack {
    /// Entries of the log that were carried back.
    pub(super) changes: u64,
    /// How long it took.
    pub(super) took: Duration,
}

/// Where SQLite is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SourceAt {
    pub(super) beat: i64,
    /// `PRAGMA schema_version`.
    pub(super) version: i64,
    /// The attempt that fenced it.
    pub(super) fenced: i64,
}

/// What one transaction of SQLite does beside writing a batch.
pub(super) struct Writing {
    /// Where SQLite must still be.
    pub(super) at: SourceAt,
    /// Highest ids that PostgreSQL has given.
    pub(super) sequences: Vec<(String, i64)>,
    /// Rows that are kept aside already, beside those of the batch.
    pub(super) kept: u64,
    /// Rows that SQLite goes on without; `None` where PostgreSQL goes on.
    pub(super) leaving: Option<Leaving>,
    /// Longest wait for SQLite's lock.
    pub(super) wait: Duration,
}

/// Carries the changes of one migration back.
pub(super) struct Reverser {
    pub(super) name: String,
    pub(super) migration: String,
    pub(super) source: SourceFile,
    pub(super) target: Target,
    pub(super) tables: Arc<Vec<ReversedTable>>,
    pub(super) schema: Arc<SourceSchema>,
    scratch: PathBuf,
    lag: Lag,
    pub(super) standing: Standing,
    /// Transactions before this one are carried back.
    since: Mutex<String>,
    /// Changes carried back by this process.
    carried: Mutex<i64>,
    pub(super) plan: Plan,
    /// Where the database has moved to, for whoever is refused.
    pub(super) moved: String,
    /// When the target's schema was last compared with the plan.
    pub(super) looked: Mutex<Option<Instant>>,
    /// When it was last recorded until when everything is carried back.
    told: Mutex<Option<Instant>>,
}

impl Reverser {
    pub(super) fn new(context: &Context<'_>, journal: &Journal) -> Result<Self> {
        let (plan, schema) = (journal.plan()?, journal.schema()?);
        let keyed = keyed_schema(schema, plan);
        let followed = apply::followed(plan, schema)?;
        Ok(Self {
            name: context.name().clone(),
            migration: context.id.to_owned(),
            source: context.database.source.clone(),
            target: context.target.clone(),
            tables: reverse::reversed(plan, &keyed, followed)?,
            schema: Arc::new(keyed),
            scratch: context.database.scratch.clone(),
            lag: context.database.lag.clone(),
            standing: context.database.standing.clone(),
            since: Mutex::new("0".into()),
            carried: Mutex::default(),
            plan: plan.clone(),
            moved: context.database.postgres.display(),
            looked: Mutex::default(),
            told: Mutex::default(),
        })
    }

    /// Carries back what is committed by now.
    pub(super) async fn drain(&self) -> Result<CarriedBack> {
        let drained = self.drain_since().await;
        if drained.is_err() {
            // PostgreSQL may be another one when it is back, with numbers from before.
            *self.since.lock().unwrap_or_else(PoisonError::into_inner) = "0".into();
        }
        drained
    }

    async fn drain_since(&self) -> Result<CarriedBack> {
        let began = Instant::now();
        let mut client = self.target.postgres().get().await?;
        let since = self.since();
        let behind = waiting(&*client, &self.name, &since).await?;
        self.tell(behind, 0);
        if behind == 0 {
            return Ok(CarriedBack { changes: 0, took: began.elapsed() });
        }
        let carried = self.carry(&mut client, since, async |_| Ok(()));
        let changes = carried.instrument(spans::batch(behind)).await?.0;
        self.tell(behind.saturating_sub(changes), changes);
        Ok(CarriedBack { changes, took: began.elapsed() })
    }

    /// Carries back what is committed by now, then does something while SQLite holds exactly what
    /// the connection sees. The caller keeps others from carrying anything back meanwhile.
    pub(super) async fn standing_still<T>(
        &self,
        work: impl AsyncFnOnce(&Client) -> Result<T>,
    ) -> Result<T> {
        let mut client = self.target.postgres().get().await?;
        Ok(self.carry(&mut client, self.since(), work).await?.1)
    }

    async fn carry<T>(
        &self,
        client: &mut Client,
        since: String,
        work: impl AsyncFnOnce(&Client) -> Result<T>,
    ) -> Result<(u64, T)> {
        // Before the snapshot: whoever has changed SQLite since then knew more than it shows.
        let at = self.source_at().await?;
        let transaction = repeatable(client).await?;
        let sql = "SELECT pg_snapshot_xmin(pg_current_snapshot())::text";
        let xmin: String = transaction.query_one(sql, &[]).await.map_err(failed)?.get(0);
        let mut taken = self.take(&transaction, at, &since).await?;
        let changes = taken.changes;
        let mut refused = Vec::new();
        if changes > 0 {
            self.forget_kept(&transaction, &mut taken).await?;
            let kept = self.kept(&transaction).await?;
            let sequences = Vec::new();
            let writing = Writing { at, sequences, kept, leaving: None, wait: LOCK_WAIT };
            refused = self.write(&mut taken, writing).await?;
            self.keep(&transaction, &refused).await?;
            self.settle(&transaction, at, changes).await?;
        }
        let done = work(transaction.client()).await?;
        failpoint::hit("reversed.before");
        transaction.commit().await.map_err(failed)?;
        failpoint::hit("reversed.after");
        *self.since.lock().unwrap_or_else(PoisonError::into_inner) = xmin;
        if changes > 0 {
            self.tell_kept(&refused).await?;
        }
        Ok((changes, done))
    }

    /// Whether it is time to record until when everything is carried back.
    pub(super) fn tells_time(&self) -> bool {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let due = told.is_none_or(|told| told.elapsed() >= TELL);
        if due {
            *told = Some(Instant::now());
        }
        due
    }

    /// Sees how far SQLite is behind while nothing can be carried back.
    pub(super) async fn observe(&self) -> Result<u64> {
        let client = self.target.postgres().get().await?;
        let behind = waiting(&*client, &self.name, &self.since()).await?;
        self.tell(behind, 0);
        Ok(behind)
    }

    fn since(&self) -> String {
        self.since.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn tell(&self, behind: u64, done: u64) {
        let mut carried = self.carried.lock().unwrap_or_else(PoisonError::into_inner);
        *carried += done.cast_signed();
        self.lag.record(*carried + behind.cast_signed(), *carried);
    }

    /// Where SQLite is, which must be fenced by this migration.
    pub(super) async fn source_at(&self) -> Result<SourceAt> {
        let (source, schema, migration) =
            (self.source.clone(), Arc::clone(&self.schema), self.migration.clone());
        blocking(move || {
            let connection = source.open()?;
            connection.execute_batch("BEGIN").map_err(|error| source.explain(error))?;
            source_at(&connection, &source, &schema, &migration)
        })
        .await
    }

    /// Takes out of the log what the transaction sees, with the rows as they are now.
    pub(super) async fn take(
        &self,
        transaction: &Transaction<'_>,
        at: SourceAt,
        since: &str,
    ) -> Result<Taken> {
        let known = returned(transaction, &self.name).await?.ok_or_else(unreturned)?;
        check_age(at, known)?;
        let moved = at.version != known.version;
        reverse::take(transaction, (&self.name, since), &self.tables, moved, &self.scratch).await
    }

    /// Writes a batch into SQLite, if it is still where it was. Returns the rows that it cannot
    /// hold, which are to be kept aside.
    pub(super) async fn write(&self, taken: &mut Taken, writing: Writing) -> Result<Vec<Refused>> {
        let (source, schema, migration) =
            (self.source.clone(), Arc::clone(&self.schema), self.migration.clone());
        let tables = Arc::clone(&self.tables);
        let mut batch = std::mem::take(taken);
        let Writing { at, sequences, kept, leaving, wait } = writing;
        self.target.flush().await;
        blocking(move || {
            let connection = source.open()?;
            let explain = |error| source.explain(error);
            // Rows come in any order.
            connection.pragma_update(None, "foreign_keys", false).map_err(explain)?;
            lock::begin(&connection, &source, wait)?;
            if source_at(&connection, &source, &schema, &migration)? != at {
                return Err(overtaken());
            }
            let refused = reverse::write(&connection, &source, &tables, &mut batch, kept)?;
            if let Some(leaving) = leaving {
                let left = leaving.with(&refused, &tables)?;
                reverse::log_left(&connection, &source, &left)?;
            }
            set_sequences(&connection, &sequences).map_err(explain)?;
            mark::beat(&connection, &migration).map_err(explain)?;
            failpoint::hit("reverse.before");
            lock::commit(&connection, &source, wait)?;
            failpoint::hit("reverse.after");
            Ok(refused)
        })
        .await
    }

    /// Records what was written into SQLite, in the transaction that forgets it.
    pub(super) async fn settle(
        &self,
        transaction: &Transaction<'_>,
        at: SourceAt,
        changes: u64,
    ) -> Result<()> {
        advance_returned(transaction, &self.name, (at.beat + 1, at.version), changes).await
    }

    /// The highest id that PostgreSQL has given, for the tables in which SQLite never gives one
    /// again.
    pub(super) async fn given_values(
        &self,
        transaction: &Transaction<'_>,
        plan: &Plan,
    ) -> Result<Vec<(String, i64)>> {
        let mut values = given_values(transaction, plan).await?;
        let remembers = |name: &str| {
            self.schema.tables.iter().any(|table| table.name == name && table.autoincrement)
        };
        values.retain(|(table, _)| remembers(table));
        Ok(values)
    }
}

async fn repeatable(client: &mut Client) -> Result<Transaction<'_>> {
    let builder = client.build_transaction().isolation_level(IsolationLevel::RepeatableRead);
    let transaction = builder.start().await.map_err(failed)?;
    transaction.batch_execute(LIMITS).await.map_err(failed)?;
    Ok(transaction)
}

/// Inside a transaction.
fn source_at(
    connection: &Connection,
    source: &SourceFile,
    schema: &SourceSchema,
    migration: &str,
) -> Result<SourceAt> {
    let explain = |error| source.explain(error);
    let mark = mark::read(connection).map_err(explain)?;
    let mark = mark.filter(|mark| mark.migration == migration).ok_or_else(replaced)?;
    let fenced = mark.fenced.ok_or_else(open)?;
    let version = guard::check(connection, source, schema).map_err(changed)?;
    Ok(SourceAt { beat: mark.beat, version, fenced })
}

/// There is nothing to abort while PostgreSQL is active.
fn changed(error: Error) -> Error {
    if error.reason() != Reason::SourceChanged {
        return error;
    }
    Error::new(Reason::SourceChanged, error.message()).hint(
        "put the SQLite file's schema back as it was; until then there is no way back, and \
         `switchback finalize --force` ends the migration",
    )
}

/// Refuses a file that went back in time: what it lost is not in the log any more.
fn check_age(at: SourceAt, known: Returned) -> Result<()> {
    if at.beat >= known.beat {
        return Ok(());
    }
    Err(Error::new(
        Reason::SourceChanged,
        "the SQLite file is an older copy of the one that changes were carried back to",
    )
    .hint(
        "put the newest copy back; without it there is no way back, and `switchback finalize \
         --force` ends the migration",
    ))
}

/// AUTOINCREMENT never gives an id again that PostgreSQL has given.
fn set_sequences(connection: &Connection, given: &[(String, i64)]) -> rusqlite::Result<()> {
    let exists = "SELECT EXISTS (SELECT 1 FROM main.sqlite_schema WHERE name = 'sqlite_sequence')";
    if !connection.query_row(exists, [], |row| row.get::<_, bool>(0))? {
        return Ok(());
    }
    let mut raise = connection
        .prepare("UPDATE main.sqlite_sequence SET seq = ?2 WHERE name = ?1 AND seq < ?2")?;
    let mut first = connection.prepare(
        "INSERT INTO main.sqlite_sequence (name, seq) SELECT ?1, ?2 WHERE ?1 NOT IN \
         (SELECT name FROM main.sqlite_sequence)",
    )?;
    for (table, value) in given {
        raise.execute((table, value))?;
        first.execute((table, value))?;
    }
    Ok(())
}

fn unreturned() -> Error {
    Error::new(Reason::NotReversible, "the switch to PostgreSQL was made without a way back")
        .hint("an earlier version made it; `switchback finalize` ends the migration")
}

fn replaced() -> Error {
    Error::new(Reason::SourceChanged, "the SQLite file is not the one that was migrated")
        .hint("put that file back under its path; until then nothing is carried back")
}

fn open() -> Error {
    Error::new(Reason::Halted, "the SQLite file takes writes while PostgreSQL is active")
        .hint("it was restored or changed by hand: put the file back that was fenced")
}

/// Another server, or an earlier batch of this one, has carried more back meanwhile.
fn overtaken() -> Error {
    Error::new(Reason::SourceLocked, "the SQLite file has changed since it was looked at")
        .hint("the batch is read again")
}
