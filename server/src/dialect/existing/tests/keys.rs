//! Keys of both sides, and plans that are held against them.

use super::*;
use crate::dialect::{
    existing::target::{TargetColumn, TargetIndex},
    schema::{Index, IndexKey, IndexTerm},
};

const COLUMNS: [(&str, Affinity); 3] = [ID, ("a", Affinity::Text), ("b", Affinity::Text)];

fn index(columns: &[&str]) -> TargetIndex {
    TargetIndex {
        name: columns.concat(),
        unique: true,
        columns: Some(columns.iter().map(|name| (*name).to_owned()).collect()),
        ..TargetIndex::default()
    }
}

/// Names of the target's keys whose uniqueness the source does not warrant.
fn unwarranted(pair: &Pair) -> Vec<String> {
    let draft = draft(&pair.schema, &pair.target, &pair.options, &|_| None);
    uniques(&pair.schema, &pair.target, &draft).into_iter().map(|found| found.name).collect()
}

#[test]
fn a_key_of_fewer_columns_warrants_one_of_more_and_not_the_other_way_round() {
    let term = |at| IndexTerm { key: IndexKey::Column(at), ..IndexTerm::default() };
    let unique = |columns: &[usize]| Index {
        unique: true,
        terms: columns.iter().copied().map(term).collect(),
        ..Index::default()
    };
    let mut table = source("t", &COLUMNS);
    table.indexes = vec![unique(&[1, 2])];
    let mut pair = Pair::new(
        vec![table],
        vec![target("t", &[("id", "bigint"), ("a", "text"), ("b", "text")])],
    );
    pair.target.tables[0].indexes = vec![index(&["a"]), index(&["b", "a"]), index(&["id", "b"])];
    assert_eq!(unwarranted(&pair), ["a"]);
    pair.schema.tables[0].indexes[0].predicate = Some("a > 'x'".into());
    assert_eq!(unwarranted(&pair), ["a", "ba"], "it has only some of the rows");
    // What only has some of the target's rows is seen when it is made.
    pair.target.tables[0].indexes[0].partial = true;
    assert_eq!(unwarranted(&pair), ["ba"]);
}

#[test]
fn letters_of_either_case_are_one_to_citext() {
    let mut table = source("t", &[ID, ("a", Affinity::Text)]);
    let terms = vec![IndexTerm { key: IndexKey::Column(1), ..IndexTerm::default() }];
    table.indexes = vec![Index { unique: true, terms, ..Index::default() }];
    let mut pair = Pair::new(vec![table], vec![target("t", &[("id", "bigint"), ("a", "citext")])]);
    pair.target.tables[0].columns[1].r#type.wire = "text".into();
    pair.target.tables[0].indexes = vec![index(&["a"])];
    assert_eq!(unwarranted(&pair), ["a"]);
}

#[test]
fn a_key_of_more_columns_is_not_the_sources() {
    let kinds = [("id", "bigint"), ("a", "text"), ("b", "text")];
    let mut pair = Pair::new(vec![source("t", &COLUMNS)], vec![target("t", &kinds)]);
    assert_eq!(pair.plan().tables[0].primary_key, ["id"]);
    pair.target.tables[0].keys[0].columns.push("a".into());
    let plan = pair.plan();
    assert!(plan.tables[0].primary_key.is_empty());
    assert!(plan.tables[0].indexes.iter().any(|index| index.ours), "rows are named all the same");
}

#[test]
fn a_reviewed_plan_keeps_its_choices_and_gets_the_targets_facts() {
    let kinds = [("id", "bigint"), ("b", "text")];
    let mut pair = Pair::new(vec![source("t", &COLUMNS)], vec![target("t", &kinds)]);
    pair.options.exclude_tables = vec!["t.a".into()];
    pair.target.tables[0].settings = vec!["ALTER TABLE t …".into()];
    let mut plan = pair.plan();
    assert_eq!(plan.tables[0].skipped, ["a"]);
    let reviewed_draft = reviewed(&plan, &pair.schema, &pair.target).unwrap();
    // Asked for once is asked for: nobody is told that its values block.
    assert_eq!(reviewed_draft.tables[0].excluded, [1]);

    plan.tables[0].settings = vec!["DROP TABLE t".into()];
    plan.tables[0].columns[1].sequence = "x; DROP TABLE t".into();
    adopt(&mut plan, &pair.target);
    assert_eq!(plan.tables[0].settings, ["ALTER TABLE t …"]);
    assert_eq!(plan.tables[0].columns[1].sequence, "");

    pair.target.tables[0].columns[1] =
        TargetColumn { generated: Some("'x'".into()), ..pair.target.tables[0].columns[1].clone() };
    let problems = reviewed(&plan, &pair.schema, &pair.target).unwrap_err();
    assert!(problems[0].contains("not as planned"), "{problems:?}");
}

/// Each side has its own.
#[test]
fn tables_of_versions_are_neither_copied_nor_missed() {
    let versions = |table: &Table| (table.name == "versions").then_some("a tool");
    let pair = Pair::new(
        vec![source("t", &[ID]), source("versions", &[ID])],
        vec![target("t", &[("id", "bigint")]), target("Versions", &[("id", "bigint")])],
    );
    let draft = draft(&pair.schema, &pair.target, &pair.options, &versions);
    assert_eq!((draft.tables.len(), draft.unmatched.len()), (1, 0));
    let codes: Vec<&str> = draft.findings.iter().map(|found| found.code.as_str()).collect();
    assert_eq!(codes, ["bookkeeping_table"]);
}
