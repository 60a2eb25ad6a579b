//! The proof: every row of both engines is compared, in constant memory and without a sort
//! (docs/adr/0003-validation-by-digest.md), and the schema with the plan.

mod buckets;
mod catalog;
mod held;
mod schema;
mod sides;
mod table;
mod tuple;

use std::{collections::HashSet, sync::Arc, time::Instant};

use rusqlite::Connection;
use switchback_proto::v1::{Plan, TableComparison, TablePlan, ValidateLevel, ValidateReport};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{
    copy::reader,
    db::{
        postgres::{Postgres, failed},
        source::SourceFile,
    },
    dialect::{ident::quote, schema::SourceSchema},
    error::{Error, Reason, Result},
    task::blocking,
};
use buckets::{Buckets, Keys, Layout};
use catalog::Catalog;
use held::{Differences, Holder, Names};
use sides::Watch;
use table::TableWork;
use tuple::TupleSink;

/// What to compare.
pub struct ValidateJob<'a> {
    /// The source.
    pub source: &'a SourceFile,
    /// Its schema, as read now.
    pub schema: &'a SourceSchema,
    /// The target.
    pub postgres: &'a Postgres,
    /// The plan that the target was made by.
    pub plan: &'a Plan,
    /// Row counts only, or every value.
    pub level: ValidateLevel,
    /// Names (in the source) of the tables to compare; empty for all.
    pub tables: &'a [String],
    /// How many differences of a table are named.
    pub max_differences: usize,
}

/// How far the comparison of a table is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ValidateProgress<'a> {
    /// Name in the source.
    pub table: &'a str,
    /// Rows compared.
    pub rows: u64,
    /// Rows that the census counted.
    pub rows_total: u64,
    /// Bytes compared.
    pub bytes: u64,
}

/// Called every few ten thousand rows, and at the end of a table.
pub type OnProgress<'a> = &'a (dyn Fn(ValidateProgress<'_>) + Send + Sync);

/// Compares both engines. Differences are in the report; an error says that the comparison could
/// not be made.
pub async fn run(
    job: &ValidateJob<'_>,
    progress: OnProgress<'_>,
    cancel: &CancellationToken,
) -> Result<ValidateReport> {
    let started = Instant::now();
    let chosen = chosen(job)?;
    let client = job.postgres.get().await?;
    let catalog = Catalog::load(&*client, &job.plan.target_schema).await?;
    let differences = schema::compare(job, &chosen, &catalog, &client).await?;
    drop(client);
    let mut comparison = Comparison::open(job, progress, cancel).await?;
    let mut tables = Vec::new();
    for table in chosen {
        let work = Arc::new(TableWork::new(job.plan, table, job.schema, &catalog)?);
        let rejects = catalog.rejects.then_some(job.plan.database.as_str());
        tables.push(if job.level == ValidateLevel::Counts {
            comparison.counts(&work, rejects).await?
        } else {
            comparison.exact(&work, rejects).await?
        });
    }
    Ok(ValidateReport {
        matches: differences.is_empty() && tables.iter().all(|table| table.matches),
        rows: tables.iter().map(|table| table.source_rows).sum(),
        tables,
        schema: differences,
        seconds: started.elapsed().as_secs_f64(),
    })
}

fn chosen<'a>(job: &ValidateJob<'a>) -> Result<Vec<&'a TablePlan>> {
    if job.tables.is_empty() {
        return Ok(job.plan.tables.iter().collect());
    }
    let asked: HashSet<&str> = job.tables.iter().map(String::as_str).collect();
    let found: Vec<&TablePlan> =
        job.plan.tables.iter().filter(|table| asked.contains(table.source.as_str())).collect();
    for name in asked {
        if !found.iter().any(|table| table.source == name) {
            return Err(Error::new(Reason::UnknownTable, format!("no table {name} in the plan"))
                .hint("table names are those of the source, as `switchback plan` lists them"));
        }
    }
    Ok(found)
}

/// A comparison under way.
struct Comparison<'a> {
    job: &'a ValidateJob<'a>,
    progress: OnProgress<'a>,
    cancel: CancellationToken,
    /// One connection for all tables: opening one reads the whole schema.
    connection: Option<Connection>,
    schema_version: i64,
    keys: Keys,
}

impl<'a> Comparison<'a> {
    async fn open(
        job: &'a ValidateJob<'a>,
        progress: OnProgress<'a>,
        cancel: &CancellationToken,
    ) -> Result<Self> {
        let source = job.source.clone();
        let (connection, schema_version) = blocking(move || {
            let connection = source.open()?;
            let version = reader::schema_version(&connection).map_err(|e| source.explain(e))?;
            Ok((connection, version))
        })
        .await?;
        Ok(Self {
            job,
            progress,
            // Its own, so that one side's failure stops the other.
            cancel: cancel.child_token(),
            connection: Some(connection),
            schema_version,
            keys: Keys::random(),
        })
    }

    async fn exact(
        &mut self,
        work: &Arc<TableWork>,
        rejects: Option<&str>,
    ) -> Result<TableComparison> {
        let layout = Layout::new(self.keys.clone(), work.key.clone(), work.rows_total);
        let sides = (Buckets::new(layout.clone()), Buckets::new(layout.clone()));
        let (ours, theirs) = self.pass(work, rejects, sides, true).await?;
        let limit = self.job.max_differences;
        let suspects = held::suspects(&ours.buckets, &theirs.buckets, limit as u64);
        let mut found = Differences {
            missing: suspects.missing,
            extra: suspects.extra,
            different: suspects.different,
            at_least: suspects.at_least,
            rows: Vec::new(),
        };
        let name_of = |key: &[u8]| work.name_of(key);
        let names = Names { columns: &work.names(), name_of: &name_of, limit };
        for buckets in suspects.passes {
            let buckets = Arc::new(buckets);
            let holder = || Holder::new(layout.clone(), Arc::clone(&buckets));
            let (ours, theirs) = self.pass(work, rejects, (holder(), holder()), false).await?;
            found.add(ours, theirs, &names);
        }
        Ok(TableComparison {
            table: work.name.clone(),
            source_rows: ours.rows + ours.rejects,
            target_rows: theirs.rows,
            missing: found.missing,
            extra: found.extra,
            different: found.different,
            rejected: theirs.rejects,
            matches: ours.buckets == theirs.buckets,
            differences: found.rows,
            at_least: found.at_least,
        })
    }

    /// Streams both sides at once.
    async fn pass<S: TupleSink + 'static>(
        &mut self,
        work: &Arc<TableWork>,
        rejects: Option<&str>,
        (mut ours, mut theirs): (S, S),
        report: bool,
    ) -> Result<(S, S)> {
        let connection = self.connection.take().ok_or_else(lost)?;
        let (sender, mut seen) = watch::channel((0, 0));
        let watching = Watch {
            schema_version: self.schema_version,
            cancel: self.cancel.clone(),
            progress: sender,
        };
        let (file, table) = (self.job.source.clone(), Arc::clone(work));
        let source = blocking(move || {
            sides::read_source(&file, &connection, &table, &mut ours, &watching)?;
            Ok((connection, ours))
        });
        let target =
            sides::read_target(self.job.postgres, work, rejects, &mut theirs, &self.cancel);
        let cancel = &self.cancel;
        let source = async { source.await.inspect_err(|_| cancel.cancel()) };
        let target = async { target.await.inspect_err(|_| cancel.cancel()) };
        let reports = async {
            while seen.changed().await.is_ok() {
                let (rows, bytes) = *seen.borrow_and_update();
                if report {
                    (self.progress)(ValidateProgress {
                        table: &work.name,
                        rows,
                        rows_total: work.rows_total,
                        bytes,
                    });
                }
            }
        };
        let (source, target, ()) = tokio::join!(source, target, reports);
        match (source, target) {
            (Ok((connection, ours)), Ok(())) => {
                self.connection = Some(connection);
                Ok((ours, theirs))
            }
            // The side that failed first stopped the other one.
            (Err(error), Err(other)) if error.reason() == Reason::Cancelled => Err(other),
            (Err(error), _) | (_, Err(error)) => Err(error),
        }
    }

    async fn counts(
        &mut self,
        work: &Arc<TableWork>,
        rejects: Option<&str>,
    ) -> Result<TableComparison> {
        let source_rows = self.count_source(work).await?;
        let client = self.job.postgres.get().await?;
        let target_rows = match &work.count {
            Some(sql) => number(client.query_one(sql, &[]).await.map_err(failed)?.get(0)),
            None => 0,
        };
        let rejected = match rejects {
            Some(database) => {
                let sql =
                    "SELECT count(*) FROM switchback.rejects WHERE database = $1 AND tab = $2";
                let row = client.query_one(sql, &[&database, &work.name]).await.map_err(failed)?;
                number(row.get(0))
            }
            None => 0,
        };
        let expected = source_rows.saturating_sub(rejected);
        (self.progress)(ValidateProgress {
            table: &work.name,
            rows: source_rows,
            rows_total: work.rows_total,
            bytes: 0,
        });
        Ok(TableComparison {
            table: work.name.clone(),
            source_rows,
            target_rows,
            missing: expected.saturating_sub(target_rows),
            extra: target_rows.saturating_sub(expected),
            rejected,
            matches: expected == target_rows,
            // A missing and an extra row make the same count.
            at_least: expected != target_rows,
            ..TableComparison::default()
        })
    }

    async fn count_source(&mut self, work: &Arc<TableWork>) -> Result<u64> {
        let Some(table) = &work.table else { return Ok(0) };
        let sql = format!("SELECT count(*) FROM main.{}", quote(&table.name));
        let connection = self.connection.take().ok_or_else(lost)?;
        // A count cannot look at the token itself.
        let interrupt = connection.get_interrupt_handle();
        let file = self.job.source.clone();
        let counting = blocking(move || {
            let count = connection.query_row(&sql, [], |row| row.get(0));
            Ok((connection, count.map_err(|error| file.explain(error))))
        });
        let mut counting = std::pin::pin!(counting);
        let (connection, count) = tokio::select! {
            counted = &mut counting => counted?,
            () = self.cancel.cancelled() => {
                interrupt.interrupt();
                drop(counting.await?);
                return Err(crate::task::cancelled());
            }
        };
        self.connection = Some(connection);
        Ok(number(count?))
    }
}

fn number(count: i64) -> u64 {
    u64::try_from(count).unwrap_or(0)
}

fn lost() -> Error {
    Error::new(Reason::Internal, "the comparison's SQLite connection is gone")
}
