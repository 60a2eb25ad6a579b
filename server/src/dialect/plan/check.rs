//! A plan that was written to a file, changed and given back.

use std::collections::{HashMap, HashSet};

use switchback_proto::v1::{ColumnPlan, Finding, GuardMode, IndexPlan, Plan, Severity, TablePlan};

use super::{
    super::{
        codec::Codec,
        ident::{LONGEST, quote},
        schema::{SourceSchema, Table},
        wire,
    },
    Place, VERSION, finding,
};

/// Checks that a plan fits the source that it is to be used for. Each line of the error says
/// what is wrong with which table or column.
pub fn check_plan(plan: &Plan, schema: &SourceSchema) -> Result<(), Vec<String>> {
    let mut check = Check { errors: Vec::new() };
    check.whole(plan, schema);
    let sources: HashMap<&str, &Table> =
        schema.tables.iter().map(|table| (table.name.as_str(), table)).collect();
    for table in &plan.tables {
        match sources.get(table.source.as_str()) {
            Some(source) => check.table(table, source, plan),
            None => check.say(&table.source, "the source has no such table"),
        }
    }
    if check.errors.is_empty() { Ok(()) } else { Err(check.errors) }
}

/// Warnings for the tables of the source that are not in the plan.
pub fn left_out(plan: &Plan, schema: &SourceSchema) -> Vec<Finding> {
    let planned: HashSet<&str> = plan.tables.iter().map(|table| table.source.as_str()).collect();
    schema
        .tables
        .iter()
        .filter(|table| !planned.contains(table.name.as_str()))
        .map(|table| {
            finding::finding(
                Severity::Warning,
                finding::TABLE_LEFT_OUT,
                Place::table(&table.name),
                "the plan that was given does not have this table: its rows stay in the source",
                "plan anew to carry it",
            )
        })
        .collect()
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= LONGEST && !name.contains('\0')
}

/// What only the catalogue of an existing schema says, and is compared with it.
fn is_of_the_application(table: &TablePlan) -> bool {
    let of_column = |column: &ColumnPlan| {
        !(column.wire.is_empty() && column.expression.is_empty() && column.sequence.is_empty())
    };
    let of_index = |index: &IndexPlan| index.ours || !index.definition.is_empty();
    table.columns.iter().any(of_column)
        || table.indexes.iter().any(of_index)
        || table.checks.iter().any(|check| !check.definition.is_empty())
        || table.foreign_keys.iter().any(|key| !key.definition.is_empty())
        || !table.primary_key_definition.is_empty()
        || !table.settings.is_empty()
        || !table.triggers.is_empty()
}

struct Check {
    errors: Vec<String>,
}

impl Check {
    fn say(&mut self, table: &str, what: &str) {
        self.errors.push(format!("table {table:?}: {what}"));
    }

    fn whole(&mut self, plan: &Plan, schema: &SourceSchema) {
        if plan.version != VERSION {
            self.errors.push(format!(
                "the plan has version {}, and this server knows {VERSION}",
                plan.version
            ));
        }
        // Taken for strict, it would not be what was asked for.
        if GuardMode::try_from(plan.guards).is_err() {
            self.errors.push("the plan has guards of a mode that this server does not know".into());
        }
        if plan.existing.is_none() && plan.tables.iter().any(is_of_the_application) {
            self.errors.push("only tables that are there already have definitions".into());
        }
        if plan.existing.is_some() && !plan.views.is_empty() {
            self.errors.push("views of an existing schema are the application's".into());
        }
        if plan.source_fingerprint != schema.fingerprint {
            self.errors.push("the source's schema is not the one that was planned for".into());
        }
        if !is_name(&plan.target_schema) {
            self.errors.push("the target schema has no name that PostgreSQL can have".into());
        }
        // PostgreSQL keeps `pg_` for itself, and the other two have their own use.
        if plan.target_schema.starts_with("pg_")
            || ["switchback", "information_schema"].contains(&plan.target_schema.as_str())
        {
            self.errors.push(format!("the target schema cannot be {:?}", plan.target_schema));
        }
        let mut sources = HashSet::new();
        for table in &plan.tables {
            if !sources.insert(&table.source) {
                self.say(&table.source, "it is in the plan twice");
            }
        }
        let mut names = HashSet::new();
        let relations = plan
            .tables
            .iter()
            .flat_map(|table| {
                let has_key =
                    !table.primary_key.is_empty() || !table.primary_key_definition.is_empty();
                let key = has_key.then_some(&table.primary_key_name);
                std::iter::once(&table.target)
                    .chain(key)
                    .chain(table.indexes.iter().map(|index| &index.target))
            })
            .chain(plan.views.iter().map(|view| &view.target));
        for name in relations {
            if !is_name(name) {
                self.errors.push(format!("{name:?} is no name that PostgreSQL can have"));
            }
            if !names.insert(name) {
                self.errors.push(format!("two tables, indexes or views are called {name:?}"));
            }
        }
    }

    fn table(&mut self, table: &TablePlan, source: &Table, plan: &Plan) {
        let mut targets: HashSet<&str> = HashSet::new();
        let mut sources: HashSet<&str> = HashSet::new();
        for column in &table.columns {
            self.column(table, column, source);
            if !targets.insert(&column.target) {
                self.say(&table.source, &format!("two columns are called {:?}", column.target));
            }
            if column.expression.is_empty() && !sources.insert(&column.source) {
                self.say(&table.source, &format!("{:?} is in the plan twice", column.source));
            }
        }
        let known = |name: &String| {
            let is_skipped = plan.existing.is_some() && table.skipped.contains(name);
            is_skipped || sources.contains(name.as_str())
        };
        for column in source.columns.iter().filter(|column| !known(&column.name)) {
            self.say(&table.source, &format!("the column {:?} is missing", column.name));
        }
        self.named_columns(table, &targets, plan);
        if plan.existing.is_some() {
            self.definitions(table);
        }
        let mut constraints = HashSet::new();
        let names = table
            .foreign_keys
            .iter()
            .map(|key| &key.name)
            .chain(table.checks.iter().map(|check| &check.name));
        for name in names {
            if !is_name(name) || !constraints.insert(name) {
                self.say(&table.source, &format!("{name:?} is no name for another constraint"));
            }
        }
    }

    fn column(&mut self, table: &TablePlan, column: &ColumnPlan, source: &Table) {
        let say = |check: &mut Self, what: String| {
            check.say(&table.source, &format!("column {:?}: {what}", column.source));
        };
        let computed = !column.expression.is_empty() && column.source.is_empty();
        if !computed && !source.columns.iter().any(|other| other.name == column.source) {
            say(self, "the source has no such column".into());
        }
        if !is_name(&column.target) {
            say(self, format!("{:?} is no name that PostgreSQL can have", column.target));
        }
        match column.codec.parse::<Codec>() {
            Ok(codec) if !codec.fits_type(wire::built_in(&column.r#type, &column.wire)) => say(
                self,
                format!("the codec {} does not go with the type {:?}", column.codec, column.r#type),
            ),
            Ok(_) => {}
            Err(_) => say(self, format!("there is no codec {:?}", column.codec)),
        }
        if column.identity && column.r#type != "bigint" && column.sequence.is_empty() {
            say(self, "an identity has to be bigint".into());
        }
    }

    fn named_columns(&mut self, table: &TablePlan, targets: &HashSet<&str>, plan: &Plan) {
        let keys = table.foreign_keys.iter().filter(|key| key.definition.is_empty());
        let keys = keys.flat_map(|key| &key.columns);
        for name in table.primary_key.iter().chain(keys) {
            if !targets.contains(name.as_str()) {
                self.say(&table.source, &format!("a key names {name:?}, which is no column"));
            }
        }
        let by_terms = |index: &&IndexPlan| index.constraint && index.definition.is_empty();
        for index in table.indexes.iter().filter(by_terms) {
            self.unique(table, index, targets);
        }
        // A definition says by itself what it refers to, in the plan or not.
        for key in table.foreign_keys.iter().filter(|key| key.definition.is_empty()) {
            let parent = plan.tables.iter().find(|other| other.target == key.parent);
            let Some(parent) = parent else {
                let what = format!(
                    "its foreign key {:?} refers to {:?}, which is not in the plan",
                    key.name, key.parent
                );
                self.say(&table.source, &what);
                continue;
            };
            let known = |name: &String| parent.columns.iter().any(|column| column.target == *name);
            if key.parent_columns.len() != key.columns.len()
                || !key.parent_columns.iter().all(known)
            {
                let what = format!(
                    "its foreign key {:?} names columns that {:?} lacks",
                    key.name, key.parent
                );
                self.say(&table.source, &what);
            }
        }
    }

    /// What an existing table has is taken off and made again by its definition.
    fn definitions(&mut self, table: &TablePlan) {
        let checks = table.checks.iter().map(|check| (&check.name, &check.definition));
        let keys = table.foreign_keys.iter().map(|key| (&key.name, &key.definition));
        let indexes = table.indexes.iter().filter(|index| !index.ours);
        let indexes = indexes.map(|index| (&index.target, &index.definition));
        for (name, _) in checks.chain(keys).chain(indexes).filter(|(_, text)| text.is_empty()) {
            self.say(&table.source, &format!("{name:?} has no definition"));
        }
        let targets = table.columns.iter().map(|column| column.target.as_str()).collect();
        for index in table.indexes.iter().filter(|index| index.ours) {
            self.unique(table, index, &targets);
            if !index.definition.is_empty() || !index.predicate.is_empty() {
                self.say(&table.source, "an index of Switchback's own has no definition");
            }
        }
        let known = ["origin", "always", "replica"];
        for trigger in &table.triggers {
            if !known.contains(&trigger.enabled.as_str()) {
                let what = format!("the trigger {:?} fires at no known time", trigger.name);
                self.say(&table.source, &what);
            }
        }
    }

    fn unique(&mut self, table: &TablePlan, index: &IndexPlan, targets: &HashSet<&str>) {
        let quoted: HashSet<String> = targets.iter().map(|name| quote(name)).collect();
        if !index.terms.iter().all(|term| quoted.contains(term)) {
            let what = format!("the constraint {:?} names what is no column", index.target);
            self.say(&table.source, &what);
        }
    }
}
