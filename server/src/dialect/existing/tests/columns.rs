//! What is chosen for a column, and what is said of it.

use super::*;
use crate::dialect::{
    codec::{EpochUnit, NumericForm},
    existing::{facts::Shapes, types::candidates},
};

/// A table with a key and one other column, whose values fit these codecs.
fn one(kind: &str, affinity: Affinity, fit: ColumnFit) -> Pair {
    let mut pair = Pair::new(
        vec![source("t", &[ID, ("v", affinity)])],
        vec![target("t", &[("id", "bigint"), ("v", kind)])],
    );
    let key = ColumnFit { values: 3, fitting: vec![Codec::Integer], ..ColumnFit::default() };
    pair.found.fits = vec![TableFit { rows: 3, columns: vec![key, fit] }];
    pair
}

fn of_type(kind: &str, affinity: Affinity) -> Vec<Codec> {
    let kind = TargetType { name: kind.into(), wire: kind.into(), labels: Vec::new() };
    candidates(&kind, affinity, None)
}

#[test]
fn a_null_has_no_place_in_a_column_that_takes_none() {
    let fit = ColumnFit {
        nulls: 2,
        null_examples: vec!["id=1".into()],
        values: 1,
        fitting: vec![Codec::Text],
        ..ColumnFit::default()
    };
    let mut pair = one("text", Affinity::Text, fit);
    assert!(codes(&pair.plan()).is_empty());
    pair.target.tables[0].columns[1].not_null = true;
    let plan = pair.plan();
    assert_eq!(codes(&plan), [(Severity::Blocker, "not_null_violated", "t", "v")]);
    assert_eq!((plan.findings[0].count, &plan.findings[0].examples[..]), (2, &["id=1".into()][..]));
    // It computes its values itself.
    pair.target.tables[0].columns[1].generated = Some("'x'".into());
    assert!(codes(&pair.plan()).iter().all(|found| found.1 != "not_null_violated"));
}

#[test]
fn integers_are_times_of_the_unit_that_is_plausible_and_that_is_told() {
    let seconds = (1_700_000_000, 1_700_000_100);
    let fit = |integers| ColumnFit {
        values: 3,
        integers,
        fitting: EpochUnit::ALL.map(Codec::Epoch).to_vec(),
        ..ColumnFit::default()
    };
    let kind = "timestamp with time zone";
    let plan = one(kind, Affinity::Integer, fit(Some(seconds))).plan();
    assert_eq!(codes(&plan), [(Severity::Warning, "epoch_timestamps", "t", "v")]);
    assert_eq!(plan.tables[0].columns[1].codec, Codec::Epoch(EpochUnit::Seconds).to_string());
    // Of no unit: nothing is guessed.
    let plan = one(kind, Affinity::Integer, fit(Some((1, 2)))).plan();
    assert_eq!(codes(&plan), [(Severity::Blocker, "epoch_unclear", "t", "v")]);
    // What is no epoch comes first.
    let text = of_type(kind, Affinity::Text)[0];
    let fitting = [vec![Codec::Epoch(EpochUnit::Seconds)], vec![text]].concat();
    let fit = ColumnFit { fitting, ..fit(Some(seconds)) };
    let plan = one(kind, Affinity::Integer, fit).plan();
    assert_eq!(plan.tables[0].columns[1].codec, text.to_string());
}

#[test]
fn texts_without_an_offset_are_told_where_they_become_instants() {
    let kind = "timestamp with time zone";
    let any = *of_type(kind, Affinity::Text).last().unwrap();
    let shapes = Shapes { with_space: 3, with_offset: 2, ..Shapes::default() };
    let fit = ColumnFit { values: 3, shapes, fitting: vec![any], ..ColumnFit::default() };
    let mut pair = one(kind, Affinity::Text, fit);
    let told = |pair: &mut Pair| codes(&pair.plan()).iter().any(|found| found.1 == "zone_assumed");
    assert!(told(&mut pair));
    pair.found.fits[0].columns[1].shapes.with_z = 1;
    assert!(!told(&mut pair), "each says where it is");
    pair.found.fits[0].columns[1].shapes = Shapes { alone: 1, ..Shapes::default() };
    assert!(told(&mut pair), "a date alone is midnight somewhere");
}

/// PostgreSQL takes 1.0 and 1.00 for one key, and SQLite takes them for two.
#[test]
fn decimals_as_text_name_no_rows() {
    let mut table = source("t", &[("id", Affinity::Text)]);
    table.row_address = RowAddress::Rowid("rowid".into());
    table.columns[0].not_null = true;
    let mut pair = Pair::new(vec![table], vec![target("t", &[("id", "numeric")])]);
    pair.target.tables[0].columns[0].not_null = true;
    let codec = Codec::NumericAs(None, NumericForm::Text);
    assert!(codec.keeps_form());
    let fit = ColumnFit { values: 2, fitting: vec![codec], ..ColumnFit::default() };
    pair.found.fits = vec![TableFit { rows: 2, columns: vec![fit] }];
    assert_eq!(codes(&pair.plan()), [(Severity::Blocker, "key_form", "t", "id")]);
}
