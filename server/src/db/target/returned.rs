//! How far what is written on PostgreSQL is carried back, as PostgreSQL records it.

use tokio_postgres::GenericClient;

use crate::{db::postgres::failed, error::Result};

/// How far the source is behind the target while the target is active.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Returned {
    /// The source's beat by the last change that was carried back.
    pub(crate) beat: i64,
    /// The source's `PRAGMA schema_version` at that time.
    pub(crate) version: i64,
    /// Changes carried back since the last switch.
    pub(crate) changes: i64,
}

/// How far the source is; `None` where PostgreSQL was never active.
pub(crate) async fn returned(
    client: &impl GenericClient,
    database: &str,
) -> Result<Option<Returned>> {
    let sql = "SELECT beat, source_version, changes FROM switchback.returned \
               WHERE database = $1";
    let row = client.query_opt(sql, &[&database]).await.map_err(failed)?;
    Ok(row.map(|row| Returned { beat: row.get(0), version: row.get(1), changes: row.get(2) }))
}

/// Records where the source is when PostgreSQL becomes active, in that transaction.
pub(crate) async fn begin_returning(
    client: &impl GenericClient,
    database: &str,
    (beat, version): (i64, i64),
    shapes: &str,
) -> Result<()> {
    let sql = "INSERT INTO switchback.returned (database, beat, source_version, shapes, epoch) \
               SELECT $1, $2, $3, $4::text::jsonb, epoch FROM switchback.control WHERE database = $1 \
               ON CONFLICT (database) DO UPDATE \
               SET (beat, source_version, changes, carried_at, shapes, epoch) \
                 = (excluded.beat, excluded.source_version, 0, now(), excluded.shapes, \
                    excluded.epoch)";
    client.execute(sql, &[&database, &beat, &version, &shapes]).await.map_err(failed)?;
    Ok(())
}

/// Records that more was carried back, in the transaction that forgets it.
pub(crate) async fn advance_returned(
    client: &impl GenericClient,
    database: &str,
    (beat, version): (i64, i64),
    changes: u64,
) -> Result<()> {
    let sql = "UPDATE switchback.returned SET beat = $2, source_version = $3, \
                 changes = changes + $4, carried_at = now() WHERE database = $1";
    let changes = changes.cast_signed();
    client.execute(sql, &[&database, &beat, &version, &changes]).await.map_err(failed)?;
    Ok(())
}
