//! What the target's keys ask of the source's rows.

use super::{
    draft::{Draft, DraftTable},
    target::{KeyKind, TargetForeignKey, TargetSchema},
};
use crate::dialect::schema::{ForeignKey, IndexKey, SourceSchema, Table};

/// Columns of the source that must be unique, and are not so by the source's own schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unique {
    /// Number of the table in the source.
    pub table: usize,
    /// Numbers of its columns.
    pub columns: Vec<usize>,
    /// Name of the target's constraint or index.
    pub name: String,
    /// The target takes letters of either case for the same.
    pub ignores_case: bool,
}

/// Rows that a key of the target would refuse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collision {
    /// What they break.
    pub unique: Unique,
    /// Values that occur more than once.
    pub count: u64,
    /// Keys of the first few rows.
    pub examples: Vec<String>,
}

/// The keys of the target whose uniqueness the source does not warrant. Indexes over expressions
/// or some of the rows are not among them: what breaks those is seen when they are built.
pub fn uniques(schema: &SourceSchema, target: &TargetSchema, draft: &Draft) -> Vec<Unique> {
    let mut found = Vec::new();
    for pair in &draft.tables {
        let (source, table) = (&schema.tables[pair.source], &target.tables[pair.target]);
        let keys = table.keys.iter().filter(|key| key.kind != KeyKind::Exclusion);
        let keys = keys.map(|key| (&key.name, &key.columns));
        let indexes = table.indexes.iter().filter(|index| index.unique && !index.partial);
        let indexes = indexes.filter_map(|index| Some((&index.name, index.columns.as_ref()?)));
        for (name, columns) in keys.chain(indexes) {
            let Some(numbers) = sources(pair, target, columns) else { continue };
            let ignores_case = columns.iter().any(|name| {
                table.column(name).is_some_and(|column| column.r#type.name.ends_with("citext"))
            });
            if ignores_case || !is_unique(source, &numbers) {
                found.push(Unique {
                    table: pair.source,
                    columns: numbers,
                    name: name.clone(),
                    ignores_case,
                });
            }
        }
    }
    found
}

/// Numbers of the source's columns that go to these; none where one has no source.
pub(super) fn sources(
    pair: &DraftTable,
    target: &TargetSchema,
    columns: &[String],
) -> Option<Vec<usize>> {
    let table = &target.tables[pair.target];
    let source = |name: &String| {
        let found = pair.pairs.iter().find(|pair| table.columns[pair.target].name == *name);
        found.map(|pair| pair.source)
    };
    columns.iter().map(source).collect()
}

/// Whether some key of the source is within these columns.
fn is_unique(table: &Table, columns: &[usize]) -> bool {
    let within = |key: &[usize]| !key.is_empty() && key.iter().all(|at| columns.contains(at));
    within(&table.primary_key)
        || table.indexes.iter().filter(|index| index.unique && index.predicate.is_none()).any(
            |index| {
                let numbers = index.terms.iter().map(|term| match &term.key {
                    IndexKey::Column(at) => Some(*at),
                    IndexKey::Expression(_) => None,
                });
                numbers.collect::<Option<Vec<usize>>>().is_some_and(|key| within(&key))
            },
        )
}

/// The source's schema with the target's foreign keys in place of its own, as far as both of their
/// tables have a source, and for each of them which one it is: table and key in the target.
pub fn foreign_keys(
    schema: &SourceSchema,
    target: &TargetSchema,
    draft: &Draft,
) -> (SourceSchema, Vec<Vec<usize>>) {
    let mut with = schema.clone();
    let mut which = vec![Vec::new(); schema.tables.len()];
    for table in &mut with.tables {
        table.foreign_keys.clear();
    }
    for pair in &draft.tables {
        for (number, key) in target.tables[pair.target].foreign_keys.iter().enumerate() {
            let Some(translated) = translated(schema, target, draft, (pair, key)) else { continue };
            with.tables[pair.source].foreign_keys.push(translated);
            which[pair.source].push(number);
        }
    }
    (with, which)
}

fn translated(
    schema: &SourceSchema,
    target: &TargetSchema,
    draft: &Draft,
    (child, key): (&DraftTable, &TargetForeignKey),
) -> Option<ForeignKey> {
    let parent = draft.tables.iter().find(|pair| {
        target.tables[pair.target].name == key.parent && target.name == key.parent_schema
    })?;
    let table = &schema.tables[parent.source];
    let columns = sources(parent, target, &key.parent_columns)?;
    Some(ForeignKey {
        columns: sources(child, target, &key.columns)?,
        parent: table.name.clone(),
        parent_columns: columns.iter().map(|at| table.columns[*at].name.clone()).collect(),
        ..ForeignKey::default()
    })
}
