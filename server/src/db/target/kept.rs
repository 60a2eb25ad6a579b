//! Rows that SQLite cannot hold, kept aside in PostgreSQL while changes are carried back. Those of a
//! database that no rollback has left behind are of the epoch that is, and in its tables as well.

use tokio_postgres::GenericClient;

use super::Target;
use crate::{db::postgres::failed, error::Result};

/// Keys of rows that a finding names.
const EXAMPLES: i32 = 5;

/// The key of a row that is kept aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeptKey {
    /// Number of the table in the change log.
    pub(crate) number: i64,
    /// Fields of the key, as the change log has them.
    pub(crate) key: Vec<Vec<u8>>,
}

/// Rows that are kept aside for the same reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeptRows {
    /// Name of the table in the source.
    pub(crate) table: String,
    /// Name in the target of the column that holds what SQLite would change; `None` where a
    /// constraint of SQLite is in the way.
    pub(crate) column: Option<String>,
    /// How many.
    pub(crate) count: u64,
    /// Keys of some of them: "id=7".
    pub(crate) examples: Vec<String>,
}

/// How many rows of a database are kept aside; of one table, where its number is given.
pub(crate) async fn kept_count(
    client: &impl GenericClient,
    database: &str,
    number: Option<i64>,
) -> Result<u64> {
    let sql = "SELECT count(*) FROM switchback.kept_aside \
               WHERE database = $1 AND NOT left_behind AND tab = coalesce($2, tab)";
    let row = client.query_one(sql, &[&database, &number.map(tab)]).await.map_err(failed)?;
    Ok(row.get::<_, i64>(0).cast_unsigned())
}

/// The keys of all rows of a database that are kept aside.
pub(crate) async fn kept_keys(client: &impl GenericClient, database: &str) -> Result<Vec<KeptKey>> {
    let sql = "SELECT tab, key FROM switchback.kept_aside \
               WHERE database = $1 AND NOT left_behind ORDER BY id";
    let rows = client.query(sql, &[&database]).await.map_err(failed)?;
    let key = |row: &tokio_postgres::Row| KeptKey {
        number: row.get::<_, i32>(0).into(),
        key: row.get(1),
    };
    Ok(rows.iter().map(key).collect())
}

/// All rows of a database that are kept aside, by table and reason.
pub(crate) async fn kept_rows(
    client: &impl GenericClient,
    database: &str,
) -> Result<Vec<KeptRows>> {
    let sql = format!(
        "SELECT source_table, nullif(column_name, ''), count(*), \
           (array_agg(row_key ORDER BY id))[:{EXAMPLES}] \
         FROM switchback.kept_aside WHERE database = $1 AND NOT left_behind \
         GROUP BY source_table, column_name ORDER BY source_table, column_name"
    );
    let rows = client.query(&sql, &[&database]).await.map_err(failed)?;
    let kept = |row: &tokio_postgres::Row| KeptRows {
        table: row.get(0),
        column: row.get(1),
        count: row.get::<_, i64>(2).cast_unsigned(),
        examples: row.get(3),
    };
    Ok(rows.iter().map(kept).collect())
}

/// Says of all rows that are kept aside that SQLite goes on without them, in the transaction that
/// decides so.
pub(crate) async fn leave_all_behind(client: &impl GenericClient, database: &str) -> Result<u64> {
    let sql = "UPDATE switchback.kept_aside SET left_behind = true \
               WHERE database = $1 AND NOT left_behind";
    client.execute(sql, &[&database]).await.map_err(failed)
}

/// How many rows the rollback has left behind that began an epoch of a migration.
pub(crate) async fn left_rows(
    client: &impl GenericClient,
    (database, migration): (&str, &str),
    epoch: i64,
) -> Result<u64> {
    // They are of the epoch before.
    let sql = "SELECT count(*) FROM switchback.kept_aside \
               WHERE database = $1 AND migration = $2 AND left_behind AND epoch = $3::bigint - 1";
    let row = client.query_one(sql, &[&database, &migration, &epoch]).await.map_err(failed)?;
    Ok(row.get::<_, i64>(0).cast_unsigned())
}

impl Target {
    /// How many rows rollbacks have left behind; none where nothing of ours is in PostgreSQL.
    pub(crate) async fn left_behind(&self, database: &str) -> Result<u64> {
        if !self.upgrade().await? {
            return Ok(0);
        }
        let client = self.postgres().get().await?;
        let sql = "SELECT count(*) FROM switchback.kept_aside WHERE database = $1 AND left_behind";
        let row = client.query_one(sql, &[&database]).await.map_err(failed)?;
        Ok(row.get::<_, i64>(0).cast_unsigned())
    }
}

/// Numbers of tables are small.
fn tab(number: i64) -> i32 {
    i32::try_from(number).unwrap_or_default()
}
