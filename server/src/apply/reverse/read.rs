//! Reading a batch from PostgreSQL: the log first, then the rows, as one transaction sees them.

use std::{error::Error as StdError, path::Path, pin::pin};

use futures_util::TryStreamExt;
use tokio_postgres::{
    Row, Transaction,
    types::{FromSql, ToSql, Type},
};

use super::ReversedTable;
use crate::{
    apply::{spool::Spool, write::Pieces},
    db::{postgres::failed, target::TAKE},
    error::{Error, Reason, Result},
};

/// What is to be carried back.
#[derive(Default)]
pub(crate) struct Taken {
    /// Entries of the log that it stands for.
    pub(crate) changes: u64,
    pub(super) tables: Vec<TakenTable>,
}

/// What changed in one table.
pub(super) struct TakenTable {
    /// Position among the tables.
    pub(super) table: usize,
    /// All rows are carried back.
    pub(super) whole: bool,
    /// Keys that changed: the fields of each, as PostgreSQL sends them.
    pub(super) keys: Spool,
    /// Their current rows, the same way.
    pub(super) rows: Spool,
    /// Keys, as the change log of SQLite has them, of rows that PostgreSQL could not hold: they are
    /// in SQLite alone, and stay where all others go.
    pub(super) rejected: Vec<Vec<u8>>,
}

/// A field as it came.
struct Field<'a>(Option<&'a [u8]>);

impl<'a> FromSql<'a> for Field<'a> {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn StdError + Sync + Send>> {
        Ok(Self(Some(raw)))
    }

    fn from_sql_null(_: &Type) -> Result<Self, Box<dyn StdError + Sync + Send>> {
        Ok(Self(None))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

/// Takes what is written down out of the log, from a transaction number on, and reads the rows.
/// `moved` are tables whose rows the source names anew: they are carried back as a whole.
pub(crate) async fn take(
    transaction: &Transaction<'_>,
    (database, since): (&str, &str),
    tables: &[ReversedTable],
    moved: bool,
    scratch: &Path,
) -> Result<Taken> {
    let mut taken = Taken { changes: 0, tables: Vec::new() };
    take_keys(transaction, (database, since), tables, scratch, &mut taken).await?;
    if moved {
        for number in (0..tables.len()).filter(|number| tables[*number].followed.by_rowid) {
            taken.tables.retain(|known| known.table != number);
            taken.tables.push(TakenTable::new(number, true, scratch));
        }
    }
    for changed in &mut taken.tables {
        let table = &tables[changed.table];
        read_rows(transaction, (database, moved), table, changed)
            .await
            .map_err(|error| error.at(format!("table {}", table.followed.plan.source)))?;
    }
    Ok(taken)
}

async fn take_keys(
    transaction: &Transaction<'_>,
    (database, since): (&str, &str),
    tables: &[ReversedTable],
    scratch: &Path,
    taken: &mut Taken,
) -> Result<()> {
    let rows = transaction.query_raw(TAKE, [database, since]).await.map_err(failed)?;
    let mut rows = pin!(rows);
    while let Some(row) = rows.try_next().await.map_err(failed)? {
        let (number, key): (i32, Option<Vec<&[u8]>>) = (row.get(0), row.get(1));
        taken.changes += row.get::<_, i64>(2).cast_unsigned();
        let found = tables.iter().position(|table| table.followed.number == i64::from(number));
        // A table of a plan before.
        let Some(position) = found else { continue };
        if taken.tables.last().is_none_or(|last| last.table != position) {
            taken.tables.push(TakenTable::new(position, false, scratch));
        }
        let Some(changed) = taken.tables.last_mut() else { continue };
        let Some(key) = key else {
            changed.whole = true;
            continue;
        };
        let width = tables[position].followed.key.as_ref().map_or(0, Vec::len);
        if key.len() != width {
            return Err(Error::new(Reason::Internal, "a key of the change log is not the table's"));
        }
        for field in key {
            push(changed.keys.row(), Some(field));
        }
        changed.keys.end_row()?;
    }
    Ok(())
}

/// VACUUM has given the rows of the source other rowids: those that were rejected are named by
/// their old ones.
async fn refuse_rejects(transaction: &Transaction<'_>, database: &str, table: &str) -> Result<()> {
    let sql = "SELECT EXISTS (SELECT FROM switchback.rejects WHERE database = $1 AND tab = $2)";
    let row = transaction.query_one(sql, &[&database, &table]).await.map_err(failed)?;
    if !row.get::<_, bool>(0) {
        return Ok(());
    }
    let message = "SQLite was vacuumed, and its rejected rows have no names any more";
    Err(Error::new(Reason::ReturnRefused, message)
        .hint("nothing more is carried back; `switchback finalize` keeps PostgreSQL"))
}

async fn rejected(
    transaction: &Transaction<'_>,
    database: &str,
    table: &str,
) -> Result<Vec<Vec<u8>>> {
    let sql = "SELECT exact_key FROM switchback.rejects WHERE database = $1 AND tab = $2";
    let rows = transaction.query(sql, &[&database, &table]).await.map_err(failed)?;
    let keys = rows.iter().map(|row| row.get::<_, Option<Vec<u8>>>(0));
    keys.collect::<Option<_>>().ok_or_else(|| {
        let message = "the table has rejected rows that no key names, and changed as a whole";
        Error::new(Reason::ReturnRefused, message)
            .hint("nothing more is carried back; `switchback finalize` keeps PostgreSQL")
    })
}

async fn read_rows(
    transaction: &Transaction<'_>,
    (database, moved): (&str, bool),
    table: &ReversedTable,
    changed: &mut TakenTable,
) -> Result<()> {
    if changed.whole && moved && table.followed.by_rowid {
        refuse_rejects(transaction, database, &table.followed.plan.source).await?;
    }
    if changed.whole {
        changed.rejected = rejected(transaction, database, &table.followed.plan.source).await?;
        let rows = transaction.query_raw(&table.select_all, [] as [&str; 0]).await;
        let mut rows = pin!(rows.map_err(failed)?);
        while let Some(row) = rows.try_next().await.map_err(failed)? {
            spool(&row, &mut changed.rows)?;
        }
        return Ok(());
    }
    let width = table.followed.key.as_ref().map_or(0, Vec::len);
    let statement = transaction.prepare(&table.select).await.map_err(failed)?;
    let mut pieces = Pieces::new(&mut changed.keys, width)?;
    while let Some(arrays) = pieces.next()? {
        let values = arrays.iter().map(|array| array as &(dyn ToSql + Sync));
        let rows = transaction.query_raw(&statement, values).await.map_err(failed)?;
        let mut rows = pin!(rows);
        while let Some(row) = rows.try_next().await.map_err(failed)? {
            spool(&row, &mut changed.rows)?;
        }
    }
    Ok(())
}

fn spool(row: &Row, to: &mut Spool) -> Result<()> {
    for number in 0..row.len() {
        let Field(field) = row.get(number);
        push(to.row(), field);
    }
    to.end_row()
}

fn push(to: &mut Vec<u8>, field: Option<&[u8]>) {
    // PostgreSQL sends no field of 2 GiB.
    let length = field.map_or(-1, |bytes| i32::try_from(bytes.len()).unwrap_or(i32::MAX));
    to.extend_from_slice(&length.to_be_bytes());
    to.extend_from_slice(field.unwrap_or_default());
}

impl TakenTable {
    fn new(table: usize, whole: bool, scratch: &Path) -> Self {
        let spool = || Spool::new(scratch);
        Self { table, whole, keys: spool(), rows: spool(), rejected: Vec::new() }
    }
}
