//! Writing a batch in a transaction of the target: all deletes first, then the current rows.

use std::{
    io::{BufReader, Read},
    pin::pin,
};

use bytes::Bytes;
use futures_util::SinkExt;
use tempfile::SpooledTempFile;
use tokio_postgres::{Transaction, types::ToSql};

use super::{
    batch::{Batch, TableBatch},
    spool::{Spool, read_field, read_reject, unusable},
    tables::FollowedTable,
};
use crate::{
    copy::encode::{HEADER, TRAILER},
    db::{field_array::FieldArray, postgres::failed, target::write_rejects},
    error::Result,
};

/// Keys deleted by one statement: enough for few scans where there is no index yet.
const KEYS_A_DELETE: usize = 50_000;

/// Bytes that one statement carries: keys and rejected rows may be long.
const BYTES_A_STATEMENT: usize = 4 << 20;

/// What a rejected row takes beside its data.
const OF_A_REJECT: usize = 256;

/// Bytes handed to the connection at a time.
const PIECE: usize = 256 << 10;

/// Applies a batch. The caller records how far the target is with it, in the same transaction.
pub(crate) async fn write(
    transaction: &Transaction<'_>,
    database: &str,
    tables: &[FollowedTable],
    batch: &mut Batch,
) -> Result<()> {
    for changed in &mut batch.tables {
        let table = &tables[changed.table];
        delete(transaction, database, table, changed)
            .await
            .map_err(|error| error.at(format!("table {}", table.plan.source)))?;
    }
    for changed in &mut batch.tables {
        let table = &tables[changed.table];
        insert(transaction, database, table, changed)
            .await
            .map_err(|error| error.at(format!("table {}", table.plan.source)))?;
    }
    Ok(())
}

async fn delete(
    transaction: &Transaction<'_>,
    database: &str,
    table: &FollowedTable,
    changed: &mut TableBatch,
) -> Result<()> {
    let name = &table.plan.source;
    if changed.whole {
        transaction.execute(&table.delete_all, &[]).await.map_err(failed)?;
        let sql = "DELETE FROM switchback.rejects WHERE database = $1 AND tab = $2";
        transaction.execute(sql, &[&database, &name]).await.map_err(failed)?;
        return Ok(());
    }
    let width = table.key.as_ref().map_or(0, Vec::len);
    if changed.keys.rows > 0 {
        let statement = transaction.prepare(&table.delete).await.map_err(failed)?;
        let mut pieces = Pieces::new(&mut changed.keys, width)?;
        while let Some(arrays) = pieces.next()? {
            let values: Vec<&(dyn ToSql + Sync)> =
                arrays.iter().map(|array| array as &(dyn ToSql + Sync)).collect();
            transaction.execute(&statement, &values).await.map_err(failed)?;
        }
    }
    if changed.exact.rows > 0 {
        let sql = "DELETE FROM switchback.rejects \
                   WHERE database = $1 AND tab = $2 AND exact_key = ANY ($3::bytea[])";
        let statement = transaction.prepare(sql).await.map_err(failed)?;
        let mut pieces = Pieces::new(&mut changed.exact, 1)?;
        while let Some(arrays) = pieces.next()? {
            let values: [&(dyn ToSql + Sync); 3] = [&database, &name, &arrays[0]];
            transaction.execute(&statement, &values).await.map_err(failed)?;
        }
    }
    Ok(())
}

async fn insert(
    transaction: &Transaction<'_>,
    database: &str,
    table: &FollowedTable,
    changed: &mut TableBatch,
) -> Result<()> {
    if changed.rows.rows > 0 {
        let sink = transaction.copy_in::<_, Bytes>(&table.copy_in).await.map_err(failed)?;
        let mut sink = pin!(sink);
        sink.feed(Bytes::from_static(HEADER)).await.map_err(failed)?;
        let mut rows = changed.rows.read()?;
        loop {
            let mut piece = vec![0; PIECE];
            let length = rows.read(&mut piece).map_err(|error| unusable(&error))?;
            if length == 0 {
                break;
            }
            piece.truncate(length);
            sink.feed(piece.into()).await.map_err(failed)?;
        }
        sink.feed(Bytes::from_static(TRAILER)).await.map_err(failed)?;
        sink.finish().await.map_err(failed)?;
    }
    let mut left = changed.rejects.rows;
    let mut rejects = changed.rejects.read()?;
    while left > 0 {
        let (mut some, mut bytes) = (Vec::new(), 0);
        while left > 0 && bytes < BYTES_A_STATEMENT {
            some.extend(read_reject(&mut rejects)?);
            bytes += some.last().map_or(0, |reject| reject.row_data.len() + OF_A_REJECT);
            left -= 1;
        }
        write_rejects(transaction, database, &table.plan.source, &some).await?;
    }
    Ok(())
}

/// Spooled keys as arrays, one a column, some ten thousand keys at a time.
pub(super) struct Pieces<'a> {
    from: BufReader<&'a mut SpooledTempFile>,
    width: usize,
    left: u64,
}

impl<'a> Pieces<'a> {
    pub(super) fn new(spool: &'a mut Spool, width: usize) -> Result<Self> {
        let left = spool.rows;
        Ok(Self { from: spool.read()?, width, left })
    }

    pub(super) fn next(&mut self) -> Result<Option<Vec<FieldArray>>> {
        if self.left == 0 {
            return Ok(None);
        }
        let mut arrays: Vec<FieldArray> = (0..self.width).map(|_| FieldArray::default()).collect();
        let (mut keys, mut bytes) = (0, 0);
        while keys < KEYS_A_DELETE && bytes < BYTES_A_STATEMENT && self.left > 0 {
            for array in &mut arrays {
                read_field(&mut self.from, &mut array.fields)?;
                array.count += 1;
            }
            keys += 1;
            bytes = arrays.iter().map(|array| array.fields.len()).sum();
            self.left -= 1;
        }
        Ok(Some(arrays))
    }
}
