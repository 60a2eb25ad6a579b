//! Reverse capture in PostgreSQL, and how far what it wrote down is carried back.

use std::{collections::HashMap, time::Duration};

use switchback_proto::v1::{ColumnPlan, Plan};
use tokio_postgres::{GenericClient, Transaction, types::ToSql};

use super::{
    Made, Step, Target,
    switch::{LOCK_WAIT, fence, limit_statements},
    triggers::disable_triggers,
};
use crate::{
    db::postgres::failed,
    dialect::{
        ddl,
        ident::{qualified, quote},
        reverse::{self, CAPTURE, Captured, FENCE, TRIGGERS},
    },
    error::{Error, Reason, Result},
};

/// Longest wait for the tables' locks at a time while applications write: they touch tables in
/// other orders, and a deadlock is seen by PostgreSQL only after a second.
const SHORT_WAIT: Duration = Duration::from_millis(50);

impl Target {
    /// Puts reverse capture on a table, switched off, as the step `id`.
    pub(crate) async fn capture(&self, captured: Captured<'_>, id: &str) -> Result<()> {
        let number = captured.number.to_string();
        let made =
            Made::Capture { schema: captured.schema, table: captured.table, number: &number };
        let mut client = self.postgres().get().await?;
        let transaction = client.transaction().await.map_err(failed)?;
        for part in captured.create() {
            transaction.batch_execute(&part.sql).await.map_err(failed)?;
        }
        self.record(&transaction, captured.database, Step { id, made }).await?;
        transaction.commit().await.map_err(failed)
    }

    /// Flips the record back and puts the fence on, in a transaction whose commit makes SQLite the
    /// active engine. It holds the record and the tables from here on. Applications wait behind
    /// whoever waits for the tables, so that this is only for a moment, unless it is vacuum that
    /// has one of them.
    pub(crate) async fn prepare_return(
        &self,
        transaction: &Transaction<'_>,
        (plan, migration): (&Plan, &str),
        left: Duration,
    ) -> Result<()> {
        limit_statements(transaction, left).await?;
        let sql = "UPDATE switchback.control SET decision = 'sqlite', active = 'sqlite', \
                     phase = 'following', epoch = epoch + 1 \
                   WHERE database = $1 AND migration = $2 AND holder = $3 AND active = 'postgres'";
        let values: [&(dyn ToSql + Sync); 3] = [&plan.database, &migration, &self.holder().id];
        if transaction.execute(sql, &values).await.map_err(failed)? == 0 {
            return Err(self.refused(transaction, &plan.database, migration).await);
        }
        let vacuumed = is_vacuumed(transaction, &plan.target_schema).await?;
        let wait = left.min(if vacuumed { LOCK_WAIT } else { SHORT_WAIT });
        self.lock_tables(transaction, plan, wait).await
    }

    /// Records that there is no way back from here on.
    pub(crate) async fn begin_finalizing(&self, database: &str, migration: &str) -> Result<()> {
        let client = self.postgres().get().await?;
        let sql = "UPDATE switchback.control SET phase = 'finalizing' \
                   WHERE database = $1 AND migration = $2 AND holder = $3 AND active = 'postgres'";
        let values: [&(dyn ToSql + Sync); 3] = [&database, &migration, &self.holder().id];
        if client.execute(sql, &values).await.map_err(failed)? > 0 {
            return Ok(());
        }
        Err(self.refused(&*client, database, migration).await)
    }

    /// Makes durable what is committed by now. Applications may commit with `synchronous_commit =
    /// off`: what SQLite gets must not be what a crash of PostgreSQL takes back.
    pub(crate) async fn flush(&self) {
        // A commit of ours is waited for, where it has written something.
        let sql = "SELECT pg_logical_emit_message(true, 'switchback', '')";
        let flushed =
            async { self.postgres().get().await?.query_one(sql, &[]).await.map_err(failed) };
        if let Err(error) = flushed.await {
            tracing::debug!(%error, "what was committed may not be durable yet");
        }
    }

    /// Changes that are not carried back.
    pub(crate) async fn waiting(&self, database: &str) -> Result<u64> {
        let client = self.postgres().get().await?;
        waiting(&*client, database, "0").await
    }

    /// Refuses applications in every table and writes nothing down any more.
    pub(crate) async fn close(&self, transaction: &Transaction<'_>, plan: &Plan) -> Result<()> {
        fence_all(transaction, plan).await?;
        if let Some(left) = disable_triggers(transaction, plan).await? {
            // The next switch does not look for what the application has dropped.
            self.write_plan(transaction, &left).await?;
        }
        set_triggers(transaction, plan, reverse::close).await
    }

    /// Lets applications into every table and writes down what they change.
    pub(super) async fn open(&self, transaction: &Transaction<'_>, plan: &Plan) -> Result<()> {
        set_triggers(transaction, plan, reverse::open).await?;
        let sql = "SELECT relation FROM switchback.steps WHERE database = $1 AND kind = 'capture'";
        let made = transaction.query(sql, &[&plan.database]).await.map_err(failed)?;
        let triggers = triggers(transaction, &plan.target_schema).await?;
        for table in made.iter().map(|row| row.get::<_, &str>(0)) {
            let own = triggers.get(table).map(Vec::as_slice).unwrap_or_default();
            if !own.iter().any(|trigger| trigger.name == CAPTURE) {
                return Err(lost(table));
            }
        }
        Ok(())
    }

    /// Puts reverse capture back on a table that has lost it. What it missed is unknown, so that
    /// all rows are to be carried back.
    pub(crate) async fn recapture(&self, table: &Captured<'_>) -> Result<()> {
        let mut client = self.postgres().get().await?;
        let transaction = client.transaction().await.map_err(failed)?;
        let full = qualified(table.schema, table.table);
        let lock =
            format!("SET LOCAL lock_timeout = '1s'; LOCK TABLE {full} IN SHARE ROW EXCLUSIVE MODE");
        transaction.batch_execute(&lock).await.map_err(failed)?;
        self.require(&transaction, table.database).await?;
        let known = triggers(&transaction, table.schema).await?;
        let own = known.get(table.table).map(Vec::as_slice).unwrap_or_default();
        let is_there = |name: &String| own.iter().any(|trigger| trigger.name == *name);
        let mut names: Vec<String> =
            own.iter().filter(|t| t.name == FENCE).map(|t| t.name.clone()).collect();
        for part in table.create() {
            if part.trigger.as_ref().is_none_or(|name| !is_there(name)) {
                transaction.batch_execute(&part.sql).await.map_err(failed)?;
            }
            names.extend(part.trigger);
        }
        let on = reverse::open(table.schema, table.table, &names);
        transaction.batch_execute(&on).await.map_err(failed)?;
        log_all(&transaction, table).await?;
        transaction.commit().await.map_err(failed)
    }
}

async fn set_triggers(
    transaction: &Transaction<'_>,
    plan: &Plan,
    sql: fn(&str, &str, &[String]) -> String,
) -> Result<()> {
    let schema = &plan.target_schema;
    let triggers = triggers(transaction, schema).await?;
    let mut statements = Vec::new();
    for table in &plan.tables {
        let own = triggers.get(&table.target).map(Vec::as_slice).unwrap_or_default();
        let names: Vec<String> = own.iter().map(|trigger| trigger.name.clone()).collect();
        if !names.is_empty() {
            statements.push(sql(schema, &table.target, &names));
        }
    }
    transaction.batch_execute(&statements.join("; ")).await.map_err(failed)
}

/// Puts the fence back on tables that have lost it.
async fn fence_all(transaction: &Transaction<'_>, plan: &Plan) -> Result<()> {
    let schema = &plan.target_schema;
    let triggers = triggers(transaction, schema).await?;
    for table in &plan.tables {
        let own = triggers.get(&table.target).map(Vec::as_slice).unwrap_or_default();
        if !own.iter().any(|trigger| trigger.name == FENCE) {
            fence(transaction, schema, &table.target).await?;
        }
    }
    Ok(())
}

/// Whether vacuum, or what takes the same lock, has a table of a schema.
async fn is_vacuumed(client: &impl GenericClient, schema: &str) -> Result<bool> {
    let sql = "SELECT EXISTS (SELECT FROM pg_locks l JOIN pg_class c ON c.oid = l.relation \
                 JOIN pg_namespace n ON n.oid = c.relnamespace \
               WHERE n.nspname = $1 AND l.mode = 'ShareUpdateExclusiveLock' AND l.granted)";
    Ok(client.query_one(sql, &[&schema]).await.map_err(failed)?.get(0))
}

/// A trigger of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trigger {
    pub(super) name: String,
    /// It fires whatever the session says.
    on: bool,
    /// It never fires.
    off: bool,
}

/// The triggers of ours on each table of a schema.
pub(super) async fn triggers(
    client: &impl GenericClient,
    schema: &str,
) -> Result<HashMap<String, Vec<Trigger>>> {
    let sql = "SELECT c.relname::text, t.tgname::text, t.tgenabled = 'A', t.tgenabled = 'D' \
               FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid \
                 JOIN pg_namespace n ON n.oid = c.relnamespace \
               WHERE n.nspname = $1 AND NOT t.tgisinternal AND starts_with(t.tgname, $2) \
               ORDER BY 1, 2";
    let mut triggers: HashMap<String, Vec<Trigger>> = HashMap::new();
    for row in client.query(sql, &[&schema, &TRIGGERS]).await.map_err(failed)? {
        let trigger = Trigger { name: row.get(1), on: row.get(2), off: row.get(3) };
        triggers.entry(row.get(0)).or_default().push(trigger);
    }
    Ok(triggers)
}

/// Numbers of the tables, among these, whose changes are not all written down: somebody has dropped
/// a trigger of ours or switched it off.
pub(crate) async fn uncaptured(
    client: &impl GenericClient,
    tables: &[Captured<'_>],
) -> Result<Vec<usize>> {
    let Some(first) = tables.first() else { return Ok(Vec::new()) };
    let triggers = triggers(client, first.schema).await?;
    let is_on = |table: &str, name: &String| {
        let own = triggers.get(table).map(Vec::as_slice).unwrap_or_default();
        own.iter().any(|trigger| trigger.name == *name && trigger.on)
    };
    // `ENABLE TRIGGER ALL` switches the fence on too.
    let is_fenced = |table: &str| {
        let own = triggers.get(table).map(Vec::as_slice).unwrap_or_default();
        own.iter().any(|trigger| trigger.name == FENCE && !trigger.off)
    };
    let lost = tables.iter().enumerate().filter(|(_, table)| {
        let parts = table.create();
        let mut names = parts.iter().filter_map(|part| part.trigger.as_ref());
        is_fenced(table.table) || names.any(|name| !is_on(table.table, name))
    });
    Ok(lost.map(|(number, _)| number).collect())
}

/// A hash of the columns of each table of a schema, and of the file that holds its rows, as a JSON
/// object by name: DDL may write all rows anew.
pub(crate) async fn shapes(client: &impl GenericClient, schema: &str) -> Result<String> {
    let sql = "SELECT coalesce(jsonb_object_agg(name, hash), '{}')::text FROM ( \
                 SELECT c.relname AS name, md5(string_agg(concat_ws(' ', a.attnum, a.atttypid, \
                     a.atttypmod, a.attname, pg_relation_filenode(c.oid)), ',' ORDER BY a.attnum)) AS hash \
                 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
                   JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 \
                     AND NOT a.attisdropped \
                 WHERE n.nspname = $1 AND c.relkind IN ('r', 'p') GROUP BY c.relname) AS tables";
    Ok(client.query_one(sql, &[&schema]).await.map_err(failed)?.get(0))
}

/// Names of tables whose columns are not those that were recorded; they are recorded.
pub(crate) async fn reshaped(
    client: &impl GenericClient,
    database: &str,
    schema: &str,
) -> Result<Vec<String>> {
    let now = shapes(client, schema).await?;
    let sql = "WITH known AS (SELECT shapes FROM switchback.returned WHERE database = $1) \
               SELECT coalesce(array_agg(key), '{}') FROM known, jsonb_each(known.shapes) \
               WHERE $2::text::jsonb ->> key IS DISTINCT FROM value #>> '{}'";
    let changed = client.query_one(sql, &[&database, &now]).await.map_err(failed)?.get(0);
    let sql = "UPDATE switchback.returned SET shapes = $2::text::jsonb \
               WHERE database = $1 AND shapes <> $2::text::jsonb";
    client.execute(sql, &[&database, &now]).await.map_err(failed)?;
    Ok(changed)
}

/// Writes down that all rows of a table are to be carried back.
pub(crate) async fn log_all(client: &impl GenericClient, table: &Captured<'_>) -> Result<()> {
    let sql = "INSERT INTO switchback.change_log (database, tab, key) VALUES ($1, $2, NULL)";
    let number = i32::try_from(table.number).unwrap_or_default();
    client.execute(sql, &[&table.database, &number]).await.map_err(failed)?;
    Ok(())
}

/// Changes that are not carried back yet, from a transaction number on.
pub(crate) async fn waiting(
    client: &impl GenericClient,
    database: &str,
    since: &str,
) -> Result<u64> {
    let sql = "SELECT count(*) FROM switchback.change_log \
               WHERE database = $1 AND xid >= $2::text::xid8";
    let count: i64 = client.query_one(sql, &[&database, &since]).await.map_err(failed)?.get(0);
    Ok(count.cast_unsigned())
}

/// The statement that takes what is written down out of the log: each key once, and how often it
/// was written down. Its parameters are the database and a transaction number from which on.
///
/// Rows that a constraint of SQLite keeps aside are tried again when anything in their table
/// changes: another row may have made room.
pub(crate) const TAKE: &str = "WITH taken AS (DELETE FROM switchback.change_log \
     WHERE database = $1 AND xid >= $2::text::xid8 RETURNING tab, key), \
     named AS (SELECT tab, key, 1 AS times FROM taken \
       UNION ALL SELECT tab, key, 0 FROM switchback.kept_aside \
         WHERE database = $1 AND NOT left_behind AND why = 'constraint' \
           AND tab IN (SELECT tab FROM taken)) \
     SELECT tab, key, sum(times) FROM named GROUP BY tab, key ORDER BY tab";

/// The highest value that each sequence has given, by table in the source.
pub(crate) async fn given_values(
    client: &impl GenericClient,
    plan: &Plan,
) -> Result<Vec<(String, i64)>> {
    let mut values = Vec::new();
    let sql = "SELECT pg_sequence_last_value( \
                 coalesce(nullif($3, ''), pg_get_serial_sequence($1, $2))::regclass)";
    let statement = client.prepare(sql).await.map_err(failed)?;
    for table in &plan.tables {
        let given = |column: &&ColumnPlan| {
            ddl::gives_values(column) && ddl::is_remembered(plan, table, column)
        };
        for column in table.columns.iter().filter(given) {
            let full = qualified(&plan.target_schema, &table.target);
            let asked: [&(dyn ToSql + Sync); 3] = [&full, &column.target, &column.sequence];
            let row = client.query_one(&statement, &asked).await;
            let value: Option<i64> = row.map_err(failed)?.get(0);
            values.extend(value.map(|value| (table.source.clone(), value)));
        }
    }
    Ok(values)
}

impl Target {
    /// Drops the foreign keys that the last switch has made, before the target follows again: a
    /// batch would violate them, or cascade. The next switch makes them again.
    pub(crate) async fn drop_foreign_keys(&self, database: &str, wait: Duration) -> Result<()> {
        let client = self.postgres().get().await?;
        let sql = "SELECT DISTINCT namespace, relation, name FROM switchback.steps \
                   WHERE database = $1 AND kind = 'foreign_key'";
        let made = client.query(sql, &[&database]).await.map_err(failed)?;
        drop(client);
        if made.is_empty() {
            return Ok(());
        }
        let mut client = self.postgres().get().await?;
        let transaction = client.transaction().await.map_err(failed)?;
        let limit = format!("SET LOCAL lock_timeout = '{}ms'", wait.as_millis().max(1));
        transaction.batch_execute(&limit).await.map_err(failed)?;
        self.require(&transaction, database).await?;
        for row in &made {
            let (schema, table, name): (&str, &str, &str) = (row.get(0), row.get(1), row.get(2));
            let sql = format!(
                "ALTER TABLE {} DROP CONSTRAINT IF EXISTS {}",
                qualified(schema, table),
                quote(name)
            );
            transaction.batch_execute(&sql).await.map_err(failed)?;
        }
        let sql = "DELETE FROM switchback.steps WHERE database = $1 \
                     AND (kind = 'foreign_key' OR starts_with(step, 'foreign_key_validation:'))";
        transaction.execute(sql, &[&database]).await.map_err(failed)?;
        transaction.commit().await.map_err(failed)
    }
}

fn lost(table: &str) -> Error {
    Error::new(Reason::TargetFailed, format!("the table {table} has lost its triggers of ours"))
        .hint("somebody dropped them: `switchback abort`, then migrate again")
}
