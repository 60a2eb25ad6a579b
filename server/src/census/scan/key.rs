//! Rows by their keys, as findings name them.

use std::fmt::Write;

use rusqlite::Row;

use crate::{
    db::source::value,
    dialect::{
        schema::{RowAddress, Table},
        value::Value,
    },
};

/// Characters of a key's text that are shown.
const SHOWN: usize = 40;

/// The key of the current row.
pub(super) struct Key<'a> {
    pub(super) table: &'a Table,
    pub(super) row: &'a Row<'a>,
    pub(super) rowid: Option<usize>,
    pub(super) ordinal: u64,
}

impl Key<'_> {
    pub(super) fn rowid(&self) -> Option<i64> {
        match value(self.row, self.rowid?) {
            Ok(Value::Integer(rowid)) => Some(rowid),
            _ => None,
        }
    }

    /// `id=7`, `rowid=12`, `a=1, b=x`; `row=3` where nothing addresses a row.
    pub(super) fn text(&self) -> String {
        if let Some(rowid) = self.rowid() {
            return match &self.table.row_address {
                RowAddress::Alias(column) => {
                    format!("{}={rowid}", self.table.columns[*column].name)
                }
                RowAddress::Rowid(name) => format!("{name}={rowid}"),
                RowAddress::PrimaryKey | RowAddress::None => format!("rowid={rowid}"),
            };
        }
        if self.table.primary_key.is_empty() {
            return format!("row={}", self.ordinal);
        }
        let parts: Vec<String> =
            self.table.primary_key.iter().map(|&part| self.part(part)).collect();
        parts.join(", ")
    }

    fn part(&self, column: usize) -> String {
        let mut text = format!("{}=", self.table.columns[column].name);
        match value(self.row, column) {
            Ok(Value::Integer(value)) => _ = write!(text, "{value}"),
            Ok(Value::Real(value)) => _ = write!(text, "{value:?}"),
            Ok(Value::Text(bytes)) => {
                let shown = String::from_utf8_lossy(bytes);
                let mut characters = shown.chars();
                text.extend(characters.by_ref().take(SHOWN).flat_map(char::escape_debug));
                if characters.next().is_some() {
                    text.push('…');
                }
            }
            Ok(Value::Blob(bytes)) => {
                text.push_str("x'");
                for byte in bytes.iter().take(SHOWN / 2) {
                    _ = write!(text, "{byte:02x}");
                }
                text.push_str(if bytes.len() > SHOWN / 2 { "…'" } else { "'" });
            }
            Ok(Value::Null) | Err(_) => text.push_str("NULL"),
        }
        text
    }
}
