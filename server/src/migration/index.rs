//! Keys, indexes, constraints, sequences and views: what comes after the rows.

use std::collections::HashSet;

use futures_util::{StreamExt, TryStreamExt, stream};
use switchback_proto::v1::{Finding, Plan, Severity};

use super::{
    build::{Context, made, write_record},
    capture,
    journal::Journal,
    rehearsal::WITHOUT_IT,
};
use crate::{
    db::target::{Made, Step},
    dialect::{
        capture::ROWID_COLUMN,
        ddl::{self, Statement, StepKind},
        finding::{self, Place, finding},
        ident::{qualified, quote},
    },
    error::{Error, Reason, Result},
    task::cancelled,
};

/// Builds keys, indexes and constraints side by side, then makes the views.
///
/// What is not essential and cannot be made becomes a finding and leaves the plan.
pub(super) async fn index(context: &Context<'_>, journal: &mut Journal) -> Result<()> {
    let mut plan = journal.plan()?.clone();
    let done = context.target.steps_done(context.name()).await?;
    let statements = ddl::statements(&plan);
    let mut failures = Vec::new();
    // Views need everything: one stage after the other. Foreign keys wait for the switch.
    for stage in [Stage::Keys, Stage::Settings, Stage::Views] {
        let steps = statements.iter().filter(|step| stage.has(step.kind));
        let missing: Vec<&Statement> = steps.filter(|step| !done.contains(&step.step)).collect();
        let width = if stage == Stage::Keys { context.database.config.copy_workers } else { 1 };
        failures.extend(build(context, &plan, missing, width as usize).await?);
    }
    let mut findings = Vec::new();
    for (step, error) in &failures {
        if holds_for_new_rows(context, &plan, step, error).await? {
            findings.push(not_validated(step));
            mark_not_valid(&mut plan, step);
        } else {
            findings.push(not_made(step, error));
            ddl::remove(&mut plan, step);
        }
    }
    rowid_indexes(context, &plan, &done).await?;
    findings.extend(capture::capture(context, &plan, journal).await?);
    analyze(context, &plan, &done).await?;
    for finding in findings {
        context.log.finding(finding.clone());
        journal.report.findings.push(finding);
    }
    journal.plan = Some(plan);
    write_record(context, journal, "indexing").await
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Keys,
    Settings,
    Views,
}

impl Stage {
    fn has(self, kind: StepKind) -> bool {
        match kind {
            StepKind::Table
            | StepKind::TakenOff
            | StepKind::ForeignKey
            | StepKind::ForeignKeyValidation
            | StepKind::Trigger => false,
            StepKind::Setting => self == Self::Settings,
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
            Reason::TargetFull | Reason::TargetPermission | Reason::Cancelled | Reason::LeaseHeld
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
    match context.make(made(plan, step), &step.sql).await {
        Ok(()) => Ok(None),
        Err(error) if plan.existing.is_some() && error.reason() == Reason::ValueRefused => {
            Err(broken(step, &error))
        }
        Err(error) if step.essential || required(step.kind) || fatal(&error) => {
            Err(error.at(&step.step))
        }
        Err(error) => Ok(Some((step, error))),
    }
}

/// The error for a constraint of the application that the copied rows break.
fn broken(step: &Statement, error: &Error) -> Error {
    let message = format!("rows of the source break {}: {error}", step.step);
    Error::new(Reason::ValueRefused, message).hint(
        "correct the rows in SQLite, or change the constraint in PostgreSQL and plan again; the          migration is undone",
    )
}

/// A CHECK that old rows break (SQLite can be told to ignore CHECKs) still holds for new ones.
async fn holds_for_new_rows(
    context: &Context<'_>,
    plan: &Plan,
    step: &Statement,
    error: &Error,
) -> Result<bool> {
    if step.kind != StepKind::Check || error.reason() != Reason::ValueRefused {
        return Ok(false);
    }
    let sql = format!("{} NOT VALID", step.sql);
    match context.make(made(plan, step), &sql).await {
        Ok(()) => Ok(true),
        Err(error) if fatal(&error) => Err(error.at(&step.step)),
        Err(_) => Ok(false),
    }
}

fn mark_not_valid(plan: &mut Plan, step: &Statement) {
    let table = plan.tables.iter_mut().find(|table| table.target == step.table);
    let checks = table.into_iter().flat_map(|table| &mut table.checks);
    for check in checks.filter(|check| check.name == step.name) {
        check.not_valid = true;
    }
}

fn not_validated(step: &Statement) -> Finding {
    let message = format!("rows break {}: it holds for new rows only (NOT VALID)", step.step);
    let hint = "correct the rows in PostgreSQL, then VALIDATE CONSTRAINT";
    let place = Place::table(&step.table);
    finding(Severity::Warning, finding::CHECK_VIOLATED, place, message, hint)
}

pub(super) fn not_made(step: &Statement, error: &Error) -> Finding {
    let message = format!("{} could not be made: {error}", step.step);
    let place = Place::table(&step.table);
    finding(Severity::Warning, finding::OBJECT_NOT_MADE, place, message, WITHOUT_IT)
}

/// Lets the rows of tables without a key be found by the rowid that they carry.
async fn rowid_indexes(context: &Context<'_>, plan: &Plan, done: &HashSet<String>) -> Result<()> {
    for table in plan.tables.iter().filter(|table| table.carries_rowid) {
        let id = format!("rowid:{}", table.target);
        if done.contains(&id) {
            continue;
        }
        let full = qualified(&plan.target_schema, &table.target);
        // PostgreSQL chooses a name that is free.
        let sql = format!("CREATE UNIQUE INDEX ON {full} ({})", quote(ROWID_COLUMN));
        context.make(Step { id: &id, made: Made::Part }, &sql).await?;
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
            context.make(step, &sql).await?;
        }
    }
    Ok(())
}
