//! What Switchback made in the target, and the way back.

use std::collections::HashSet;

use tokio_postgres::{Client, Transaction};
use tokio_util::sync::CancellationToken;

use super::{
    Target, installed_version, lock,
    reverse::triggers,
    set_aside::{GiveBack, empty, give_back},
};
use crate::{
    db::postgres::failed,
    dialect::{
        capture::ROWID_COLUMN,
        ident::{qualified, quote},
        reverse::{Captured, FENCE},
    },
    error::{Error, Reason, Result},
    failpoint,
    task::cancelled,
};

/// Objects dropped in one transaction. Each takes a handful of locks (table, TOAST table,
/// indexes, sequence), and PostgreSQL's default lock table has room for some 6,400.
const DROPS_A_TRANSACTION: i64 = 200;

/// Foreign keys and the like made again in one transaction.
pub(super) const GIVEN_A_TRANSACTION: i64 = 50;

/// Room to sort for one index; PostgreSQL's default of 64 MB makes most builds spill.
const MAINTENANCE_WORK_MEM: &str = "SET LOCAL maintenance_work_mem = '128MB'";

/// An object that cleaning up has to drop by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Made<'a> {
    /// A schema.
    Schema(&'a str),
    /// A table, with its indexes, sequences and constraints.
    Table {
        /// Schema.
        schema: &'a str,
        /// Name.
        name: &'a str,
    },
    /// A view.
    View {
        /// Schema.
        schema: &'a str,
        /// Name.
        name: &'a str,
    },
    /// A foreign key, which keeps its parent table from being dropped.
    ForeignKey {
        /// Schema.
        schema: &'a str,
        /// Child table.
        table: &'a str,
        /// Name of the constraint.
        name: &'a str,
    },
    /// Reverse capture of a table: triggers, and the functions that they call.
    Capture {
        /// Schema.
        schema: &'a str,
        /// Table.
        table: &'a str,
        /// Its number in the log.
        number: &'a str,
    },
    /// A table of the application that was taken over: it stays, and gets back what was set aside.
    Existing {
        /// Schema.
        schema: &'a str,
        /// Name.
        name: &'a str,
    },
    /// An index of ours on such a table.
    Index {
        /// Schema.
        schema: &'a str,
        /// Table.
        table: &'a str,
        /// Name.
        name: &'a str,
    },
    /// Something that goes when its table goes: an index, a check, a sequence's value.
    Part,
}

/// One thing to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step<'a> {
    /// Id that is the same in every attempt: "index:public.t.name".
    pub id: &'a str,
    /// What it makes.
    pub made: Made<'a>,
}

impl<'a> Made<'a> {
    fn parts(self) -> [&'a str; 4] {
        match self {
            Self::Schema(name) => ["schema", name, "", ""],
            Self::Table { schema, name } => ["table", schema, name, ""],
            Self::View { schema, name } => ["view", schema, name, ""],
            Self::ForeignKey { schema, table, name } => ["foreign_key", schema, table, name],
            Self::Capture { schema, table, number } => ["capture", schema, table, number],
            Self::Existing { schema, name } => ["existing", schema, name, ""],
            Self::Index { schema, table, name } => ["index", schema, table, name],
            Self::Part => ["", "", "", ""],
        }
    }
}

impl Target {
    /// Ids of the steps done for a database.
    pub async fn steps_done(&self, database: &str) -> Result<HashSet<String>> {
        let client = self.postgres().get().await?;
        let sql = "SELECT step FROM switchback.steps WHERE database = $1";
        let rows = client.query(sql, &[&database]).await.map_err(failed)?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    /// Makes something and records it in one transaction, unless `halt` comes first. `sql` is one
    /// statement.
    pub async fn make(
        &self,
        database: &str,
        step: Step<'_>,
        sql: &str,
        halt: &CancellationToken,
    ) -> Result<()> {
        let mut client = self.postgres().get().await?;
        let made = halt.run_until_cancelled(self.make_on(&mut client, database, step, sql)).await;
        if made.is_none() {
            // Else the server would go on, and its locks would be in the way of undoing.
            self.postgres().cancel(&client).await;
        }
        made.unwrap_or_else(|| Err(cancelled()))
    }

    async fn make_on(
        &self,
        client: &mut Client,
        database: &str,
        step: Step<'_>,
        sql: &str,
    ) -> Result<()> {
        let transaction = client.transaction().await.map_err(failed)?;
        transaction.batch_execute(MAINTENANCE_WORK_MEM).await.map_err(failed)?;
        // Prepared, so that what a plan holds can be one statement only.
        transaction.execute(sql, &[]).await.map_err(failed)?;
        self.record(&transaction, database, step).await?;
        failpoint::hit("make.before");
        transaction.commit().await.map_err(failed)?;
        failpoint::hit("make.after");
        Ok(())
    }

    /// Records a step in the transaction that does it. Only for the coordinator.
    pub async fn record(
        &self,
        transaction: &Transaction<'_>,
        database: &str,
        step: Step<'_>,
    ) -> Result<()> {
        self.require(transaction, database).await?;
        let [kind, namespace, relation, name] = step.made.parts();
        let sql = "INSERT INTO switchback.steps (database, step, kind, namespace, relation, name) \
                   VALUES ($1, $2, $3, $4, $5, $6)";
        transaction
            .execute(sql, &[&database, &step.id, &kind, &namespace, &relation, &name])
            .await
            .map_err(failed)?;
        Ok(())
    }

    /// Drops everything that a migration made for a database, newest first, then what is recorded
    /// about it, and the schema `switchback` when no other database uses it. Returns how many
    /// objects were dropped. What Switchback did not record is never dropped: where such a thing
    /// depends on an object of ours, that is an error, and the rest goes on when it is called
    /// again. Tables of the application are emptied and get back what was set aside. What another
    /// migration made is left alone, and so is the active engine.
    pub async fn clean_up(&self, database: &str, migration: &str) -> Result<u64> {
        let mut client = self.postgres().get().await?;
        if installed_version(&*client).await?.is_none() {
            return Ok(0);
        }
        let (mut removed, mut below) = (0, Some(i64::MAX));
        loop {
            let transaction = client.transaction().await.map_err(failed)?;
            lock(&transaction).await?;
            if !decide_to_abort(&transaction, database, migration).await? {
                return Ok(removed);
            }
            let (mut more, dropped) = drop_newest(&transaction, database).await?;
            removed += dropped;
            // Foreign keys need all tables.
            if let (false, Some(seq)) = (more, below) {
                let (what, part) = (GiveBack::Everything, (seq, GIVEN_A_TRANSACTION));
                below = give_back(&transaction, database, what, part).await?;
                more = below.is_some();
            }
            if !more {
                forget(&transaction, database).await?;
            }
            failpoint::hit("clean.before");
            transaction.commit().await.map_err(failed)?;
            failpoint::hit("clean.after");
            if !more {
                return Ok(removed);
            }
        }
    }
}

/// Records that a migration is undone, so that it cannot be activated any more; false where the
/// record is another migration's.
async fn decide_to_abort(
    transaction: &Transaction<'_>,
    database: &str,
    migration: &str,
) -> Result<bool> {
    let sql = "UPDATE switchback.control SET decision = 'aborted' \
               WHERE database = $1 AND migration = $2 AND active <> 'postgres'";
    if transaction.execute(sql, &[&database, &migration]).await.map_err(failed)? > 0 {
        return Ok(true);
    }
    let sql = "SELECT migration FROM switchback.control WHERE database = $1";
    let recorded = transaction.query_opt(sql, &[&database]).await.map_err(failed)?;
    match recorded.map(|row| row.get::<_, String>(0)) {
        // It ended before it recorded itself.
        None => Ok(true),
        Some(other) if other != migration => Ok(false),
        Some(_) => Err(Error::new(
            Reason::AlreadyMigrated,
            format!("PostgreSQL is the active engine of {database} already"),
        )
        .hint("applications may have written to it: nothing was removed")),
    }
}

/// Drops the newest objects; whether there were any, and how many were dropped.
async fn drop_newest(transaction: &Transaction<'_>, database: &str) -> Result<(bool, u64)> {
    let sql = "SELECT seq, kind, namespace, relation, name FROM switchback.steps \
               WHERE database = $1 ORDER BY seq DESC LIMIT $2";
    let rows = transaction.query(sql, &[&database, &DROPS_A_TRANSACTION]).await.map_err(failed)?;
    let (mut dropped, mut done) = (0, 0);
    for row in &rows {
        let parts: [&str; 4] = [row.get(1), row.get(2), row.get(3), row.get(4)];
        done += 1;
        if parts[0] == "capture" {
            drop_capture(transaction, database, parts).await?;
        } else if parts[0] == "existing" {
            restore(transaction, database, (parts[1], parts[2])).await?;
            dropped += 1;
            // Each holds as many locks as it has indexes.
            break;
        } else if let Some(sql) = drop_statement(transaction, parts).await? {
            transaction.batch_execute(&sql).await.map_err(failed)?;
            dropped += 1;
        }
    }
    let gone: Vec<i64> = rows.iter().take(done).map(|row| row.get(0)).collect();
    let sql = "DELETE FROM switchback.steps WHERE seq = ANY ($1)";
    transaction.execute(sql, &[&gone]).await.map_err(failed)?;
    Ok((!rows.is_empty(), dropped))
}

/// Gives a table of the application back as it was, without rows. The fence goes last.
async fn restore(
    transaction: &Transaction<'_>,
    database: &str,
    (schema, table): (&str, &str),
) -> Result<()> {
    let full = qualified(schema, table);
    let gone = "SELECT to_regclass($1) IS NULL";
    if transaction.query_one(gone, &[&full]).await.map_err(failed)?.get(0) {
        return Ok(());
    }
    empty(transaction, &full).await?;
    let rowid = format!("ALTER TABLE {full} DROP COLUMN IF EXISTS {}", quote(ROWID_COLUMN));
    transaction.batch_execute(&rowid).await.map_err(failed)?;
    let what = GiveBack::Table(schema, table);
    give_back(transaction, database, what, (i64::MAX, i64::MAX)).await?;
    let fence = format!("DROP TRIGGER IF EXISTS {} ON {full}", quote(FENCE));
    transaction.batch_execute(&fence).await.map_err(failed)
}

async fn drop_statement(
    transaction: &Transaction<'_>,
    [kind, namespace, relation, name]: [&str; 4],
) -> Result<Option<String>> {
    let full = qualified(namespace, relation);
    Ok(match kind {
        "table" => Some(format!("DROP TABLE IF EXISTS {full}")),
        "view" => Some(format!("DROP VIEW IF EXISTS {full}")),
        "index" => Some(format!("DROP INDEX IF EXISTS {}", qualified(namespace, name))),
        "foreign_key" => {
            Some(format!("ALTER TABLE IF EXISTS {full} DROP CONSTRAINT IF EXISTS {}", quote(name)))
        }
        // Someone else may use a schema of ours by now; then it stays.
        "schema" if schema_is_empty(transaction, namespace).await? => {
            Some(format!("DROP SCHEMA IF EXISTS {}", quote(namespace)))
        }
        _ => None,
    })
}

/// Removes what writes down the changes of a table. The fence stays.
pub(super) async fn drop_capture(
    transaction: &Transaction<'_>,
    database: &str,
    [_, schema, table, number]: [&str; 4],
) -> Result<()> {
    let own = triggers(transaction, schema).await?;
    let own = own.get(table).map(Vec::as_slice).unwrap_or_default();
    let full = qualified(schema, table);
    for name in own.iter().map(|trigger| &trigger.name).filter(|name| *name != FENCE) {
        let sql = format!("DROP TRIGGER IF EXISTS {} ON {full}", quote(name));
        transaction.batch_execute(&sql).await.map_err(failed)?;
    }
    let number = number.parse().unwrap_or_default();
    let captured = Captured { database, schema, table, number, key: &[], guards: &[] };
    let sql = "SELECT p.oid::regprocedure::text FROM pg_proc p \
               JOIN pg_namespace n ON n.oid = p.pronamespace \
               WHERE n.nspname = 'switchback' AND starts_with(p.proname, $1)";
    for row in transaction.query(sql, &[&captured.functions()]).await.map_err(failed)? {
        let drop = format!("DROP FUNCTION {}", row.get::<_, &str>(0));
        transaction.batch_execute(&drop).await.map_err(failed)?;
    }
    Ok(())
}

async fn schema_is_empty(transaction: &Transaction<'_>, schema: &str) -> Result<bool> {
    let sql = "SELECT NOT EXISTS (SELECT FROM pg_depend d JOIN pg_namespace n ON n.oid = d.refobjid \
                 WHERE d.refclassid = 'pg_namespace'::regclass AND n.nspname = $1::text \
                   AND d.deptype = 'n')";
    Ok(transaction.query_one(sql, &[&schema]).await.map_err(failed)?.get(0))
}

/// Forgets the rows that are kept aside, which are in PostgreSQL's own tables. Of those that a
/// rollback has left behind there is no other copy.
pub(super) async fn forget_kept(transaction: &Transaction<'_>, database: &str) -> Result<()> {
    let sql = "DELETE FROM switchback.kept_aside WHERE database = $1 AND NOT left_behind";
    transaction.execute(sql, &[&database]).await.map(drop).map_err(failed)
}

/// Deletes what is recorded about a database, and the control schema after the last one.
async fn forget(transaction: &Transaction<'_>, database: &str) -> Result<()> {
    for table in ["rejects", "copy_position", "change_log", "returned", "control"] {
        let sql = format!("DELETE FROM switchback.{table} WHERE database = $1");
        transaction.execute(&sql, &[&database]).await.map_err(failed)?;
    }
    forget_kept(transaction, database).await?;
    let sql = "SELECT EXISTS (SELECT FROM switchback.control) \
                 OR EXISTS (SELECT FROM switchback.steps) \
                 OR EXISTS (SELECT FROM switchback.kept_aside) \
                 OR EXISTS (SELECT FROM switchback.set_aside)";
    if transaction.query_one(sql, &[]).await.map_err(failed)?.get(0) {
        return Ok(());
    }
    let ours = "DROP TABLE switchback.control, switchback.copy_position, switchback.rejects, \
                  switchback.steps, switchback.change_log, switchback.returned, \
                  switchback.kept_aside, switchback.set_aside, switchback.schema_migrations";
    transaction.batch_execute(ours).await.map_err(failed)?;
    let functions = "DROP FUNCTION IF EXISTS switchback.refuse_write(), \
                       switchback.refuse_truncate(), switchback.refuse_value()";
    transaction.batch_execute(functions).await.map_err(failed)?;
    if schema_is_empty(transaction, "switchback").await? {
        transaction.batch_execute("DROP SCHEMA switchback").await.map_err(failed)?;
    }
    Ok(())
}
