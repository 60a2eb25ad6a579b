//! Reading a batch: the log first, then the rows, from one snapshot of the source.

use std::path::Path;

use rusqlite::{Connection, params_from_iter};

use super::{spool::Spool, tables::FollowedTable};
use crate::{
    capture::{guard, log, mark},
    copy::{
        chunks::row_data,
        columns,
        encode::{self, RowEncoder},
        reader::{Bound, SourceRow},
        tagged,
    },
    db::{
        source::{SourceFile, value},
        target::{FollowPosition, Reject},
    },
    dialect::{capture::LOG, schema::SourceSchema, sqlite::quote, value::OwnedValue},
    error::{Error, Reason, Result},
};

/// How much of the log a batch takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// All of it: afterwards the target is the source as it was at a commit.
    All,
    /// At most so many entries. Only while the target has no unique index: the rows are of a later
    /// time than those of the entries that are left.
    Entries(i64),
}

/// What is to be carried over.
pub(crate) struct Batch {
    /// Newest entry of the log in it.
    pub(crate) upto: i64,
    /// Newest entry that the log had.
    pub(crate) newest: i64,
    /// `PRAGMA schema_version` of the snapshot.
    pub(crate) version: i64,
    pub(crate) tables: Vec<TableBatch>,
}

impl Batch {
    /// Nothing has changed.
    pub(crate) fn is_empty(&self, since: &FollowPosition) -> bool {
        self.upto == since.applied && self.version == since.version
    }
}

/// What changed in one table.
pub(crate) struct TableBatch {
    /// Position among the followed tables.
    pub(crate) table: usize,
    /// All rows are copied again.
    pub(crate) whole: bool,
    /// Keys that changed: the fields of each, for the target.
    pub(crate) keys: Spool,
    /// The same keys as the log has them; empty where the table has no rejected rows.
    pub(crate) exact: Spool,
    /// Their current rows, as COPY takes them.
    pub(crate) rows: Spool,
    /// Rows that the target cannot hold.
    pub(crate) rejects: Spool,
}

/// Everything that reading needs.
struct Reading<'a> {
    connection: &'a Connection,
    file: &'a SourceFile,
    tables: &'a [FollowedTable],
    since: &'a FollowPosition,
    scratch: &'a Path,
}

/// Reads what changed. The caller has begun a transaction; what does not fit into memory goes to a
/// file in `scratch`.
pub(crate) fn read(
    (connection, file): (&Connection, &SourceFile),
    (tables, schema): (&[FollowedTable], &SourceSchema),
    since: &FollowPosition,
    extent: Extent,
    scratch: &Path,
) -> Result<Batch> {
    let explain = |error| file.explain(error);
    let version = guard::check(connection, file, schema)?;
    check_age(connection, file, since)?;
    let newest = log::newest(connection).map_err(explain)?;
    let upto = match extent {
        Extent::All => newest,
        Extent::Entries(most) => newest.min(since.applied.saturating_add(most)),
    };
    let reading = Reading { connection, file, tables, since, scratch };
    let mut batch = Batch { upto, newest, version, tables: Vec::new() };
    if upto > since.applied {
        reading.changes(upto, &mut batch.tables)?;
    }
    if version != since.version {
        // VACUUM gives rows new rowids and fires nothing. While the copy went on, it may have moved
        // rows past the place where they were to be read.
        let moved = |table: &FollowedTable| match extent {
            Extent::All => table.by_rowid,
            Extent::Entries(_) => table.copied_by_rowid,
        };
        for table in (0..tables.len()).filter(|table| moved(&tables[*table])) {
            batch.tables.retain(|known| known.table != table);
            batch.tables.push(reading.whole(table)?);
        }
    }
    Ok(batch)
}

/// Refuses a file that went back in time: what it lost is in the target.
fn check_age(connection: &Connection, file: &SourceFile, since: &FollowPosition) -> Result<()> {
    let explain = |error| file.explain(error);
    let mark = mark::read(connection).map_err(explain)?;
    let young = mark.is_some_and(|mark| mark.beat >= since.beat);
    if young && log::has(connection, since.applied).map_err(explain)? {
        return Ok(());
    }
    Err(Error::new(
        Reason::SourceChanged,
        "the SQLite file is an older copy of the one that was followed",
    )
    .hint(
        "it was restored from a backup: end this migration (`switchback abort`), then migrate \
         again from the file as it is now",
    ))
}

impl Reading<'_> {
    fn explain(&self, error: rusqlite::Error) -> Error {
        self.file.explain(error)
    }

    /// Keys by table, each once; `DISTINCT` alone would take 1 and 1.0 for one key.
    fn changes(&self, upto: i64, batches: &mut Vec<TableBatch>) -> Result<()> {
        let widths = self.tables.iter().filter_map(|table| table.key.as_ref().map(Vec::len));
        let width = widths.max().unwrap_or(0).max(1);
        let keys: String = (1..=width).map(|n| format!(", k{n}, typeof(k{n})")).collect();
        let sql = format!(
            "SELECT DISTINCT tab{keys} FROM main.{} WHERE seq > ?1 AND seq <= ?2 ORDER BY tab",
            quote(LOG)
        );
        let explain = |error| self.explain(error);
        let mut statement = self.connection.prepare_cached(&sql).map_err(explain)?;
        let mut rows = statement.query([self.since.applied, upto]).map_err(explain)?;
        let mut current: Option<Changes<'_>> = None;
        while let Some(row) = rows.next().map_err(explain)? {
            let number: i64 = row.get(0).map_err(explain)?;
            if current.as_ref().is_none_or(|changes| changes.followed.number != number) {
                batches.extend(current.take().map(|changes| changes.batch));
                let position = self.tables.iter().position(|table| table.number == number);
                // A table that the plan leaves out.
                let Some(position) = position else { continue };
                current = Some(Changes::new(self, position)?);
            }
            let Some(changes) = &mut current else { continue };
            if changes.batch.whole {
                continue;
            }
            let width = changes.followed.key.as_ref().map_or(0, Vec::len);
            let key = (0..width).map(|n| Ok(value(row, 1 + 2 * n)?.into()));
            let key = key.collect::<rusqlite::Result<Vec<OwnedValue>>>().map_err(explain)?;
            changes.key(self, &key)?;
        }
        batches.extend(current.map(|changes| changes.batch));
        Ok(())
    }

    /// All rows of a table.
    fn whole(&self, position: usize) -> Result<TableBatch> {
        let explain = |error| self.explain(error);
        let followed = &self.tables[position];
        let encoder = RowEncoder::new(followed.columns.iter().map(|c| c.codec).collect())?;
        let mut batch = TableBatch::new(position, true, self.scratch);
        let mut statement = self.connection.prepare(followed.lookup.all()).map_err(explain)?;
        let mut rows = statement.query([]).map_err(explain)?;
        while let Some(row) = rows.next().map_err(explain)? {
            let row = followed.lookup.row(row);
            batch.row(self.file, followed, &encoder, row)?;
        }
        Ok(batch)
    }
}

/// The changes of one table while they are read.
struct Changes<'a> {
    followed: &'a FollowedTable,
    encoder: RowEncoder,
    statement: Option<rusqlite::CachedStatement<'a>>,
    batch: TableBatch,
    /// Rejected rows may have to be taken back.
    exact: bool,
}

impl<'a> Changes<'a> {
    fn new(reading: &Reading<'a>, position: usize) -> Result<Self> {
        let followed = &reading.tables[position];
        let whole = followed.key.is_none();
        let batch = if whole {
            reading.whole(position)?
        } else {
            TableBatch::new(position, false, reading.scratch)
        };
        let prepare = || reading.connection.prepare_cached(&followed.lookup.sql);
        let statement = (!whole).then(prepare).transpose().map_err(|e| reading.explain(e))?;
        let encoder = RowEncoder::new(followed.columns.iter().map(|c| c.codec).collect())?;
        let exact = reading.since.rejected.contains(&followed.plan.source);
        Ok(Self { followed, encoder, statement, batch, exact })
    }

    /// Takes a key, and the row that it names now.
    fn key(&mut self, reading: &Reading<'_>, key: &[OwnedValue]) -> Result<()> {
        if key.contains(&OwnedValue::Null) {
            return Err(null_key(self.followed));
        }
        self.write_key(key)?;
        let explain = |error| reading.explain(error);
        let Some(statement) = &mut self.statement else { return Ok(()) };
        let mut rows = statement.query(params_from_iter(key.iter().map(Bound))).map_err(explain)?;
        if let Some(row) = rows.next().map_err(explain)? {
            let row = self.followed.lookup.row(row);
            self.batch.row(reading.file, self.followed, &self.encoder, row)?;
        }
        Ok(())
    }

    fn write_key(&mut self, key: &[OwnedValue]) -> Result<()> {
        let too_large =
            |_| Error::new(Reason::ValueRefused, "a key is larger than PostgreSQL can keep");
        if self.exact {
            let bytes = tagged::write_key(key).map_err(too_large)?;
            let length = i32::try_from(bytes.len()).unwrap_or(i32::MAX);
            self.batch.exact.row().extend_from_slice(&length.to_be_bytes());
            self.batch.exact.row().extend_from_slice(&bytes);
            self.batch.exact.end_row()?;
        }
        let spool = self.batch.keys.row();
        let start = spool.len();
        for (value, column) in key.iter().zip(self.followed.key.iter().flatten()) {
            // What the target cannot hold is not in it.
            if self.followed.columns[*column].codec.encode(value.as_value(), spool).is_err() {
                spool.truncate(start);
                return Ok(());
            }
        }
        self.batch.keys.end_row()
    }
}

impl TableBatch {
    fn new(table: usize, whole: bool, scratch: &Path) -> Self {
        let spool = || Spool::new(scratch);
        Self { table, whole, keys: spool(), exact: spool(), rows: spool(), rejects: spool() }
    }

    fn row(
        &mut self,
        file: &SourceFile,
        followed: &FollowedTable,
        encoder: &RowEncoder,
        row: SourceRow<'_, '_>,
    ) -> Result<()> {
        let explain = |error| file.explain(error);
        let refused = match encoder.encode(row, self.rows.row()).map_err(explain)? {
            Ok(()) => return self.rows.end_row(),
            Err(refused) => refused,
        };
        let reject = Reject {
            row_key: row.key().map_err(explain)?,
            exact_key: columns::exact_key(&followed.key, row).map_err(explain)?,
            column: followed.columns[refused.column].shown().to_owned(),
            reason: encode::code(refused.refusal).to_owned(),
            row_data: row_data(file, &columns::planned(&followed.columns), row)?,
        };
        self.rejects.push_reject(&reject)
    }
}

/// SQLite allows NULL in a primary key that is not declared NOT NULL; PostgreSQL does not.
fn null_key(followed: &FollowedTable) -> Error {
    let message =
        format!("a row of the table {} has a NULL in its primary key", followed.plan.source);
    Error::new(Reason::ValueRefused, message)
        .hint("give the row a key, end this migration (`switchback abort`), then migrate again")
}
