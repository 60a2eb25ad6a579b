//! Foreign keys, which wait for the switch.
//!
//! A batch deletes and inserts rows in any order, which foreign keys would refuse or, worse,
//! cascade. They are added NOT VALID by the transaction that decides, behind its last batch, and
//! validated afterwards.

use switchback_proto::v1::{Finding, Plan};
use tokio_postgres::Transaction;
use tokio_util::sync::CancellationToken;

use super::{
    build::{Context, made},
    index::not_made,
    journal::Journal,
};
use crate::{
    db::{
        postgres::failed,
        target::{Target, comment_again},
    },
    dialect::ddl::{self, Statement, StepKind},
    error::{Reason, Result},
};

/// Adds the foreign keys, each under a savepoint: one that cannot be made becomes a finding and
/// leaves the plan.
pub(super) async fn add(
    transaction: &Transaction<'_>,
    context: &Context<'_>,
    plan: &mut Plan,
) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    let planned = plan.clone();
    for step in of_kind(&planned, StepKind::ForeignKey) {
        transaction.batch_execute("SAVEPOINT foreign_key").await.map_err(failed)?;
        if let Err(error) = transaction.execute(&step.sql, &[]).await.map_err(failed) {
            // What the application has made is there again before it writes.
            if error.is_retryable() || plan.existing.is_some() {
                return Err(error.at(&step.step));
            }
            let back = "ROLLBACK TO SAVEPOINT foreign_key; RELEASE SAVEPOINT foreign_key";
            transaction.batch_execute(back).await.map_err(failed)?;
            findings.push(not_made(&step, &error));
            ddl::remove(plan, &step);
            continue;
        }
        context.target.record(transaction, context.name(), made(&planned, &step)).await?;
        transaction.batch_execute("RELEASE SAVEPOINT foreign_key").await.map_err(failed)?;
    }
    comment_again(transaction, context.name(), context.id).await?;
    if !findings.is_empty() {
        context.target.write_plan(transaction, plan).await?;
    }
    Ok(findings)
}

/// Checks the rows that were there before the foreign keys. Applications write meanwhile.
pub(super) async fn validate(context: &Context<'_>, journal: &mut Journal) -> Result<()> {
    let mut plan = journal.plan()?.clone();
    let done = context.target.steps_done(context.name()).await?;
    let mut findings = Vec::new();
    for step in of_kind(journal.plan()?, StepKind::ForeignKeyValidation) {
        if done.contains(&step.step) {
            continue;
        }
        // PostgreSQL is active: whoever stops the operation does not mean this.
        let whole = CancellationToken::new();
        let name = context.name();
        match context.target.make(name, made(&plan, &step), &step.sql, &whole).await {
            Ok(()) => {}
            Err(error) if error.reason() == Reason::ValueRefused => {
                findings.push(not_made(&step, &error));
                ddl::remove(&mut plan, &step);
            }
            Err(error) => return Err(error),
        }
    }
    if findings.is_empty() {
        return Ok(());
    }
    let client = context.target.postgres().get().await?;
    context.target.write_plan(&*client, &plan).await?;
    for finding in findings {
        context.log.finding(finding.clone());
        journal.report.findings.push(finding);
    }
    journal.plan = Some(plan);
    Ok(())
}

/// Checks what a server that was killed behind the switch has not checked, before a migration ends.
/// What rows break, and what is not there any more, stays as it is.
pub(super) async fn finish(target: &Target, name: &str, plan: &Plan) -> Result<()> {
    let done = target.steps_done(name).await?;
    for step in of_kind(plan, StepKind::ForeignKeyValidation) {
        if done.contains(&step.step) {
            continue;
        }
        let whole = CancellationToken::new();
        match target.make(name, made(plan, &step), &step.sql, &whole).await {
            Err(error) if error.is_retryable() || error.reason() == Reason::LeaseHeld => {
                return Err(error);
            }
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

fn of_kind(plan: &Plan, kind: StepKind) -> Vec<Statement> {
    ddl::statements(plan).into_iter().filter(|step| step.kind == kind).collect()
}
