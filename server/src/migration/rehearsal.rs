//! The plan tried out on the target, in transactions that are rolled back.
//!
//! PostgreSQL is the one judge of what it takes: an expression that was translated and that it
//! refuses becomes a finding before anything is changed, not an error in the middle.

use switchback_proto::v1::{Finding, Plan, Severity, TablePlan};
use tokio_postgres::{Transaction, error::SqlState};
use tokio_util::sync::CancellationToken;

use crate::{
    db::{
        postgres::{explain, failed},
        target::Target,
    },
    dialect::{
        ddl::{self, Statement, StepKind},
        finding::{self, Place, finding},
    },
    error::{Error, Result},
    task::cancelled,
};

/// Tables rehearsed in one transaction. Each takes about five locks with its index and TOAST
/// table; PostgreSQL has room for some 6,400 by default.
const TABLES_A_REHEARSAL: usize = 400;

/// What to do about an object that is left out.
pub(super) const WITHOUT_IT: &str =
    "the rows are complete without it; make it by hand in PostgreSQL's terms";

/// Tries the plan and takes out of it what the target refuses and can be done without.
pub(super) async fn rehearse(
    target: &Target,
    plan: &mut Plan,
    halt: &CancellationToken,
) -> Result<()> {
    // Foreign keys and views may need any table: they are rehearsed where all tables fit into
    // one transaction, and otherwise tried when they are made.
    let whole = plan.tables.len() <= TABLES_A_REHEARSAL;
    let groups = plan.tables.len().div_ceil(TABLES_A_REHEARSAL).max(1);
    for group in 0..groups {
        let names: Vec<String> = plan
            .tables
            .iter()
            .skip(group * TABLES_A_REHEARSAL)
            .take(TABLES_A_REHEARSAL)
            .map(|table| table.target.clone())
            .collect();
        if halt.is_cancelled() {
            return Err(cancelled());
        }
        rehearse_group(target, plan, &names, whole).await?;
    }
    Ok(())
}

async fn rehearse_group(
    target: &Target,
    plan: &mut Plan,
    tables: &[String],
    whole: bool,
) -> Result<()> {
    let mut client = target.postgres().get().await?;
    let transaction = client.transaction().await.map_err(failed)?;
    make_schema(&transaction, plan).await?;
    for table in tables {
        rehearse_table(&transaction, plan, table).await?;
    }
    let statements: Vec<Statement> = ddl::statements(plan)
        .into_iter()
        .filter(|step| rehearsed_later(step, tables, whole))
        .collect();
    let mut refused = Vec::new();
    let mut pending = statements;
    loop {
        let attempted = pending.len();
        refused.clear();
        for step in pending {
            if let Some(error) = attempt(&transaction, &step.sql).await? {
                refused.push((step, error));
            }
        }
        // A view may need another one that came later.
        if refused.is_empty() || refused.len() == attempted {
            break;
        }
        pending = refused.drain(..).map(|(step, _)| step).collect();
    }
    for (step, error) in refused {
        plan.findings.push(refusal(plan, &step, &error));
        ddl::remove(plan, &step);
    }
    transaction.rollback().await.map_err(failed)
}

/// A plan may name a schema that is made with its tables.
///
/// `IF NOT EXISTS` asks for the right to make one although there is one.
async fn make_schema(transaction: &Transaction<'_>, plan: &Plan) -> Result<()> {
    let sql = "SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1::text)";
    let row = transaction.query_one(sql, &[&plan.target_schema]).await.map_err(failed)?;
    if row.get(0) {
        return Ok(());
    }
    transaction.batch_execute(&ddl::create_schema(plan)).await.map_err(failed)
}

fn rehearsed_later(step: &Statement, tables: &[String], whole: bool) -> bool {
    match step.kind {
        StepKind::Table => false,
        StepKind::View | StepKind::ForeignKey | StepKind::ForeignKeyValidation => whole,
        _ => tables.contains(&step.table),
    }
}

/// Makes one table; where its expressions are refused, they are left out one by one.
async fn rehearse_table(transaction: &Transaction<'_>, plan: &mut Plan, name: &str) -> Result<()> {
    let Some(index) = plan.tables.iter().position(|table| table.target == name) else {
        return Ok(());
    };
    let sql = ddl::create_table(plan, &plan.tables[index]);
    let Some(first) = attempt(transaction, &sql).await? else { return Ok(()) };
    for column in 0..plan.tables[index].columns.len() {
        let (default, generated) = {
            let column = &plan.tables[index].columns[column];
            (!column.default.is_empty(), !column.generated.is_empty())
        };
        if !default && !generated {
            continue;
        }
        let alone = only_expression(&plan.tables[index], column);
        let sql = ddl::create_table(plan, &alone);
        let Some(error) = try_and_undo(transaction, &sql).await? else { continue };
        let table = &mut plan.tables[index];
        let (code, hint) = if generated {
            table.columns[column].generated.clear();
            (finding::GENERATED_NOT_TRANSLATED, "the values are copied into an ordinary column")
        } else {
            table.columns[column].default.clear();
            (finding::DEFAULT_NOT_TRANSLATED, "the column has no default: set one by hand")
        };
        let place = Place::column(&table.source, &table.columns[column].source);
        let message = format!("PostgreSQL refuses the translated expression: {error}");
        let finding = finding(Severity::Warning, code, place, message, hint);
        plan.findings.push(finding);
    }
    let sql = ddl::create_table(plan, &plan.tables[index]);
    match attempt(transaction, &sql).await? {
        None => Ok(()),
        Some(_) => Err(first.at(format!("creating the table {name}"))),
    }
}

/// The table with no expression but one column's.
fn only_expression(table: &TablePlan, kept: usize) -> TablePlan {
    let mut alone = table.clone();
    for (number, column) in alone.columns.iter_mut().enumerate() {
        if number != kept {
            column.default.clear();
            column.generated.clear();
        }
    }
    alone
}

/// Runs a statement under a savepoint; returns why it was refused.
async fn attempt(transaction: &Transaction<'_>, sql: &str) -> Result<Option<Error>> {
    transaction.batch_execute("SAVEPOINT attempt").await.map_err(failed)?;
    // Prepared, so that what a plan holds can be one statement only.
    match transaction.execute(sql, &[]).await {
        Ok(_) => {
            transaction.batch_execute("RELEASE attempt").await.map_err(failed)?;
            Ok(None)
        }
        Err(error) => {
            let about_the_server = error.as_db_error().is_none_or(|error| {
                let code = error.code();
                *code == SqlState::INSUFFICIENT_PRIVILEGE
                    || *code == SqlState::OUT_OF_MEMORY
                    || *code == SqlState::DISK_FULL
            });
            if about_the_server {
                return Err(explain(&error));
            }
            transaction.batch_execute("ROLLBACK TO attempt").await.map_err(failed)?;
            Ok(Some(explain(&error)))
        }
    }
}

async fn try_and_undo(transaction: &Transaction<'_>, sql: &str) -> Result<Option<Error>> {
    transaction.batch_execute("SAVEPOINT trial").await.map_err(failed)?;
    let refused = attempt(transaction, sql).await?;
    transaction.batch_execute("ROLLBACK TO trial").await.map_err(failed)?;
    Ok(refused)
}

fn refusal(plan: &Plan, step: &Statement, error: &Error) -> Finding {
    let code = match step.kind {
        StepKind::Check => finding::CHECK_NOT_TRANSLATED,
        StepKind::View => finding::VIEW_NOT_TRANSLATED,
        StepKind::ForeignKey | StepKind::ForeignKeyValidation => finding::FOREIGN_KEY_REFUSED,
        StepKind::Table
        | StepKind::PrimaryKey
        | StepKind::Unique
        | StepKind::Index
        | StepKind::TakenOff
        | StepKind::Setting
        | StepKind::Trigger => finding::INDEX_REFUSED,
    };
    let table = plan.tables.iter().find(|table| table.target == step.table);
    let place = Place::table(table.map_or(&step.table, |table| &table.source));
    let message = format!("PostgreSQL refuses {}: {error}", step.step);
    finding(Severity::Warning, code, place, message, WITHOUT_IT)
}
