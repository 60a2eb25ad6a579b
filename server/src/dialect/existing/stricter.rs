//! What SQLite refuses and the target takes: a row with it could not come back.

use std::collections::HashSet;

use switchback_proto::v1::{Finding, Severity};

use super::{
    definitions::targets,
    draft::DraftTable,
    target::{KeyKind, TargetColumn, TargetTable},
};
use crate::dialect::{
    finding::{self, Place, finding},
    schema::{Index, IndexKey, Table},
};

/// Columns whose values are unique in SQLite.
struct SourceKey<'a> {
    columns: Vec<usize>,
    /// Collation of each.
    collations: Vec<&'a str>,
}

/// The keys of a table that the target has not, or not for all that SQLite takes for the same.
/// `named_by` are the columns that name rows: what the target lacks of them is told elsewhere.
/// Indexes over expressions or some of the rows are not compared.
pub(super) fn keys(
    source: &Table,
    draft: &DraftTable,
    target: &TargetTable,
    named_by: &[usize],
) -> Vec<Finding> {
    let mut told = HashSet::new();
    let mut findings = Vec::new();
    for key in source.indexes.iter().filter_map(source_key) {
        let Some(names) = targets(draft, target, &key.columns) else { continue };
        let is_told = || key.columns.iter().all(|column| named_by.contains(column));
        let message = if !is_unique(target, &names) && !is_told() {
            "unique in SQLite, and not in the target: rows with the same values"
        } else if names.iter().zip(&key.collations).any(|(name, collation)| {
            target.column(name).is_some_and(|column| tells_apart(column, collation))
        }) {
            "unique in SQLite by its collation, and in the target letter by letter: rows whose \
             values differ in that only"
        } else {
            continue;
        };
        if told.insert((names.clone(), message)) {
            findings.push(told_of(source, &key, message));
        }
    }
    findings
}

fn source_key(index: &Index) -> Option<SourceKey<'_>> {
    if !index.unique || index.predicate.is_some() || index.terms.is_empty() {
        return None;
    }
    let column = |key: &IndexKey| match key {
        IndexKey::Column(number) => Some(*number),
        IndexKey::Expression(_) => None,
    };
    Some(SourceKey {
        columns: index.terms.iter().map(|term| column(&term.key)).collect::<Option<_>>()?,
        collations: index.terms.iter().map(|term| term.collation.as_str()).collect(),
    })
}

/// Whether some key of the target is within these columns.
fn is_unique(target: &TargetTable, names: &[&str]) -> bool {
    let within = |columns: &[String]| columns.iter().all(|name| names.contains(&name.as_str()));
    target.keys.iter().any(|key| key.kind != KeyKind::Exclusion && within(&key.columns))
        || target.indexes.iter().any(|index| {
            index.unique && !index.partial && index.columns.as_deref().is_some_and(within)
        })
}

/// Whether the target tells texts apart that are the same to SQLite.
fn tells_apart(column: &TargetColumn, collation: &str) -> bool {
    let is_text =
        ["text", "character", "varchar"].iter().any(|kind| column.r#type.name.starts_with(kind));
    is_text && !collation.eq_ignore_ascii_case("BINARY")
}

fn told_of(source: &Table, key: &SourceKey<'_>, message: &str) -> Finding {
    let names = key.columns.iter().map(|at| source.columns[*at].name.as_str());
    let names = names.collect::<Vec<_>>().join(", ");
    finding(
        Severity::Note,
        finding::SOURCE_IS_STRICTER,
        Place::table(&source.name),
        format!("({names}) is {message} cannot come back, and stop all others"),
        "nothing is to be done unless the application writes such rows on PostgreSQL; a unique \
         index there keeps it from that",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::{
        existing::{
            draft::Pair,
            target::{TargetIndex, TargetKey},
            types::TargetType,
        },
        schema::{Column, IndexTerm},
    };

    fn index(columns: &[usize], collation: &str) -> Index {
        let term = |at: &usize| IndexTerm {
            key: IndexKey::Column(*at),
            collation: collation.into(),
            ..IndexTerm::default()
        };
        Index { unique: true, terms: columns.iter().map(term).collect(), ..Index::default() }
    }

    fn source(indexes: Vec<Index>) -> Table {
        let column = |name: &str| Column { name: name.into(), ..Column::default() };
        Table {
            name: "t".into(),
            columns: ["a", "b"].map(column).into(),
            indexes,
            ..Table::default()
        }
    }

    fn target(kind: &str) -> TargetTable {
        let column = |name: &str| TargetColumn {
            name: name.into(),
            r#type: TargetType { name: kind.into(), ..TargetType::default() },
            ..TargetColumn::default()
        };
        TargetTable { columns: ["a", "b"].map(column).into(), ..TargetTable::default() }
    }

    fn told(source: &Table, target: &TargetTable, named_by: &[usize]) -> Vec<String> {
        let pair = |at: usize| Pair { source: at, target: at, candidates: Vec::new() };
        let draft = DraftTable { pairs: vec![pair(0), pair(1)], ..DraftTable::default() };
        keys(source, &draft, target, named_by).into_iter().map(|found| found.message).collect()
    }

    #[test]
    fn a_key_that_only_sqlite_has_is_told_once() {
        let both = source(vec![index(&[0, 1], "BINARY"), index(&[0, 1], "BINARY")]);
        let mut target = target("text");
        let found = told(&both, &target, &[]);
        assert_eq!(found.len(), 1);
        assert!(found[0].starts_with("(a, b) is unique in SQLite, and not"), "{found:?}");
        // What names rows is told as key_not_indexed.
        assert!(told(&both, &target, &[0, 1]).is_empty());
        // Of more columns it is weaker, of fewer stronger.
        let unique = |columns: &[&str]| TargetIndex {
            unique: true,
            columns: Some(columns.iter().map(|name| (*name).to_owned()).collect()),
            ..TargetIndex::default()
        };
        target.indexes = vec![TargetIndex { partial: true, ..unique(&["a"]) }];
        assert_eq!(told(&both, &target, &[]).len(), 1);
        target.indexes = vec![unique(&["a"])];
        assert!(told(&both, &target, &[]).is_empty());
        assert_eq!(told(&source(vec![index(&[1], "BINARY")]), &target, &[]).len(), 1);
    }

    #[test]
    fn a_collation_of_sqlite_takes_more_for_the_same() {
        let key = TargetKey { columns: vec!["a".into()], ..TargetKey::default() };
        let of = |kind: &str| TargetTable { keys: vec![key.clone()], ..target(kind) };
        let nocase = source(vec![index(&[0], "NOCASE")]);
        for kind in ["text", "character varying(20)"] {
            let found = told(&nocase, &of(kind), &[0]);
            assert!(found[0].contains("by its collation"), "{found:?}");
        }
        for kind in ["citext", "bigint"] {
            assert!(told(&nocase, &of(kind), &[0]).is_empty(), "{kind}");
        }
        assert!(told(&source(vec![index(&[0], "BINARY")]), &of("text"), &[0]).is_empty());
    }
}
