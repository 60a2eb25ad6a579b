//! Whether the tables of an existing schema are those that were planned for.

use std::collections::{HashMap, HashSet};

use switchback_proto::v1::{Plan, TablePlan};
use tokio_postgres::GenericClient;

use super::catalog::{Catalog, Relation};
use crate::{
    db::postgres::failed,
    dialect::{
        capture::{ROWID_COLUMN, is_ours},
        ddl::{self, Aside, AsideKind},
        reverse::TRIGGERS,
    },
    error::Result,
};

/// What is in the target's catalog.
struct Found {
    catalog: Catalog,
    /// When each trigger fires, by table and name; `off` for one that does not.
    triggers: HashMap<(String, String), String>,
    /// Foreign keys of other schemas, by the planned table that they refer to.
    foreign: Vec<(String, String)>,
}

/// What is not as planned: each change in words. `taken` are kind, table and name of what was taken
/// off already. `only` is a table to look at; none for all of them.
pub async fn target_changes(
    plan: &Plan,
    client: &impl GenericClient,
    taken: &HashSet<(String, String, String)>,
    only: Option<&str>,
) -> Result<Vec<String>> {
    let found = Found::load(plan, client).await?;
    let mut changes = Vec::new();
    let is_taken = |aside: &Aside| {
        let known = (aside.kind.word().to_owned(), aside.table.clone(), aside.name.clone());
        taken.contains(&known)
    };
    let looked_at = |name: &str| only.is_none_or(|only| only == name);
    for table in plan.tables.iter().filter(|table| looked_at(&table.target)) {
        let Some(relation) = found.catalog.relations.get(&table.target) else {
            changes.push(format!("the table {} is gone", table.target));
            continue;
        };
        let aside = ddl::table_aside(plan, table);
        changes.extend(columns(table, relation));
        let expected = aside.iter().filter(|aside| !is_taken(aside));
        changes.extend(expected.filter_map(|aside| found.differs(aside)));
        changes.extend(found.new_objects(table, relation, &aside));
    }
    let keys = ddl::foreign_keys_aside(plan);
    if only.is_none() {
        let expected = keys.iter().filter(|aside| !is_taken(aside));
        changes.extend(expected.filter_map(|aside| found.differs(aside)));
    }
    changes.extend(found.new_keys(plan, &keys, looked_at));
    changes.sort_unstable();
    Ok(changes)
}

/// Names of the tables that the user of this connection does not own.
pub async fn not_owned(plan: &Plan, client: &impl GenericClient) -> Result<Vec<String>> {
    let mut names: Vec<&str> = plan.tables.iter().map(|table| table.target.as_str()).collect();
    names.extend(ddl::all_foreign_keys(plan).map(|(table, _)| table));
    let sql = "SELECT c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
               WHERE n.nspname = $1 AND c.relname = ANY ($2) AND c.relkind IN ('r', 'p') \
                 AND NOT pg_has_role(c.relowner, 'USAGE') ORDER BY 1";
    let rows = client.query(sql, &[&plan.target_schema, &names]).await.map_err(failed)?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

fn columns(table: &TablePlan, relation: &Relation) -> Vec<String> {
    let name = &table.target;
    let mut changes = Vec::new();
    for column in &table.columns {
        match relation.columns.get(&column.target) {
            None => changes.push(format!("the column {} of {name} is gone", column.target)),
            Some(actual) if actual.type_name != column.r#type => changes.push(format!(
                "the column {} of {name} has the type {}, planned was {}",
                column.target, actual.type_name, column.r#type
            )),
            Some(_) => {}
        }
    }
    let known = |column: &String| {
        is_ours(column)
            || table.defaulted.contains(column)
            || table.columns.iter().any(|planned| planned.target == *column)
    };
    let new = relation.columns.keys().filter(|column| !known(column));
    changes.extend(new.map(|column| format!("the column {column} of {name} is new")));
    changes
}

impl Found {
    async fn load(plan: &Plan, client: &impl GenericClient) -> Result<Self> {
        let schema = &plan.target_schema;
        let catalog = Catalog::load(client, schema).await?;
        let sql = "SELECT c.relname::text, t.tgname::text, CASE t.tgenabled WHEN 'O' THEN 'origin' \
                     WHEN 'A' THEN 'always' WHEN 'R' THEN 'replica' ELSE 'off' END \
                   FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid \
                     JOIN pg_namespace n ON n.oid = c.relnamespace \
                   WHERE n.nspname = $1 AND NOT t.tgisinternal";
        let rows = client.query(sql, &[&schema]).await.map_err(failed)?;
        let triggers = rows.iter().map(|row| ((row.get(0), row.get(1)), row.get(2))).collect();
        let names: Vec<&str> = plan.tables.iter().map(|table| table.target.as_str()).collect();
        let sql = "SELECT p.relname::text, k.conname || ' of ' || k.conrelid::regclass::text \
                   FROM pg_constraint k JOIN pg_class p ON p.oid = k.confrelid \
                     JOIN pg_class c ON c.oid = k.conrelid \
                     JOIN pg_namespace n ON n.oid = p.relnamespace \
                   WHERE k.contype = 'f' AND n.nspname = $1 AND p.relname = ANY ($2) \
                     AND c.relnamespace <> p.relnamespace";
        let rows = client.query(sql, &[&schema, &names]).await.map_err(failed)?;
        let foreign = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
        Ok(Self { catalog, triggers, foreign })
    }

    /// How something that the plan has differs.
    fn differs(&self, aside: &Aside) -> Option<String> {
        let Aside { table, kind, name, definition, .. } = aside;
        let relation = self.catalog.relations.get(table)?;
        let actual = match kind {
            AsideKind::Setting => return None,
            AsideKind::Trigger => self.triggers.get(&(table.clone(), name.clone())),
            AsideKind::Index => relation.indexes.get(name).map(|index| &index.definition),
            _ => relation.constraints.get(name).map(|constraint| &constraint.definition),
        };
        match actual {
            Some(actual) if actual == definition => None,
            Some(_) => Some(format!("the {} {name} of {table} is not as planned", shown(*kind))),
            None => Some(format!("the {} {name} of {table} is gone", shown(*kind))),
        }
    }

    /// What a table has and the plan does not know.
    fn new_objects(&self, table: &TablePlan, relation: &Relation, aside: &[Aside]) -> Vec<String> {
        let planned = |kinds: &[AsideKind], name: &str| {
            aside.iter().any(|aside| kinds.contains(&aside.kind) && aside.name == name)
        };
        let constraints = [AsideKind::Check, AsideKind::Unique, AsideKind::PrimaryKey];
        let is_constraint = |name: &str, kinds: &[char]| {
            relation.constraints.get(name).is_some_and(|found| kinds.contains(&found.kind))
        };
        let mut new: Vec<String> = relation
            .constraints
            .keys()
            .filter(|name| is_constraint(name, &['p', 'u', 'x', 'c']))
            .filter(|name| !planned(&constraints, name))
            .map(|name| format!("the constraint {name}"))
            .collect();
        let ours = |name: &str| {
            table.indexes.iter().any(|index| index.ours && index.target == *name)
                || relation.indexes[name].definition.contains(ROWID_COLUMN)
        };
        let indexes = relation.indexes.keys().filter(|name| {
            !is_constraint(name, &['p', 'u', 'x'])
                && !planned(&[AsideKind::Index], name)
                && !ours(name)
        });
        new.extend(indexes.map(|name| format!("the index {name}")));
        let triggers = self.triggers.iter().filter(|((of, name), when)| {
            *of == table.target
                && *when != "off"
                && !name.starts_with(TRIGGERS)
                && !planned(&[AsideKind::Trigger], name)
        });
        new.extend(triggers.map(|((_, name), _)| format!("the trigger {name}")));
        new.into_iter().map(|what| format!("{what} of {} is new", table.target)).collect()
    }

    /// Foreign keys of planned tables, or to them, that the plan does not know.
    fn new_keys(
        &self,
        plan: &Plan,
        keys: &[Aside],
        looked_at: impl Fn(&str) -> bool,
    ) -> Vec<String> {
        let touches = |table: &str| {
            looked_at(table) && plan.tables.iter().any(|planned| planned.target == table)
        };
        let mut new = Vec::new();
        for (table, relation) in &self.catalog.relations {
            for (name, key) in relation.constraints.iter().filter(|(_, found)| found.kind == 'f') {
                let planned = keys.iter().any(|known| known.table == *table && known.name == *name);
                if !planned && (touches(table) || touches(&key.parent)) {
                    new.push(format!("the foreign key {name} of {table} is new"));
                }
            }
        }
        let foreign = self.foreign.iter().filter(|(table, _)| touches(table));
        new.extend(foreign.map(|(table, key)| format!("the foreign key {key} refers to {table}")));
        new
    }
}

fn shown(kind: AsideKind) -> &'static str {
    match kind {
        AsideKind::ForeignKey => "foreign key",
        AsideKind::PrimaryKey => "primary key",
        AsideKind::Unique => "constraint",
        other => other.word(),
    }
}
