//! The type of each column: by its declaration and by proof from its values.

use switchback_proto::v1::{Choice, Finding};

use super::{
    codec::Codec,
    facts::ColumnFacts,
    schema::{Column, Table},
};

/// Finding codes for which a caller may choose what to do instead of failing.
pub const CHOICES: [&str; 3] = ["mixed_types", "nul_in_text", "invalid_utf8"];

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

/// Decides the type of column number `index` of a table.
pub fn decide(
    table: &Table,
    index: usize,
    facts: &ColumnFacts,
    choices: &[Choice],
) -> ColumnDecision {
    let _ = (table, index, facts, choices);
    ColumnDecision {
        pg_type: "text".into(),
        codec: Codec::Text,
        reason: String::new(),
        findings: Vec::new(),
    }
}

/// The codecs that a column's declaration suggests beyond the plain ones; the census keeps those
/// that every value goes through.
pub fn candidates(column: &Column) -> Vec<Codec> {
    let _ = column;
    Vec::new()
}
