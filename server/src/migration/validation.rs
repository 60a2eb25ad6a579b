//! Validation, by itself and at the end of a migration.

use switchback_proto::v1::{
    Phase, Plan, ProgressEvent, ValidateLevel, ValidateReport, ValidateRequest,
};
use tokio_util::sync::CancellationToken;

use super::{
    build::Context,
    journal::Journal,
    source_watch::{SourceWatch, unchanged_schema},
};
use crate::{
    census,
    db::{Database, target::Target},
    error::{Error, Reason, Result},
    operations::{EventLog, Outcome, Report, Run},
    task::blocking,
    validate::{self, ValidateJob, ValidateProgress},
};

/// Differences named for each table unless asked otherwise.
const DIFFERENCES: u32 = 20;

/// Compares both sides of a migrated database.
pub(super) async fn run(
    database: &Database,
    request: &ValidateRequest,
    run: &Run,
    halt: &CancellationToken,
) -> Outcome {
    run.log.phase(Phase::Validating);
    match compare(database, request, &run.log, halt).await {
        Err(error) => Outcome { report: None, error: Some(error) },
        Ok(report) => Outcome {
            error: refuse_difference(&report).err(),
            report: Some(Report::Validate(report)),
        },
    }
}

async fn compare(
    database: &Database,
    request: &ValidateRequest,
    log: &EventLog,
    halt: &CancellationToken,
) -> Result<ValidateReport> {
    let target = Target::new(database.postgres.clone());
    let plan = recorded_plan(&target, &database.config.name).await?;
    let source = database.source.clone();
    let schema = blocking(move || {
        let connection = source.open()?;
        census::schema::read(&connection, &source)
    })
    .await?;
    let differences = match request.max_differences {
        0 => DIFFERENCES,
        asked => asked,
    };
    let job = ValidateJob {
        source: &database.source,
        schema: &schema,
        postgres: &database.postgres,
        plan: &plan,
        level: match request.level() {
            ValidateLevel::Counts => ValidateLevel::Counts,
            _ => ValidateLevel::Exact,
        },
        tables: &request.tables,
        max_differences: differences as usize,
    };
    validate::run(&job, &|progress| tell(log, progress), halt).await
}

/// The plan that the target records.
async fn recorded_plan(target: &Target, database: &str) -> Result<Plan> {
    let control = target.read_control(database).await?;
    let Some(control) = control.filter(|control| control.active == "postgres") else {
        return Err(Error::new(Reason::NotMigrated, format!("{database} has not been migrated"))
            .hint("run `switchback migrate` first; `switchback plan` shows what it would do"));
    };
    serde_json::from_str(&control.plan).map_err(|error| {
        Error::new(Reason::TargetInUse, "the plan recorded in the target cannot be read")
            .hint("it was written by another version of the server: use that version")
            .caused_by(error)
    })
}

fn tell(log: &EventLog, progress: ValidateProgress<'_>) {
    log.progress(ProgressEvent {
        table: progress.table.to_owned(),
        rows: progress.rows,
        rows_total: progress.rows_total,
        bytes: progress.bytes,
    });
}

fn refuse_difference(report: &ValidateReport) -> Result<()> {
    if report.matches {
        return Ok(());
    }
    let tables: Vec<&str> = report
        .tables
        .iter()
        .filter(|table| !table.matches)
        .map(|table| table.table.as_str())
        .collect();
    let objects = report.schema.len();
    let message = match (tables.is_empty(), objects) {
        (false, 0) => format!("the rows differ in {}", tables.join(", ")),
        (false, _) => format!("the rows differ in {}, and {objects} objects", tables.join(", ")),
        (true, _) => format!("{objects} objects differ"),
    };
    Err(Error::new(Reason::DataDiffers, message)
        .hint("the report names each row; applications may have written to one side"))
}

/// Compares every byte at the end of a migration. The watch has seen the source since before.
pub(super) async fn migrated(context: &Context<'_>, journal: &mut Journal) -> Result<SourceWatch> {
    let source = &context.database.source;
    let watch = SourceWatch::start(source).await?;
    unchanged_schema(source, journal.schema()?).await?;
    let job = ValidateJob {
        source: &context.database.source,
        schema: journal.schema()?,
        postgres: context.target.postgres(),
        plan: journal.plan()?,
        level: ValidateLevel::Exact,
        tables: &[],
        max_differences: DIFFERENCES as usize,
    };
    let report = validate::run(&job, &|at| tell(context.log, at), context.halt).await?;
    for table in &mut journal.report.tables {
        table.validated =
            report.tables.iter().any(|compared| compared.table == table.table && compared.matches);
    }
    let refused = refuse_difference(&report);
    journal.report.validation = Some(report);
    refused.map(|()| watch)
}
