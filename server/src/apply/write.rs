//! Writing a batch in a transaction of the target: all deletes first, then the current rows.

use std::{
    error::Error as StdError,
    io::{BufReader, Read},
    pin::pin,
};

use bytes::{BufMut, Bytes, BytesMut};
use futures_util::SinkExt;
use tempfile::SpooledTempFile;
use tokio_postgres::{
    Transaction,
    types::{Format, IsNull, Kind, ToSql, Type, to_sql_checked},
};

use super::{
    batch::{Batch, TableBatch},
    spool::{Spool, read_field, unusable},
    tables::FollowedTable,
};
use crate::{
    copy::encode::{HEADER, TRAILER},
    db::{postgres::failed, target::write_rejects},
    error::Result,
};

/// Keys deleted by one statement: some MiB of arrays, few scans where there is no index yet.
const KEYS_A_DELETE: usize = 50_000;

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
    if !changed.rejects.is_empty() {
        write_rejects(transaction, database, &table.plan.source, &changed.rejects).await?;
    }
    Ok(())
}

/// Spooled keys as arrays, one a column, some ten thousand keys at a time.
struct Pieces<'a> {
    from: BufReader<&'a mut SpooledTempFile>,
    width: usize,
    left: u64,
}

impl<'a> Pieces<'a> {
    fn new(spool: &'a mut Spool, width: usize) -> Result<Self> {
        let left = spool.rows;
        Ok(Self { from: spool.read()?, width, left })
    }

    fn next(&mut self) -> Result<Option<Vec<RawArray>>> {
        if self.left == 0 {
            return Ok(None);
        }
        let mut arrays: Vec<RawArray> = (0..self.width).map(|_| RawArray::default()).collect();
        let mut keys = 0;
        while keys < KEYS_A_DELETE && self.left > 0 {
            for array in &mut arrays {
                read_field(&mut self.from, &mut array.fields)?;
                array.length += 1;
            }
            keys += 1;
            self.left -= 1;
        }
        Ok(Some(arrays))
    }
}

/// An array of encoded fields, in PostgreSQL's binary form (`array_send`).
#[derive(Debug, Default)]
struct RawArray {
    /// Each with its length in front.
    fields: Vec<u8>,
    length: i32,
}

impl ToSql for RawArray {
    fn to_sql(
        &self,
        ty: &Type,
        out: &mut BytesMut,
    ) -> std::result::Result<IsNull, Box<dyn StdError + Sync + Send>> {
        let Kind::Array(element) = ty.kind() else { return Err("not an array".into()) };
        // One dimension, no NULLs, the element's type, its length, and where it begins.
        out.put_i32(1);
        out.put_i32(0);
        out.put_u32(element.oid());
        out.put_i32(self.length);
        out.put_i32(1);
        out.put_slice(&self.fields);
        Ok(IsNull::No)
    }

    fn accepts(ty: &Type) -> bool {
        matches!(ty.kind(), Kind::Array(_))
    }

    fn encode_format(&self, _ty: &Type) -> Format {
        Format::Binary
    }

    to_sql_checked!();
}
