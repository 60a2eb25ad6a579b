mod columns;
mod keys;

use switchback_proto::v1::{Finding, Plan, PlanOptions, Rename, Severity};

use super::{
    facts::{ColumnFit, TableFit},
    target::{KeyKind, TargetColumn, TargetForeignKey, TargetKey, TargetSchema, TargetTable},
    types::TargetType,
    *,
};
use crate::dialect::{
    codec::Codec,
    plan::PlanInputs,
    schema::{Affinity, Column, RowAddress, SourceSchema, Table},
};

fn source(name: &str, columns: &[(&str, Affinity)]) -> Table {
    let columns = columns.iter().map(|(name, affinity)| Column {
        name: (*name).to_owned(),
        affinity: *affinity,
        collation: "BINARY".into(),
        ..Column::default()
    });
    Table {
        name: name.into(),
        columns: columns.collect(),
        primary_key: vec![0],
        row_address: RowAddress::Alias(0),
        ..Table::default()
    }
}

fn target(name: &str, columns: &[(&str, &str)]) -> TargetTable {
    let columns: Vec<TargetColumn> = columns
        .iter()
        .map(|(name, r#type)| TargetColumn {
            name: (*name).to_owned(),
            r#type: TargetType {
                name: (*r#type).to_owned(),
                wire: (*r#type).to_owned(),
                labels: Vec::new(),
            },
            ..TargetColumn::default()
        })
        .collect();
    let key = TargetKey {
        name: format!("{name}_pkey"),
        kind: KeyKind::Primary,
        columns: vec![columns[0].name.clone()],
        definition: format!("PRIMARY KEY ({})", columns[0].name),
    };
    TargetTable { name: name.into(), columns, keys: vec![key], ..TargetTable::default() }
}

struct Pair {
    schema: SourceSchema,
    target: TargetSchema,
    options: PlanOptions,
    found: Found,
}

impl Pair {
    fn new(tables: Vec<Table>, targets: Vec<TargetTable>) -> Self {
        Self {
            schema: SourceSchema { tables, ..SourceSchema::default() },
            target: TargetSchema { name: "public".into(), tables: targets },
            options: PlanOptions::default(),
            found: Found::default(),
        }
    }

    /// The plan for values that all fit.
    fn plan(&mut self) -> Plan {
        let draft = draft(&self.schema, &self.target, &self.options, &|_| None);
        if self.found.fits.is_empty() {
            let fit = |candidates: &[_]| ColumnFit {
                values: 3,
                fitting: candidates.to_vec(),
                ..ColumnFit::default()
            };
            let fits = draft.tables.iter().map(|table| TableFit {
                rows: 3,
                columns: table
                    .pairs
                    .iter()
                    .map(|pair| fit(&pair.candidates))
                    .chain(table.skipped.iter().map(|_| fit(&[])))
                    .collect(),
            });
            self.found.fits = fits.collect();
        }
        let inputs = PlanInputs {
            database: "default",
            target_schema: "public",
            schema: &self.schema,
            facts: &[],
            orphans: &[],
            options: &self.options,
        };
        build(inputs, &self.target, &draft, &self.found)
    }
}

fn codes(plan: &Plan) -> Vec<(Severity, &str, &str, &str)> {
    let code = |found: &'_ Finding| found.severity();
    let findings = plan.findings.iter();
    findings.map(|f| (code(f), f.code.as_str(), f.table.as_str(), f.column.as_str())).collect()
}

const ID: (&str, Affinity) = ("id", Affinity::Integer);

#[test]
fn what_matches_says_nothing() {
    let mut pair = Pair::new(
        vec![source("t", &[ID, ("name", Affinity::Text)])],
        vec![target("t", &[("id", "bigint"), ("name", "text")])],
    );
    let plan = pair.plan();
    assert_eq!(codes(&plan), []);
    let table = &plan.tables[0];
    assert_eq!(table.primary_key, ["id"]);
    assert_eq!(table.primary_key_definition, "PRIMARY KEY (id)");
    assert!(table.indexes.is_empty());
    let columns: Vec<_> = table
        .columns
        .iter()
        .map(|column| (column.target.as_str(), column.codec.as_str()))
        .collect();
    assert_eq!(columns, [("id", "integer"), ("name", "text")]);
}

#[test]
fn what_is_on_one_side_only_is_named() {
    let mut pair = Pair::new(
        vec![source("t", &[ID, ("old", Affinity::Text)]), source("lonely", &[ID])],
        vec![
            target("t", &[("id", "bigint"), ("new", "text")]),
            target("other", &[("id", "bigint")]),
        ],
    );
    pair.target.tables[0].columns[1].not_null = true;
    pair.found.stranded.insert(1);
    let plan = pair.plan();
    assert_eq!(
        codes(&plan),
        [
            (Severity::Blocker, "table_only_in_source", "lonely", ""),
            (Severity::Blocker, "column_only_in_source", "t", "old"),
            (Severity::Blocker, "column_without_value", "t", ""),
            (Severity::Note, "only_in_target", "", ""),
        ]
    );
    // What nobody has agreed to is not skipped.
    assert!(plan.tables[0].skipped.is_empty());
    pair.options.exclude_tables = vec!["t.old".into(), "lonely".into()];
    pair.target.tables[0].columns[1].default = Some("''::text".into());
    let plan = pair.plan();
    assert_eq!(plan.tables[0].skipped, ["old"]);
    assert_eq!(plan.tables[0].defaulted, ["new"]);
    assert!(codes(&plan).iter().all(|(severity, ..)| *severity != Severity::Blocker));
}

#[test]
fn names_that_are_alike_match_and_are_told() {
    let mut pair = Pair::new(
        vec![source("Users", &[ID, ("fullName", Affinity::Text)])],
        vec![target("users", &[("id", "bigint"), ("full_name", "text"), ("x", "text")])],
    );
    let plan = pair.plan();
    assert_eq!(plan.tables[0].target, "users");
    assert_eq!(plan.tables[0].columns[1].target, "full_name");
    let alike = |found: &&(Severity, &str, &str, &str)| found.1 == "matched_by_likeness";
    assert_eq!(codes(&plan).iter().filter(alike).count(), 2);
    let rename = |column: &str, target: &str| Rename {
        table: "Users".into(),
        column: column.into(),
        target: target.into(),
    };
    pair.options.renames = vec![rename("fullName", "x")];
    assert_eq!(pair.plan().tables[0].columns[1].target, "x");
    pair.options.renames = vec![rename("name", "x"), rename("", "nobody")];
    let plan = pair.plan();
    let unknown = |found: &&(Severity, &str, &str, &str)| found.1 == "unknown_name";
    assert_eq!(codes(&plan).iter().filter(unknown).count(), 2);
}

#[test]
fn rows_are_named_by_an_index_of_ours_where_the_target_has_none() {
    let mut pair = Pair::new(vec![source("t", &[ID])], vec![target("t", &[("id", "bigint")])]);
    pair.target.tables[0].keys.clear();
    let plan = pair.plan();
    let [index] = &plan.tables[0].indexes[..] else { panic!("no index") };
    assert!(index.ours && index.unique && index.terms == ["\"id\""]);
    assert_eq!(codes(&plan), [(Severity::Note, "key_not_indexed", "t", "")]);
    assert!(plan.tables[0].primary_key.is_empty());
}

#[test]
fn foreign_keys_of_other_tables_are_taken_off_too() {
    let key = |parent: &str| TargetForeignKey {
        name: "f".into(),
        columns: vec!["id".into()],
        parent_schema: "public".into(),
        parent: parent.into(),
        parent_columns: vec!["id".into()],
        validated: true,
        definition: "FOREIGN KEY …".into(),
        ..TargetForeignKey::default()
    };
    let mut pair = Pair::new(
        vec![source("t", &[ID])],
        vec![target("t", &[("id", "bigint")]), target("other", &[("id", "bigint")])],
    );
    pair.target.tables[0].foreign_keys = vec![key("t")];
    pair.target.tables[1].foreign_keys = vec![key("t"), key("other")];
    let plan = pair.plan();
    let existing = plan.existing.clone().unwrap();
    let outer: Vec<&str> = existing.foreign_keys.iter().map(|key| key.table.as_str()).collect();
    assert_eq!(outer, ["other"]);
    assert!(plan.tables[0].foreign_keys[0].validate);
    pair.found.orphans = vec![crate::dialect::plan::OrphanCount {
        table: 0,
        foreign_key: 0,
        count: 2,
        examples: Vec::new(),
    }];
    assert!(!pair.plan().tables[0].foreign_keys[0].validate);
}

#[test]
fn rows_in_the_target_go_by_request_only() {
    let mut pair = Pair::new(vec![source("t", &[ID])], vec![target("t", &[("id", "bigint")])]);
    pair.found.filled.insert("t".into());
    assert_eq!(codes(&pair.plan()), [(Severity::Blocker, "target_not_empty", "t", "")]);
    pair.options.empty_target = true;
    let plan = pair.plan();
    assert_eq!(codes(&plan), [(Severity::Warning, "target_emptied", "t", "")]);
    assert!(plan.existing.unwrap().empty_target);
}

#[test]
fn a_reviewed_plan_is_held_against_what_is_there() {
    let mut pair = Pair::new(
        vec![source("t", &[ID, ("name", Affinity::Text)])],
        vec![target("t", &[("id", "bigint"), ("name", "text")])],
    );
    let plan = pair.plan();
    let draft = reviewed(&plan, &pair.schema, &pair.target).unwrap();
    assert_eq!(draft.tables[0].pairs.len(), 2);
    pair.target.tables[0].columns[1].r#type.name = "integer".into();
    pair.target.tables[0].columns.remove(0);
    let problems = reviewed(&plan, &pair.schema, &pair.target).unwrap_err();
    assert_eq!(problems.len(), 2, "{problems:?}");
}

/// SQLite lets the key of a rowid table hold NULLs, and the target's key has none.
#[test]
fn a_key_in_several_forms_stops_the_plan_whether_or_not_it_is_declared_not_null() {
    let mut table = source("t", &[("id", Affinity::Text)]);
    table.row_address = RowAddress::Rowid("rowid".into());
    let mut pair = Pair::new(vec![table], vec![target("t", &[("id", "uuid")])]);
    pair.target.tables[0].columns[0].not_null = true;
    let fit = ColumnFit { values: 2, fitting: vec![Codec::UuidAny], ..ColumnFit::default() };
    pair.found.fits = vec![TableFit { rows: 2, columns: vec![fit] }];
    assert_eq!(codes(&pair.plan()), [(Severity::Blocker, "key_form", "t", "id")]);
}
