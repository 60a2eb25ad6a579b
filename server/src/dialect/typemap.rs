//! The type of each column: by its declaration and by proof from its values.
//!
//! A rich type (`boolean`, `timestamp`, `numeric(p,s)`, …) needs a declaration that suggests it
//! and one codec that every value goes through. Otherwise the storage class of the values
//! decides, and where there are several, a person does.

mod declared;
mod notes;
mod plain;

use switchback_proto::v1::{Choice, Disposition, Finding, Severity};

use self::{
    declared::{Declared, Family, family},
    notes::Subject,
};
use super::{
    codec::{Codec, EpochUnit},
    facts::ColumnFacts,
    schema::{Affinity, Column, IndexKey, RowAddress, Table},
    value::Class,
};

/// Finding codes for which a caller may choose what to do instead of failing.
pub const CHOICES: [&str; 4] = ["mixed_types", "nul_in_text", "invalid_utf8", "not_canonical"];

/// What a column becomes.
#[derive(Debug, Clone, PartialEq)]
pub struct ColumnDecision {
    /// `bigint`, `numeric(10,2)`, …
    pub pg_type: String,
    /// How values travel.
    pub codec: Codec,
    /// Why, in a few words.
    pub reason: String,
    /// What stands in the way, and what is worth knowing.
    pub findings: Vec<Finding>,
}

impl ColumnDecision {
    fn new(codec: Codec, reason: impl Into<String>) -> Self {
        let pg_type = codec.natural_type();
        Self { pg_type, codec, reason: reason.into(), findings: Vec::new() }
    }
}

/// Decides the type of column number `index` of a table.
pub fn decide(
    table: &Table,
    index: usize,
    facts: &ColumnFacts,
    choices: &[Choice],
) -> ColumnDecision {
    let column = &table.columns[index];
    if table.row_address == RowAddress::Alias(index) {
        return ColumnDecision::new(Codec::Integer, "the rowid, a 64-bit integer");
    }
    let subject = Subject { table, column, facts, choices };
    let family = family(column).filter(|family| *family != Family::Json || !is_key(table, index));
    if facts.values() == 0 {
        return by_declaration(column, family);
    }
    if let Some(decision) = family.and_then(|family| rich(&subject, family)) {
        return decision;
    }
    let mut decision = plain(&subject);
    if let Some(family) = family {
        decision.findings.extend(subject.not_rich(family));
    }
    decision.findings.extend(subject.numbers_from_text());
    decision
}

/// The codecs that a column's declaration suggests beyond the plain ones; the census keeps those
/// that every value goes through.
pub fn candidates(column: &Column) -> Vec<Codec> {
    family(column).map(|family| family.codecs(column.affinity)).unwrap_or_default()
}

/// What the census takes for an odd value of a column whose declaration suggests a rich type.
#[derive(Debug, Clone)]
pub struct Expectation {
    family: Family,
    /// Finding code of a value that is not as expected.
    pub code: &'static str,
    /// Codecs of which one should carry the value.
    pub codecs: Vec<Codec>,
}

impl Expectation {
    /// Whether a value of this class is looked at.
    pub fn judges(&self, class: Class) -> bool {
        self.family.judges(class)
    }
}

/// What the declaration makes one expect of the values.
pub fn expectation(column: &Column) -> Option<Expectation> {
    let family = family(column)?;
    let codecs = family.proper(column.affinity);
    Some(Expectation { family, code: family.code(), codecs })
}

/// The values have classes that no plain type holds together; candidates aside.
pub fn is_mixed(column: &Column, facts: &ColumnFacts) -> bool {
    facts.values() > 0 && plain::codec(column.affinity, facts).is_none()
}

/// How many values are of a class other than the one that the column would get alone: the ones
/// that `mixed_types` is about.
pub fn minority(column: &Column, facts: &ColumnFacts) -> Vec<Class> {
    let kept = plain::dominant(column, facts);
    [Class::Integer, Class::Real, Class::Text, Class::Blob]
        .into_iter()
        .filter(|class| plain::count(facts, *class) > 0 && plain::count(&kept, *class) == 0)
        .collect()
}

/// PostgreSQL's `json` has no equality, so it can be no key and in no index.
fn is_key(table: &Table, index: usize) -> bool {
    let keyed = |columns: &[usize]| columns.contains(&index);
    keyed(&table.primary_key)
        || table.foreign_keys.iter().any(|key| keyed(&key.columns))
        || table
            .indexes
            .iter()
            .flat_map(|index| &index.terms)
            .any(|term| term.key == IndexKey::Column(index))
}

fn by_declaration(column: &Column, family: Option<Family>) -> ColumnDecision {
    let declared = Declared::parse(&column.declared);
    let rich = family.and_then(|family| family.default_codec(column.affinity));
    let codec = rich.unwrap_or(match column.affinity {
        Affinity::Integer => Codec::Integer,
        Affinity::Numeric if declared.means_integer() => Codec::Integer,
        Affinity::Real => Codec::Real,
        Affinity::Blob if !declared.is_empty() => Codec::Blob,
        Affinity::Text | Affinity::Blob | Affinity::Any | Affinity::Numeric => Codec::Text,
    });
    ColumnDecision::new(codec, "no values: by the declared type")
}

fn rich(subject: &Subject<'_>, family: Family) -> Option<ColumnDecision> {
    let facts = subject.facts;
    let is_epoch = |codec: &Codec| matches!(codec, Codec::Epoch(_));
    let chosen = facts.candidates.iter().copied().find(|codec| !is_epoch(codec));
    let codec = chosen.or_else(|| {
        let unit = epoch_unit(facts)?;
        facts.candidates.contains(&Codec::Epoch(unit)).then_some(Codec::Epoch(unit))
    })?;
    let values = match facts.values() {
        1 => "its one value is".to_owned(),
        count => format!("all {count} values are"),
    };
    let declared = &subject.column.declared;
    let mut decision =
        ColumnDecision::new(codec, format!("declared {declared}, and {values} in one form"));
    if let Codec::Epoch(unit) = codec {
        decision.findings.push(subject.epoch(unit));
    }
    if codec == Codec::Numeric(None) && family != Family::Numeric(None) {
        decision.findings.extend(subject.not_rich(family));
    }
    Some(decision)
}

fn epoch_unit(facts: &ColumnFacts) -> Option<EpochUnit> {
    let (smallest, largest) = facts.integer_range?;
    EpochUnit::ALL.into_iter().find(|unit| unit.is_plausible(smallest, largest))
}

fn plain(subject: &Subject<'_>) -> ColumnDecision {
    let (column, facts) = (subject.column, subject.facts);
    if let Some(codec) = plain::codec(column.affinity, facts) {
        return with_text_faults(subject, ColumnDecision::new(codec, plain::reason(facts)), facts);
    }
    let kept = plain::dominant(column, facts);
    let majority = plain::codec(column.affinity, &kept).unwrap_or(Codec::Tagged);
    let finding = subject.mixed(&kept);
    match subject.choice("mixed_types") {
        Disposition::Encode => {
            let reason = "mixed storage classes, each value behind a letter for its class";
            let mut decision = ColumnDecision::new(Codec::Tagged, reason);
            decision.findings.push(finding);
            decision
        }
        disposition => {
            let reason = match disposition {
                Disposition::Reject => "of the class that it keeps; rows of others are rejected",
                _ => "mixed storage classes: a choice is needed",
            };
            let mut decision =
                with_text_faults(subject, ColumnDecision::new(majority, reason), &kept);
            decision.findings.insert(0, finding);
            decision
        }
    }
}

/// NUL and invalid UTF-8, for a column that becomes text.
fn with_text_faults(
    subject: &Subject<'_>,
    mut decision: ColumnDecision,
    kept: &ColumnFacts,
) -> ColumnDecision {
    if kept.texts == 0 {
        return decision;
    }
    let faults = ["nul_in_text", "invalid_utf8"]
        .into_iter()
        .filter(|code| subject.facts.oddity(code).is_some());
    for code in faults {
        let finding = subject.text_fault(code);
        if subject.choice(code) == Disposition::Encode {
            decision.codec = Codec::Escaped;
            decision.pg_type = decision.codec.natural_type();
            decision.reason = "text, with what PostgreSQL cannot hold escaped".to_owned();
        }
        decision.findings.push(finding);
    }
    decision.findings.extend(subject.utf16());
    decision
}

/// Whether any of the findings stops the migration.
pub fn is_blocked(findings: &[Finding]) -> bool {
    findings.iter().any(|finding| finding.severity() == Severity::Blocker)
}
