//! The copy of all rows: blocking readers that encode, writers that feed COPY, a few chunks in
//! between.
//!
//! A chunk is read in one short read transaction of the source and written in one transaction of
//! the target, together with the position behind it. Whatever is lost, the target holds whole
//! chunks and knows where to go on.

pub(crate) mod chunks;
pub(crate) mod columns;
pub(crate) mod encode;
pub(crate) mod key;
pub(crate) mod reader;
pub(crate) mod tagged;
mod writer;

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
};

use futures_util::future::join_all;
use switchback_proto::v1::{Plan, TablePlan};
use tokio::sync::mpsc;
use tokio_postgres::types::ToSql;
use tokio_util::sync::CancellationToken;

use self::columns::Column;
use crate::{
    capture::guard::Seen,
    db::{
        postgres::failed,
        source::SourceFile,
        target::{CopyPosition, Target},
    },
    dialect::{
        capture,
        schema::{SourceSchema, Table},
    },
    error::{Error, Reason, Result},
    task::blocking,
};

/// Tables copied side by side. One writer waits for PostgreSQL's backend most of the time, and a
/// second one keeps the other core busy while tables are small; more gained nothing.
pub const TABLES_AT_ONCE: usize = 2;

/// What to copy.
pub struct CopyJob<'a> {
    /// The source.
    pub source: &'a SourceFile,
    /// Its schema, as read now.
    pub schema: &'a SourceSchema,
    /// The target, with the plan's tables made.
    pub target: &'a Target,
    /// The plan.
    pub plan: &'a Plan,
    /// What to do with rows that the target cannot hold.
    pub rejects: RejectPolicy,
    /// How many tables side by side: [`TABLES_AT_ONCE`].
    pub tables_at_once: usize,
}

/// What to do with rows that the target cannot hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RejectPolicy {
    /// They are kept in `switchback.rejects`; otherwise the first one ends the copy.
    pub allowed: bool,
}

/// How far a table is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CopyProgress<'a> {
    /// Name in the source.
    pub table: &'a str,
    /// Rows of the table that are in the target.
    pub rows: u64,
    /// Rows that the census counted.
    pub rows_total: u64,
    /// Bytes of the table that were sent.
    pub bytes: u64,
    /// Rows of the table kept in `switchback.rejects`.
    pub rejected: u64,
    /// The table is finished.
    pub done: bool,
}

/// What was copied, the chunks of earlier attempts included.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CopySummary {
    /// One entry a table, in the order of the plan.
    pub tables: Vec<CopiedTable>,
}

/// What was copied of a table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CopiedTable {
    /// Name in the source.
    pub table: String,
    /// Rows in the target.
    pub rows: u64,
    /// Bytes sent.
    pub bytes: u64,
    /// Rows kept in `switchback.rejects`.
    pub rejected: u64,
}

/// Called after each chunk.
pub type OnProgress<'a> = &'a (dyn Fn(CopyProgress<'_>) + Send + Sync);

/// Copies every table of the plan, each from where it was left.
///
/// Where PostgreSQL went away ([`Error::is_retryable`]), calling it again goes on from the last
/// chunk.
pub async fn run(
    job: &CopyJob<'_>,
    progress: OnProgress<'_>,
    cancel: &CancellationToken,
) -> Result<CopySummary> {
    if job.schema.fingerprint != job.plan.source_fingerprint {
        return Err(reader::changed());
    }
    let positions = job.target.copy_positions(&job.plan.database).await?;
    let shared = Arc::new(chunks::Shared {
        source: job.source.clone(),
        tables: table_jobs(job, positions)?,
        schema: seen(job.source).await?,
        rejects: job.rejects,
        queue: Mutex::default(),
        // Its own, so that one worker's failure stops the others.
        cancel: cancel.child_token(),
    });
    *shared.queue.lock().unwrap_or_else(PoisonError::into_inner) = largest_first(&shared.tables);
    let workers = (0..job.tables_at_once.max(1)).map(|_| work(job, Arc::clone(&shared), progress));
    let results = join_all(workers).await;
    // The worker that failed first made the others stop, which is no news.
    let mut failures: Vec<Error> = results.into_iter().filter_map(Result::err).collect();
    failures.sort_by_key(|error| error.reason() == Reason::Cancelled);
    if let Some(error) = failures.into_iter().next() {
        return Err(error);
    }
    make_durable(job).await?;
    summary(job).await
}

/// A table to copy.
struct TableJob {
    plan: TablePlan,
    table: Table,
    columns: Vec<Column>,
    /// Numbers of the columns that name a row exactly; none where nothing does.
    key: Option<Vec<usize>>,
    /// `COPY … FROM STDIN`.
    copy_in: String,
    from: CopyPosition,
}

fn table_jobs(
    job: &CopyJob<'_>,
    mut positions: HashMap<String, CopyPosition>,
) -> Result<Vec<TableJob>> {
    let by_name: HashMap<&str, &Table> =
        job.schema.tables.iter().map(|table| (table.name.as_str(), table)).collect();
    let tables = job.plan.tables.iter().map(|plan| {
        let table = by_name.get(plan.source.as_str()).ok_or_else(reader::changed)?;
        let table = capture::keyed(table, plan);
        let columns = columns::carried(plan, &table)?;
        Ok(TableJob {
            key: columns::key(&columns, &table),
            copy_in: columns::copy_in(&job.plan.target_schema, plan, &columns),
            plan: plan.clone(),
            table,
            columns,
            from: positions.remove(&plan.source).unwrap_or_default(),
        })
    });
    tables.collect()
}

/// Numbers of the tables that are not done, so that no large one is left for the end.
fn largest_first(tables: &[TableJob]) -> VecDeque<usize> {
    let mut queue: Vec<usize> = (0..tables.len()).filter(|n| !tables[*n].from.done).collect();
    queue.sort_by_key(|number| std::cmp::Reverse(tables[*number].plan.rows));
    queue.into()
}

async fn seen(source: &SourceFile) -> Result<Seen> {
    let source = source.clone();
    blocking(move || {
        let connection = source.open()?;
        Seen::now(&connection).map_err(|error| source.explain(error))
    })
    .await
}

/// One reader and one writer, until the queue is empty.
async fn work(
    job: &CopyJob<'_>,
    shared: Arc<chunks::Shared>,
    progress: OnProgress<'_>,
) -> Result<()> {
    // One chunk is being written, one waits and one is being read: the reader never waits for a
    // commit, and memory is bounded.
    let (sender, receiver) = mpsc::channel(1);
    let reading = {
        let shared = Arc::clone(&shared);
        blocking(move || chunks::read_tables(&shared, sender))
    };
    let writing = async {
        let result = writer::write_chunks(job, &shared, receiver, progress).await;
        if result.is_err() {
            shared.cancel.cancel();
        }
        result
    };
    let reading = async {
        let result = reading.await;
        if result.is_err() {
            shared.cancel.cancel();
        }
        result
    };
    let (read, written) = tokio::join!(reading, writing);
    match (read, written) {
        // A reader whose writer is gone says no more than that it was stopped.
        (Err(error), Err(other)) if error.reason() == Reason::Cancelled => Err(other),
        (read, written) => read.and(written),
    }
}

/// Chunks are committed without waiting for the disk: rows and position are lost together. This
/// commit waits, and with it all those before it are on the disk.
async fn make_durable(job: &CopyJob<'_>) -> Result<()> {
    let client = job.target.postgres().get().await?;
    let sql = "UPDATE switchback.copy_position SET done = done WHERE database = $1 \
               AND NOT EXISTS (SELECT FROM switchback.control WHERE database = $1 AND holder <> $2)";
    let values: [&(dyn ToSql + Sync); 2] = [&job.plan.database, &job.target.holder().id];
    client.execute(sql, &values).await.map_err(failed)?;
    Ok(())
}

async fn summary(job: &CopyJob<'_>) -> Result<CopySummary> {
    let positions = job.target.copy_positions(&job.plan.database).await?;
    let tables = job.plan.tables.iter().map(|table| {
        let at = positions.get(&table.source).cloned().unwrap_or_default();
        let name = table.source.clone();
        CopiedTable { table: name, rows: at.rows, bytes: at.bytes, rejected: at.rejected }
    });
    Ok(CopySummary { tables: tables.collect() })
}
