//! Whether both engines have the same schema versions of the application: asked before a copy and
//! before every switch.
//!
//! A table that the plan carries follows the source, versions included. What is compared are those
//! that it does not carry, which the application's own migrations fill in each engine.

use switchback_proto::v1::{Disposition, Engine, Finding, Plan, Severity};

use crate::{
    db::{Database, versions::SqliteVersions},
    dialect::{
        finding::{self, Place, finding},
        schema::SourceSchema,
        versions::{Mismatch, Recorded, compare, recorded_in},
    },
    error::{Error, Reason, Result},
};

/// Where a switch goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Towards {
    Postgres,
    Sqlite,
}

/// What a plan is told of the versions: a blocker for each tool of which the engines have others,
/// and a warning for each that only SQLite has a table of.
pub(super) async fn findings(database: &Database, plan: &Plan) -> Result<Vec<Finding>> {
    let (sqlite, postgres) = read(database, plan).await?;
    let weight = if is_accepted(plan) { Severity::Warning } else { Severity::Blocker };
    let mismatches = compare(&sqlite.recorded, &postgres).into_iter();
    let mut findings: Vec<Finding> = mismatches.map(|found| differing(&found, weight)).collect();
    let alone = sqlite.recorded.iter().filter(|ours| recorded_in(&postgres, ours.tool).is_none());
    // An empty one says nothing either.
    findings.extend(alone.filter(|ours| !ours.versions.is_empty()).map(warning));
    Ok(findings)
}

/// Refuses a switch where the versions differ, or where the source's `user_version` is not the one
/// that the migration began with.
pub(super) async fn require_equal(
    database: &Database,
    (plan, schema): (&Plan, &SourceSchema),
    towards: Towards,
) -> Result<()> {
    let (sqlite, postgres) = read(database, plan).await?;
    let mut mismatches = compare(&sqlite.recorded, &postgres);
    mismatches.retain(|_| !is_accepted(plan));
    let mut problems: Vec<String> = mismatches.iter().map(ToString::to_string).collect();
    problems.extend(upgraded(sqlite.user_version, schema.user_version.into()));
    refuse(&problems, towards)
}

/// Whether somebody has said that the versions differ by intent: an application may have other
/// migrations for each engine.
fn is_accepted(plan: &Plan) -> bool {
    plan.choices.iter().any(|choice| {
        choice.code == finding::SCHEMA_VERSION_MISMATCH
            && choice.disposition() == Disposition::Accept
    })
}

fn refuse(problems: &[String], towards: Towards) -> Result<()> {
    if problems.is_empty() {
        return Ok(());
    }
    let message = format!("the schema versions differ: {}", problems.join("; "));
    Err(Error::new(Reason::SchemaVersionMismatch, message).hint(match towards {
        Towards::Postgres => {
            "run the application's own migrations on the engine that lacks them, then switch again \
             (`switchback cutover`); SQLite goes on and is followed. Where the application has \
             changed SQLite's schema or user_version, abort and migrate anew"
        }
        Towards::Sqlite => {
            "undo them with the application's own tool on PostgreSQL, then go back again; SQLite is \
             fenced, and docs/schema-versions.md says how to record there what it has already. \
             PostgreSQL goes on"
        }
    }))
}

/// Says that the application has raised the source's `user_version` since.
fn upgraded(now: i64, planned: i64) -> Option<String> {
    (now != planned)
        .then(|| format!("SQLite's user_version is {now}, and was {planned} when it was planned"))
}

/// What both engines have, without what the plan carries.
async fn read(database: &Database, plan: &Plan) -> Result<(SqliteVersions, Vec<Recorded>)> {
    let mut sqlite = database.sqlite_versions().await?;
    sqlite.recorded.retain(|recorded| !is_carried(recorded, plan));
    if sqlite.recorded.is_empty() {
        return Ok((sqlite, Vec::new()));
    }
    let postgres = database.postgres_versions(&plan.target_schema).await?;
    Ok((sqlite, postgres))
}

fn is_carried(recorded: &Recorded, plan: &Plan) -> bool {
    plan.tables.iter().any(|table| table.source == recorded.table)
}

fn differing(found: &Mismatch, weight: Severity) -> Finding {
    let lacking = [
        (Engine::Sqlite, found.missing_in_sqlite.count),
        (Engine::Postgres, found.missing_in_postgres.count),
    ];
    let count: usize = lacking.iter().map(|(_, count)| count).sum();
    let place = Place::table(found.tool.table);
    let hint = match lacking {
        [(_, 0), _] => "run the application's own migrations on PostgreSQL, then plan again",
        [_, (_, 0)] => "run the application's own migrations on SQLite, then plan again",
        _ => "bring both engines to one version of the application, then plan again",
    };
    let code = finding::SCHEMA_VERSION_MISMATCH;
    let found = finding(weight, code, place, found.to_string(), hint);
    let choices = vec![Disposition::Fail.into(), Disposition::Accept.into()];
    Finding { count: u64::try_from(count).unwrap_or(u64::MAX), choices, ..found }
}

fn warning(alone: &Recorded) -> Finding {
    let tool = alone.tool;
    let message = format!("PostgreSQL has no table {} ({}) to compare with", tool.table, tool.name);
    let hint = "where the application uses the same tool on PostgreSQL, let it record its versions \
                there before the switch: it would run every migration again";
    let code = finding::SCHEMA_VERSION_MISMATCH;
    finding(Severity::Warning, code, Place::table(&alone.table), message, hint)
}

#[cfg(test)]
mod tests {
    use switchback_proto::v1::TablePlan;

    use super::*;
    use crate::dialect::versions::TOOLS;

    fn recorded(versions: &[&str]) -> Recorded {
        let tool = TOOLS.iter().find(|tool| tool.table == "alembic_version").unwrap();
        let versions = versions.iter().map(|version| (*version).to_owned()).collect();
        Recorded { tool, table: tool.table.to_owned(), versions }
    }

    #[test]
    fn the_hint_names_the_engine_that_lacks_versions() {
        for (sqlite, postgres, count, engine) in [
            (&["a", "b"] as &[&str], &["a"] as &[&str], 1, "on PostgreSQL"),
            (&[], &["a", "b"], 2, "on SQLite"),
            (&["a", "b"], &["c"], 3, "both engines"),
        ] {
            let mismatches = compare(&[recorded(sqlite)], &[recorded(postgres)]);
            let found = differing(&mismatches[0], Severity::Blocker);
            assert_eq!(found.count, count);
            assert_eq!(found.severity(), Severity::Blocker);
            assert!(found.hint.contains(engine), "{found:?}");
        }
    }

    #[test]
    fn what_the_plan_carries_is_not_compared() {
        let table = |source: &str| TablePlan { source: source.into(), ..TablePlan::default() };
        let plan = |source| Plan { tables: vec![table(source)], ..Plan::default() };
        assert!(is_carried(&recorded(&[]), &plan("alembic_version")));
        assert!(!is_carried(&recorded(&[]), &plan("users")));
    }

    #[test]
    fn another_user_version_is_an_upgrade() {
        assert_eq!(upgraded(7, 7), None);
        let told = upgraded(8, 7).unwrap();
        let refused = refuse(&[told], Towards::Postgres).unwrap_err();
        assert_eq!(refused.reason(), Reason::SchemaVersionMismatch);
        assert!(refused.message().contains("is 8, and was 7"), "{refused}");
        assert!(refuse(&[], Towards::Sqlite).is_ok());
    }
}
