//! Making the target's tables and loading their rows, each step recorded where it is made.

use switchback_proto::v1::{Disposition, MigrateRequest, Plan, ProgressEvent, TableReport};
use tokio_util::sync::CancellationToken;

use super::{existing, following::Follower, install, journal::Journal};
use crate::{
    copy::{self, CopyJob, CopyProgress, RejectPolicy},
    db::{
        Database,
        postgres::failed,
        target::{Control, FORMAT, Made, Step, Target, fence, held},
    },
    dialect::ddl::{self, Statement, StepKind},
    error::{Error, Reason, Result},
    operations::EventLog,
};

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

/// Records the migration in the target and makes its tables, or takes over those that are there.
///
/// Then puts change capture into the source: nothing is read before every change is logged.
pub(super) async fn install(context: &Context<'_>, journal: &Journal) -> Result<()> {
    let plan = journal.plan()?;
    context.target.install().await?;
    write_record(context, journal, "installing").await?;
    if plan.existing.is_some() {
        existing::take_over(context, plan).await?;
    } else {
        make_tables(context, plan).await?;
    }
    install::install(context.database, journal, context.id).await?;
    Follower::new(context, journal)?.begin().await
}

/// Makes the tables, without what comes after their rows.
async fn make_tables(context: &Context<'_>, plan: &Plan) -> Result<()> {
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
            let made = made(plan, step);
            context.target.record(&transaction, context.name(), made).await?;
        }
        transaction.commit().await.map_err(failed)?;
    }
    Ok(())
}

/// Records this migration in the target; refuses where another one is recorded.
pub(super) async fn write_record(
    context: &Context<'_>,
    journal: &Journal,
    phase: &str,
) -> Result<()> {
    let no_json = |e| Error::new(Reason::Internal, "the plan has no JSON form").caused_by(e);
    let plan = serde_json::to_string(journal.plan()?).map_err(no_json)?;
    let schema = serde_json::to_string(journal.schema()?).map_err(no_json)?;
    // With the backup that was made for it: finalize asks for that.
    let backup_id = journal.report.backup_id.clone();
    let request = MigrateRequest { backup_id, ..context.request.clone() };
    let request = serde_json::to_string(&request).map_err(no_json)?;
    let control = Control {
        database: context.name().clone(),
        migration: context.id.clone(),
        format: FORMAT,
        phase: phase.into(),
        source_schema: schema,
        request,
        holder: context.target.holder().id.clone(),
        holder_name: context.target.holder().name.clone(),
        abandoned: false,
        decision: "none".into(),
        active: "sqlite".into(),
        epoch: i64::try_from(journal.epoch).unwrap_or(i64::MAX),
        attempt: 0,
        plan,
        created_at: std::time::SystemTime::now(),
    };
    if context.target.write_control(&control).await? {
        return Ok(());
    }
    if let Some(other) = context.target.read_control(context.name()).await?
        && other.holder != control.holder
    {
        return Err(held(&other));
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
        StepKind::Index if is_ours(plan, step) => {
            Made::Index { schema, table: &step.table, name: &step.name }
        }
        _ => Made::Part,
    };
    Step { id: &step.step, made }
}

/// An index that goes although its table stays.
fn is_ours(plan: &Plan, step: &Statement) -> bool {
    let table = plan.tables.iter().find(|table| table.target == step.table);
    let mut indexes = table.into_iter().flat_map(|table| &table.indexes);
    indexes.any(|index| index.ours && index.target == step.name)
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
            ..ProgressEvent::default()
        });
    };
    let summary = match copy::run(&job, &tell, context.halt).await {
        // The copy sees that the schema is another one, and not what is different.
        Err(error) if error.reason() == Reason::SourceChanged => {
            let found = Follower::new(context, journal)?.drift().await?;
            return Err(found.unwrap_or(error));
        }
        summary => summary?,
    };
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
    refuse_rejects(context.request, &journal.report.tables)
}

/// Refuses more rejected rows than the request allows.
fn refuse_rejects(request: &MigrateRequest, tables: &[TableReport]) -> Result<()> {
    let rejected: u64 = tables.iter().map(|table| table.rejected).sum();
    if rejected <= request.allow_rejects {
        return Ok(());
    }
    let names: Vec<&str> = tables
        .iter()
        .filter(|table| table.rejected > 0)
        .map(|table| table.table.as_str())
        .collect();
    Err(too_many_rejects(rejected, request.allow_rejects, &names.join(", ")).hint(format!(
        "allow them with --allow-rejects {rejected}, or choose `encode` to keep them"
    )))
}

/// Refuses to switch while more rows are rejected than the request allows: some came later.
pub(super) async fn refuse_more_rejects(follower: &Follower, allowed: u64) -> Result<()> {
    let rejected = follower.target.rejects(&follower.name).await?;
    if rejected <= allowed {
        return Ok(());
    }
    let mut tables: Vec<String> = follower.position().await?.rejected.into_iter().collect();
    tables.sort_unstable();
    Err(too_many_rejects(rejected, allowed, &tables.join(", ")).hint(format!(
        "correct them in SQLite (switchback.rejects in PostgreSQL names each), and they are \
         carried over; or abort, and migrate with --allow-rejects {rejected}"
    )))
}

/// The error for more rejected rows than are allowed.
fn too_many_rejects(rejected: u64, allowed: u64, tables: &str) -> Error {
    Error::new(
        Reason::TooManyRejects,
        format!("{rejected} rows were rejected and {allowed} are allowed (tables: {tables})"),
    )
}
