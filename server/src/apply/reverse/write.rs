//! Writing a batch in a transaction of SQLite: all deletes first, then the current rows.

use rusqlite::{CachedStatement, Connection};

use super::{
    ReversedTable,
    read::{Taken, TakenTable},
};
use crate::{
    apply::spool::{Spool, read_field},
    copy::{key, reader::Bound, tagged},
    db::source::SourceFile,
    dialect::{guard::survives, sqlite::quote, value::OwnedValue},
    error::{Error, Reason, Result},
};

/// Writes a batch. The caller holds the write lock, with triggers and foreign keys off, and commits.
pub(crate) fn write(
    connection: &Connection,
    file: &SourceFile,
    tables: &[ReversedTable],
    taken: &mut Taken,
) -> Result<()> {
    for changed in &mut taken.tables {
        delete(connection, file, &tables[changed.table], changed)?;
    }
    for changed in &mut taken.tables {
        insert(connection, file, &tables[changed.table], changed)?;
    }
    Ok(())
}

fn delete(
    connection: &Connection,
    file: &SourceFile,
    table: &ReversedTable,
    changed: &mut TakenTable,
) -> Result<()> {
    let explain = |error| file.explain(error);
    if changed.whole {
        return delete_all(connection, table, &changed.rejected).map_err(explain);
    }
    let key: Vec<usize> = table.followed.key.clone().unwrap_or_default();
    let mut statement = connection.prepare_cached(&table.delete).map_err(explain)?;
    let mut keys = Rows::new(&mut changed.keys, table, &key)?;
    while keys.next()? {
        keys.execute(&mut statement).map_err(explain)?;
    }
    Ok(())
}

/// Deletes every row that PostgreSQL could have.
fn delete_all(
    connection: &Connection,
    table: &ReversedTable,
    rejected: &[Vec<u8>],
) -> rusqlite::Result<()> {
    if rejected.is_empty() {
        return connection.execute(&table.delete_all, []).map(drop);
    }
    let width = table.followed.key.as_ref().map_or(0, Vec::len);
    let columns = |each: &dyn Fn(usize) -> String| (1..=width).map(each).collect::<Vec<_>>();
    let names = columns(&|number| format!("k{number}")).join(", ");
    let marks = columns(&|number| format!("?{number}")).join(", ");
    connection.execute_batch(&format!(
        "DROP TABLE IF EXISTS temp.kept; CREATE TEMP TABLE kept ({names})"
    ))?;
    let mut keep = connection.prepare(&format!("INSERT INTO temp.kept VALUES ({marks})"))?;
    for key in rejected {
        let values = tagged::read_key(key).unwrap_or_default();
        for (number, value) in values.iter().enumerate() {
            keep.raw_bind_parameter(number + 1, Bound(value))?;
        }
        keep.raw_execute()?;
    }
    let key = table.followed.key.iter().flatten().zip(1..).map(|(column, number)| {
        let column = quote(&table.followed.columns[*column].source);
        format!(
            "s.{column} COLLATE BINARY = k.k{number} AND typeof(s.{column}) = typeof(k.k{number})"
        )
    });
    let same = key.collect::<Vec<_>>().join(" AND ");
    let sql = format!(
        "{} AS s WHERE NOT EXISTS (SELECT 1 FROM temp.kept AS k WHERE {same})",
        table.delete_all
    );
    connection.execute_batch(&sql)?;
    connection.execute_batch("DROP TABLE temp.kept")
}

fn insert(
    connection: &Connection,
    file: &SourceFile,
    table: &ReversedTable,
    changed: &mut TakenTable,
) -> Result<()> {
    let explain = |error| file.explain(error);
    let all: Vec<usize> = (0..table.storages.len()).collect();
    let mut statement = connection.prepare_cached(&table.insert).map_err(explain)?;
    let mut rows = Rows::new(&mut changed.rows, table, &all)?;
    while rows.next()? {
        rows.survives()?;
        if let Err(error) = rows.execute(&mut statement) {
            return Err(match error.sqlite_error_code() {
                Some(rusqlite::ErrorCode::ConstraintViolation) => rows.violates(&error),
                _ => explain(error),
            });
        }
    }
    Ok(())
}

/// Spooled fields, a row at a time, as values of SQLite.
struct Rows<'a> {
    table: &'a ReversedTable,
    from: std::io::BufReader<&'a mut tempfile::SpooledTempFile>,
    left: u64,
    /// Numbers of the carried columns that a row has.
    columns: &'a [usize],
    field: Vec<u8>,
    values: Vec<OwnedValue>,
}

impl<'a> Rows<'a> {
    fn new(spool: &'a mut Spool, table: &'a ReversedTable, columns: &'a [usize]) -> Result<Self> {
        let left = spool.rows;
        let from = spool.read()?;
        Ok(Self { table, from, left, columns, field: Vec::new(), values: Vec::new() })
    }

    fn next(&mut self) -> Result<bool> {
        if self.left == 0 {
            return Ok(false);
        }
        self.left -= 1;
        self.values.clear();
        for column in self.columns {
            self.field.clear();
            read_field(&mut self.from, &mut self.field)?;
            let (length, field) = self.field.split_at(4);
            let field = (length != [0xff; 4]).then_some(field);
            let codec = self.table.followed.columns[*column].codec;
            let value = codec.decode(field).map_err(|_| self.refused(*column))?;
            self.values.push(value);
        }
        Ok(true)
    }

    /// Whether SQLite stores every value as it is.
    fn survives(&self) -> Result<()> {
        let values = self.values.iter().zip(self.columns);
        for (value, column) in values {
            if !survives(value.as_value(), self.table.storages[*column]) {
                return Err(self.refused(*column));
            }
        }
        Ok(())
    }

    fn execute(&self, statement: &mut CachedStatement<'_>) -> rusqlite::Result<usize> {
        for (number, value) in self.values.iter().enumerate() {
            statement.raw_bind_parameter(number + 1, Bound(value))?;
        }
        statement.raw_execute()
    }

    /// The key of the row, as far as it is read.
    fn name(&self) -> Option<String> {
        let key = self.table.followed.key.iter().flatten();
        let named: Vec<(&str, OwnedValue)> = key
            .filter_map(|column| {
                let at = self.columns.iter().position(|known| known == column)?;
                let name = self.table.followed.columns[*column].source.as_str();
                Some((name, self.values.get(at)?.clone()))
            })
            .collect();
        (!named.is_empty()).then(|| key::name(&named))
    }

    fn refused(&self, column: usize) -> Error {
        let column = &self.table.followed.columns[column].target;
        self.stands_in_the_way(&format!("holds a value in {column} that SQLite cannot hold"))
    }

    fn violates(&self, error: &rusqlite::Error) -> Error {
        let code = error.sqlite_error().map_or(0, |error| error.extended_code);
        self.stands_in_the_way(&format!("breaks a constraint that SQLite has (code {code})"))
    }

    fn stands_in_the_way(&self, why: &str) -> Error {
        let table = &self.table.followed.plan.source;
        let error = Error::new(Reason::ReturnRefused, format!("a row of {table} {why}")).hint(
            "change the row on PostgreSQL, which `switchback status` names; until then nothing \
             more is carried back",
        );
        match self.name() {
            Some(key) => error.row(key),
            None => error,
        }
    }
}
