//! Reading what schema migration tools have recorded in both engines.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use rusqlite::{Connection, Row, types::ValueRef};
use tokio::{sync::Mutex, time::timeout};
use tokio_postgres::{Transaction, error::SqlState};

use super::{
    Database,
    postgres::{Postgres, explain, failed},
    source::SourceFile,
    target::default_schema,
};
use crate::{
    dialect::{
        ident::literal,
        versions::{self, Found, Mismatch, Recorded, Relation},
    },
    error::Result,
    task::blocking,
};

/// How old what callers are shown may be. Who watches a database asks every second.
const LIFE: Duration = Duration::from_secs(2);

/// What takes longer to ask for is not shown: the rest of the state is waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// What SQLite has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct SqliteVersions {
    /// `PRAGMA user_version`.
    pub(crate) user_version: i64,
    /// By tool.
    pub(crate) recorded: Vec<Recorded>,
}

/// The schema versions of both engines, as callers are shown them.
#[derive(Debug, Clone, Default)]
pub(super) struct Shown {
    /// `None` where it could not be read.
    pub(super) sqlite: Option<SqliteVersions>,
    pub(super) postgres: Vec<Recorded>,
    /// Tools of which both engines have other versions.
    pub(super) mismatches: Vec<Mismatch>,
}

/// What was read last. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Cached(Arc<Mutex<Option<(Instant, Shown)>>>);

impl Database {
    /// What SQLite has. A file that cannot be read is an error.
    pub(crate) async fn sqlite_versions(&self) -> Result<SqliteVersions> {
        of_sqlite(&self.source).await
    }

    /// What PostgreSQL has in a schema; nothing where there is no such schema. A server that does
    /// not answer is an error.
    pub(crate) async fn postgres_versions(&self, schema: &str) -> Result<Vec<Recorded>> {
        of_postgres(&self.postgres, Where::Schema(schema)).await
    }

    /// What both engines have, as it was a moment ago; nothing of an engine that does not answer.
    pub(super) async fn shown_versions(&self) -> Shown {
        // Whoever asks meanwhile waits for the same answer.
        let mut cached = self.versions.0.lock().await;
        if let Some((at, shown)) = &*cached
            && at.elapsed() < LIFE
        {
            return shown.clone();
        }
        let name = &self.config.name;
        let (sqlite, postgres) = tokio::join!(
            timeout(PATIENCE, self.sqlite_versions()),
            timeout(PATIENCE, of_postgres(&self.postgres, Where::Planned(name)))
        );
        let sqlite = sqlite.ok().and_then(Result::ok);
        let postgres = postgres.ok().and_then(Result::ok).unwrap_or_default();
        let mismatches = sqlite
            .as_ref()
            .map(|sqlite| versions::compare(&sqlite.recorded, &postgres))
            .unwrap_or_default();
        let shown = Shown { sqlite, postgres, mismatches };
        *cached = Some((Instant::now(), shown.clone()));
        shown
    }
}

/// On a connection that is closed again: one that stays open would keep SQLite from removing the
/// write-ahead log when everybody else is gone.
async fn of_sqlite(source: &SourceFile) -> Result<SqliteVersions> {
    let source = source.clone();
    blocking(move || {
        let connection = source.open()?;
        read_sqlite(&connection).map_err(|error| source.explain(error))
    })
    .await
}

fn read_sqlite(connection: &Connection) -> rusqlite::Result<SqliteVersions> {
    let user_version = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let names: Vec<String> = versions::tables().iter().map(|name| literal(name)).collect();
    // A virtual table has no page of its own, and may need a module that is not there.
    let sql = format!(
        "SELECT s.name, c.name FROM main.sqlite_schema AS s, pragma_table_info(s.name, 'main') AS c \
         WHERE s.type = 'table' AND s.rootpage > 0 AND lower(s.name) IN ({}) ORDER BY s.name, c.cid",
        names.join(", ")
    );
    let columns = connection
        .prepare(&sql)?
        .query_map([], |row| Ok((text(row, 0)?, text(row, 1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    let mut recorded = Vec::new();
    for found in versions::recognise(&relations(columns)) {
        let rows = connection
            .prepare(&found.select("main"))?
            .query_map([], |row| text(row, 0))?
            .collect::<rusqlite::Result<_>>()?;
        recorded.extend(kept(found, rows));
    }
    Ok(SqliteVersions { user_version, recorded })
}

/// SQLite's text need not be UTF-8.
fn text(row: &Row<'_>, column: usize) -> rusqlite::Result<String> {
    Ok(match row.get_ref(column)? {
        ValueRef::Null => String::new(),
        ValueRef::Integer(number) => number.to_string(),
        ValueRef::Real(number) => number.to_string(),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => {
            String::from_utf8_lossy(bytes).into_owned()
        }
    })
}

/// Tables out of their columns, which come one table after the other.
fn relations(columns: Vec<(String, String)>) -> Vec<Relation> {
    let mut relations: Vec<Relation> = Vec::new();
    for (table, column) in columns {
        match relations.last_mut() {
            Some(relation) if relation.name == table => relation.columns.push(column),
            _ => relations.push(Relation { name: table, columns: vec![column] }),
        }
    }
    relations
}

fn kept(found: Found, rows: Vec<String>) -> Option<Recorded> {
    let table = found.table.name.clone();
    let recorded = found.recorded(rows);
    if recorded.is_none() {
        tracing::warn!(table, most = versions::MOST, "too many schema versions to compare");
    }
    recorded
}

/// Where a database's tables are in PostgreSQL.
#[derive(Clone, Copy)]
enum Where<'a> {
    /// In this schema.
    Schema(&'a str),
    /// Where the migration of this database has them, or else where a new one would have them.
    Planned(&'a str),
}

async fn of_postgres(postgres: &Postgres, place: Where<'_>) -> Result<Vec<Recorded>> {
    let mut client = postgres.get().await?;
    let mut transaction =
        client.build_transaction().read_only(true).start().await.map_err(failed)?;
    let limits = format!(
        "SET LOCAL statement_timeout = {0}; SET LOCAL lock_timeout = {0}",
        PATIENCE.as_millis()
    );
    transaction.batch_execute(&limits).await.map_err(failed)?;
    let schema = match place {
        Where::Schema(schema) => schema.to_owned(),
        Where::Planned(database) => match planned_schema(&transaction, database).await? {
            Some(schema) => schema,
            None => default_schema(&transaction).await?,
        },
    };
    // What the user may not read is not there.
    let sql = "SELECT c.relname::text, a.attname::text FROM pg_class c \
                 JOIN pg_namespace n ON n.oid = c.relnamespace \
                 JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped \
               WHERE n.nspname = $1::text AND c.relkind IN ('r', 'p') \
                 AND lower(c.relname::text) = ANY ($2) \
                 AND has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT') \
               ORDER BY c.relname, a.attnum";
    let columns = transaction.query(sql, &[&schema, &versions::tables()]).await;
    let columns = columns.map_err(failed)?;
    let columns = columns.iter().map(|row| (row.get(0), row.get(1))).collect();
    let mut recorded = Vec::new();
    for found in versions::recognise(&relations(columns)) {
        if let Some(rows) = rows(&mut transaction, &found.select(&schema)).await? {
            recorded.extend(kept(found, rows));
        }
    }
    transaction.commit().await.map_err(failed)?;
    Ok(recorded)
}

/// What a query gives; `None` where the user may not read the table, or it has just been dropped.
async fn rows(transaction: &mut Transaction<'_>, sql: &str) -> Result<Option<Vec<String>>> {
    let attempt = transaction.transaction().await.map_err(failed)?;
    match attempt.query(sql, &[]).await {
        Ok(rows) => {
            attempt.commit().await.map_err(failed)?;
            Ok(Some(rows.iter().map(|row| row.get(0)).collect()))
        }
        Err(error) => {
            let gone = [SqlState::INSUFFICIENT_PRIVILEGE, SqlState::UNDEFINED_TABLE];
            if error.code().is_none_or(|code| !gone.contains(code)) {
                return Err(explain(&error));
            }
            attempt.rollback().await.map_err(failed)?;
            Ok(None)
        }
    }
}

/// The target schema of the migration that is recorded for a database.
async fn planned_schema(transaction: &Transaction<'_>, database: &str) -> Result<Option<String>> {
    let sql = "SELECT EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
                 WHERE n.nspname = 'switchback' AND c.relname = 'control' \
                   AND has_schema_privilege(n.oid, 'USAGE') \
                   AND has_table_privilege(c.oid, 'SELECT'))";
    if !transaction.query_one(sql, &[]).await.map_err(failed)?.get::<_, bool>(0) {
        return Ok(None);
    }
    let sql = "SELECT plan::json ->> 'target_schema' FROM switchback.control WHERE database = $1";
    let row = transaction.query_opt(sql, &[&database]).await.map_err(failed)?;
    Ok(row.and_then(|row| row.get(0)))
}

#[cfg(test)]
mod tests;
