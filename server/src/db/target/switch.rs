//! The switch as PostgreSQL records it: attempts, the fence, and the one commit that decides.

use switchback_proto::v1::Plan;
use tokio_postgres::GenericClient;

use super::{Control, Target, controls};
use crate::{
    db::postgres::failed,
    dialect::ident::{qualified, quote},
    error::{Error, Reason, Result},
};

/// Name of the fence's trigger on each table.
const FENCE: &str = "switchback_fence";

/// Longest wait for a lock at a time: below PostgreSQL's deadlock_timeout of 1 s, so that whoever
/// else waits is let through at once.
const LOCK_TIMEOUT: &str = "SET LOCAL lock_timeout = '50ms'";

/// A stale coordinator that was stopped in the middle does not keep the tables locked.
const IDLE_TIMEOUT: &str = "SET LOCAL idle_in_transaction_session_timeout = '10s'";

/// Puts the fence on a table, in the transaction that makes it.
pub(crate) async fn fence(client: &impl GenericClient, schema: &str, table: &str) -> Result<()> {
    let (table, fence) = (qualified(schema, table), quote(FENCE));
    let sql = format!(
        "CREATE TRIGGER {fence} BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON {table} \
           FOR EACH STATEMENT EXECUTE FUNCTION switchback.refuse_write(); \
         ALTER TABLE {table} ENABLE ALWAYS TRIGGER {fence}"
    );
    client.batch_execute(&sql).await.map_err(failed)
}

impl Target {
    /// Begins a new attempt to switch, before anything is changed for it; `None` where the record
    /// does not allow one. Returns its number.
    pub async fn begin_attempt(&self, database: &str, migration: &str) -> Result<Option<i64>> {
        let client = self.postgres().get().await?;
        let sql = "UPDATE switchback.control SET attempt = attempt + 1, decision = 'pending' \
                   WHERE database = $1 AND migration = $2 AND active = 'sqlite' \
                     AND decision IN ('none', 'aborted', 'pending') RETURNING attempt";
        let begun = client.query_opt(sql, &[&database, &migration]).await.map_err(failed)?;
        Ok(begun.map(|row| row.get(0)))
    }

    /// The record of a migration; an error where it is gone.
    pub async fn own_control(&self, database: &str, migration: &str) -> Result<Control> {
        let client = self.postgres().get().await?;
        let controls = controls(&*client).await?;
        let own = controls.into_iter().find(|c| c.database == database && c.migration == migration);
        own.ok_or_else(gone)
    }

    /// Makes PostgreSQL the active engine and opens it for writes, in one commit. It decides once,
    /// however often it is run; false where the attempt is not the one that is pending.
    pub async fn decide(&self, plan: &Plan, migration: &str, attempt: i64) -> Result<bool> {
        let mut client = self.postgres().get().await?;
        let transaction = client.transaction().await.map_err(failed)?;
        for setting in [LOCK_TIMEOUT, IDLE_TIMEOUT] {
            transaction.batch_execute(setting).await.map_err(failed)?;
        }
        let sql = "UPDATE switchback.control SET decision = 'pg', active = 'postgres', \
                     phase = 'reversible', epoch = epoch + 1 \
                   WHERE database = $1 AND migration = $2 AND active = 'sqlite' \
                     AND decision = 'pending' AND attempt = $3";
        let values: [&(dyn tokio_postgres::types::ToSql + Sync); 3] =
            [&plan.database, &migration, &attempt];
        if transaction.execute(sql, &values).await.map_err(failed)? == 0 {
            return Ok(false);
        }
        // In one order, whoever does it. Disabling takes SHARE ROW EXCLUSIVE, which lets readers
        // through; dropping a trigger would wait for them.
        let mut tables: Vec<String> =
            plan.tables.iter().map(|table| qualified(&plan.target_schema, &table.target)).collect();
        tables.sort_unstable();
        if !tables.is_empty() {
            let sql = format!("LOCK TABLE {} IN SHARE ROW EXCLUSIVE MODE", tables.join(", "));
            transaction.batch_execute(&sql).await.map_err(failed)?;
        }
        for table in tables {
            let sql = format!("ALTER TABLE {table} DISABLE TRIGGER {}", quote(FENCE));
            transaction.batch_execute(&sql).await.map_err(failed)?;
        }
        transaction.commit().await.map_err(failed)?;
        Ok(true)
    }

    /// Records that the migration is undone, so that no attempt can decide any more. False where
    /// there is no record of it, and an error where it has been decided.
    pub async fn give_up(&self, database: &str, migration: &str) -> Result<bool> {
        let client = self.postgres().get().await?;
        if super::installed_version(&*client).await?.is_none() {
            return Ok(false);
        }
        let sql = "UPDATE switchback.control SET decision = 'aborted' \
                   WHERE database = $1 AND migration = $2 AND active = 'sqlite'";
        if client.execute(sql, &[&database, &migration]).await.map_err(failed)? > 0 {
            return Ok(true);
        }
        let controls = controls(&*client).await?;
        let decided = |c: &Control| c.migration == migration && c.active == "postgres";
        if controls.iter().any(|control| control.database == database && decided(control)) {
            let message = format!("PostgreSQL is the active engine of {database} already");
            return Err(Error::new(Reason::AlreadyMigrated, message)
                .hint("applications may have written to it: nothing was removed"));
        }
        Ok(false)
    }
}

/// The error for a record that somebody removed.
pub(crate) fn gone() -> Error {
    Error::new(Reason::TargetInUse, "the target's record of the migration is gone")
        .hint("somebody removed the schema switchback: migrate again into an empty database")
}
