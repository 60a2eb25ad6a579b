//! Making a plan for tables that the application has made in PostgreSQL.

use std::collections::HashSet;

use switchback_proto::v1::{Finding, Plan, PlanOptions, ProgressEvent};
use tokio_util::sync::CancellationToken;

use super::planning::{Inputs, check_pages};
use crate::{
    capture::guard::Seen,
    census::{check, fit, orphans},
    db::source::SourceFile,
    dialect::{
        existing::{self, Draft, DraftTable, Found, facts::TableFit, target::TargetSchema},
        plan::PlanInputs,
        schema::{SourceSchema, Table},
        versions::is_bookkeeping,
    },
    error::{Error, Reason, Result},
    task::{blocking, cancelled},
};

/// Reads both schemas and every row of the source, and makes the plan.
pub(super) async fn plan(
    inputs: Inputs<'_>,
    schema: &SourceSchema,
    target_schema: &str,
) -> Result<Plan> {
    let tables = inputs.database.target().read_tables(target_schema).await?;
    let draft = existing::draft(schema, &tables, inputs.options, &keeper);
    fill(inputs, schema, (tables, draft), inputs.options).await
}

/// Whose table of schema versions it is.
fn keeper(table: &Table) -> Option<&'static str> {
    let columns: Vec<&str> = table.columns.iter().map(|column| column.name.as_str()).collect();
    is_bookkeeping(&table.name, &columns).map(|tool| tool.name)
}

/// What is to be said of a plan that was made before, as both databases are now. What is no choice
/// of it is put right.
pub(super) async fn review(
    inputs: Inputs<'_>,
    schema: &SourceSchema,
    given: &mut Plan,
) -> Result<Vec<Finding>> {
    let tables = inputs.database.target().read_tables(&given.target_schema).await?;
    let draft = existing::reviewed(given, schema, &tables).map_err(|found| changed(&found))?;
    existing::adopt(given, &tables);
    let options = PlanOptions {
        choices: given.choices.clone(),
        guards: given.guards,
        empty_target: given.existing.as_ref().is_some_and(|existing| existing.empty_target),
        ..PlanOptions::default()
    };
    Ok(fill(inputs, schema, (tables, draft), &options).await?.findings)
}

fn changed(problems: &[String]) -> Error {
    let message = format!("the plan was made for other tables: {}", problems.join("; "));
    Error::new(Reason::TargetChanged, message)
        .hint("make a new one with `switchback plan --schema existing --write FILE`")
}

async fn fill(
    inputs: Inputs<'_>,
    schema: &SourceSchema,
    (tables, draft): (TargetSchema, Draft),
    options: &PlanOptions,
) -> Result<Plan> {
    let target = inputs.database.target();
    let names: Vec<&str> =
        draft.tables.iter().map(|pair| tables.tables[pair.target].name.as_str()).collect();
    let filled = target.filled(&tables.name, &names).await?;
    let (source, log, halt) =
        (inputs.database.source.clone(), inputs.log.clone(), inputs.halt.clone());
    let (name, options, schema) =
        (inputs.database.config.name.clone(), options.clone(), schema.clone());
    // All values of a plan that was given are tried anyway.
    let is_given = inputs.given.is_some();
    blocking(move || {
        check_pages(&source)?;
        let mut tell = |table: &str, rows: u64| {
            log.progress(ProgressEvent {
                table: table.to_owned(),
                rows,
                ..ProgressEvent::default()
            });
            if halt.is_cancelled() { Err(cancelled()) } else { Ok(()) }
        };
        let found = find(&source, &schema, (&tables, &draft), filled, &mut tell)?;
        let inputs = PlanInputs {
            database: &name,
            target_schema: &tables.name,
            schema: &schema,
            facts: &[],
            orphans: &[],
            options: &options,
        };
        let mut plan = existing::build(inputs, &tables, &draft, &found);
        if !is_given {
            name_refused(&source, &schema, (&draft, &found), &mut plan, &halt)?;
        }
        Ok(plan)
    })
    .await
}

/// What both databases hold.
fn find(
    source: &SourceFile,
    schema: &SourceSchema,
    (target, draft): (&TargetSchema, &Draft),
    filled: HashSet<String>,
    tell: &mut dyn FnMut(&str, u64) -> Result<()>,
) -> Result<Found> {
    let connection = source.open()?;
    let explain = |error| source.explain(error);
    let seen = Seen::now(&connection).map_err(explain)?;
    let mut fits = Vec::with_capacity(draft.tables.len());
    for pair in &draft.tables {
        let table = &schema.tables[pair.source];
        let paired = pair.pairs.iter().map(|column| fit::Wanted {
            name: &table.columns[column.source].name,
            candidates: &column.candidates,
        });
        let skipped = pair
            .skipped
            .iter()
            .map(|at| fit::Wanted { name: &table.columns[*at].name, candidates: &[] });
        let columns: Vec<fit::Wanted<'_>> = paired.chain(skipped).collect();
        let place = (source, &connection, &seen);
        fits.push(fit::table(place, table, &columns, &mut |rows| tell(&table.name, rows))?);
    }
    let stranded = draft.unmatched.iter().filter_map(|number| {
        match fit::has_rows(&connection, &schema.tables[*number]) {
            Ok(true) => Some(Ok(*number)),
            Ok(false) => None,
            Err(error) => Some(Err(explain(error))),
        }
    });
    let stranded = stranded.collect::<Result<HashSet<usize>>>()?;
    let uniques = existing::uniques(schema, target, draft);
    let collisions = fit::collisions(&connection, schema, &uniques).map_err(explain)?;
    let (with_keys, which) = existing::foreign_keys(schema, target, draft);
    let mut orphans = orphans::compared(&connection, source, &with_keys)?;
    for orphan in &mut orphans {
        orphan.foreign_key = which[orphan.table][orphan.foreign_key];
    }
    Ok(Found { fits, filled, stranded, collisions, orphans })
}

/// Names the rows that no codec of their column carries.
fn name_refused(
    source: &SourceFile,
    schema: &SourceSchema,
    (draft, found): (&Draft, &Found),
    plan: &mut Plan,
    halt: &CancellationToken,
) -> Result<()> {
    let misfits = |(pair, fit): (&DraftTable, &TableFit)| {
        let columns = pair.pairs.iter().zip(&fit.columns);
        let refused: HashSet<String> = columns
            .filter(|(_, fit)| fit.values > 0 && fit.fitting.is_empty())
            .map(|(column, _)| schema.tables[pair.source].columns[column.source].name.clone())
            .collect();
        (schema.tables[pair.source].name.clone(), refused)
    };
    let refused: Vec<(String, HashSet<String>)> =
        draft.tables.iter().zip(&found.fits).map(misfits).collect();
    let mut partial = plan.clone();
    partial.tables.retain_mut(|table| {
        let columns = refused.iter().find(|(name, _)| *name == table.source);
        let Some((_, columns)) = columns else { return false };
        table.columns.retain(|column| columns.contains(&column.source));
        !table.columns.is_empty()
    });
    if partial.tables.is_empty() {
        return Ok(());
    }
    let connection = source.open()?;
    plan.findings.extend(check::refused_values(source, &connection, &partial, schema, halt)?);
    Ok(())
}
