//! One pass over a table whose rows are to fit an existing one: which codecs carry every value of
//! each column.

use rusqlite::Connection;

use crate::{
    capture::guard::Seen,
    copy::reader::{ChunkEnd, Flow, RowSink, SourceRow, TableReader, Term},
    db::source::SourceFile,
    dialect::{
        codec::{Codec, Scratch},
        existing::{
            Collision, Unique,
            facts::{ColumnFit, TableFit},
        },
        schema::{RowAddress, SourceSchema, Table},
        sqlite::quote,
        value::Value,
    },
    error::Result,
};

/// Keys that are named for each trouble.
const EXAMPLES: usize = 5;
/// Rows between two calls of `progress`.
const STEP: u64 = 4096;

/// A column and the codecs that could carry it, the best first.
#[derive(Debug, Clone)]
pub struct Wanted<'a> {
    /// Name in the source.
    pub name: &'a str,
    /// Codecs.
    pub candidates: &'a [Codec],
}

/// Reads all rows of a table. `progress` is told the number of rows, and may stop it by an error.
pub fn table(
    (file, connection, seen): (&SourceFile, &Connection, &Seen),
    table: &Table,
    columns: &[Wanted<'_>],
    progress: &mut dyn FnMut(u64) -> Result<()>,
) -> Result<TableFit> {
    let terms: Vec<Term<'_>> = columns.iter().map(|column| Term::Column(column.name)).collect();
    let mut trial = Trial {
        file,
        columns: columns.iter().map(ColumnTrial::new).collect(),
        rows: 0,
        scratch: Scratch::default(),
        progress,
    };
    TableReader::new(file, connection, seen, table, &terms).read(&mut trial)?;
    let rows = trial.rows;
    let columns = trial.columns.into_iter().map(|column| column.fit).collect();
    (trial.progress)(rows)?;
    Ok(TableFit { rows, columns })
}

struct Trial<'a> {
    file: &'a SourceFile,
    columns: Vec<ColumnTrial>,
    rows: u64,
    scratch: Scratch,
    progress: &'a mut dyn FnMut(u64) -> Result<()>,
}

struct ColumnTrial {
    fit: ColumnFit,
}

impl ColumnTrial {
    fn new(wanted: &Wanted<'_>) -> Self {
        Self { fit: ColumnFit { fitting: wanted.candidates.to_vec(), ..ColumnFit::default() } }
    }

    fn take(&mut self, value: Value<'_>, scratch: &mut Scratch) {
        let fit = &mut self.fit;
        fit.values += 1;
        if let Value::Integer(value) = value
            && value != 0
        {
            let (low, high) = fit.integers.unwrap_or((value, value));
            fit.integers = Some((low.min(value), high.max(value)));
        }
        if fit.fitting.is_empty() {
            return;
        }
        if let Value::Text(text) = value {
            fit.shapes.take(text);
        }
        let widest = fit.fitting.last().copied();
        let mut carrier: Option<Codec> = None;
        fit.fitting.retain(|codec| {
            let fits = carrier.is_some_and(|carrier| carrier.is_within(codec))
                || codec.fits(value, scratch);
            if fits && carrier.is_none() {
                carrier = Some(*codec);
            }
            fits
        });
        if fit.fitting.is_empty() {
            fit.last = widest;
        }
    }
}

impl RowSink for Trial<'_> {
    fn row(&mut self, row: SourceRow<'_, '_>) -> Result<Flow> {
        self.rows += 1;
        if self.rows.is_multiple_of(STEP) {
            (self.progress)(self.rows)?;
        }
        for (number, column) in self.columns.iter_mut().enumerate() {
            let value = row.value(number).map_err(|error| self.file.explain(error))?;
            if !matches!(value, Value::Null) {
                column.take(value, &mut self.scratch);
                continue;
            }
            column.fit.nulls += 1;
            if column.fit.null_examples.len() < EXAMPLES {
                let key = row.key().map_err(|error| self.file.explain(error))?;
                column.fit.null_examples.push(key);
            }
        }
        Ok(Flow::More)
    }

    fn end_chunk(&mut self, _: ChunkEnd) -> Result<()> {
        Ok(())
    }
}

/// Whether a table has any row.
pub fn has_rows(connection: &Connection, table: &Table) -> rusqlite::Result<bool> {
    let sql = format!("SELECT EXISTS (SELECT 1 FROM main.{})", quote(&table.name));
    connection.query_row(&sql, [], |row| row.get(0))
}

/// Values that would have to be unique and are not.
pub fn collisions(
    connection: &Connection,
    schema: &SourceSchema,
    uniques: &[Unique],
) -> rusqlite::Result<Vec<Collision>> {
    let mut found = Vec::new();
    for unique in uniques {
        let table = &schema.tables[unique.table];
        let terms: Vec<String> =
            unique.columns.iter().map(|at| quote(&table.columns[*at].name)).collect();
        let present: Vec<String> =
            terms.iter().map(|term| format!("s.{term} IS NOT NULL")).collect();
        let by: Vec<String> = terms
            .iter()
            .map(|term| match unique.ignores_case {
                true => format!("lower(s.{term})"),
                false => format!("s.{term} COLLATE BINARY"),
            })
            .collect();
        let name = match &table.row_address {
            RowAddress::Alias(at) => Some(table.columns[*at].name.as_str()),
            RowAddress::Rowid(name) => Some(name.as_str()),
            RowAddress::PrimaryKey | RowAddress::None => None,
        };
        let key = name.map_or_else(|| "NULL".to_owned(), |name| format!("max(s.{})", quote(name)));
        let sql = format!(
            "SELECT {key} FROM main.{} AS s WHERE {} GROUP BY {} HAVING count(*) > 1",
            quote(&table.name),
            present.join(" AND "),
            by.join(", ")
        );
        let mut collision = Collision { unique: unique.clone(), count: 0, examples: Vec::new() };
        let mut statement = connection.prepare(&sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            collision.count += 1;
            let key: Option<i64> = row.get(0)?;
            if let (Some(name), Some(key)) = (name, key)
                && collision.examples.len() < EXAMPLES
            {
                collision.examples.push(format!("{name}={key}"));
            }
        }
        if collision.count > 0 {
            found.push(collision);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests;
