//! The end of a migration in PostgreSQL: what is ours goes, and the tables stay.

use tokio_postgres::{Client, Transaction};

use super::{
    Target, installed_version,
    set_aside::{GiveBack, give_back},
    steps::{GIVEN_A_TRANSACTION, drop_capture, forget_kept},
};
use crate::{
    db::postgres::failed,
    dialect::{
        capture::ROWID_COLUMN,
        ident::{qualified, quote},
        reverse::FENCE,
    },
    error::Result,
    failpoint,
};

/// Longest wait for a table's lock: applications wait behind it.
const FINALIZE_WAIT: &str = "SET LOCAL lock_timeout = '500ms'";

impl Target {
    /// Takes what is ours off the tables of a migration that is over, each in a transaction of its
    /// own, then removes what is recorded of it. What stays is the record of the switch itself, and
    /// rejected rows; returns how many those are.
    pub(crate) async fn finalize(&self, database: &str, migration: &str) -> Result<u64> {
        let mut client = self.postgres().get().await?;
        if installed_version(&*client).await?.is_none() {
            return Ok(0);
        }
        let sql = "SELECT namespace, relation FROM switchback.steps \
                   WHERE database = $1 AND kind IN ('table', 'existing') ORDER BY seq";
        let tables = client.query(sql, &[&database]).await.map_err(failed)?;
        for row in &tables {
            let (schema, table): (&str, &str) = (row.get(0), row.get(1));
            let transaction = client.transaction().await.map_err(failed)?;
            transaction.batch_execute(FINALIZE_WAIT).await.map_err(failed)?;
            self.require(&transaction, database).await?;
            release(&transaction, database, (schema, table)).await?;
            failpoint::hit("release.before");
            transaction.commit().await.map_err(failed)?;
        }
        give_back_missing(&mut client, self, database).await?;
        let transaction = client.transaction().await.map_err(failed)?;
        self.require(&transaction, database).await?;
        for table in ["copy_position", "change_log", "returned", "steps"] {
            let sql = format!("DELETE FROM switchback.{table} WHERE database = $1");
            transaction.execute(&sql, &[&database]).await.map_err(failed)?;
        }
        forget_kept(&transaction, database).await?;
        let sql = "UPDATE switchback.control SET phase = 'finalized' \
                   WHERE database = $1 AND migration = $2";
        transaction.execute(sql, &[&database, &migration]).await.map_err(failed)?;
        transaction.commit().await.map_err(failed)?;
        self.rejects(database).await
    }
}

/// Makes what an application's tables have lost of what was set aside.
async fn give_back_missing(client: &mut Client, target: &Target, database: &str) -> Result<()> {
    let mut below = Some(i64::MAX);
    while let Some(seq) = below {
        let transaction = client.transaction().await.map_err(failed)?;
        transaction.batch_execute(FINALIZE_WAIT).await.map_err(failed)?;
        target.require(&transaction, database).await?;
        let part = (seq, GIVEN_A_TRANSACTION);
        below = give_back(&transaction, database, GiveBack::Missing, part).await?;
        transaction.commit().await.map_err(failed)?;
    }
    Ok(())
}

/// Takes the triggers and the index of ours and the rowid off a table, and forgets that it was made.
async fn release(
    transaction: &Transaction<'_>,
    database: &str,
    (schema, table): (&str, &str),
) -> Result<()> {
    let sql = "SELECT name FROM switchback.steps \
               WHERE database = $1 AND kind = 'capture' AND namespace = $2 AND relation = $3";
    let captures = transaction.query(sql, &[&database, &schema, &table]).await.map_err(failed)?;
    for row in &captures {
        drop_capture(transaction, database, ["capture", schema, table, row.get(0)]).await?;
    }
    let sql = "SELECT name FROM switchback.steps \
               WHERE database = $1 AND kind = 'index' AND namespace = $2 AND relation = $3";
    for row in transaction.query(sql, &[&database, &schema, &table]).await.map_err(failed)? {
        let drop = format!("DROP INDEX IF EXISTS {}", qualified(schema, row.get(0)));
        transaction.batch_execute(&drop).await.map_err(failed)?;
    }
    let full = qualified(schema, table);
    let gone = "SELECT to_regclass($1) IS NULL";
    if !transaction.query_one(gone, &[&full]).await.map_err(failed)?.get::<_, bool>(0) {
        let sql = format!(
            "DROP TRIGGER IF EXISTS {} ON {full}; ALTER TABLE {full} DROP COLUMN IF EXISTS {}",
            quote(FENCE),
            quote(ROWID_COLUMN)
        );
        transaction.batch_execute(&sql).await.map_err(failed)?;
    }
    let sql = "DELETE FROM switchback.steps \
               WHERE database = $1 AND namespace = $2 AND relation = $3 \
                 AND kind IN ('capture', 'index', 'table', 'existing')";
    transaction.execute(sql, &[&database, &schema, &table]).await.map_err(failed)?;
    Ok(())
}
