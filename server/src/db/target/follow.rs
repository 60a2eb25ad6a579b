//! How far the target follows the source.

use std::collections::HashSet;

use switchback_proto::v1::Plan;
use tokio_postgres::{GenericClient, types::ToSql};

use super::{Target, gone, lease::passed_on};
use crate::{
    db::postgres::failed,
    error::{Error, Reason, Result},
};

/// How far the target is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FollowPosition {
    /// Newest entry of the source's change log that is applied.
    pub(crate) applied: i64,
    /// The source's beat at that time.
    pub(crate) beat: i64,
    /// The source's `PRAGMA schema_version` at that time.
    pub(crate) version: i64,
    /// Names (in the source) of the tables that have rejected rows.
    pub(crate) rejected: HashSet<String>,
}

/// What the last switch left in the record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SwitchRecord {
    /// `none`, `pending`, `pg`, `sqlite` or `aborted`.
    pub(crate) decision: String,
    /// PostgreSQL is the active engine.
    pub(crate) postgres_active: bool,
    /// Number of the last attempt.
    pub(crate) attempt: i64,
    /// Number of switches so far.
    pub(crate) epoch: i64,
}

impl Target {
    /// How far a migration follows; `None` before the copy has begun. Only for its coordinator.
    pub(crate) async fn position(
        &self,
        database: &str,
        migration: &str,
    ) -> Result<Option<FollowPosition>> {
        let client = self.postgres().get().await?;
        self.require(&*client, database).await?;
        read_position(&*client, database, migration).await
    }

    /// Records where the log was before the first row is copied. A later call changes nothing.
    pub(crate) async fn begin_following(
        &self,
        database: &str,
        migration: &str,
        at: &FollowPosition,
    ) -> Result<()> {
        let client = self.postgres().get().await?;
        let sql = "UPDATE switchback.control SET applied = $4, beat = $5, source_version = $6 \
                   WHERE database = $1 AND migration = $2 AND holder = $3 AND applied IS NULL";
        let values: [&(dyn ToSql + Sync); 6] =
            [&database, &migration, &self.holder().id, &at.applied, &at.beat, &at.version];
        client.execute(sql, &values).await.map_err(failed)?;
        Ok(())
    }

    /// Records the phase that a migration has reached.
    pub(crate) async fn set_phase(
        &self,
        database: &str,
        migration: &str,
        phase: &str,
    ) -> Result<()> {
        let client = self.postgres().get().await?;
        self.set_phase_in(&*client, (database, migration), phase).await
    }

    /// The same in a transaction.
    pub(crate) async fn set_phase_in(
        &self,
        client: &impl GenericClient,
        (database, migration): (&str, &str),
        phase: &str,
    ) -> Result<()> {
        let sql = "UPDATE switchback.control SET phase = $4 \
                   WHERE database = $1 AND migration = $2 AND holder = $3";
        let values: [&(dyn ToSql + Sync); 4] = [&database, &migration, &self.holder().id, &phase];
        if client.execute(sql, &values).await.map_err(failed)? > 0 {
            return Ok(());
        }
        Err(self.refused(client, database, migration).await)
    }

    /// What the record of a migration says of the last switch; an error where it is gone.
    pub(crate) async fn switch_record(
        &self,
        database: &str,
        migration: &str,
    ) -> Result<SwitchRecord> {
        let client = self.postgres().get().await?;
        let sql = "SELECT decision, active = 'postgres', attempt, epoch FROM switchback.control \
                   WHERE database = $1 AND migration = $2";
        let row = client.query_opt(sql, &[&database, &migration]).await.map_err(failed)?;
        let row = row.ok_or_else(gone)?;
        Ok(SwitchRecord {
            decision: row.get(0),
            postgres_active: row.get(1),
            attempt: row.get(2),
            epoch: row.get(3),
        })
    }

    /// Lets the target follow from where it was before PostgreSQL was active: nobody has written to
    /// the source since, and only its fence has changed the schema, from one version to another.
    pub(crate) async fn follow_from(
        &self,
        database: &str,
        migration: &str,
        (fenced, open): (i64, i64),
    ) -> Result<()> {
        let client = self.postgres().get().await?;
        let sql = "UPDATE switchback.control c SET source_version = $5, \
                     beat = greatest(c.beat, r.beat) FROM switchback.returned r \
                   WHERE c.database = $1 AND migration = $2 AND holder = $3 \
                     AND c.active = 'sqlite' AND r.database = $1 AND r.source_version = $4";
        let values: [&(dyn ToSql + Sync); 5] =
            [&database, &migration, &self.holder().id, &fenced, &open];
        client.execute(sql, &values).await.map_err(failed)?;
        Ok(())
    }

    /// Records the plan as it was carried out.
    pub(crate) async fn write_plan(&self, client: &impl GenericClient, plan: &Plan) -> Result<()> {
        let json = serde_json::to_string(plan).map_err(|error| {
            Error::new(Reason::Internal, "the plan has no JSON form").caused_by(error)
        })?;
        let sql = "UPDATE switchback.control SET plan = $2 WHERE database = $1 AND holder = $3";
        let values: [&(dyn ToSql + Sync); 3] = [&plan.database, &json, &self.holder().id];
        client.execute(sql, &values).await.map_err(failed)?;
        Ok(())
    }

    /// Rows of a database that are kept as rejects.
    pub(crate) async fn rejects(&self, database: &str) -> Result<u64> {
        let client = self.postgres().get().await?;
        let sql = "SELECT count(*) FROM switchback.rejects WHERE database = $1";
        let count: i64 = client.query_one(sql, &[&database]).await.map_err(failed)?.get(0);
        Ok(count.cast_unsigned())
    }
}

async fn read_position(
    client: &impl GenericClient,
    database: &str,
    migration: &str,
) -> Result<Option<FollowPosition>> {
    let sql = "SELECT applied, beat, source_version, \
                 array(SELECT DISTINCT tab FROM switchback.rejects r \
                       WHERE r.database = c.database) \
               FROM switchback.control c WHERE database = $1 AND migration = $2";
    let row = client.query_opt(sql, &[&database, &migration]).await.map_err(failed)?;
    let row = row.ok_or_else(gone)?;
    let Some(applied) = row.get(0) else { return Ok(None) };
    let rejected: Vec<String> = row.get(3);
    Ok(Some(FollowPosition {
        applied,
        beat: row.get(1),
        version: row.get(2),
        rejected: rejected.into_iter().collect(),
    }))
}

/// How far the target is, as a transaction sees it.
pub(crate) async fn position_in(
    client: &impl GenericClient,
    database: &str,
    migration: &str,
) -> Result<FollowPosition> {
    read_position(client, database, migration).await?.ok_or_else(gone)
}

/// Records how far the target is, in the transaction that brings it there: only from where it was,
/// only for the coordinator, and not once PostgreSQL is active, unless this transaction decides it.
pub(crate) async fn advance(
    client: &impl GenericClient,
    (database, migration, holder): (&str, &str, &str),
    from: &FollowPosition,
    to: (i64, i64, i64),
) -> Result<()> {
    let (applied, beat, version) = to;
    let sql = "UPDATE switchback.control SET applied = $5, beat = $6, source_version = $7 \
               WHERE database = $1 AND migration = $2 AND holder = $3 AND applied = $4 \
                 AND (active = 'sqlite' OR xmin = pg_current_xact_id()::xid)";
    let values: [&(dyn ToSql + Sync); 7] =
        [&database, &migration, &holder, &from.applied, &applied, &beat, &version];
    if client.execute(sql, &values).await.map_err(failed)? > 0 {
        return Ok(());
    }
    Err(passed_on(client, database, holder).await)
}
