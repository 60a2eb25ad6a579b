//! What applications have changed in the target's schema since the cutover, and what that means for
//! the way back.

use std::collections::HashMap;

use switchback_proto::v1::{Finding, Plan, Severity, TablePlan};
use tokio_postgres::Client;

use super::{
    catalog::{Catalog, Relation},
    schema::canonical_types,
};
use crate::{
    db::postgres::failed,
    dialect::{
        capture::is_ours,
        ddl,
        finding::{self, Place, finding},
        reverse::TRIGGERS,
    },
    error::Result,
};

/// Columns and tables that are new, and those that are gone or of another type.
pub async fn target_drift(plan: &Plan, client: &Client) -> Result<Vec<Finding>> {
    let catalog = Catalog::load(client, &plan.target_schema).await?;
    let tables: Vec<&TablePlan> = plan.tables.iter().collect();
    let types = match &plan.existing {
        Some(_) => HashMap::new(),
        None => canonical_types(&tables, client).await?,
    };
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
    findings.extend(new_foreign_keys(plan, &catalog));
    findings.extend(new_triggers(plan, client).await?);
    // An existing schema has tables that are no concern of the plan.
    if plan.existing.is_some() {
        return Ok(findings);
    }
    let others = tables_of_others(plan, client).await?;
    let known = |name: &&String| {
        others.contains(name) || plan.tables.iter().any(|table| table.target == **name)
    };
    let mut new: Vec<&String> = catalog.relations.keys().filter(|name| !known(name)).collect();
    new.sort_unstable();
    findings.extend(new.into_iter().map(|name| {
        left_behind(Place::table(name), "the table is new in PostgreSQL, and SQLite has none")
    }));
    Ok(findings)
}

/// Several databases may share a schema.
async fn tables_of_others(plan: &Plan, client: &Client) -> Result<Vec<String>> {
    let sql = "SELECT relation FROM switchback.steps \
               WHERE kind = 'table' AND namespace = $1 AND database <> $2";
    let rows = client.query(sql, &[&plan.target_schema, &plan.database]).await.map_err(failed)?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

fn new_columns(table: &TablePlan, relation: &Relation) -> Vec<Finding> {
    let known = |name: &&String| {
        is_ours(name)
            || table.defaulted.contains(name)
            || table.columns.iter().any(|column| column.target == **name)
    };
    let new = relation.columns.keys().filter(|name| !known(name));
    new.map(|name| {
        let place = Place::column(&table.source, name);
        left_behind(place, "the column is new in PostgreSQL, and SQLite has none")
    })
    .collect()
}

/// A batch deletes rows and inserts them again: what applications have added would see that.
fn new_foreign_keys(plan: &Plan, catalog: &Catalog) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (name, relation) in &catalog.relations {
        let planned = plan.tables.iter().find(|table| table.target == *name);
        for (key, constraint) in relation.constraints.iter().filter(|(_, c)| c.kind == 'f') {
            let known = ddl::all_foreign_keys(plan)
                .any(|(table, known)| table == name && known.name == *key);
            let touches = planned.is_some()
                || plan.tables.iter().any(|table| table.target == constraint.parent);
            if touches && !known {
                findings.push(meddling(name, &format!("the foreign key {key} is new")));
            }
        }
    }
    // Both were in no order.
    findings.sort_by(|a, b| (&a.table, &a.message).cmp(&(&b.table, &b.message)));
    findings
}

async fn new_triggers(plan: &Plan, client: &Client) -> Result<Vec<Finding>> {
    let sql = "SELECT c.relname::text, t.tgname::text \
               FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid \
                 JOIN pg_namespace n ON n.oid = c.relnamespace \
               WHERE n.nspname = $1 AND NOT t.tgisinternal AND NOT starts_with(t.tgname, $2) \
                 AND t.tgenabled <> 'D' \
               ORDER BY 1, 2";
    let rows = client.query(sql, &[&plan.target_schema, &TRIGGERS]).await.map_err(failed)?;
    let of_plan = rows.iter().map(|row| (row.get::<_, &str>(0), row.get::<_, &str>(1)));
    let is_new = |table: &TablePlan, trigger: &str| {
        !table.triggers.iter().any(|known| known.name == trigger)
    };
    let of_plan = of_plan.filter(|(name, trigger)| {
        plan.tables.iter().any(|table| table.target == *name && is_new(table, trigger))
    });
    Ok(of_plan
        .map(|(table, name)| meddling(table, &format!("the trigger {name} is new")))
        .collect())
}

fn meddling(table: &str, what: &str) -> Finding {
    let message = format!("{what} in PostgreSQL: after a rollback it would change what follows");
    let hint = "drop it before a rollback; a later cutover does not need it gone";
    finding(Severity::Blocker, finding::TARGET_CHANGED, Place::table(table), message, hint)
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
