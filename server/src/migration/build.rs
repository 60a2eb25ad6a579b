//! Making the target: tables, rows, keys and indexes, each step recorded where it is made.

use std::collections::HashSet;

use futures_util::{StreamExt, TryStreamExt, stream};
use switchback_proto::{
    v1::{
        Disposition, Engine, Finding, MigrateRequest, Plan, ProgressEvent, Severity, TableReport,
    },
    words::Word,
};
use tokio_util::sync::CancellationToken;

use super::{journal::Journal, rehearsal::WITHOUT_IT};
use crate::{
    copy::{self, CopyJob, CopyProgress, RejectPolicy},
    db::{
        Database,
        postgres::failed,
        target::{Control, Made, Step, Target, record},
    },
    dialect::{
        ddl::{self, Statement, StepKind},
        finding::{self, Place, finding},
        ident::qualified,
    },
    error::{Error, Reason, Result},
    operations::EventLog,
    task::cancelled,
};

/// Version of what is recorded in `switchback.control`.
const FORMAT: i32 = 1;

/// Tables made in one transaction: few commits, and far fewer locks than PostgreSQL has room for.
const TABLES_A_TRANSACTION: usize = 50;

/// Room to sort for one index; PostgreSQL's default of 64 MB makes most builds spill.
const MAINTENANCE_WORK_MEM: &str = "SET LOCAL maintenance_work_mem = '128MB'";

/// What the phases of a migration share.
#[derive(Clone, Copy)]
pub(super) struct Context<'a> {
    /// The operation's id, which is the migration's.
    pub(super) id: &'a String,
    pub(super) database: &'a Database,
    pub(super) target: &'a Target,
    pub(super) request: &'a MigrateRequest,
    pub(super) log: &'a EventLog,
    pub(super) halt: &'a CancellationToken,
}

impl Context<'_> {
    fn name(&self) -> &String {
        &self.database.config.name
    }
}

/// Records the migration in the target and makes its tables.
pub(super) async fn install(context: &Context<'_>, plan: &Plan) -> Result<()> {
    context.target.install().await?;
    claim(context, plan).await?;
    let done = context.target.steps_done(context.name()).await?;
    let statements = ddl::statements(plan);
    let tables: Vec<&Statement> = statements
        .iter()
        .filter(|step| step.kind == StepKind::Table && !done.contains(&step.step))
        .collect();
    for batch in tables.chunks(TABLES_A_TRANSACTION) {
        let mut client = context.target.postgres().get().await?;
        let transaction = client.transaction().await.map_err(failed)?;
        for step in batch {
            transaction
                .batch_execute(&step.sql)
                .await
                .map_err(failed)
                .map_err(|error| error.at(format!("creating the table {}", step.table)))?;
            record(&transaction, context.name(), made(plan, step)).await?;
        }
        transaction.commit().await.map_err(failed)?;
    }
    Ok(())
}

/// Records this migration in the target, unless it is recorded already; refuses another one's.
async fn claim(context: &Context<'_>, plan: &Plan) -> Result<()> {
    if context.target.claim(&control(context, plan, "installing")?).await? {
        return Ok(());
    }
    Err(Error::new(Reason::TargetInUse, "another migration has begun in the target")
        .hint("let it finish, or use an empty database"))
}

fn control(context: &Context<'_>, plan: &Plan, phase: &str) -> Result<Control> {
    let plan = serde_json::to_string(plan)
        .map_err(|e| Error::new(Reason::Internal, "the plan has no JSON form").caused_by(e))?;
    Ok(Control {
        database: context.name().clone(),
        migration: context.id.clone(),
        format: FORMAT,
        phase: phase.into(),
        decision: "none".into(),
        active: "sqlite".into(),
        epoch: 0,
        attempt: 0,
        plan,
        created_at: std::time::SystemTime::now(),
    })
}

/// Removes everything that this migration made, and nothing that another one made.
pub(super) async fn undo(context: &Context<'_>) -> Result<()> {
    let recorded = context.target.read_control(context.name()).await?;
    let foreign = recorded.is_some_and(|control| {
        control.migration != *context.id || control.active == Engine::Postgres.word()
    });
    if foreign {
        tracing::warn!("the target is another migration's: nothing is removed");
        return Ok(());
    }
    let removed = context.target.clean_up(context.name()).await?;
    tracing::info!(removed, "the target is clean again");
    Ok(())
}

fn made<'a>(plan: &'a Plan, step: &'a Statement) -> Step<'a> {
    let schema = &plan.target_schema;
    let made = match step.kind {
        StepKind::Table => Made::Table { schema, name: &step.table },
        StepKind::View => Made::View { schema, name: &step.table },
        StepKind::ForeignKey => Made::ForeignKey { schema, table: &step.table, name: &step.name },
        _ => Made::Part,
    };
    Step { id: &step.step, made }
}

/// Copies every row, from wherever an earlier run stopped.
pub(super) async fn copy(context: &Context<'_>, journal: &mut Journal) -> Result<()> {
    let (plan, schema) = (journal.plan()?, journal.schema()?);
    let chosen = plan.choices.iter().any(|choice| choice.disposition() == Disposition::Reject);
    let job = CopyJob {
        source: &context.database.source,
        schema,
        target: context.target,
        plan,
        rejects: RejectPolicy { allowed: chosen || context.request.allow_rejects > 0 },
        tables_at_once: context.database.config.copy_workers as usize,
    };
    let tell = |progress: CopyProgress<'_>| {
        context.log.progress(ProgressEvent {
            table: progress.table.to_owned(),
            rows: progress.rows,
            rows_total: progress.rows_total,
            bytes: progress.bytes,
        });
    };
    let summary = copy::run(&job, &tell, context.halt).await?;
    let report = &mut journal.report;
    report.tables = summary
        .tables
        .iter()
        .map(|table| TableReport {
            table: table.table.clone(),
            rows: table.rows,
            rejected: table.rejected,
            validated: false,
            bytes: table.bytes,
        })
        .collect();
    report.rows = report.tables.iter().map(|table| table.rows).sum();
    report.bytes = report.tables.iter().map(|table| table.bytes).sum();
    report.rejected = report.tables.iter().map(|table| table.rejected).sum();
    refuse_rejects(context, journal)
}

fn refuse_rejects(context: &Context<'_>, journal: &Journal) -> Result<()> {
    let (rejected, allowed) = (journal.report.rejected, context.request.allow_rejects);
    if rejected <= allowed {
        return Ok(());
    }
    let tables: Vec<&str> = journal
        .report
        .tables
        .iter()
        .filter(|table| table.rejected > 0)
        .map(|table| table.table.as_str())
        .collect();
    Err(Error::new(
        Reason::TooManyRejects,
        format!(
            "{rejected} rows were rejected and {allowed} are allowed (tables: {})",
            tables.join(", ")
        ),
    )
    .hint(format!("allow them with --allow-rejects {rejected}, or choose `encode` to keep them")))
}

/// Builds keys, indexes and constraints side by side, sets the sequences, makes the views.
///
/// What is not essential and cannot be made becomes a finding and leaves the plan.
pub(super) async fn index(context: &Context<'_>, journal: &mut Journal) -> Result<()> {
    let mut plan = journal.plan()?.clone();
    let done = context.target.steps_done(context.name()).await?;
    let statements = ddl::statements(&plan);
    let mut failures = Vec::new();
    // Foreign keys need the unique keys of their parents, and lock both tables; views need
    // everything: one stage after the other.
    for stage in [Stage::Keys, Stage::ForeignKeys, Stage::Views] {
        let steps = statements.iter().filter(|step| stage.has(step.kind));
        let missing: Vec<&Statement> = steps.filter(|step| !done.contains(&step.step)).collect();
        let width = if stage == Stage::Keys { context.database.config.copy_workers } else { 1 };
        failures.extend(build(context, &plan, missing, width as usize).await?);
    }
    let mut findings = Vec::new();
    for (step, error) in &failures {
        findings.push(not_made(step, error));
        ddl::remove(&mut plan, step);
    }
    set_sequences(context, journal, &plan).await?;
    analyze(context, &plan, &done).await?;
    for finding in findings {
        context.log.finding(finding.clone());
        journal.report.findings.push(finding);
    }
    write_plan(context, &plan).await?;
    journal.plan = Some(plan);
    Ok(())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Keys,
    ForeignKeys,
    Views,
}

impl Stage {
    fn has(self, kind: StepKind) -> bool {
        match kind {
            StepKind::Table => false,
            StepKind::ForeignKey | StepKind::ForeignKeyValidation => self == Self::ForeignKeys,
            StepKind::View => self == Self::Views,
            _ => self == Self::Keys,
        }
    }
}

/// Makes objects, `width` of them at a time; returns those that are not essential and failed.
async fn build<'a>(
    context: &Context<'_>,
    plan: &Plan,
    mut steps: Vec<&'a Statement>,
    width: usize,
) -> Result<Vec<(&'a Statement, Error)>> {
    loop {
        let attempted = steps.len();
        let attempts: Vec<_> =
            steps.into_iter().map(|step| build_one(context, plan, step)).collect();
        let results: Vec<Option<(&Statement, Error)>> =
            stream::iter(attempts).buffer_unordered(width).try_collect().await?;
        let failures: Vec<(&Statement, Error)> = results.into_iter().flatten().collect();
        // A view may need another one that came later: once more, as long as that helps.
        if failures.is_empty() || failures.len() == attempted {
            return Ok(failures);
        }
        steps = failures.into_iter().map(|(step, _)| step).collect();
    }
}

/// A table that lost its key or its unique constraints would take what the source refuses.
fn required(kind: StepKind) -> bool {
    matches!(kind, StepKind::Table | StepKind::PrimaryKey | StepKind::Unique)
}

/// An error that is not about the object that was to be made.
fn fatal(error: &Error) -> bool {
    error.is_retryable()
        || matches!(
            error.reason(),
            Reason::TargetFull | Reason::TargetPermission | Reason::Cancelled
        )
}

/// Makes one object; `Some` where that failed and it can be done without.
async fn build_one<'a>(
    context: &Context<'_>,
    plan: &Plan,
    step: &'a Statement,
) -> Result<Option<(&'a Statement, Error)>> {
    if context.halt.is_cancelled() {
        return Err(cancelled());
    }
    let sql = format!("{MAINTENANCE_WORK_MEM}; {}", step.sql);
    match context.target.make(context.name(), made(plan, step), &sql).await {
        Ok(()) => Ok(None),
        Err(error) if required(step.kind) || fatal(&error) => Err(error.at(&step.step)),
        Err(error) => Ok(Some((step, error))),
    }
}

fn not_made(step: &Statement, error: &Error) -> Finding {
    let message = format!("{} could not be made: {error}", step.step);
    let place = Place::table(&step.table);
    finding(Severity::Warning, finding::OBJECT_NOT_MADE, place, message, WITHOUT_IT)
}

/// Sets every identity above all values, those that SQLite remembers of deleted rows included.
async fn set_sequences(context: &Context<'_>, journal: &Journal, plan: &Plan) -> Result<()> {
    let schema = journal.schema()?;
    let client = context.target.postgres().get().await?;
    for table in &plan.tables {
        let source = schema.tables.iter().find(|source| source.name == table.source);
        let remembered = source.and_then(|source| source.sequence).unwrap_or(0);
        for column in table.columns.iter().filter(|column| column.identity) {
            let sql = ddl::largest_value(plan, table, column);
            let largest: Option<i64> = client.query_one(&sql, &[]).await.map_err(failed)?.get(0);
            let above = largest.unwrap_or(0).max(remembered);
            let sql = ddl::set_sequence(plan, table, column, above);
            client.batch_execute(&sql).await.map_err(failed)?;
        }
    }
    Ok(())
}

/// Gives the planner statistics, so that the first queries are not slow.
async fn analyze(context: &Context<'_>, plan: &Plan, done: &HashSet<String>) -> Result<()> {
    for table in &plan.tables {
        let id = format!("analyze:{}", table.target);
        if context.halt.is_cancelled() {
            return Err(cancelled());
        }
        if !done.contains(&id) {
            let sql = format!("ANALYZE {}", qualified(&plan.target_schema, &table.target));
            let step = Step { id: &id, made: Made::Part };
            context.target.make(context.name(), step, &sql).await?;
        }
    }
    Ok(())
}

/// Records the plan as it was carried out.
async fn write_plan(context: &Context<'_>, plan: &Plan) -> Result<()> {
    context.target.write_control(&control(context, plan, "indexing")?).await
}
