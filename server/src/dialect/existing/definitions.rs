//! The target's keys, indexes and constraints as a plan has them.

use switchback_proto::v1::{CheckPlan, ColumnPlan, ForeignKeyPlan, IndexPlan, TablePlan};

use super::{
    draft::{DraftTable, Pair},
    keys::sources,
    target::{KeyKind, TargetCheck, TargetForeignKey, TargetSchema, TargetTable},
};
use crate::dialect::{
    capture::{CaptureKey, capture_key, keyed},
    ident::quote,
    schema::Table,
};

/// Numbers of the source's columns that name its rows.
pub(super) fn named_by(source: &Table, draft: &DraftTable, target: &TargetTable) -> Vec<usize> {
    // What the target takes no NULL in has none.
    let column = |pair: &Pair| ColumnPlan {
        source: source.columns[pair.source].name.clone(),
        target: target.columns[pair.target].name.clone(),
        not_null: target.columns[pair.target].not_null,
        ..ColumnPlan::default()
    };
    let columns = draft.pairs.iter().map(column).collect();
    let mut plan = TablePlan { columns, ..TablePlan::default() };
    set_primary_key(&mut plan, source, draft, target);
    match capture_key(&keyed(source, &plan)) {
        CaptureKey::Columns(columns) => columns,
        CaptureKey::Rowid(_) | CaptureKey::Whole => Vec::new(),
    }
}

/// The target's primary key, where it is the source's too.
///
/// Capture takes the columns of such a key for NOT NULL, because the target's are.
fn set_primary_key(plan: &mut TablePlan, source: &Table, draft: &DraftTable, target: &TargetTable) {
    let Some(key) = target.primary_key() else { return };
    plan.primary_key_name.clone_from(&key.name);
    plan.primary_key_definition.clone_from(&key.definition);
    let same = targets(draft, target, &source.primary_key).is_some_and(|names| {
        names.len() == key.columns.len()
            && names.iter().all(|name| key.columns.iter().any(|other| other == name))
    });
    if same {
        plan.primary_key.clone_from(&key.columns);
    }
}

/// Names in the target of the source's columns; none where one has no place.
pub(super) fn targets<'a>(
    draft: &DraftTable,
    target: &'a TargetTable,
    columns: &[usize],
) -> Option<Vec<&'a str>> {
    let name = |column: &usize| {
        let pair = draft.pairs.iter().find(|pair| pair.source == *column)?;
        Some(target.columns[pair.target].name.as_str())
    };
    columns.iter().map(name).collect()
}

pub(super) fn keys(
    plan: &mut TablePlan,
    source: &Table,
    draft: &DraftTable,
    (schema, target): (&TargetSchema, &TargetTable),
) {
    set_primary_key(plan, source, draft, target);
    let quoted = |columns: &[String]| columns.iter().map(|name| quote(name)).collect();
    let carried = |columns: &[String]| sources(draft, schema, columns).is_some();
    for key in target.keys.iter().filter(|key| key.kind != KeyKind::Primary) {
        // The terms are only for readers; what is made again is the definition.
        let terms = if carried(&key.columns) { quoted(&key.columns) } else { Vec::new() };
        plan.indexes.push(IndexPlan {
            target: key.name.clone(),
            unique: key.kind == KeyKind::Unique,
            constraint: true,
            terms,
            definition: key.definition.clone(),
            ..IndexPlan::default()
        });
    }
    for index in &target.indexes {
        plan.indexes.push(IndexPlan {
            target: index.name.clone(),
            unique: index.unique,
            terms: index.columns.as_deref().map(quoted).unwrap_or_default(),
            definition: index.definition.clone(),
            ..IndexPlan::default()
        });
    }
}

pub(super) fn check(found: &TargetCheck) -> CheckPlan {
    CheckPlan {
        name: found.name.clone(),
        not_valid: !found.validated,
        definition: found.definition.clone(),
        ..CheckPlan::default()
    }
}

pub(super) fn foreign_key(key: &TargetForeignKey, validate: bool, schema: &str) -> ForeignKeyPlan {
    // One of another schema has no name here: nothing of the plan is in its way.
    let is_here = key.parent_schema == schema;
    ForeignKeyPlan {
        name: key.name.clone(),
        columns: key.columns.clone(),
        parent: if is_here { key.parent.clone() } else { String::new() },
        parent_columns: key.parent_columns.clone(),
        on_update: key.on_update.clone(),
        on_delete: key.on_delete.clone(),
        deferrable: key.deferrable.clone(),
        validate,
        definition: key.definition.clone(),
    }
}
