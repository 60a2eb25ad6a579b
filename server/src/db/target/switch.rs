//! The switch as PostgreSQL records it: attempts, the fence, and the one commit that decides.

use std::{collections::BTreeSet, time::Duration};

use switchback_proto::v1::Plan;
use tokio_postgres::{GenericClient, Transaction, types::ToSql};

use super::{Target, controls, lease::held};
use crate::{
    db::postgres::failed,
    dialect::{
        ddl,
        ident::{qualified, quote},
        reverse::FENCE,
    },
    error::{Error, Reason, Result},
};

/// Longest wait for a table's lock at a time: autovacuum, which a table that was just loaded draws,
/// gives way to whoever has waited for PostgreSQL's deadlock_timeout of 1 s. Nobody is held up
/// meanwhile: writers are refused, and readers are not in the way.
pub(super) const LOCK_WAIT: Duration = Duration::from_millis(1500);

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

/// An attempt to switch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attempt<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) migration: &'a str,
    pub(crate) number: i64,
}

impl Target {
    /// Begins a new attempt to switch, before anything is changed for it. Returns its number.
    pub(crate) async fn begin_attempt(&self, database: &str, migration: &str) -> Result<i64> {
        let client = self.postgres().get().await?;
        let sql = "UPDATE switchback.control SET attempt = attempt + 1, decision = 'pending' \
                   WHERE database = $1 AND migration = $2 AND holder = $3 AND active = 'sqlite' \
                     AND decision IN ('none', 'aborted', 'pending', 'sqlite') RETURNING attempt";
        let values: [&(dyn ToSql + Sync); 3] = [&database, &migration, &self.holder().id];
        match client.query_opt(sql, &values).await.map_err(failed)? {
            Some(row) => Ok(row.get(0)),
            None => Err(self.refused(&*client, database, migration).await),
        }
    }

    /// Gives an attempt up, so that it cannot decide any more; false where it has decided, or is
    /// not the one that is pending.
    pub(crate) async fn retreat(
        &self,
        database: &str,
        migration: &str,
        number: i64,
    ) -> Result<bool> {
        let client = self.postgres().get().await?;
        let sql = "UPDATE switchback.control SET decision = 'aborted' \
                   WHERE database = $1 AND migration = $2 AND holder = $3 AND active = 'sqlite' \
                     AND decision = 'pending' AND attempt = $4";
        let values: [&(dyn ToSql + Sync); 4] = [&database, &migration, &self.holder().id, &number];
        Ok(client.execute(sql, &values).await.map_err(failed)? > 0)
    }

    /// Flips the record and takes the fence off, in a transaction whose commit makes PostgreSQL
    /// the active engine. It holds the record and the tables from here on; what the transaction
    /// still does may take as long as is `left`.
    pub(crate) async fn prepare_decision(
        &self,
        transaction: &Transaction<'_>,
        attempt: Attempt<'_>,
        left: Duration,
    ) -> Result<()> {
        let Attempt { plan, migration, number } = attempt;
        limit_statements(transaction, left).await?;
        let sql = "UPDATE switchback.control SET decision = 'pg', active = 'postgres', \
                     phase = 'reversible', epoch = epoch + 1 \
                   WHERE database = $1 AND migration = $2 AND holder = $3 AND active = 'sqlite' \
                     AND decision = 'pending' AND attempt = $4";
        let values: [&(dyn ToSql + Sync); 4] =
            [&plan.database, &migration, &self.holder().id, &number];
        if transaction.execute(sql, &values).await.map_err(failed)? == 0 {
            return Err(self.refused(transaction, &plan.database, migration).await);
        }
        let leftover = "DELETE FROM switchback.change_log WHERE database = $1";
        transaction.execute(leftover, &[&plan.database]).await.map_err(failed)?;
        self.lock_tables(transaction, plan, left.min(LOCK_WAIT)).await?;
        self.open(transaction, plan).await
    }

    /// Locks every table, in the same order whoever does it, or fails after a `wait`.
    pub(crate) async fn lock_tables(
        &self,
        transaction: &Transaction<'_>,
        plan: &Plan,
        wait: Duration,
    ) -> Result<()> {
        let tables = tables(plan);
        if tables.is_empty() {
            return Ok(());
        }
        let wait = wait.as_millis().max(50);
        let before: String =
            transaction.query_one("SHOW statement_timeout", &[]).await.map_err(failed)?.get(0);
        // What disabling a trigger takes: it lets readers through; dropping one would wait for them.
        let names = tables.join(", ");
        // The time-out of locks is one for each table.
        let lock = format!(
            "SET LOCAL lock_timeout = '{wait}ms'; SET LOCAL statement_timeout = '{wait}ms'; \
             LOCK TABLE {names} IN SHARE ROW EXCLUSIVE MODE; \
             SET LOCAL statement_timeout = '{before}'"
        );
        transaction.batch_execute(&lock).await.map_err(failed)
    }

    /// Records that the migration is undone, so that no attempt can decide any more: returns the
    /// last one. `None` where there is no record of it, and an error where it has been decided.
    pub async fn give_up(&self, database: &str, migration: &str) -> Result<Option<i64>> {
        let client = self.postgres().get().await?;
        if super::installed_version(&*client).await?.is_none() {
            return Ok(None);
        }
        let sql = "UPDATE switchback.control SET decision = 'aborted', phase = 'aborting' \
                   WHERE database = $1 AND migration = $2 AND holder IN ($3, '') \
                     AND active = 'sqlite' RETURNING attempt";
        let values: [&(dyn ToSql + Sync); 3] = [&database, &migration, &self.holder().id];
        if let Some(row) = client.query_opt(sql, &values).await.map_err(failed)? {
            return Ok(Some(row.get(0)));
        }
        let controls = controls(&*client).await?;
        let own = controls.iter().find(|c| c.database == database && c.migration == migration);
        match own {
            None => Ok(None),
            Some(own) if own.active == "postgres" => {
                let message = format!("PostgreSQL is the active engine of {database} already");
                Err(Error::new(Reason::AlreadyMigrated, message)
                    .hint("applications may have written to it: nothing was removed"))
            }
            Some(own) => Err(held(own)),
        }
    }
}

/// A stale coordinator that was stopped in the middle does not keep the tables locked.
pub(super) async fn limit_statements(transaction: &Transaction<'_>, left: Duration) -> Result<()> {
    let seconds = left.as_secs() + 1;
    let settings = format!(
        "SET LOCAL statement_timeout = '{seconds}s'; \
         SET LOCAL idle_in_transaction_session_timeout = '{}s'",
        seconds + 5
    );
    transaction.batch_execute(&settings).await.map_err(failed)
}

/// The tables of a plan, and those of others that foreign keys bind to them.
fn tables(plan: &Plan) -> Vec<String> {
    let own = plan.tables.iter().map(|table| table.target.as_str());
    let bound = ddl::all_foreign_keys(plan).flat_map(|(child, key)| [child, &key.parent]);
    // A parent in another schema has no name in the plan.
    let named = own.chain(bound).filter(|table| !table.is_empty());
    let names: BTreeSet<String> =
        named.map(|table| qualified(&plan.target_schema, table)).collect();
    names.into_iter().collect()
}

/// The error for a record that somebody removed.
pub(crate) fn gone() -> Error {
    Error::new(Reason::TargetInUse, "the target's record of the migration is gone")
        .hint("somebody removed the schema switchback: migrate again into an empty database")
}
