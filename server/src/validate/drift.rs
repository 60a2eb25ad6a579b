//! What applications have changed in the target's schema since the cutover, and what that means for
//! the way back.

use switchback_proto::v1::{Finding, Plan, Severity, TablePlan};
use tokio_postgres::Client;

use super::{
    catalog::{Catalog, Relation},
    schema::canonical_types,
};
use crate::{
    dialect::{
        capture::is_ours,
        finding::{self, Place, finding},
    },
    error::Result,
};

/// Columns and tables that are new, and those that are gone or of another type.
pub async fn target_drift(plan: &Plan, client: &Client) -> Result<Vec<Finding>> {
    let catalog = Catalog::load(client, &plan.target_schema).await?;
    let tables: Vec<&TablePlan> = plan.tables.iter().collect();
    let types = canonical_types(&tables, client).await?;
    let mut findings = Vec::new();
    for table in &plan.tables {
        let Some(relation) = catalog.relations.get(&table.target) else {
            findings.push(in_the_way(table, "", "the table is gone from PostgreSQL"));
            continue;
        };
        for column in &table.columns {
            let planned = types.get(&column.r#type).unwrap_or(&column.r#type);
            let message = match relation.columns.get(&column.target) {
                None => "the column is gone from PostgreSQL".to_owned(),
                Some(actual) if actual.type_name != *planned => {
                    format!("the column has the type {}, it was {planned}", actual.type_name)
                }
                Some(_) => continue,
            };
            findings.push(in_the_way(table, &column.source, &message));
        }
        findings.extend(new_columns(table, relation));
    }
    let planned = |name: &String| plan.tables.iter().any(|table| table.target == *name);
    let mut new: Vec<&String> = catalog.relations.keys().filter(|name| !planned(name)).collect();
    new.sort_unstable();
    findings.extend(new.into_iter().map(|name| {
        left_behind(Place::table(name), "the table is new in PostgreSQL, and SQLite has none")
    }));
    Ok(findings)
}

fn new_columns(table: &TablePlan, relation: &Relation) -> Vec<Finding> {
    let known = |name: &&String| {
        is_ours(name) || table.columns.iter().any(|column| column.target == **name)
    };
    let new = relation.columns.keys().filter(|name| !known(name));
    new.map(|name| {
        let place = Place::column(&table.source, name);
        left_behind(place, "the column is new in PostgreSQL, and SQLite has none")
    })
    .collect()
}

fn in_the_way(table: &TablePlan, column: &str, message: &str) -> Finding {
    let place = match column {
        "" => Place::table(&table.source),
        name => Place::column(&table.source, name),
    };
    let hint =
        "undo the change, or `switchback finalize --force`: nothing is carried back meanwhile";
    finding(Severity::Blocker, finding::TARGET_CHANGED, place, message, hint)
}

fn left_behind(place: Place<'_>, message: &str) -> Finding {
    let hint = "a rollback leaves it behind, and has to be told so (--accept-left-behind)";
    finding(Severity::Warning, finding::TARGET_CHANGED, place, message, hint)
}
