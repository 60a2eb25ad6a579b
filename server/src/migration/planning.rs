//! Making a plan: the census of the source, the look at the target, and a rehearsal.

use std::ops::ControlFlow;

use switchback_proto::v1::{Finding, Plan, PlanOptions, ProgressEvent, SchemaMode, Severity};
use tokio_util::sync::CancellationToken;

use super::{fitting, recorded::refuse_newer, rehearsal, versions};
use crate::{
    capture::mark,
    census,
    db::{Database, source::SourceFile, target::TargetFacts},
    dialect::{
        capture,
        facts::TableFacts,
        finding::{self, Place, finding},
        plan::{self, PlanInputs},
        schema::SourceSchema,
        selection, typemap,
    },
    error::{Error, Reason, Result},
    operations::EventLog,
    task::{blocking, cancelled},
};

/// What a plan is made from.
#[derive(Clone, Copy)]
pub(super) struct Inputs<'a> {
    pub(super) database: &'a Database,
    pub(super) options: &'a PlanOptions,
    /// A reviewed plan.
    pub(super) given: Option<&'a Plan>,
    pub(super) log: &'a EventLog,
    pub(super) halt: &'a CancellationToken,
}

/// A plan and the schema that it was made from.
pub(super) struct Planned {
    pub(super) plan: Plan,
    pub(super) schema: SourceSchema,
}

/// Makes a plan, or checks the one given. Changes nothing on either side.
pub(super) async fn make(inputs: Inputs<'_>) -> Result<Planned> {
    let source = inputs.database.source.clone();
    let schema = blocking(move || read_schema(&source)).await?;
    let target = inputs.database.target();
    let name = &inputs.database.config.name;
    let wanted =
        inputs.given.map_or(&inputs.options.target_schema, |plan| &plan.target_schema).as_str();
    let facts = target.inspect(name, wanted).await?;
    facts.check()?;
    let mut plan = match inputs.given {
        Some(given) => check_given(inputs, given, &schema).await?,
        None if inputs.options.schema_mode() == SchemaMode::Existing => {
            fitting::plan(inputs, &schema, &facts.schema).await?
        }
        None => take_census(inputs, &schema, &facts).await?,
    };
    for planned in &mut plan.tables {
        // Also where a reviewed plan says otherwise: capture needs it.
        let source = schema.tables.iter().find(|table| table.name == planned.source);
        planned.carries_rowid = source.is_some_and(|table| capture::carries_rowid(table, planned));
    }
    // The tables of an existing schema are there, and what they have was made by the application.
    let existing = plan.existing.is_some();
    plan.findings.extend(in_the_way(&facts).filter(|_| !existing));
    plan.findings.extend(versions::findings(inputs.database, &plan).await?);
    // Where a migration of this database is there already, its tables would be in the way.
    let migrated = facts.controls.iter().any(|control| control.database == *name);
    if blockers(&plan).next().is_none() && !migrated && !existing {
        let found = plan.findings.len();
        let rehearsed = rehearsal::rehearse(&target, &mut plan, inputs.halt).await;
        if inputs.given.is_some() {
            // What was reviewed is carried out as it is, or not at all.
            rehearsed.map_err(refused_plan)?;
            refuse_refusals(&plan.findings[found..])?;
        } else {
            rehearsed?;
        }
    }
    plan.findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    Ok(Planned { plan, schema })
}

fn read_schema(source: &SourceFile) -> Result<SourceSchema> {
    let connection = source.open()?;
    mark::refuse_namesakes(&connection, source)?;
    census::schema::read(&connection, source)
}

async fn take_census(
    inputs: Inputs<'_>,
    schema: &SourceSchema,
    target: &TargetFacts,
) -> Result<Plan> {
    let (source, log, halt) =
        (inputs.database.source.clone(), inputs.log.clone(), inputs.halt.clone());
    let (name, options) = (inputs.database.config.name.clone(), inputs.options.clone());
    let (schema, target_schema) = (schema.clone(), target.schema.clone());
    blocking(move || {
        check_pages(&source)?;
        let connection = source.open()?;
        let mut findings = selection::unknown(&schema, &options);
        let mut chosen = schema;
        chosen.tables.retain(|table| {
            let wanted = selection::is_wanted(&table.name, &options);
            if !wanted {
                findings.push(selection::left_out(&table.name));
            }
            wanted
        });
        let facts = scan(&source, &connection, &chosen, &log, &halt)?;
        let orphans = census::orphans::count(&connection, &source, &chosen)?;
        let mut plan = plan::build(PlanInputs {
            database: &name,
            target_schema: &target_schema,
            schema: &chosen,
            facts: &facts,
            orphans: &orphans,
            options: &options,
        });
        plan.findings.extend(findings);
        Ok(plan)
    })
    .await
}

/// Damaged pages are found before anything else, those that no scan would meet included.
///
/// The check needs a connection of its own.
pub(super) fn check_pages(source: &SourceFile) -> Result<()> {
    let connection = source.open()?;
    let damage = census::scan::quick_check(&connection).map_err(|error| source.explain(error))?;
    let Some(first) = damage.first() else { return Ok(()) };
    Err(Error::new(
        Reason::SourceCorrupt,
        format!("{} is damaged: {first}", source.path().display()),
    )
    .hint("restore a backup, or recover what is left with `sqlite3 FILE .recover`"))
}

fn scan(
    source: &SourceFile,
    connection: &rusqlite::Connection,
    schema: &SourceSchema,
    log: &EventLog,
    halt: &CancellationToken,
) -> Result<Vec<TableFacts>> {
    let mut facts = Vec::with_capacity(schema.tables.len());
    for table in &schema.tables {
        let mut tell = |progress: census::scan::ScanProgress| {
            log.progress(ProgressEvent {
                table: table.name.clone(),
                rows: progress.rows,
                bytes: progress.bytes,
                ..ProgressEvent::default()
            });
            if halt.is_cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let scanned = census::scan::scan_table(connection, table, schema.encoding, &mut tell);
        if halt.is_cancelled() {
            return Err(cancelled());
        }
        let scanned = scanned.map_err(|error| source.explain(error).at(&table.name))?;
        facts.push(scanned);
    }
    Ok(facts)
}

/// Checks a plan that was reviewed and perhaps changed: against the schema, and each value
/// against its column's codec.
async fn check_given(inputs: Inputs<'_>, given: &Plan, schema: &SourceSchema) -> Result<Plan> {
    let name = &inputs.database.config.name;
    if given.database != *name {
        let message = format!("the plan is for the database {:?}, not {name:?}", given.database);
        return Err(Error::new(Reason::InvalidPlan, message)
            .hint("name that database, or make a plan for this one with `switchback plan`"));
    }
    refuse_newer(given, Reason::InvalidPlan)?;
    plan::check_plan(given, schema).map_err(|problems| unfit(&problems))?;
    let (source, halt) = (inputs.database.source.clone(), inputs.halt.clone());
    let mut plan = given.clone();
    if given.existing.is_some() {
        plan.findings = fitting::review(inputs, schema, &mut plan).await?;
    } else {
        plan.findings.retain(|found| still_holds(found, given));
    }
    let schema = schema.clone();
    plan.findings.extend(plan::left_out(&plan, &schema));
    blocking(move || {
        check_pages(&source)?;
        let connection = source.open()?;
        let refused = census::check::refused_values(&source, &connection, &plan, &schema, &halt)?;
        plan.findings.extend(refused);
        Ok(plan)
    })
    .await
}

/// Codes of what is looked at anew for every plan.
const AGAIN: [&str; 2] = [finding::TARGET_NOT_EMPTY, finding::SCHEMA_VERSION_MISMATCH];

/// What was found about the target and about single values is found again: the plan may have been
/// changed because of it. What was found about a table goes with the table.
fn still_holds(found: &Finding, plan: &Plan) -> bool {
    let found_again = AGAIN.contains(&found.code.as_str())
        || typemap::CHOICES.contains(&found.code.as_str()) && found.severity() > Severity::Note;
    let planned = |name: &str| plan.tables.iter().any(|table| table.source == name);
    let moot =
        found.severity() == Severity::Blocker && !found.table.is_empty() && !planned(&found.table);
    !found_again && !moot
}

fn unfit(problems: &[String]) -> Error {
    Error::new(Reason::InvalidPlan, format!("the plan does not fit: {}", problems.join("; ")))
        .hint("make a new one with `switchback plan --write FILE` and change that")
}

/// PostgreSQL does not take a table as the plan has it.
fn refused_plan(error: Error) -> Error {
    match error.reason() {
        Reason::TargetFailed | Reason::ValueRefused => unfit(&[error.to_string()]),
        _ => error,
    }
}

/// PostgreSQL does not take an object as the plan has it.
fn refuse_refusals(refusals: &[Finding]) -> Result<()> {
    if refusals.is_empty() {
        return Ok(());
    }
    let problems: Vec<String> = refusals
        .iter()
        .map(|refusal| match refusal.column.as_str() {
            "" => format!("table {:?}: {}", refusal.table, refusal.message),
            column => format!("table {:?}, column {column:?}: {}", refusal.table, refusal.message),
        })
        .collect();
    Err(unfit(&problems))
}

fn in_the_way(facts: &TargetFacts) -> Option<Finding> {
    (facts.relation_count > 0).then(|| {
        let names = facts.relations.join(", ");
        let message = format!("the target schema {:?} holds {names}", facts.schema);
        let hint = "use an empty PostgreSQL database, or drop or move what is there";
        let place = Place::default();
        let found = finding(Severity::Blocker, finding::TARGET_NOT_EMPTY, place, message, hint);
        Finding { count: facts.relation_count, examples: facts.relations.clone(), ..found }
    })
}

fn blockers(plan: &Plan) -> impl Iterator<Item = &Finding> {
    plan.findings.iter().filter(|finding| finding.severity() == Severity::Blocker)
}

/// Refuses a plan with blockers, naming the first of them.
pub(super) fn refuse_blockers(plan: &Plan) -> Result<()> {
    let Some(first) = blockers(plan).next() else { return Ok(()) };
    let count = blockers(plan).count();
    let place = match (first.table.as_str(), first.column.as_str()) {
        ("", _) => String::new(),
        (table, "") => format!(" (table {table})"),
        (table, column) => format!(" (table {table}, column {column})"),
    };
    let all = |code: &str| blockers(plan).all(|found| found.code == code);
    let reason = if all(finding::TARGET_NOT_EMPTY) {
        Reason::TargetNotEmpty
    } else if all(finding::SCHEMA_VERSION_MISMATCH) {
        Reason::SchemaVersionMismatch
    } else {
        Reason::PlanBlocked
    };
    let more = if count > 1 { format!("; and {} more", count - 1) } else { String::new() };
    let message = format!("{}{place}: {}{more}", first.code, first.message);
    Err(Error::new(reason, message).hint(first.hint.clone()))
}
