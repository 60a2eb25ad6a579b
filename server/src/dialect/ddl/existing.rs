//! What is taken off the tables of an existing schema before the copy, and made again afterwards.

use switchback_proto::v1::{ForeignKeyPlan, IndexPlan, Plan, TablePlan, TriggerPlan};

use super::{Statement, StepKind, all_foreign_keys, full_name, in_step};
use crate::dialect::ident::{qualified, quote};

/// Something that is taken off a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aside {
    /// Table in the target.
    pub table: String,
    /// What it is.
    pub kind: AsideKind,
    /// Its name.
    pub name: String,
    /// As the catalog must say it: a definition, or when a trigger fires.
    pub definition: String,
    /// The statement that takes it off; empty where it goes with something else.
    pub take_off: String,
    /// The statement that makes it again.
    pub restore: String,
}

/// What is taken off, in the order in which that is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AsideKind {
    /// A foreign key, of any table, to or of a planned one.
    ForeignKey,
    /// What no definition says: a comment, a tablespace.
    Setting,
    /// A trigger of the application, which is switched off.
    Trigger,
    /// A CHECK constraint.
    Check,
    /// An index.
    Index,
    /// A UNIQUE or EXCLUDE constraint.
    Unique,
    /// The primary key.
    PrimaryKey,
}

impl AsideKind {
    /// The word for it in `switchback.set_aside`.
    pub fn word(self) -> &'static str {
        match self {
            Self::ForeignKey => "foreign_key",
            Self::Setting => "setting",
            Self::Trigger => "trigger",
            Self::Check => "check",
            Self::Index => "index",
            Self::Unique => "unique",
            Self::PrimaryKey => "primary_key",
        }
    }
}

/// All foreign keys that the tables of a plan have or are referred to by.
pub fn foreign_keys_aside(plan: &Plan) -> Vec<Aside> {
    all_foreign_keys(plan)
        .map(|(table, key)| {
            constraint(plan, table, AsideKind::ForeignKey, &key.name, &key.definition)
        })
        .collect()
}

/// Everything else that a table has. What comes later is needed by what comes before.
pub fn table_aside(plan: &Plan, table: &TablePlan) -> Vec<Aside> {
    let name = &table.target;
    let mut aside: Vec<Aside> = settings(table)
        .zip(1..)
        .map(|(sql, number)| setting(name, sql, number))
        .chain(table.triggers.iter().map(|trigger| switched_off(plan, name, trigger)))
        .collect();
    aside.extend(
        table
            .checks
            .iter()
            .map(|check| constraint(plan, name, AsideKind::Check, &check.name, &check.definition)),
    );
    let theirs = || table.indexes.iter().filter(|index| !index.ours);
    aside.extend(theirs().filter(|index| !index.constraint).map(|index| plain(plan, name, index)));
    aside.extend(
        theirs().filter(|index| index.constraint).map(|index| {
            constraint(plan, name, AsideKind::Unique, &index.target, &index.definition)
        }),
    );
    if !table.primary_key_definition.is_empty() {
        let (key, definition) = (&table.primary_key_name, &table.primary_key_definition);
        aside.push(constraint(plan, name, AsideKind::PrimaryKey, key, definition));
    }
    aside
}

/// Settings, without those of foreign keys, which are made later.
fn settings(table: &TablePlan) -> impl Iterator<Item = &String> {
    let of_a_key = |sql: &str| {
        table.foreign_keys.iter().any(|key| {
            [quote(&key.name), key.name.clone()]
                .iter()
                .any(|name| sql.starts_with(&format!("COMMENT ON CONSTRAINT {name} ON ")))
        })
    };
    table.settings.iter().filter(move |sql| !of_a_key(sql))
}

fn setting(table: &str, sql: &str, number: usize) -> Aside {
    Aside {
        table: table.to_owned(),
        kind: AsideKind::Setting,
        name: number.to_string(),
        definition: String::new(),
        take_off: String::new(),
        restore: sql.to_owned(),
    }
}

fn constraint(plan: &Plan, table: &str, kind: AsideKind, name: &str, definition: &str) -> Aside {
    let full = qualified(&plan.target_schema, table);
    Aside {
        table: table.to_owned(),
        kind,
        name: name.to_owned(),
        definition: definition.to_owned(),
        take_off: format!("ALTER TABLE {full} DROP CONSTRAINT {}", quote(name)),
        restore: format!("ALTER TABLE {full} ADD CONSTRAINT {} {definition}", quote(name)),
    }
}

fn plain(plan: &Plan, table: &str, index: &IndexPlan) -> Aside {
    Aside {
        table: table.to_owned(),
        kind: AsideKind::Index,
        name: index.target.clone(),
        definition: index.definition.clone(),
        take_off: format!("DROP INDEX {}", qualified(&plan.target_schema, &index.target)),
        restore: index.definition.clone(),
    }
}

fn switched_off(plan: &Plan, table: &str, trigger: &TriggerPlan) -> Aside {
    let full = qualified(&plan.target_schema, table);
    Aside {
        table: table.to_owned(),
        kind: AsideKind::Trigger,
        name: trigger.name.clone(),
        definition: trigger.enabled.clone(),
        take_off: format!("ALTER TABLE {full} DISABLE TRIGGER {}", quote(&trigger.name)),
        restore: enable_trigger(&full, trigger),
    }
}

/// Lets a trigger of the application fire as it did.
fn enable_trigger(full: &str, trigger: &TriggerPlan) -> String {
    let when = match trigger.enabled.as_str() {
        "always" => " ALWAYS",
        "replica" => " REPLICA",
        _ => "",
    };
    format!("ALTER TABLE {full} ENABLE{when} TRIGGER {}", quote(&trigger.name))
}

/// A foreign key that is checked for new rows from now on.
pub(super) fn add_foreign_key(full: &str, key: &ForeignKeyPlan) -> String {
    let not_valid = if is_not_valid(&key.definition) { "" } else { " NOT VALID" };
    format!("ALTER TABLE {full} ADD CONSTRAINT {} {}{not_valid}", quote(&key.name), key.definition)
}

/// Whether old rows need not satisfy a constraint.
pub fn is_not_valid(definition: &str) -> bool {
    definition.ends_with(" NOT VALID")
}

/// The statements that come before the rows.
pub(super) fn taking_off(plan: &Plan) -> Vec<Statement> {
    let Some(existing) = &plan.existing else { return Vec::new() };
    let mut out: Vec<Statement> = foreign_keys_aside(plan)
        .iter()
        .map(|aside| statement(plan, StepKind::TakenOff, aside, &aside.take_off))
        .collect();
    for table in &plan.tables {
        let aside = table_aside(plan, table);
        let taken = aside.iter().filter(|aside| !aside.take_off.is_empty());
        out.extend(taken.map(|aside| statement(plan, StepKind::TakenOff, aside, &aside.take_off)));
        if existing.empty_target {
            let name = &table.target;
            let step = format!("emptied:{}.{}", in_step(&plan.target_schema), in_step(name));
            out.push(Statement {
                step,
                sql: format!("TRUNCATE {}", full_name(plan, table)),
                kind: StepKind::TakenOff,
                table: name.clone(),
                name: name.clone(),
                essential: true,
            });
        }
    }
    out
}

/// The statements that say what no definition does, behind the indexes.
pub(super) fn set_again(plan: &Plan) -> Vec<Statement> {
    made_again(plan, AsideKind::Setting, StepKind::Setting)
}

/// The statements that let the application's triggers fire, as the last thing before the switch.
pub fn triggers_on(plan: &Plan) -> Vec<Statement> {
    made_again(plan, AsideKind::Trigger, StepKind::Trigger)
}

fn made_again(plan: &Plan, kind: AsideKind, step: StepKind) -> Vec<Statement> {
    let tables = if plan.existing.is_some() { plan.tables.as_slice() } else { &[] };
    tables
        .iter()
        .flat_map(|table| table_aside(plan, table))
        .filter(|aside| aside.kind == kind)
        .map(|aside| statement(plan, step, &aside, &aside.restore))
        .collect()
}

fn statement(plan: &Plan, kind: StepKind, aside: &Aside, sql: &str) -> Statement {
    let (table, name) = (&aside.table, &aside.name);
    // A table can have a trigger and a constraint of one name.
    let what = match kind {
        StepKind::TakenOff => format!("taken_off_{}", aside.kind.word()),
        _ => kind.word().to_owned(),
    };
    Statement {
        step: format!(
            "{what}:{}.{}.{}",
            in_step(&plan.target_schema),
            in_step(table),
            in_step(name)
        ),
        sql: sql.to_owned(),
        kind,
        table: table.clone(),
        name: name.clone(),
        essential: true,
    }
}
