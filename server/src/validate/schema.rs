//! The target's schema against the plan.

use std::collections::HashMap;

use switchback_proto::v1::{ColumnPlan, ForeignKeyPlan, SchemaDifference, TablePlan};
use tokio_postgres::Client;

use super::{
    ValidateJob,
    catalog::{Catalog, Column, Relation},
};
use crate::{
    db::postgres::failed,
    dialect::{
        capture::is_ours,
        ddl::{gives_values, is_not_valid},
        ident::{literal, qualified, quote},
    },
    error::Result,
};

/// What is missing or not as planned.
pub(super) async fn compare(
    job: &ValidateJob<'_>,
    tables: &[&TablePlan],
    catalog: &Catalog,
    client: &Client,
) -> Result<Vec<SchemaDifference>> {
    // Of an existing schema the plan says types as the catalog does.
    let types = match &job.plan.existing {
        Some(_) => HashMap::new(),
        None => canonical_types(tables, client).await?,
    };
    let mut found = Found::default();
    for table in tables {
        found.table.clone_from(&table.source);
        if !job.schema.tables.iter().any(|source| source.name == table.source) {
            found.add("table", &table.source, "is not in the source any more");
        }
        let Some(relation) = catalog.relations.get(&table.target) else {
            found.add("table", &table.target, "is missing in the target");
            continue;
        };
        compare_columns(table, relation, &types, &mut found);
        compare_constraints(table, relation, &mut found);
        compare_indexes(table, relation, &mut found);
        // Both come with the switch: a drain would break foreign keys on its way, and sequences
        // follow the last value of the source.
        if job.live.is_none() {
            compare_foreign_keys(table, relation, &mut found);
            if job.sequences {
                compare_sequences(job, table, relation, client, &mut found).await?;
            }
        }
    }
    found.table.clear();
    if job.tables.is_empty() {
        for view in job.plan.views.iter().filter(|view| !catalog.views.contains(&view.target)) {
            found.add("view", &view.target, "is missing in the target");
        }
        let unchanged = job.schema.fingerprint == job.plan.source_fingerprint;
        for table in job.schema.tables.iter().filter(|_| !unchanged) {
            if !job.plan.tables.iter().any(|planned| planned.source == table.name) {
                found.table.clone_from(&table.name);
                found.add("table", &table.name, "is in the source and not in the plan");
            }
        }
    }
    Ok(found.differences)
}

#[derive(Default)]
struct Found {
    table: String,
    differences: Vec<SchemaDifference>,
}

impl Found {
    fn add(&mut self, object: &str, name: &str, message: impl Into<String>) {
        self.differences.push(SchemaDifference {
            object: object.to_owned(),
            table: self.table.clone(),
            name: name.to_owned(),
            message: message.into(),
        });
    }
}

/// How PostgreSQL itself writes each type of the plan: "varchar(3)" is "character varying(3)".
pub(super) async fn canonical_types(
    tables: &[&TablePlan],
    client: &Client,
) -> Result<HashMap<String, String>> {
    let mut types = HashMap::new();
    for column in tables.iter().flat_map(|table| &table.columns) {
        if types.contains_key(&column.r#type) {
            continue;
        }
        // Only described, never executed; a type that does not exist is missing from the map.
        let Ok(described) = client.prepare(&format!("SELECT NULL::{}", column.r#type)).await else {
            types.insert(column.r#type.clone(), column.r#type.clone());
            continue;
        };
        let Some(output) = described.columns().first() else { continue };
        let (oid, modifier) = (output.type_().oid(), output.type_modifier());
        let sql = "SELECT format_type($1, $2)";
        let name = client.query_one(sql, &[&oid, &modifier]).await.map_err(failed)?.get(0);
        types.insert(column.r#type.clone(), name);
    }
    Ok(types)
}

fn compare_columns(
    table: &TablePlan,
    relation: &Relation,
    types: &HashMap<String, String>,
    found: &mut Found,
) {
    for column in &table.columns {
        match relation.columns.get(&column.target) {
            None => found.add("column", &column.target, "is missing in the target"),
            Some(actual) => compare_column(table, column, actual, types, found),
        }
    }
    for name in relation.columns.keys() {
        // A column of ours stays until the migration is finalized.
        let known = is_ours(name)
            || table.defaulted.contains(name)
            || table.columns.iter().any(|column| column.target == *name);
        if !known {
            found.add("column", name, "is in the target and not in the plan");
        }
    }
}

fn compare_column(
    table: &TablePlan,
    column: &ColumnPlan,
    actual: &Column,
    types: &HashMap<String, String>,
    found: &mut Found,
) {
    let planned = types.get(&column.r#type).unwrap_or(&column.r#type);
    if *planned != actual.type_name {
        let message = format!("has the type {}, planned was {planned}", actual.type_name);
        found.add("column", &column.target, message);
    }
    // A primary key and an identity make their columns NOT NULL.
    let not_null = column.not_null || column.identity || table.primary_key.contains(&column.target);
    if not_null != actual.not_null {
        let word = if not_null { "is not" } else { "is" };
        found.add("column", &column.target, format!("{word} NOT NULL, unlike planned"));
    }
    if column.generated.is_empty() == actual.generated {
        let word = if actual.generated { "is" } else { "is not" };
        found.add("column", &column.target, format!("{word} generated, unlike planned"));
    }
    if column.identity && actual.sequence.is_none() {
        found.add("sequence", &column.target, "is missing: the column is no identity");
    }
}

fn compare_constraints(table: &TablePlan, relation: &Relation, found: &mut Found) {
    if !table.primary_key_definition.is_empty() {
        let (name, definition) = (&table.primary_key_name, &table.primary_key_definition);
        compare_definition(("primary key", name), definition, relation, found);
    } else if !table.primary_key.is_empty() {
        let key = relation.constraints.values().find(|constraint| constraint.kind == 'p');
        match key {
            None => found.add("primary key", &table.primary_key_name, "is missing in the target"),
            Some(key) if key.columns != table.primary_key => found.add(
                "primary key",
                &table.primary_key_name,
                format!("is on ({}), unlike planned", key.columns.join(", ")),
            ),
            Some(_) => {}
        }
    }
    for check in &table.checks {
        if !check.definition.is_empty() {
            compare_definition(("check", &check.name), &check.definition, relation, found);
            continue;
        }
        match relation.constraints.get(&check.name).filter(|constraint| constraint.kind == 'c') {
            None => found.add("check", &check.name, "is missing in the target"),
            Some(actual) if !check.not_valid && !actual.validated => {
                found.add("check", &check.name, "is not validated");
            }
            Some(_) => {}
        }
    }
}

/// A constraint of an existing schema.
fn compare_definition(
    (object, name): (&str, &str),
    definition: &str,
    relation: &Relation,
    found: &mut Found,
) {
    match relation.constraints.get(name) {
        None => found.add(object, name, "is missing in the target"),
        Some(actual) if actual.definition != definition => {
            found.add(object, name, "is not as it was planned");
        }
        Some(_) => {}
    }
}

/// A foreign key of an existing schema; one whose old rows break it is not validated.
fn compare_key(key: &ForeignKeyPlan, relation: &Relation, found: &mut Found) {
    let definition = match (key.validate, is_not_valid(&key.definition)) {
        (false, false) => format!("{} NOT VALID", key.definition),
        _ => key.definition.clone(),
    };
    compare_definition(("foreign key", &key.name), &definition, relation, found);
}

fn compare_foreign_keys(table: &TablePlan, relation: &Relation, found: &mut Found) {
    for key in &table.foreign_keys {
        if !key.definition.is_empty() {
            compare_key(key, relation, found);
            continue;
        }
        match relation.constraints.get(&key.name).filter(|constraint| constraint.kind == 'f') {
            None => found.add("foreign key", &key.name, "is missing in the target"),
            Some(actual)
                if actual.columns != key.columns
                    || !key.parent.is_empty() && actual.parent != key.parent =>
            {
                let message = format!(
                    "is on ({}) and refers to {}, unlike planned",
                    actual.columns.join(", "),
                    actual.parent
                );
                found.add("foreign key", &key.name, message);
            }
            Some(actual) if key.validate && !actual.validated => {
                found.add("foreign key", &key.name, "is not validated");
            }
            Some(_) => {}
        }
    }
}

fn compare_indexes(table: &TablePlan, relation: &Relation, found: &mut Found) {
    // What is ours goes when the migration is finalized.
    for index in table.indexes.iter().filter(|index| !index.ours) {
        match relation.indexes.get(&index.target) {
            None => found.add("index", &index.target, "is missing in the target"),
            Some(actual) if !actual.valid => found.add("index", &index.target, "is not valid"),
            Some(actual) if index.unique != actual.unique => {
                let word = if actual.unique { "is" } else { "is not" };
                found.add("index", &index.target, format!("{word} unique, unlike planned"));
            }
            Some(actual)
                if !index.definition.is_empty()
                    && !index.constraint
                    && actual.definition != index.definition =>
            {
                found.add("index", &index.target, "is not as it was planned");
            }
            Some(_) if index.constraint && !index.definition.is_empty() => {
                let (name, definition) = (&index.target, &index.definition);
                compare_definition(("constraint", name), definition, relation, found);
            }
            Some(_) if index.constraint && !is_unique_constraint(relation, &index.target) => {
                found.add("index", &index.target, "is not behind a UNIQUE constraint");
            }
            Some(_) => {}
        }
    }
}

fn is_unique_constraint(relation: &Relation, name: &str) -> bool {
    relation.constraints.get(name).is_some_and(|constraint| constraint.kind == 'u')
}

/// The next value of each identity must be above every value, or the first insert of the
/// application fails.
async fn compare_sequences(
    job: &ValidateJob<'_>,
    table: &TablePlan,
    relation: &Relation,
    client: &Client,
    found: &mut Found,
) -> Result<()> {
    for column in table.columns.iter().filter(|column| gives_values(column)) {
        let actual = relation.columns.get(&column.target);
        // A column that is no number any more is reported by its type.
        let numbers = ["bigint", "integer", "smallint"];
        let actual = actual.filter(|actual| numbers.contains(&actual.type_name.as_str()));
        let named = Some(&column.sequence).filter(|name| !name.is_empty());
        let sequence = actual.and_then(|actual| named.or(actual.sequence.as_ref()));
        let Some(sequence) = sequence else { continue };
        let full = qualified(&job.plan.target_schema, &table.target);
        // The sequence's name comes quoted out of pg_get_serial_sequence.
        let sql = format!(
            "SELECT s.last_value, s.is_called, (SELECT max(t.{})::int8 FROM {full} AS t) \
             FROM {sequence} AS s, pg_sequence AS p WHERE p.seqrelid = {}::regclass \
               AND p.seqincrement > 0 AND s.last_value < p.seqmax",
            quote(&column.target),
            literal(sequence)
        );
        // One that counts down says nothing, and one that is at its end gives no value any more.
        let Some(row) = client.query_opt(&sql, &[]).await.map_err(failed)? else { continue };
        let (last, called): (i64, bool) = (row.get(0), row.get(1));
        let Some(largest) = row.get::<_, Option<i64>>(2) else { continue };
        if last < largest || (last == largest && !called) {
            let next = last.saturating_add(i64::from(called));
            found.add(
                "sequence",
                &column.target,
                format!("gives {next} next, which is not above the largest value {largest}"),
            );
        }
    }
    Ok(())
}
