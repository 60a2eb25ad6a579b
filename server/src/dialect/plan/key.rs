//! Primary keys.

use switchback_proto::v1::{Finding, IndexPlan, Severity};

use super::{
    super::{codec::Codec, ident::quote, schema::RowAddress},
    Builder, Draft, Place, finding,
};

/// Bytes that an entry of a B-tree may have, with room for its header: PostgreSQL's limit is
/// 2,704 (a third of a page).
const LONGEST_ENTRY: u64 = 2600;

/// Columns that an index may have (INDEX_MAX_KEYS).
pub(super) const MOST_TERMS: usize = 32;

impl Builder<'_> {
    pub(super) fn add_keys(&mut self) {
        for number in 0..self.drafts.len() {
            self.primary_key(number);
            self.indexes(number);
            self.checks(number);
        }
    }

    fn primary_key(&mut self, number: usize) {
        let draft = &self.drafts[number];
        let (table, key) = (draft.table, &draft.table.primary_key);
        let place = Place::table(&table.name);
        if key.is_empty() {
            self.note(
                finding::NO_PRIMARY_KEY,
                place,
                "the table has no primary key",
                "its rows are compared as a whole; a key makes differences easier to name",
            );
            return;
        }
        let usual = format!("{}_pkey", draft.plan.target);
        let name = self.names.reserve(table.primary_key_name.as_ref().unwrap_or(&usual));
        if let Some(declared) = &table.primary_key_name {
            self.report_rename(place, declared, &name);
        }
        let draft = &self.drafts[number];
        let nulls: u64 = key
            .iter()
            .filter(|column| table.row_address != RowAddress::Alias(**column))
            .filter_map(|column| draft.facts.columns.get(*column))
            .map(|facts| facts.nulls)
            .sum();
        if let Some(reason) = draft.unfit(key) {
            self.warn(
                finding::INDEX_VALUE_TOO_LONG,
                place,
                format!("the primary key is left out: {reason}"),
                "give the table a shorter key",
            );
            return;
        }
        let json = key.iter().any(|column| draft.is_json(*column));
        if nulls > 0 || json {
            let terms: Vec<String> = key.iter().map(|column| draft.plain_term(*column)).collect();
            self.key_as_index(
                number,
                IndexPlan {
                    source: String::new(),
                    target: name,
                    unique: true,
                    constraint: !json,
                    terms,
                    ..IndexPlan::default()
                },
                nulls,
            );
            return;
        }
        let columns = draft.targets(key);
        let draft = &mut self.drafts[number];
        draft.constraints.take(&name);
        draft.plan.primary_key = columns;
        draft.plan.primary_key_name = name;
    }

    /// PostgreSQL takes no NULL in a primary key, and cannot compare `json`.
    fn key_as_index(&mut self, number: usize, index: IndexPlan, nulls: u64) {
        let draft = &mut self.drafts[number];
        draft.constraints.take(&index.target);
        draft.plan.indexes.push(index);
        let place = Place::table(&draft.table.name);
        if nulls > 0 {
            let warning = finding::finding(
                Severity::Warning,
                finding::NULL_IN_PRIMARY_KEY,
                place,
                format!("the primary key holds {nulls} NULLs; it becomes a unique constraint"),
                "give these rows a key to have a primary key in PostgreSQL",
            );
            self.findings.push(Finding { count: nulls, ..warning });
        }
    }
}

impl Draft<'_> {
    pub(super) fn is_json(&self, column: usize) -> bool {
        self.plan.columns[column].r#type == "json"
    }

    /// The column as a term of an index under PostgreSQL's own comparison.
    pub(super) fn plain_term(&self, column: usize) -> String {
        let name = quote(&self.plan.columns[column].target);
        if self.is_json(column) { format!("(({name})::text)") } else { name }
    }

    /// Why these columns cannot be in one index.
    pub(super) fn unfit(&self, columns: &[usize]) -> Option<String> {
        if columns.len() > MOST_TERMS {
            return Some(format!("{} columns, and PostgreSQL takes {MOST_TERMS}", columns.len()));
        }
        let bytes: u64 = columns.iter().map(|column| self.width(*column)).sum();
        (bytes > LONGEST_ENTRY).then(|| {
            format!("its values may take {bytes} bytes, and PostgreSQL takes about {LONGEST_ENTRY}")
        })
    }

    /// Most bytes that a value of the column takes in an index.
    fn width(&self, column: usize) -> u64 {
        let Some(facts) = self.facts.columns.get(column) else { return 0 };
        match self.plan.columns[column].codec.parse() {
            Ok(
                Codec::Text | Codec::Varchar(_) | Codec::Blob | Codec::Json | Codec::JsonNumeric,
            ) => facts.max_bytes,
            // Two digits a byte, or an escape of up to four characters.
            Ok(Codec::Tagged) => facts.max_bytes.saturating_mul(2) + 2,
            Ok(Codec::Escaped) => facts.max_bytes.saturating_mul(4),
            _ => 24,
        }
    }
}
