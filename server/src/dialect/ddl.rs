//! A plan as statements of PostgreSQL, in the order in which they are executed.

mod existing;
mod sequences;

use switchback_proto::v1::{
    CheckPlan, ColumnPlan, ForeignKeyPlan, IndexPlan, Plan, TablePlan, ViewPlan,
};

use super::{
    capture::ROWID_COLUMN,
    ident::{LONGEST, literal, qualified, quote},
};

pub use self::{
    existing::{Aside, AsideKind, foreign_keys_aside, is_not_valid, table_aside, triggers_on},
    sequences::{gives_values, is_remembered, set_sequences},
};

/// One statement of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// Id that is the same in every attempt: `index:public.t.name`.
    pub step: String,
    /// The statement.
    pub sql: String,
    /// What it makes.
    pub kind: StepKind,
    /// Table or view in the target.
    pub table: String,
    /// Name in the target of what it makes: the table's, the index's, the constraint's.
    pub name: String,
    /// Without it the rows have no place to go; without another one they are still complete.
    pub essential: bool,
}

/// What a statement makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum StepKind {
    /// Something of an existing table that is taken off, or its rows: before the rows of the source.
    TakenOff,
    /// A table with its columns, defaults, generated columns and identity: before the rows.
    Table,
    /// A primary key.
    PrimaryKey,
    /// A UNIQUE constraint.
    Unique,
    /// An index.
    Index,
    /// A CHECK constraint.
    Check,
    /// What no definition says of an existing table.
    Setting,
    /// A foreign key, not validated yet.
    ForeignKey,
    /// The validation of a foreign key.
    ForeignKeyValidation,
    /// A trigger of an existing table, which fires again.
    Trigger,
    /// A view.
    View,
}

impl StepKind {
    /// The word that steps begin with.
    pub fn word(self) -> &'static str {
        match self {
            Self::TakenOff => "taken_off",
            Self::Table => "table",
            Self::PrimaryKey => "primary_key",
            Self::Unique => "unique",
            Self::Index => "index",
            Self::Check => "check",
            Self::Setting => "setting",
            Self::ForeignKey => "foreign_key",
            Self::ForeignKeyValidation => "foreign_key_validation",
            Self::Trigger => "trigger",
            Self::View => "view",
        }
    }
}

/// All statements but those that set sequences: tables first, between them and the rest the rows
/// are loaded. See [`set_sequences`].
pub fn statements(plan: &Plan) -> Vec<Statement> {
    let mut out = existing::taking_off(plan);
    let made = if plan.existing.is_none() { plan.tables.as_slice() } else { &[] };
    for table in made {
        let sql = create_table(plan, table);
        out.push(statement(plan, StepKind::Table, &table.target, &table.target, sql));
    }
    for table in &plan.tables {
        if let Some(sql) = primary_key(plan, table) {
            let name = &table.primary_key_name;
            out.push(statement(plan, StepKind::PrimaryKey, &table.target, name, sql));
        }
        for index in &table.indexes {
            let kind = if index.constraint { StepKind::Unique } else { StepKind::Index };
            let sql = create_index(plan, table, index);
            out.push(statement(plan, kind, &table.target, &index.target, sql));
        }
        for check in &table.checks {
            let sql = add_check(plan, table, check);
            out.push(statement(plan, StepKind::Check, &table.target, &check.name, sql));
        }
    }
    out.extend(existing::set_again(plan));
    // After every key that they may refer to.
    for (table, key) in all_foreign_keys(plan) {
        let sql = add_foreign_key(plan, table, key);
        out.push(statement(plan, StepKind::ForeignKey, table, &key.name, sql));
    }
    out.extend(triggers_on(plan));
    let validated = |key: &ForeignKeyPlan| key.validate && !is_not_valid(&key.definition);
    for (table, key) in all_foreign_keys(plan).filter(|(_, key)| validated(key)) {
        let sql = validate_foreign_key(plan, table, key);
        out.push(statement(plan, StepKind::ForeignKeyValidation, table, &key.name, sql));
    }
    out.extend(plan.views.iter().map(|view| Statement {
        step: format!("view:{}.{}", in_step(&plan.target_schema), in_step(&view.target)),
        sql: create_view(plan, view),
        kind: StepKind::View,
        table: view.target.clone(),
        name: view.target.clone(),
        essential: false,
    }));
    out
}

/// Each foreign key with its table: those of the plan's tables, then those of other tables that
/// refer to them.
pub fn all_foreign_keys(plan: &Plan) -> impl Iterator<Item = (&str, &ForeignKeyPlan)> {
    let own = plan
        .tables
        .iter()
        .flat_map(|table| table.foreign_keys.iter().map(|key| (table.target.as_str(), key)));
    let outer = plan.existing.iter().flat_map(|existing| &existing.foreign_keys);
    own.chain(outer.filter_map(|outer| Some((outer.table.as_str(), outer.key.as_ref()?))))
}

fn statement(plan: &Plan, kind: StepKind, table: &str, name: &str, sql: String) -> Statement {
    let place = format!("{}:{}.{}", kind.word(), in_step(&plan.target_schema), in_step(table));
    let step = if kind == StepKind::Table { place } else { format!("{place}.{}", in_step(name)) };
    let essential = kind == StepKind::Table || plan.existing.is_some();
    Statement { step, sql, kind, table: table.to_owned(), name: name.to_owned(), essential }
}

/// A name in a step's id: in quotes where it could be read as two, so that no two steps have the
/// same id.
fn in_step(name: &str) -> String {
    if name.contains(['.', '"']) { quote(name) } else { name.to_owned() }
}

/// `CREATE SCHEMA IF NOT EXISTS` for the schema that the plan goes to.
pub fn create_schema(plan: &Plan) -> String {
    format!("CREATE SCHEMA IF NOT EXISTS {}", quote(&plan.target_schema))
}

/// `CREATE TABLE` without keys, indexes, foreign keys and CHECKs.
pub fn create_table(plan: &Plan, table: &TablePlan) -> String {
    let mut columns: Vec<String> =
        table.columns.iter().map(|column| column_definition(plan, table, column)).collect();
    if table.carries_rowid {
        // What is inserted here needs one too.
        let generated = "bigint GENERATED BY DEFAULT AS IDENTITY";
        columns.push(format!("{} {generated}", quote(ROWID_COLUMN)));
    }
    format!("CREATE TABLE {} (\n  {}\n)", full_name(plan, table), columns.join(",\n  "))
}

fn column_definition(plan: &Plan, table: &TablePlan, column: &ColumnPlan) -> String {
    let mut sql = format!("{} {}", quote(&column.target), column.r#type);
    if !column.generated.is_empty() {
        sql += &format!(" GENERATED ALWAYS AS ({}) STORED", column.generated);
    } else if column.identity {
        sql += " GENERATED BY DEFAULT AS IDENTITY";
        if let Some(name) = own_sequence_name(plan, table, column) {
            sql += &format!(" (SEQUENCE NAME {})", qualified(&plan.target_schema, &name));
        }
    } else if !column.default.is_empty() {
        sql += &format!(" DEFAULT {}", column.default);
    }
    if column.not_null {
        sql += " NOT NULL";
    }
    sql
}

/// PostgreSQL names the sequence of an identity column by itself, unless that name is one that
/// the plan needs for something else and makes later.
fn own_sequence_name(plan: &Plan, table: &TablePlan, column: &ColumnPlan) -> Option<String> {
    let usual = format!("{}_{}_seq", table.target, column.target);
    if usual.len() > LONGEST || !is_taken(plan, &usual) {
        return None;
    }
    let hash = blake3::hash(usual.as_bytes()).to_hex();
    let mut length = 8;
    loop {
        let name = format!("switchback_{}_seq", &hash[..length]);
        if !is_taken(plan, &name) {
            return Some(name);
        }
        length += 1;
    }
}

fn is_taken(plan: &Plan, name: &str) -> bool {
    plan.views.iter().any(|view| view.target == name)
        || plan.tables.iter().any(|table| {
            table.target == name
                || (!table.primary_key.is_empty() && table.primary_key_name == name)
                || table.indexes.iter().any(|index| index.target == name)
        })
}

fn full_name(plan: &Plan, table: &TablePlan) -> String {
    qualified(&plan.target_schema, &table.target)
}

fn names(columns: &[String]) -> String {
    columns.iter().map(|column| quote(column)).collect::<Vec<_>>().join(", ")
}

/// `ADD CONSTRAINT … PRIMARY KEY`; none for a table without one.
pub fn primary_key(plan: &Plan, table: &TablePlan) -> Option<String> {
    let definition = match table.primary_key_definition.as_str() {
        "" if table.primary_key.is_empty() => return None,
        "" => format!("PRIMARY KEY ({})", names(&table.primary_key)),
        definition => definition.to_owned(),
    };
    let (table, name) = (full_name(plan, table), quote(&table.primary_key_name));
    Some(format!("ALTER TABLE {table} ADD CONSTRAINT {name} {definition}"))
}

/// `CREATE INDEX`, or `ADD CONSTRAINT … UNIQUE`.
pub fn create_index(plan: &Plan, table: &TablePlan, index: &IndexPlan) -> String {
    let (table, name) = (full_name(plan, table), quote(&index.target));
    let terms = index.terms.join(", ");
    match (index.definition.as_str(), index.constraint) {
        ("", _) => {}
        (definition, true) => {
            return format!("ALTER TABLE {table} ADD CONSTRAINT {name} {definition}");
        }
        (definition, false) => return definition.to_owned(),
    }
    if index.constraint {
        return format!("ALTER TABLE {table} ADD CONSTRAINT {name} UNIQUE ({terms})");
    }
    let unique = if index.unique { "UNIQUE " } else { "" };
    let mut sql = format!("CREATE {unique}INDEX {name} ON {table} ({terms})");
    if !index.predicate.is_empty() {
        sql += &format!(" WHERE {}", index.predicate);
    }
    sql
}

/// `ADD CONSTRAINT … CHECK`.
pub fn add_check(plan: &Plan, table: &TablePlan, check: &CheckPlan) -> String {
    let definition = match check.definition.as_str() {
        "" => format!(
            "CHECK ({}){}",
            check.expression,
            if check.not_valid { " NOT VALID" } else { "" }
        ),
        definition => definition.to_owned(),
    };
    let (table, name) = (full_name(plan, table), quote(&check.name));
    format!("ALTER TABLE {table} ADD CONSTRAINT {name} {definition}")
}

/// `ADD CONSTRAINT … FOREIGN KEY … NOT VALID`: checked for new rows from now on.
pub fn add_foreign_key(plan: &Plan, table: &str, key: &ForeignKeyPlan) -> String {
    let full = qualified(&plan.target_schema, table);
    if !key.definition.is_empty() {
        return existing::add_foreign_key(&full, key);
    }
    let deferrable = match key.deferrable.as_str() {
        "" => String::new(),
        words => format!(" {words}"),
    };
    format!(
        "ALTER TABLE {full} ADD CONSTRAINT {} FOREIGN KEY ({}) REFERENCES {} ({}) ON UPDATE {} \
         ON DELETE {}{deferrable} NOT VALID",
        quote(&key.name),
        names(&key.columns),
        qualified(&plan.target_schema, &key.parent),
        names(&key.parent_columns),
        key.on_update,
        key.on_delete,
    )
}

/// `VALIDATE CONSTRAINT`: checks the rows that are there.
pub fn validate_foreign_key(plan: &Plan, table: &str, key: &ForeignKeyPlan) -> String {
    let full = qualified(&plan.target_schema, table);
    format!("ALTER TABLE {full} VALIDATE CONSTRAINT {}", quote(&key.name))
}

/// `CREATE VIEW`.
pub fn create_view(plan: &Plan, view: &ViewPlan) -> String {
    format!(
        "CREATE VIEW {} ({}) AS {}",
        qualified(&plan.target_schema, &view.target),
        names(&view.columns),
        view.query
    )
}

/// Takes out of a plan what a statement makes; a foreign key's validation only leaves it
/// unvalidated. Tables and what their rows need stay.
pub fn remove(plan: &mut Plan, statement: &Statement) {
    if statement.kind == StepKind::View {
        plan.views.retain(|view| view.target != statement.table);
    }
    if statement.kind == StepKind::ForeignKeyValidation {
        let outer = plan.existing.iter_mut().flat_map(|existing| &mut existing.foreign_keys);
        let same = outer.filter(|outer| outer.table == statement.table);
        for key in same.filter_map(|outer| outer.key.as_mut()) {
            key.validate &= key.name != statement.name;
        }
    }
    let Some(table) = plan.tables.iter_mut().find(|table| table.target == statement.table) else {
        return;
    };
    match statement.kind {
        StepKind::Table
        | StepKind::View
        | StepKind::TakenOff
        | StepKind::Setting
        | StepKind::Trigger => {}
        StepKind::PrimaryKey => {
            table.primary_key.clear();
            table.primary_key_name.clear();
        }
        StepKind::Unique | StepKind::Index => {
            table.indexes.retain(|index| index.target != statement.name);
        }
        StepKind::Check => table.checks.retain(|check| check.name != statement.name),
        StepKind::ForeignKey => table.foreign_keys.retain(|key| key.name != statement.name),
        StepKind::ForeignKeyValidation => {
            for key in table.foreign_keys.iter_mut().filter(|key| key.name == statement.name) {
                key.validate = false;
            }
        }
    }
}

/// The columns whose values are copied: all but generated ones.
pub fn copy_columns(table: &TablePlan) -> Vec<&ColumnPlan> {
    table.columns.iter().filter(|column| column.generated.is_empty()).collect()
}

#[cfg(test)]
mod tests;
