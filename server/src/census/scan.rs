//! One pass over a table: what its values are, and which types they prove.

mod column;
mod damage;
mod key;

use std::ops::ControlFlow;

use rusqlite::{Connection, Row, ffi};

pub use self::damage::quick_check;
use self::{column::ColumnScan, key::Key};
use crate::{
    db::source::value,
    dialect::{
        facts::TableFacts,
        schema::{Encoding, RowAddress, Table},
        sqlite::quote,
        value::Value,
    },
};

/// Rows between two calls of `progress`: some milliseconds of work.
const STEP: u64 = 4096;
/// Columns that a SELECT of SQLite can give (`SQLITE_MAX_COLUMN`).
const MOST_COLUMNS: usize = 2000;
/// A PostgreSQL tuple's header, rounded up, without its bitmap of NULLs.
const TUPLE_HEADER: u64 = 24;

/// How far a scan has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScanProgress {
    /// Rows of this table that have been read.
    pub rows: u64,
    /// Bytes of their values.
    pub bytes: u64,
}

/// Reads all rows of a table, in the order of their rowids (or of the primary key, WITHOUT
/// ROWID). When `progress` says so, it stops with SQLite's own `SQLITE_INTERRUPT`.
pub fn scan_table(
    connection: &Connection,
    table: &Table,
    encoding: Encoding,
    progress: &mut dyn FnMut(ScanProgress) -> ControlFlow<()>,
) -> rusqlite::Result<TableFacts> {
    let layout = Layout::new(table, encoding);
    let mut columns: Vec<ColumnScan> = table.columns.iter().map(ColumnScan::new).collect();
    let mut facts = TableFacts::default();
    let mut bytes = 0;
    let mut statement = connection.prepare(&layout.sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let key = Key { table, row, rowid: layout.rowid, ordinal: facts.rows + 1 };
        let mut width = TUPLE_HEADER + layout.null_bitmap;
        for (number, column) in columns.iter_mut().enumerate() {
            let value = value(row, number)?;
            if let (Value::Text(text), Some(offset)) = (value, layout.raw) {
                column.check_utf16(text, raw(row, offset + number)?, &key);
            }
            width += column.observe(value, &key);
            bytes += size(value);
        }
        facts.widest_row = facts.widest_row.max(width);
        if let Some(rowid) = key.rowid() {
            facts.rowids = Some((facts.rowids.map_or(rowid, |(first, _)| first), rowid));
        }
        facts.rows += 1;
        if facts.rows % STEP == 0 && progress(ScanProgress { rows: facts.rows, bytes }).is_break() {
            return Err(interrupted());
        }
    }
    facts.columns = columns.into_iter().map(ColumnScan::finish).collect();
    match progress(ScanProgress { rows: facts.rows, bytes }) {
        ControlFlow::Continue(()) => Ok(facts),
        ControlFlow::Break(()) => Err(interrupted()),
    }
}

/// What the SELECT gives, and where.
struct Layout {
    sql: String,
    /// Number of the result column that is the rowid.
    rowid: Option<usize>,
    /// Number of the first of the columns once more, as bytes: what a UTF-16 file really holds.
    raw: Option<usize>,
    null_bitmap: u64,
}

impl Layout {
    fn new(table: &Table, encoding: Encoding) -> Self {
        // A bare name that is no column would be a string to SQLite; behind `s.` it is an error.
        let mut terms: Vec<String> =
            table.columns.iter().map(|column| format!("s.{}", quote(&column.name))).collect();
        let count = terms.len();
        let rowid = match &table.row_address {
            RowAddress::Alias(column) => Some(*column),
            RowAddress::Rowid(name) if count < MOST_COLUMNS => {
                terms.push(format!("s.{}", quote(name)));
                Some(count)
            }
            _ => None,
        };
        let mut raw = None;
        if encoding == Encoding::Utf16 && terms.len() + count <= MOST_COLUMNS {
            raw = Some(terms.len());
            let bytes = |column: &String| format!("CAST({column} AS BLOB)");
            let casts: Vec<String> = terms[..count].iter().map(bytes).collect();
            terms.extend(casts);
        }
        // NOT INDEXED: a covering index would give the rows in its own order.
        let sql =
            format!("SELECT {} FROM {} AS s NOT INDEXED", terms.join(", "), quote(&table.name));
        let null_bitmap = u64::try_from(count.div_ceil(8)).unwrap_or_default();
        Self { sql, rowid, raw, null_bitmap }
    }
}

fn raw<'a>(row: &'a Row<'_>, column: usize) -> rusqlite::Result<&'a [u8]> {
    Ok(match value(row, column)? {
        Value::Blob(bytes) => bytes,
        _ => &[],
    })
}

fn size(value: Value<'_>) -> u64 {
    match value {
        Value::Null => 0,
        Value::Integer(_) | Value::Real(_) => 8,
        Value::Text(bytes) | Value::Blob(bytes) => u64::try_from(bytes.len()).unwrap_or(u64::MAX),
    }
}

fn interrupted() -> rusqlite::Error {
    rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_INTERRUPT), None)
}

#[cfg(test)]
mod corpus;
#[cfg(test)]
mod tests;
