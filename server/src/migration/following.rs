//! Keeping the target in sync: one batch after the other, from the source's change log.

use std::{
    os::unix::fs::MetadataExt,
    path::PathBuf,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use rusqlite::Connection;
use tracing::Instrument;

use super::{build::Context, journal::Journal};
use crate::{
    apply::{self, Batch, Extent, FollowedTable},
    capture::{guard, lock, log, mark},
    db::{
        lag::Lag,
        postgres::failed,
        source::{SourceFile, missing},
        target::{FollowPosition, Target, advance},
    },
    dialect::{capture::keyed_schema, schema::SourceSchema},
    error::{Error, Reason, Result},
    failpoint,
    task::blocking,
    telemetry::spans,
    validate::Follow,
};

/// How long a batch waits for a lock of either engine unless asked otherwise.
const LOCK_WAIT: Duration = Duration::from_secs(5);

/// Entries of the log that are removed at a time: 1.2 ms under the lock.
const TRIM: usize = 1_000;

/// Removals after one batch; what is left goes with later ones.
const TRIMS: usize = 20;

/// Entries in one batch while the target has no unique index: a read transaction of about a second.
const ENTRIES: i64 = 200_000;

/// What a batch did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Drained {
    /// Newest entry of the log that is applied.
    pub(super) applied: i64,
    /// Entries that were applied.
    pub(super) changes: u64,
    /// Entries that were logged meanwhile, as far as is known.
    pub(super) behind: u64,
    /// How long it took.
    pub(super) took: Duration,
}

/// Carries the changes of one migration over.
pub(super) struct Follower {
    pub(super) name: String,
    pub(super) migration: String,
    pub(super) source: SourceFile,
    pub(super) target: Target,
    pub(super) tables: Arc<Vec<FollowedTable>>,
    /// As capture sees it.
    pub(super) schema: Arc<SourceSchema>,
    pub(super) scratch: PathBuf,
    lock_wait: Duration,
    lag: Lag,
    /// The target has no foreign keys: a switch before had made some.
    unbound: AtomicBool,
    /// The connection that batches are read through, while it is not in use.
    connection: Arc<Mutex<Option<Reader>>>,
}

/// A connection, and the file that it has open.
struct Reader {
    connection: Connection,
    file: (u64, u64),
    /// `PRAGMA data_version`, which every commit of another connection changes, when all was
    /// applied.
    settled: Option<i64>,
}

impl Follower {
    pub(super) fn new(context: &Context<'_>, journal: &Journal) -> Result<Self> {
        let schema = keyed_schema(journal.schema()?, journal.plan()?);
        Ok(Self {
            name: context.name().clone(),
            migration: context.id.to_owned(),
            source: context.database.source.clone(),
            target: context.target.clone(),
            tables: Arc::new(apply::followed(journal.plan()?, journal.schema()?)?),
            schema: Arc::new(schema),
            scratch: context.database.scratch.clone(),
            lock_wait: LOCK_WAIT,
            lag: context.database.lag.clone(),
            unbound: AtomicBool::new(false),
            connection: Arc::default(),
        })
    }

    /// Waits no longer than this for the locks of either engine.
    pub(super) fn waiting(self, lock_wait: Duration) -> Self {
        Self { lock_wait, ..self }
    }

    /// Records where the log is, before the first row is copied.
    pub(super) async fn begin(&self) -> Result<()> {
        if self.target.position(&self.name, &self.migration).await?.is_some() {
            return Ok(());
        }
        let (source, schema) = (self.source.clone(), Arc::clone(&self.schema));
        let at = blocking(move || {
            let connection = source.open()?;
            let explain = |error| source.explain(error);
            connection.execute_batch("BEGIN").map_err(explain)?;
            let version = guard::check(&connection, &source, &schema)?;
            let applied = log::newest(&connection).map_err(explain)?;
            let beat = mark::read(&connection).map_err(explain)?.map_or(0, |mark| mark.beat);
            Ok(FollowPosition { applied, beat, version, rejected: Default::default() })
        })
        .await?;
        self.target.begin_following(&self.name, &self.migration, &at).await
    }

    /// How far the target is; an error before the copy has begun.
    pub(super) async fn position(&self) -> Result<FollowPosition> {
        let position = self.target.position(&self.name, &self.migration).await?;
        position.ok_or_else(|| Error::new(Reason::Internal, "following has not begun"))
    }

    /// Applies everything in batches that need not fit together: only while the target has no
    /// unique index. Then, whatever was logged meanwhile, all of it at once.
    pub(super) async fn catch_up(&self, tell: impl Fn(Drained)) -> Result<()> {
        loop {
            let drained = self.drain(Extent::Entries(ENTRIES)).await?;
            tell(drained);
            if drained.behind == 0 {
                return self.drain(Extent::All).await.map(tell);
            }
        }
    }

    /// Applies one batch.
    pub(super) async fn drain(&self, extent: Extent) -> Result<Drained> {
        let began = Instant::now();
        if !self.unbound.load(Ordering::Relaxed) {
            self.target.drop_foreign_keys(&self.name, self.lock_wait).await?;
            self.unbound.store(true, Ordering::Relaxed);
        }
        let since = self.position().await?;
        let (mut reader, mut batch) = self.read(&since, extent).await?;
        self.lag.record(batch.newest, since.applied);
        if batch.is_empty(&since) {
            self.put_back(reader);
        } else {
            // All that was read is durable in the source before the target has it.
            let seen = reader.settled.take();
            let (mut reader, beat) = self.beat(reader, since.applied).await?;
            let span = spans::batch((batch.upto - since.applied).unsigned_abs());
            self.apply(&since, &mut batch, beat).instrument(span).await?;
            reader.settled = seen;
            self.put_back(reader);
            self.lag.record(batch.newest, batch.upto);
        }
        Ok(Drained {
            applied: batch.upto,
            changes: (batch.upto - since.applied).cast_unsigned(),
            behind: (batch.newest - batch.upto).cast_unsigned(),
            took: began.elapsed(),
        })
    }

    async fn read(&self, since: &FollowPosition, extent: Extent) -> Result<(Reader, Batch)> {
        let (source, tables, schema) =
            (self.source.clone(), Arc::clone(&self.tables), Arc::clone(&self.schema));
        let (since, scratch) = (since.clone(), self.scratch.clone());
        let kept = self.connection.lock().unwrap_or_else(PoisonError::into_inner).take();
        blocking(move || {
            let reader = reader(kept, &source)?;
            let connection = &reader.connection;
            let explain = |error| source.explain(error);
            connection.execute_batch("BEGIN").map_err(explain)?;
            let batch =
                apply::read((connection, &source), (&tables, &schema), &since, extent, &scratch)?;
            let version = data_version(connection).map_err(explain)?;
            connection.execute_batch("COMMIT").map_err(explain)?;
            let settled = (batch.upto == batch.newest).then_some(version);
            Ok((Reader { settled, ..reader }, batch))
        })
        .await
    }

    /// Whether nobody has written to the source since the last batch.
    pub(super) async fn is_idle(&self) -> Result<bool> {
        let source = self.source.clone();
        let kept = self.connection.lock().unwrap_or_else(PoisonError::into_inner).take();
        let (reader, idle) = blocking(move || {
            let reader = reader(kept, &source)?;
            let now = data_version(&reader.connection).map_err(|error| source.explain(error))?;
            let idle = reader.settled == Some(now);
            Ok((reader, idle))
        })
        .await?;
        self.put_back(reader);
        Ok(idle)
    }

    /// Sees how far the source is while nothing can be carried over.
    pub(super) async fn observe(&self) -> Result<()> {
        let source = self.source.clone();
        let kept = self.connection.lock().unwrap_or_else(PoisonError::into_inner).take();
        let (reader, newest) = blocking(move || {
            let reader = reader(kept, &source)?;
            let newest = log::newest(&reader.connection).map_err(|error| source.explain(error))?;
            Ok((reader, newest))
        })
        .await?;
        self.put_back(reader);
        self.lag.see(newest);
        Ok(())
    }

    /// How the schema differs from the one that was planned; `None` where it does not.
    pub(super) async fn drift(&self) -> Result<Option<Error>> {
        let (source, schema) = (self.source.clone(), Arc::clone(&self.schema));
        blocking(move || {
            let connection = source.open()?;
            connection.execute_batch("BEGIN").map_err(|error| source.explain(error))?;
            match guard::check(&connection, &source, &schema) {
                Ok(_) => Ok(None),
                Err(error) if error.reason() == Reason::SourceChanged => Ok(Some(error)),
                Err(error) => Err(error),
            }
        })
        .await
    }

    /// Commits a beat, and removes entries of the log that the target has.
    async fn beat(&self, reader: Reader, applied: i64) -> Result<(Reader, i64)> {
        let (source, migration) = (self.source.clone(), self.migration.clone());
        let wait = self.lock_wait;
        blocking(move || {
            let connection = &reader.connection;
            let explain = |error| source.explain(error);
            lock::begin(connection, &source, wait)?;
            // Another migration's log has numbers of its own: nothing is to be trimmed by ours.
            let beat = mark::beat(connection, &migration).map_err(explain)?.ok_or_else(passed)?;
            let mut removed = log::trim(connection, applied, TRIM).map_err(explain)?;
            failpoint::hit("trim.before");
            lock::commit(connection, &source, wait)?;
            failpoint::hit("trim.after");
            for _ in 0..TRIMS {
                // Writers in between come first: what is left is removed later.
                if removed < TRIM || lock::begin(connection, &source, Duration::ZERO).is_err() {
                    break;
                }
                removed = log::trim(connection, applied, TRIM).map_err(explain)?;
                lock::commit(connection, &source, wait)?;
            }
            lock::release(connection, &source)?;
            Ok((reader, beat))
        })
        .await
    }

    async fn apply(&self, since: &FollowPosition, batch: &mut Batch, beat: i64) -> Result<()> {
        let mut client = self.target.postgres().get().await?;
        let transaction = client.transaction().await.map_err(failed)?;
        let wait = format!("SET LOCAL lock_timeout = '{}ms'", self.lock_wait.as_millis().max(1));
        transaction.batch_execute(&wait).await.map_err(failed)?;
        apply::write(&transaction, &self.name, &self.tables, batch).await?;
        let who = (self.name.as_str(), self.migration.as_str(), self.target.holder().id.as_str());
        advance(&transaction, who, since, (batch.upto, beat, batch.version)).await?;
        failpoint::hit("drain.before");
        transaction.commit().await.map_err(failed)?;
        failpoint::hit("drain.after");
        Ok(())
    }

    fn put_back(&self, reader: Reader) {
        *self.connection.lock().unwrap_or_else(PoisonError::into_inner) = Some(reader);
    }
}

fn data_version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("PRAGMA data_version", [], |row| row.get(0))
}

impl Follow for Follower {
    fn drain(&self) -> Pin<Box<dyn Future<Output = Result<i64>> + Send + '_>> {
        Box::pin(async { Ok(Follower::drain(self, Extent::All).await?.applied) })
    }
}

/// A connection to the file that is at the path now.
fn reader(kept: Option<Reader>, source: &SourceFile) -> Result<Reader> {
    let path = source.path();
    let found = std::fs::metadata(path).map_err(|error| missing(path, &error))?;
    let file = (found.dev(), found.ino());
    match kept {
        Some(reader) if reader.file == file => Ok(reader),
        _ => Ok(Reader { connection: source.open()?, file, settled: None }),
    }
}

/// The error for a source from which this migration's capture is gone.
fn passed() -> Error {
    Error::new(Reason::SourceChanged, "the source is not followed by this migration any more")
        .hint("`switchback status` shows what became of it")
}
