//! The proof: every row of both engines is compared, in constant memory and without a sort
//! (docs/adr/0003-validation-by-digest.md), and the schema with the plan.

mod buckets;
mod catalog;
mod change_log;
mod comparison;
mod counts;
mod differences;
mod drift;
mod follow;
mod held;
mod live;
mod lookup;
mod reader;
mod schema;
mod sides;
mod sieve;
mod table;
mod tuple;
mod unchanged;

use std::{collections::HashSet, sync::Arc, time::Instant};

use switchback_proto::v1::{Plan, TablePlan, ValidateLevel, ValidateReport};
use tokio_util::sync::CancellationToken;

use crate::{
    db::source::SourceFile,
    dialect::schema::SourceSchema,
    error::{Error, Reason, Result},
};
use catalog::Catalog;
use comparison::Comparison;
use table::TableWork;

pub use drift::target_drift;
pub use follow::Follow;
pub use reader::TargetReader;
pub use unchanged::{not_owned, target_changes};

/// What to compare.
pub struct ValidateJob<'a> {
    /// The source.
    pub source: &'a SourceFile,
    /// Its schema, as read now.
    pub schema: &'a SourceSchema,
    /// How the target is read.
    pub target: TargetReader<'a>,
    /// The plan that the target was made by.
    pub plan: &'a Plan,
    /// Row counts only, or every value.
    pub level: ValidateLevel,
    /// Names (in the source) of the tables to compare; empty for all.
    pub tables: &'a [String],
    /// How many differences of a table are named.
    pub max_differences: usize,
    /// Sequences are to be above every value: not where applications have written to the target,
    /// which may choose values themselves.
    pub sequences: bool,
    /// What brings the target up to a source that is written to while both are compared; none
    /// where both stand still.
    pub live: Option<&'a dyn Follow>,
    /// Rows of the target that the source cannot hold.
    pub kept_aside: &'a [KeptAside],
}

/// Rows of a table in the target that the source cannot hold: known, and no differences.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptAside {
    /// Name of the table in the source.
    pub table: String,
    /// SQL condition over a row `t` of the target that it is none of them.
    pub not_kept: String,
    /// How many there are.
    pub rows: u64,
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
    let client = job.target.get().await?;
    let catalog = Catalog::load(&*client, &job.plan.target_schema).await?;
    let differences = schema::compare(job, &chosen, &catalog, &client).await?;
    drop(client);
    let mut comparison = Comparison::open(job, progress, cancel).await?;
    let mut tables = Vec::new();
    for table in chosen {
        let prepare = if job.live.is_some() { TableWork::followed } else { TableWork::new };
        let work = prepare(job.plan, table, job.schema, &catalog)?;
        let work = if job.sequences { work } else { work.both_ways(job.plan, table, &catalog)? };
        let kept = job.kept_aside.iter().find(|kept| kept.table == table.source);
        let work = Arc::new(kept.map_or(work.clone(), |kept| work.without(kept)));
        let rejects = catalog.rejects.then_some(job.plan.database.as_str());
        let follow = job.live.zip(work.log.as_ref());
        tables.push(match (job.level, follow) {
            (ValidateLevel::Counts, None) => comparison.counts(&work, rejects).await?,
            (ValidateLevel::Counts, Some((follow, log))) => {
                comparison.counts_live(&work, rejects, (follow, log)).await?
            }
            (_, None) => comparison.exact(&work, rejects).await?,
            (_, Some((follow, log))) => {
                comparison.exact_live(&work, rejects, (follow, log)).await?
            }
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
