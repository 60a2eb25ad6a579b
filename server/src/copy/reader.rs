//! Reading a table of the source: chunk after chunk, each from one short read transaction.

use std::{borrow::Cow, ops::Range};

use rusqlite::{
    Connection, Row, ToSql, params_from_iter,
    types::{ToSqlOutput, ValueRef},
};

use super::{key, tagged};
use crate::{
    capture::guard::Seen,
    db::source::{SourceFile, value},
    dialect::{
        schema::{IndexOrigin, RowAddress, Table},
        value::{OwnedValue, Value},
    },
    error::{Error, Reason, Result},
};

/// What is read of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Term<'a> {
    /// A column.
    Column(&'a str),
    /// An SQL expression over the row.
    Expression(&'a str),
    /// NULL.
    Nothing,
}

impl<'a> Term<'a> {
    /// What gives the values of a planned column: the expression, where it has one.
    pub(crate) fn of(column: &'a str, expression: &'a str) -> Self {
        if expression.is_empty() { Self::Column(column) } else { Self::Expression(expression) }
    }

    /// The term over a table that is called `s`.
    pub(crate) fn sql(self) -> String {
        match self {
            // Behind the alias a name cannot be taken for a string, as SQLite does with unknown ones.
            Self::Column(name) => format!("s.{}", quote(name)),
            Self::Expression(text) => format!("({text})"),
            Self::Nothing => "NULL".to_owned(),
        }
    }
}

/// Whether the chunk goes on after a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flow {
    /// It goes on.
    More,
    /// This row was its last.
    EndChunk,
}

/// Takes the rows of a table.
pub(crate) trait RowSink {
    /// Takes the current row.
    fn row(&mut self, row: SourceRow<'_, '_>) -> Result<Flow>;

    /// The read transaction is over (unless the table can only be read as a whole), and this is
    /// where the next chunk goes on; `None` after the last row, and for a table that can only be
    /// read as a whole.
    fn end_chunk(&mut self, end: ChunkEnd) -> Result<()>;
}

/// Where a chunk ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ChunkEnd {
    /// Key of its last row; `None` where reading cannot go on from there.
    pub(crate) position: Option<Vec<u8>>,
    /// There are no more rows.
    pub(crate) last: bool,
}

/// The current row.
#[derive(Clone, Copy)]
pub(crate) struct SourceRow<'a, 'stmt> {
    row: &'a Row<'stmt>,
    select: &'a Select,
    number: u64,
}

impl<'a> SourceRow<'a, '_> {
    /// A column of those that were asked for.
    pub(crate) fn value(&self, column: usize) -> rusqlite::Result<Value<'a>> {
        value(self.row, column)
    }

    /// How the row is named in reports: "id=7", "rowid=12".
    pub(crate) fn key(&self) -> rusqlite::Result<String> {
        if self.select.naming.is_empty() {
            return Ok(format!("row {} in reading order", self.number));
        }
        let first = self.select.naming_at;
        let values = self.select.naming.iter().enumerate().map(|(index, name)| {
            Ok((name.as_str(), OwnedValue::from(value(self.row, first + index)?)))
        });
        Ok(key::name(&values.collect::<rusqlite::Result<Vec<_>>>()?))
    }
}

/// A table of the source, read from where it was left.
pub(crate) struct TableReader<'a> {
    file: &'a SourceFile,
    connection: &'a Connection,
    /// The schema as it must be in each chunk.
    schema: &'a Seen,
    select: Select,
    position: Option<Vec<OwnedValue>>,
    rows: u64,
    /// VACUUM may not move rows to where they are read again, or never.
    pinned: bool,
}

impl<'a> TableReader<'a> {
    /// Reads these terms of each row.
    pub(crate) fn new(
        file: &'a SourceFile,
        connection: &'a Connection,
        schema: &'a Seen,
        table: &Table,
        columns: &[Term<'_>],
    ) -> Self {
        let select = Select::new(table, columns);
        Self { file, connection, schema, select, position: None, rows: 0, pinned: false }
    }

    /// Fails where rowids that name nothing else may have changed in the middle. The copy need not:
    /// the first batch that follows it carries such tables over again.
    pub(crate) fn pin_rowids(mut self, table: &Table) -> Self {
        self.pinned = matches!(table.row_address, RowAddress::Rowid(_));
        self
    }

    /// Goes on behind a position that an earlier reader gave.
    pub(crate) fn resume(&mut self, position: &[u8]) -> Result<()> {
        let values = tagged::read_key(position).filter(|values| values.len() == self.select.keys);
        self.position = Some(values.ok_or_else(|| {
            Error::new(Reason::Internal, "a recorded position of the copy cannot be read")
                .hint("abort the migration and start it again")
        })?);
        Ok(())
    }

    /// Reads to the end.
    pub(crate) fn read(&mut self, sink: &mut impl RowSink) -> Result<()> {
        loop {
            self.execute("BEGIN")?;
            let end = self.chunk(sink);
            self.execute("COMMIT")?;
            let end = end?;
            let last = end.last;
            sink.end_chunk(end)?;
            if last {
                return Ok(());
            }
        }
    }

    fn execute(&self, sql: &str) -> Result<()> {
        self.connection.execute_batch(sql).map_err(|error| self.file.explain(error))
    }

    fn chunk(&mut self, sink: &mut impl RowSink) -> Result<ChunkEnd> {
        let explain = |error| self.file.explain(error);
        if self.pinned && !self.schema.is_untouched(self.connection).map_err(explain)? {
            return Err(changed());
        }
        if !self.schema.is_same(self.connection).map_err(explain)? {
            return Err(changed());
        }
        let sql = if self.position.is_some() { &self.select.next } else { &self.select.first };
        let mut statement = self.connection.prepare_cached(sql).map_err(explain)?;
        let bound = self.position.iter().flatten().map(Bound);
        let mut rows = statement.query(params_from_iter(bound)).map_err(explain)?;
        while let Some(row) = rows.next().map_err(explain)? {
            self.rows += 1;
            let current = SourceRow { row, select: &self.select, number: self.rows };
            if sink.row(current)? == Flow::More {
                continue;
            }
            if self.select.keys == 0 {
                sink.end_chunk(ChunkEnd { position: None, last: false })?;
                continue;
            }
            let key = self.select.key_range().map(|column| Ok(value(row, column)?.into()));
            let key = key.collect::<rusqlite::Result<Vec<OwnedValue>>>().map_err(explain)?;
            let position = Some(tagged::write_key(&key).map_err(|_| {
                Error::new(Reason::ValueRefused, "a key is larger than PostgreSQL can keep")
            })?);
            self.position = Some(key);
            return Ok(ChunkEnd { position, last: false });
        }
        Ok(ChunkEnd { position: None, last: true })
    }
}

/// The error for a source whose schema is not the one that the plan was made for.
pub(crate) fn changed() -> Error {
    Error::new(Reason::SourceChanged, "the schema of the SQLite file changed while it was read")
        .hint("plan again; stop schema migrations of the application meanwhile")
}

/// Rows of a table by their keys, one at a time.
pub(crate) struct Lookup {
    select: Select,
    /// The statement; its parameters are the values of the key.
    pub(crate) sql: String,
}

impl Lookup {
    /// Reads these terms of the row whose key columns hold exactly the values given.
    pub(crate) fn new(table: &Table, columns: &[Term<'_>], key: &[&str]) -> Self {
        let select = Select::new(table, columns);
        let sql = format!("{} WHERE {}", select.all, exactly(key));
        Self { select, sql }
    }

    /// The statement that reads all rows.
    pub(crate) fn all(&self) -> &str {
        &self.select.all
    }

    /// The row that the statement is at.
    pub(crate) fn row<'a, 'stmt>(&'a self, row: &'a Row<'stmt>) -> SourceRow<'a, 'stmt> {
        SourceRow { row, select: &self.select, number: 0 }
    }
}

/// The condition that the columns of a table called `s` hold exactly the parameters.
pub(crate) fn exactly(key: &[&str]) -> String {
    let terms = key.iter().zip(1..).map(|(name, number)| exactly_one(name, number));
    terms.collect::<Vec<_>>().join(" AND ")
}

/// The same for one column and the parameter with this number.
pub(crate) fn exactly_one(name: &str, number: usize) -> String {
    // The plain comparison finds the row by its index, whatever collation that has. Only the other
    // two tell 'A' from 'a' and 1 from 1.0.
    let column = format!("s.{}", quote(name));
    format!(
        "{column} = ?{number} AND {column} COLLATE BINARY = ?{number} \
         AND typeof({column}) = typeof(?{number})"
    )
}

/// A value as a parameter.
pub(crate) struct Bound<'a>(pub(crate) &'a OwnedValue);

impl ToSql for Bound<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self.0 {
            OwnedValue::Null => ValueRef::Null,
            OwnedValue::Integer(value) => ValueRef::Integer(*value),
            OwnedValue::Real(value) => ValueRef::Real(*value),
            OwnedValue::Text(bytes) => ValueRef::Text(bytes),
            OwnedValue::Blob(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

/// The statements that read a table: the columns asked for, then the key that orders the rows,
/// then what names a row.
struct Select {
    /// All rows, in no order.
    all: String,
    first: String,
    next: String,
    keys_at: usize,
    keys: usize,
    naming_at: usize,
    naming: Vec<String>,
}

impl Select {
    fn new(table: &Table, columns: &[Term<'_>]) -> Self {
        let (keys, descending) = order(table);
        let naming: Vec<(String, Cow<'_, str>)> = naming(table);
        let mut terms: Vec<String> = columns.iter().map(|term| term.sql()).collect();
        let keys_at = terms.len();
        terms.extend(keys.iter().cloned());
        let naming_at = terms.len();
        terms.extend(naming.iter().map(|(term, _)| term.clone()));
        let all = format!("SELECT {} FROM main.{} AS s", terms.join(", "), quote(&table.name));
        let (mut first, mut next) = (all.clone(), all.clone());
        if !keys.is_empty() {
            let direction = if descending { " DESC" } else { "" };
            let by: Vec<String> = keys.iter().map(|key| format!("{key}{direction}")).collect();
            let order = format!(" ORDER BY {}", by.join(", "));
            let marks: Vec<String> = (1..=keys.len()).map(|n| format!("?{n}")).collect();
            let than = if descending { '<' } else { '>' };
            let behind = format!(" WHERE ({}) {than} ({})", keys.join(", "), marks.join(", "));
            first.push_str(&order);
            next.push_str(&behind);
            next.push_str(&order);
        }
        let naming = naming.into_iter().map(|(_, name)| name.into_owned()).collect();
        Self { all, first, next, keys_at, keys: keys.len(), naming_at, naming }
    }

    fn key_range(&self) -> Range<usize> {
        self.keys_at..self.keys_at + self.keys
    }
}

/// Terms that order the rows and address them, and whether the order is descending. No terms:
/// the table can only be read as a whole.
fn order(table: &Table) -> (Vec<String>, bool) {
    let column = |index: usize| format!("s.{}", quote(&table.columns[index].name));
    match &table.row_address {
        RowAddress::Alias(index) => (vec![column(*index)], false),
        RowAddress::Rowid(name) => (vec![format!("s.{name}")], false),
        RowAddress::None => (Vec::new(), false),
        RowAddress::PrimaryKey => {
            let index = table.indexes.iter().find(|i| i.origin == IndexOrigin::PrimaryKey);
            let terms = index.map(|index| index.terms.as_slice()).unwrap_or_default();
            let known = terms
                .iter()
                .all(|term| matches!(term.collation.as_str(), "" | "BINARY" | "NOCASE" | "RTRIM"));
            let descending = terms.first().is_some_and(|term| term.descending);
            let mixed = terms.iter().any(|term| term.descending != descending);
            // A collation that only the application has cannot order, and a row value can only
            // be compared in one direction.
            if !known || mixed {
                return (Vec::new(), false);
            }
            (table.primary_key.iter().map(|index| column(*index)).collect(), descending)
        }
    }
}

/// Terms that name a row, with the names they have in reports.
fn naming(table: &Table) -> Vec<(String, Cow<'_, str>)> {
    let column = |index: &usize| {
        let name = table.columns[*index].name.as_str();
        (format!("s.{}", quote(name)), Cow::Borrowed(name))
    };
    match &table.row_address {
        RowAddress::Alias(index) => vec![column(index)],
        RowAddress::Rowid(name) if table.primary_key.is_empty() => {
            vec![(format!("s.{name}"), Cow::Borrowed("rowid"))]
        }
        _ => table.primary_key.iter().map(column).collect(),
    }
}

/// An identifier of SQLite.
fn quote(identifier: &str) -> String {
    format!("\"{}\"", identifier.replace('"', "\"\""))
}
