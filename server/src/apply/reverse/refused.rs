//! Rows that SQLite cannot hold: what a batch found of them, and how SQLite goes on without them.

use rusqlite::Connection;

use super::ReversedTable;
use crate::{
    copy::{key, reader::Bound},
    db::{source::SourceFile, target::KeptKey},
    dialect::{capture::LOG, sqlite::quote, value::OwnedValue},
    error::{Error, Reason, Result},
};

/// A row that was not written into SQLite.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refused {
    /// Position among the tables.
    pub(crate) table: usize,
    /// Fields of its key, as PostgreSQL sends them.
    pub(crate) key: Vec<Vec<u8>>,
    /// The same for people: "id=7".
    pub(crate) row_key: String,
    pub(crate) why: Why,
}

/// Why SQLite cannot hold a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Why {
    /// It would change the value of the carried column with this number.
    Value(usize),
    /// A constraint.
    Constraint,
}

impl Why {
    /// The word for it in `switchback.kept_aside`.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Value(_) => "value",
            Self::Constraint => "constraint",
        }
    }
}

/// A row that a rollback leaves behind, by its key in SQLite.
pub(crate) struct LeftRow {
    number: i64,
    key: Vec<OwnedValue>,
}

/// What SQLite calls a row that is kept aside; an error where it has no name for it.
pub(crate) fn left_row(tables: &[ReversedTable], kept: &KeptKey) -> Result<LeftRow> {
    let table = tables.iter().find(|table| table.followed.number == kept.number);
    let table = table.ok_or_else(|| {
        Error::new(Reason::Internal, "a row is kept aside of a table that is not carried back")
    })?;
    let columns = table.followed.key.iter().flatten();
    let fields = columns.zip(&kept.key).map(|(column, field)| {
        table.followed.columns[*column].codec.decode(Some(field)).map_err(|_| nameless(table))
    });
    Ok(LeftRow { number: kept.number, key: fields.collect::<Result<_>>()? })
}

impl Refused {
    /// How `switchback.kept_aside` will know it.
    pub(crate) fn kept_key(&self, tables: &[ReversedTable]) -> KeptKey {
        KeptKey { number: tables[self.table].followed.number, key: self.key.clone() }
    }
}

/// Without a name in SQLite its change log cannot say that the row is gone.
fn nameless(table: &ReversedTable) -> Error {
    let table = &table.followed.plan.source;
    let message = format!("a row of {table} is kept aside whose key SQLite cannot hold");
    Error::new(Reason::ReturnRefused, message)
        .hint("give it another key on PostgreSQL, or delete it; switchback.kept_aside has its key")
}

/// Writes into SQLite's change log that these rows have changed, which are not there: when
/// PostgreSQL follows again, it deletes them. Where it goes on as the active engine instead, an
/// entry does no harm: it says to look at a row, whatever that row is by then.
pub(crate) fn log_left(connection: &Connection, file: &SourceFile, rows: &[LeftRow]) -> Result<()> {
    let explain = |error| file.explain(error);
    for row in rows {
        let names: String = (1..=row.key.len()).map(|number| format!(", k{number}")).collect();
        let marks: String =
            (1..=row.key.len()).map(|number| format!(", ?{}", number + 1)).collect();
        let sql = format!("INSERT INTO main.{}(tab{names}) VALUES (?1{marks})", quote(LOG));
        let mut statement = connection.prepare_cached(&sql).map_err(explain)?;
        statement.raw_bind_parameter(1, row.number).map_err(explain)?;
        for (number, value) in row.key.iter().enumerate() {
            statement.raw_bind_parameter(number + 2, Bound(value)).map_err(explain)?;
        }
        statement.raw_execute().map_err(explain)?;
    }
    Ok(())
}

/// Names a row by the fields of its key, whatever SQLite makes of them.
pub(super) fn row_key(table: &ReversedTable, fields: &[Vec<u8>]) -> String {
    let columns = table.followed.key.iter().flatten();
    let parts = columns.zip(fields).map(|(column, field)| {
        let column = &table.followed.columns[*column];
        let name = if column.ours { "rowid" } else { column.source.as_str() };
        match column.codec.decode(Some(field)) {
            Ok(value) => key::name(&[(name, value)]),
            Err(_) => format!("{name}={}", key::hex(field)),
        }
    });
    parts.collect::<Vec<_>>().join(", ")
}
