//! Foreign keys.

use switchback_proto::v1::{Finding, ForeignKeyPlan, Severity};

use super::{
    super::{
        codec::Codec,
        ident::quote,
        schema::{ForeignKey, SourceSchema, Table},
    },
    Builder, Draft, OrphanCount, Place, finding,
};

/// Columns of a table that a foreign key refers to.
pub(super) struct ParentKey {
    /// Number of the parent table.
    pub table: usize,
    /// Numbers of its columns, sorted.
    pub columns: Vec<usize>,
}

/// Everything that foreign keys of the schema refer to.
pub(super) fn parent_keys(schema: &SourceSchema) -> Vec<ParentKey> {
    schema
        .tables
        .iter()
        .flat_map(|table| &table.foreign_keys)
        .filter_map(|key| {
            let (table, mut columns) = resolve(schema, key).ok()?;
            columns.sort_unstable();
            Some(ParentKey { table, columns })
        })
        .collect()
}

/// The parent's number and the numbers of its columns, in the order of the child's.
fn resolve(schema: &SourceSchema, key: &ForeignKey) -> Result<(usize, Vec<usize>), String> {
    let same = |name: &str| name.eq_ignore_ascii_case(&key.parent);
    let Some(number) = schema.tables.iter().position(|table| same(&table.name)) else {
        let is_view = schema.views.iter().any(|view| same(&view.name));
        let what = if is_view { "is a view" } else { "does not exist" };
        return Err(format!("its parent table {:?} {what}", key.parent));
    };
    let parent = &schema.tables[number];
    let columns = if key.parent_columns.is_empty() {
        parent.primary_key.clone()
    } else {
        named(parent, &key.parent_columns)?
    };
    if columns.len() != key.columns.len() {
        return Err(format!(
            "{} columns refer to {} of {:?}",
            key.columns.len(),
            columns.len(),
            parent.name
        ));
    }
    Ok((number, columns))
}

fn named(parent: &Table, names: &[String]) -> Result<Vec<usize>, String> {
    names
        .iter()
        .map(|name| {
            parent
                .columns
                .iter()
                .position(|column| column.name.eq_ignore_ascii_case(name))
                .ok_or_else(|| format!("its parent {:?} has no column {name:?}", parent.name))
        })
        .collect()
}

impl Builder<'_> {
    pub(super) fn add_foreign_keys(&mut self) {
        for number in 0..self.drafts.len() {
            for (index, key) in self.drafts[number].table.foreign_keys.iter().enumerate() {
                match self.foreign_key(number, key) {
                    Ok(plan) => self.accept(number, index, plan),
                    Err(reason) => self.skip(number, key, &reason),
                }
            }
        }
    }

    fn foreign_key(&self, number: usize, key: &ForeignKey) -> Result<ForeignKeyPlan, String> {
        let (parent_number, parent_columns) = resolve(self.inputs.schema, key)?;
        let (child, parent) = (&self.drafts[number], &self.drafts[parent_number]);
        if !parent.has_key(&parent_columns) {
            return Err(format!(
                "no primary key and no unique constraint of {:?} has exactly its columns",
                parent.table.name
            ));
        }
        for (column, other) in key.columns.iter().zip(&parent_columns) {
            joins(child, *column, parent, *other)?;
        }
        Ok(ForeignKeyPlan {
            name: key.name.clone().unwrap_or_else(|| child.usual_name(&key.columns, "fkey")),
            columns: child.targets(&key.columns),
            parent: parent.plan.target.clone(),
            parent_columns: parent.targets(&parent_columns),
            on_update: action(&key.on_update),
            on_delete: action(&key.on_delete),
            deferrable: if key.deferred {
                "DEFERRABLE INITIALLY DEFERRED".into()
            } else {
                String::new()
            },
            validate: true,
            ..ForeignKeyPlan::default()
        })
    }

    fn accept(&mut self, number: usize, index: usize, mut plan: ForeignKeyPlan) {
        let orphans = self
            .inputs
            .orphans
            .iter()
            .find(|orphans| orphans.table == number && orphans.foreign_key == index);
        let parent = self.drafts.iter().find(|draft| draft.plan.target == plan.parent);
        let rejected = parent.filter(|parent| parent.rejects).map(|parent| parent.table);
        if let Some(orphans) = orphans {
            plan.validate = false;
            self.report_orphans(number, index, orphans);
        } else if let Some(parent) = rejected {
            plan.validate = false;
            self.warn(
                finding::FOREIGN_KEY_NOT_VALIDATED,
                Place::table(&self.drafts[number].table.name),
                format!("rows of its parent {:?} may be rejected, and leave orphans", parent.name),
                "VALIDATE CONSTRAINT when the rejected rows have been dealt with",
            );
        }
        self.report_folded(number, index);
        let draft = &mut self.drafts[number];
        plan.name = draft.constraints.reserve(&plan.name);
        draft.plan.foreign_keys.push(plan);
    }

    /// SQLite looks a parent up by the collation of the parent's column.
    fn report_folded(&mut self, number: usize, index: usize) {
        let table = self.drafts[number].table;
        let key = &table.foreign_keys[index];
        let Ok((parent, columns)) = resolve(self.inputs.schema, key) else { return };
        let parent = self.drafts[parent].table;
        let mut collations =
            columns.iter().map(|column| parent.columns[*column].collation.as_str());
        let Some(collation) = collations.find(|collation| *collation != "BINARY") else { return };
        self.note(
            finding::COLLATION_NOT_CARRIED,
            Place::column(&table.name, &child_columns(table, key)),
            format!(
                "the foreign key finds its parent in {:?} under the collation {collation} in \
                 SQLite, and by the very same text in PostgreSQL",
                parent.name
            ),
            "write the key exactly as the parent has it",
        );
    }

    fn report_orphans(&mut self, number: usize, index: usize, orphans: &OrphanCount) {
        let table = self.drafts[number].table;
        let key = &table.foreign_keys[index];
        let columns = child_columns(table, key);
        let warning = finding::finding(
            Severity::Warning,
            finding::ORPHANS,
            Place::column(&table.name, &columns),
            format!(
                "{} rows have no parent in {:?}; the foreign key is made NOT VALID",
                orphans.count, key.parent
            ),
            "correct the rows, then VALIDATE CONSTRAINT in PostgreSQL",
        );
        let examples = orphans.examples.clone();
        self.findings.push(Finding { count: orphans.count, examples, ..warning });
    }

    fn skip(&mut self, number: usize, key: &ForeignKey, reason: &str) {
        let table = self.drafts[number].table;
        let columns = child_columns(table, key);
        self.warn(
            finding::FOREIGN_KEY_SKIPPED,
            Place::column(&table.name, &columns),
            format!("the foreign key to {:?} is left out: {reason}", key.parent),
            "SQLite takes such a key and cannot check it; correct the declaration to carry it",
        );
    }
}

fn child_columns(table: &Table, key: &ForeignKey) -> String {
    let names: Vec<&str> =
        key.columns.iter().map(|column| table.columns[*column].name.as_str()).collect();
    names.join(", ")
}

fn action(declared: &str) -> String {
    match declared.to_ascii_uppercase().as_str() {
        known @ ("RESTRICT" | "CASCADE" | "SET NULL" | "SET DEFAULT") => known.to_owned(),
        _ => "NO ACTION".into(),
    }
}

/// Whether equal values of both columns are equal in PostgreSQL.
fn joins(child: &Draft<'_>, column: usize, parent: &Draft<'_>, other: usize) -> Result<(), String> {
    let (one, two) = (&child.plan.columns[column], &parent.plan.columns[other]);
    let base = |name: &str| match name.split('(').next().unwrap_or_default() {
        "varchar" => "text".to_owned(),
        base => base.to_owned(),
    };
    if base(&one.r#type) != base(&two.r#type) {
        return Err(format!(
            "{:?} is {} and its parent {:?} is {}",
            one.source, one.r#type, two.source, two.r#type
        ));
    }
    let form = |name: &str| match name.parse() {
        Ok(codec @ (Codec::Tagged | Codec::Escaped)) => Some(codec),
        _ => None,
    };
    if form(&one.codec) != form(&two.codec) {
        return Err(format!(
            "{:?} and its parent {:?} are encoded in different ways",
            one.source, two.source
        ));
    }
    Ok(())
}

impl Draft<'_> {
    /// Whether PostgreSQL has a key on exactly these columns, in any order.
    fn has_key(&self, columns: &[usize]) -> bool {
        let sorted = |mut names: Vec<String>| {
            names.sort();
            names
        };
        let wanted = sorted(self.targets(columns));
        if !wanted.is_empty() && sorted(self.plan.primary_key.clone()) == wanted {
            return true;
        }
        let quoted = sorted(wanted.iter().map(|name| quote(name)).collect());
        self.plan.indexes.iter().filter(|index| index.unique && index.predicate.is_empty()).any(
            |index| {
                let terms = index
                    .terms
                    .iter()
                    .map(|term| term.strip_suffix(" DESC").unwrap_or(term).to_owned());
                sorted(terms.collect()) == quoted
            },
        )
    }
}
