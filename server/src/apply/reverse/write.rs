//! Writing a batch in a transaction of SQLite: all deletes first, then the current rows.
//!
//! A row that SQLite cannot hold stops the batch, or is left out and kept aside in PostgreSQL. Its
//! old version goes with its key all the same: it must not come back as if it were the newest.

use rusqlite::{CachedStatement, Connection};

use super::{
    ReversedTable,
    read::{Taken, TakenTable},
    refused::{Refused, Why, row_key},
};
use crate::{
    apply::spool::{Spool, read_field},
    copy::{key, reader::Bound, tagged},
    db::source::SourceFile,
    dialect::{guard::survives, sqlite::quote, value::OwnedValue},
    error::{Error, Reason, Result},
};

/// Rows that may be kept aside at a time. So many of them are no exceptions any more.
const MOST_KEPT: u64 = 10_000;

/// Writes a batch, and returns the rows that are to be kept aside, beside those `kept` that are so
/// already. The caller holds the write lock, with triggers and foreign keys off, and commits.
pub(crate) fn write(
    connection: &Connection,
    file: &SourceFile,
    tables: &[ReversedTable],
    taken: &mut Taken,
    kept: u64,
) -> Result<Vec<Refused>> {
    for changed in &mut taken.tables {
        let table = &tables[changed.table];
        if let Some(skipped) = &table.skipped {
            skipped.begin(connection).map_err(|error| file.explain(error))?;
        }
        delete(connection, file, table, changed)?;
    }
    let mut refused = Vec::new();
    for changed in &mut taken.tables {
        let mut refuse = |row| {
            refused.push(row);
            let all = u64::try_from(refused.len()).unwrap_or(u64::MAX).saturating_add(kept);
            if all > MOST_KEPT { Err(too_many()) } else { Ok(()) }
        };
        let table = &tables[changed.table];
        insert(connection, file, table, changed, &mut refuse)?;
        if let Some(skipped) = &table.skipped {
            skipped.end(connection).map_err(|error| file.explain(error))?;
        }
        if let Some(one_way) = table.one_way.as_ref().filter(|_| changed.whole) {
            connection.execute(&one_way.all, []).map_err(|error| file.explain(error))?;
        }
    }
    Ok(refused)
}

fn too_many() -> Error {
    let message = format!("there are more than {MOST_KEPT} rows that SQLite cannot hold");
    Error::new(Reason::ReturnRefused, message).hint(
        "change or delete some on PostgreSQL (switchback.kept_aside has the first of them); until \
         then nothing more is carried back",
    )
}

fn delete(
    connection: &Connection,
    file: &SourceFile,
    table: &ReversedTable,
    changed: &mut TakenTable,
) -> Result<()> {
    let explain = |error| file.explain(error);
    if changed.whole {
        if let Some(skipped) = &table.skipped {
            connection.execute(&skipped.save_all, []).map_err(explain)?;
        }
        return delete_all(connection, table, &changed.rejected).map_err(explain);
    }
    let key: Vec<usize> = table.followed.key.clone().unwrap_or_default();
    let mut statement = connection.prepare_cached(&table.delete).map_err(explain)?;
    let save = table.skipped.as_ref().map(|skipped| connection.prepare_cached(&skipped.save));
    let mut save = save.transpose().map_err(explain)?;
    let log = table.one_way.as_ref().map(|one_way| connection.prepare_cached(&one_way.row));
    let mut log = log.transpose().map_err(explain)?;
    let mut keys = Rows::new(&mut changed.keys, table, &key)?;
    while keys.next()? {
        // SQLite has no row with a key that it cannot hold.
        if keys.refused.is_none() {
            if let Some(save) = &mut save {
                keys.execute(save).map_err(explain)?;
            }
            if let Some(log) = &mut log {
                keys.execute(log).map_err(explain)?;
            }
            keys.execute(&mut statement).map_err(explain)?;
        }
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
    refuse: &mut dyn FnMut(Refused) -> Result<()>,
) -> Result<()> {
    let explain = |error| file.explain(error);
    let all: Vec<usize> = (0..table.storages.len()).collect();
    let mut statement = connection.prepare_cached(&table.insert).map_err(explain)?;
    let beside = table.skipped.as_ref().map(|skipped| connection.prepare_cached(&skipped.insert));
    let mut beside = beside.transpose().map_err(explain)?;
    let position = changed.table;
    let mut rows = Rows::new(&mut changed.rows, table, &all)?;
    while rows.next()? {
        let why = match rows.refused.or_else(|| rows.changed_by_sqlite()) {
            Some(column) if table.kept_by.is_none() => return Err(rows.refusal(column)),
            Some(column) => Why::Value(column),
            None => match rows.insert(beside.as_mut(), &mut statement) {
                Ok(_) => continue,
                // The statement is undone, and nothing else.
                Err(error) if is_constraint(&error) && table.kept_by.is_some() => Why::Constraint,
                Err(error) if is_constraint(&error) => return Err(rows.violates(&error)),
                Err(error) => return Err(explain(error)),
            },
        };
        let key = rows.key();
        refuse(Refused { table: position, row_key: row_key(table, &key), key, why })?;
    }
    Ok(())
}

fn is_constraint(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(rusqlite::ErrorCode::ConstraintViolation)
}

/// Spooled fields, a row at a time, as values of SQLite.
struct Rows<'a> {
    table: &'a ReversedTable,
    from: std::io::BufReader<&'a mut tempfile::SpooledTempFile>,
    left: u64,
    /// Numbers of the carried columns that a row has.
    columns: &'a [usize],
    /// The row's fields, each with its length in front, and where each begins.
    fields: Vec<u8>,
    starts: Vec<usize>,
    values: Vec<OwnedValue>,
    /// Number of the first column whose value its codec does not know.
    refused: Option<usize>,
}

impl<'a> Rows<'a> {
    fn new(spool: &'a mut Spool, table: &'a ReversedTable, columns: &'a [usize]) -> Result<Self> {
        let left = spool.rows;
        let from = spool.read()?;
        let (fields, starts) = (Vec::new(), Vec::new());
        Ok(Self { table, from, left, columns, fields, starts, values: Vec::new(), refused: None })
    }

    fn next(&mut self) -> Result<bool> {
        if self.left == 0 {
            return Ok(false);
        }
        self.left -= 1;
        self.values.clear();
        self.fields.clear();
        self.starts.clear();
        self.refused = None;
        for column in self.columns {
            let start = self.fields.len();
            self.starts.push(start);
            read_field(&mut self.from, &mut self.fields)?;
            let (length, field) = self.fields[start..].split_at(4);
            let field = (length != [0xff; 4]).then_some(field);
            let codec = self.table.followed.columns[*column].codec;
            match codec.decode(field) {
                Ok(value) => self.values.push(value),
                Err(_) if self.table.kept_by.is_none() => return Err(self.refusal(*column)),
                // The fields behind it may name the row.
                Err(_) => {
                    self.refused.get_or_insert(*column);
                    self.values.push(OwnedValue::Null);
                }
            }
        }
        Ok(true)
    }

    /// Number of the first column whose value SQLite would not store as it is.
    fn changed_by_sqlite(&self) -> Option<usize> {
        let mut values = self.values.iter().zip(self.columns);
        let changed = values
            .find(|(value, column)| !survives(value.as_value(), self.table.storages[**column]));
        changed.map(|(_, column)| *column)
    }

    /// The fields of the row's key, as PostgreSQL sent them.
    fn key(&self) -> Vec<Vec<u8>> {
        let key = self.table.followed.key.iter().flatten();
        let places = key.filter_map(|column| self.columns.iter().position(|known| known == column));
        let field = |place: usize| {
            let end = self.starts.get(place + 1).copied().unwrap_or(self.fields.len());
            self.fields[self.starts[place] + 4..end].to_vec()
        };
        places.map(field).collect()
    }

    /// Inserts the row beside what was kept of it, or, where nothing was, by itself.
    fn insert(
        &self,
        beside: Option<&mut CachedStatement<'_>>,
        statement: &mut CachedStatement<'_>,
    ) -> rusqlite::Result<usize> {
        match beside.map(|beside| self.execute(beside)).transpose()? {
            Some(1..) => Ok(1),
            _ => self.execute(statement),
        }
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

    fn refusal(&self, column: usize) -> Error {
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
