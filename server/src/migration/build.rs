//! Making the target's tables and loading their rows, each step recorded where it is made.

use switchback_proto::v1::{Disposition, MigrateRequest, Plan, ProgressEvent, TableReport};
use tokio_util::sync::CancellationToken;

use super::{journal::Journal, source_watch::unchanged_schema};
use crate::{
    copy::{self, CopyJob, CopyProgress, RejectPolicy},
    db::{
        Database,
        postgres::failed,
        target::{Control, Made, Step, Target, fence, record},
    },
    dialect::ddl::{self, Statement, StepKind},
    error::{Error, Reason, Result},
    operations::EventLog,
};

/// Version of what is recorded in `switchback.control`.
const FORMAT: i32 = 1;

/// Tables made in one transaction: few commits, and far fewer locks than PostgreSQL has room for.
const TABLES_A_TRANSACTION: usize = 50;

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
    pub(super) fn name(&self) -> &String {
        &self.database.config.name
    }

    /// Makes something in the target and records it.
    pub(super) async fn make(&self, step: Step<'_>, sql: &str) -> Result<()> {
        self.target.make(self.name(), step, sql, self.halt).await
    }
}

/// Records the migration in the target and makes its tables.
pub(super) async fn install(context: &Context<'_>, plan: &Plan) -> Result<()> {
    context.target.install().await?;
    write_record(context, plan, "installing").await?;
    make_schema(context, plan).await?;
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
                .execute(&step.sql, &[])
                .await
                .map_err(failed)
                .map_err(|error| error.at(format!("creating the table {}", step.table)))?;
            fence(&transaction, &plan.target_schema, &step.table).await?;
            record(&transaction, context.name(), made(plan, step)).await?;
        }
        transaction.commit().await.map_err(failed)?;
    }
    Ok(())
}

/// Records this migration in the target; refuses where another one is recorded.
pub(super) async fn write_record(context: &Context<'_>, plan: &Plan, phase: &str) -> Result<()> {
    let plan = serde_json::to_string(plan)
        .map_err(|e| Error::new(Reason::Internal, "the plan has no JSON form").caused_by(e))?;
    let control = Control {
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
    };
    if context.target.write_control(&control).await? {
        return Ok(());
    }
    Err(Error::new(Reason::TargetInUse, "another migration has begun in the target")
        .hint("let it finish, or use an empty database"))
}

/// Makes the schema that the plan names, where there is none.
async fn make_schema(context: &Context<'_>, plan: &Plan) -> Result<()> {
    let schema = &plan.target_schema;
    if context.target.inspect(context.name(), schema).await?.schema_exists {
        return Ok(());
    }
    let id = format!("schema:{schema}");
    let step = Step { id: &id, made: Made::Schema(schema) };
    context.make(step, &ddl::create_schema(plan)).await
}

/// What cleaning up has to know of a statement.
pub(super) fn made<'a>(plan: &'a Plan, step: &'a Statement) -> Step<'a> {
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
    unchanged_schema(&context.database.source, schema).await?;
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
