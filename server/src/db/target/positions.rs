//! How far the copy of each table is, and the rows that were left out of it.

use std::collections::HashMap;

use tokio_postgres::GenericClient;

use super::{Target, lease::passed_on};
use crate::{db::postgres::failed, error::Result};

/// How far the copy of a table is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CopyPosition {
    /// Key of the last row that was read, as `copy` writes it; `None` before the first chunk.
    pub position: Option<Vec<u8>>,
    /// Rows in the target.
    pub rows: u64,
    /// Bytes sent to PostgreSQL.
    pub bytes: u64,
    /// Rows kept in `switchback.rejects`.
    pub rejected: u64,
    /// Every row of the table has been read.
    pub done: bool,
}

/// A row that the target cannot hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reject {
    /// "id=7", "rowid=12".
    pub row_key: String,
    /// The key as the change log has it, from which it can be read again; `None` where nothing
    /// names a row exactly.
    pub exact_key: Option<Vec<u8>>,
    /// First column (name in the source) whose value was refused.
    pub column: String,
    /// Finding code that says why.
    pub reason: String,
    /// The row as a JSON object of tagged values.
    pub row_data: String,
}

impl Target {
    /// How far the copy of each table of a database is, by the table's name in the source.
    pub async fn copy_positions(&self, database: &str) -> Result<HashMap<String, CopyPosition>> {
        let client = self.postgres().get().await?;
        let sql = "SELECT tab, position, rows, bytes, rejected, done \
                   FROM switchback.copy_position WHERE database = $1";
        let rows = client.query(sql, &[&database]).await.map_err(failed)?;
        Ok(rows
            .iter()
            .map(|row| {
                let position = CopyPosition {
                    position: row.get(1),
                    rows: row.get::<_, i64>(2).cast_unsigned(),
                    bytes: row.get::<_, i64>(3).cast_unsigned(),
                    rejected: row.get::<_, i64>(4).cast_unsigned(),
                    done: row.get(5),
                };
                (row.get(0), position)
            })
            .collect())
    }

    /// Records how far a table is, in the transaction of the chunk: only from where it was, and
    /// only for the coordinator, so that no chunk is written twice, whoever writes it.
    pub(crate) async fn write_position(
        &self,
        client: &impl GenericClient,
        (database, table): (&str, &str),
        from: &CopyPosition,
        at: &CopyPosition,
    ) -> Result<()> {
        self.require(client, database).await?;
        let sql = "INSERT INTO switchback.copy_position \
                 (database, tab, position, rows, bytes, rejected, done) \
               VALUES ($1, $2, $3, $4, $5, $6, $7) \
               ON CONFLICT (database, tab) DO UPDATE SET (position, rows, bytes, rejected, done) \
                 = (excluded.position, excluded.rows, excluded.bytes, excluded.rejected, \
                    excluded.done) \
               WHERE copy_position.rows = $8 AND copy_position.rejected = $9 \
                 AND copy_position.position IS NOT DISTINCT FROM $10";
        let statement = client.prepare(sql).await.map_err(failed)?;
        let written = client
            .execute(
                &statement,
                &[
                    &database,
                    &table,
                    &at.position,
                    &at.rows.cast_signed(),
                    &at.bytes.cast_signed(),
                    &at.rejected.cast_signed(),
                    &at.done,
                    &from.rows.cast_signed(),
                    &from.rejected.cast_signed(),
                    &from.position,
                ],
            )
            .await
            .map_err(failed)?;
        if written > 0 {
            return Ok(());
        }
        Err(passed_on(client, database, &self.holder().id).await)
    }
}

/// Keeps rejected rows, in the transaction of the chunk.
pub(crate) async fn write_rejects(
    client: &impl GenericClient,
    database: &str,
    table: &str,
    rejects: &[Reject],
) -> Result<()> {
    let keys: Vec<&str> = rejects.iter().map(|reject| reject.row_key.as_str()).collect();
    let columns: Vec<&str> = rejects.iter().map(|reject| reject.column.as_str()).collect();
    let reasons: Vec<&str> = rejects.iter().map(|reject| reject.reason.as_str()).collect();
    let exact: Vec<Option<&[u8]>> =
        rejects.iter().map(|reject| reject.exact_key.as_deref()).collect();
    let data: Vec<&str> = rejects.iter().map(|reject| reject.row_data.as_str()).collect();
    let sql = "INSERT INTO switchback.rejects \
                 (database, tab, row_key, column_name, reason, row_data, exact_key) \
               SELECT $1, $2, k, c, r, d::json, x \
               FROM unnest($3::text[], $4::text[], $5::text[], $6::text[], $7::bytea[]) \
                 AS kept (k, c, r, d, x)";
    client
        .execute(sql, &[&database, &table, &keys, &columns, &reasons, &data, &exact])
        .await
        .map_err(failed)?;
    Ok(())
}
