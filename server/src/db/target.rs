//! Switchback's own schema in PostgreSQL: what it knows about each database, and what it made.

mod facts;
mod positions;
mod steps;
mod switch;

use std::time::SystemTime;

use tokio_postgres::{GenericClient, Row, types::ToSql};

use super::postgres::{Postgres, failed};
use crate::error::{Error, Reason, Result};

pub use facts::TargetFacts;
pub use positions::{CopyPosition, Reject};
pub(crate) use positions::{write_position, write_rejects};
pub use steps::{Made, Step, record};
pub(crate) use switch::{fence, gone};

/// Versions of the control schema, oldest first; a version is never changed, only followed.
const VERSIONS: &[&str] = &[
    include_str!("../../../migrations/target/0001_control.sql"),
    include_str!("../../../migrations/target/0002_fence.sql"),
];

/// Key of the advisory lock under which the control schema is installed and removed: "switchbk"
/// in ASCII, which nobody else will have chosen.
const INSTALL_LOCK: i64 = 0x7377_6974_6368_626b;

/// A PostgreSQL database as the target of migrations.
#[derive(Debug, Clone)]
pub struct Target {
    postgres: Postgres,
}

/// What the target knows about a database.
#[derive(Debug, Clone, PartialEq)]
pub struct Control {
    /// Name of the database.
    pub database: String,
    /// Id of the migration.
    pub migration: String,
    /// Version of the record.
    pub format: i32,
    /// Phase reached, as a word.
    pub phase: String,
    /// `none`, `pending`, `pg`, `sqlite` or `aborted`.
    pub decision: String,
    /// `sqlite` or `postgres`.
    pub active: String,
    /// Number of switches so far.
    pub epoch: i64,
    /// Counts the coordinators.
    pub attempt: i64,
    /// The plan as JSON.
    pub plan: String,
    /// When the migration began.
    pub created_at: SystemTime,
}

impl Control {
    /// What the statements write, `created_at` aside.
    fn fields(&self) -> [&(dyn ToSql + Sync); 9] {
        [
            &self.database,
            &self.migration,
            &self.format,
            &self.phase,
            &self.decision,
            &self.active,
            &self.epoch,
            &self.attempt,
            &self.plan,
        ]
    }
}

impl Target {
    /// The target behind a pool.
    pub fn new(postgres: Postgres) -> Self {
        Self { postgres }
    }

    /// Its pool.
    pub fn postgres(&self) -> &Postgres {
        &self.postgres
    }

    /// Makes the schema `switchback`, or brings it up to this version.
    pub async fn install(&self) -> Result<()> {
        let mut client = self.postgres.get().await?;
        let transaction = client.transaction().await.map_err(failed)?;
        lock(&transaction).await?;
        let mut version = installed_version(&transaction).await?;
        if version.is_none() {
            refuse_a_foreign_schema(&transaction).await?;
            let first = "CREATE SCHEMA switchback; \
                         CREATE TABLE switchback.schema_migrations ( \
                           version integer PRIMARY KEY, \
                           applied_at timestamp with time zone NOT NULL DEFAULT now())";
            transaction.batch_execute(first).await.map_err(failed)?;
            version = Some(0);
        }
        let applied = version.and_then(|version| usize::try_from(version).ok()).unwrap_or(0);
        if applied > VERSIONS.len() {
            return Err(Error::new(
                Reason::TargetInUse,
                format!("the schema switchback in PostgreSQL has version {applied}"),
            )
            .hint("a newer switchbackd made it: run that version"));
        }
        for (index, sql) in VERSIONS.iter().enumerate().skip(applied) {
            transaction.batch_execute(sql).await.map_err(failed)?;
            let number = i32::try_from(index + 1).unwrap_or(i32::MAX);
            let record = "INSERT INTO switchback.schema_migrations (version) VALUES ($1)";
            transaction.execute(record, &[&number]).await.map_err(failed)?;
        }
        transaction.commit().await.map_err(failed)
    }

    /// What is recorded about a database; `None` where nothing is, or where Switchback was never
    /// installed.
    pub async fn read_control(&self, database: &str) -> Result<Option<Control>> {
        let client = self.postgres.get().await?;
        if installed_version(&*client).await?.is_none() {
            return Ok(None);
        }
        let rows = controls(&*client).await?;
        Ok(rows.into_iter().find(|control| control.database == database))
    }

    /// Records the state of a database; `created_at` is set by the first record. False where
    /// another migration is recorded, or this one is decided: then nothing is changed.
    pub async fn write_control(&self, control: &Control) -> Result<bool> {
        let client = self.postgres.get().await?;
        let sql = "INSERT INTO switchback.control (database, migration, format, phase, decision, \
                     active, epoch, attempt, plan) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) \
                   ON CONFLICT (database) DO UPDATE SET (migration, format, phase, decision, \
                     active, epoch, attempt, plan) = (excluded.migration, excluded.format, \
                     excluded.phase, excluded.decision, excluded.active, excluded.epoch, \
                     excluded.attempt, excluded.plan) \
                   WHERE control.migration = excluded.migration AND control.decision = 'none'";
        let written = client.execute(sql, &control.fields()).await.map_err(failed)?;
        Ok(written > 0)
    }
}

async fn lock(client: &impl GenericClient) -> Result<()> {
    let sql = "SELECT pg_advisory_xact_lock($1)";
    client.execute(sql, &[&INSTALL_LOCK]).await.map_err(failed)?;
    Ok(())
}

/// Version of the control schema; `None` where there is none.
async fn installed_version(client: &impl GenericClient) -> Result<Option<i32>> {
    // Not to_regclass, which needs a right on the schema.
    let exists = "SELECT EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
                    WHERE n.nspname = 'switchback' AND c.relname = 'schema_migrations')";
    let exists: bool = client.query_one(exists, &[]).await.map_err(failed)?.get(0);
    if !exists {
        return Ok(None);
    }
    let newest = "SELECT coalesce(max(version), 0) FROM switchback.schema_migrations";
    Ok(Some(client.query_one(newest, &[]).await.map_err(failed)?.get(0)))
}

async fn refuse_a_foreign_schema(client: &impl GenericClient) -> Result<()> {
    let sql = "SELECT to_regnamespace('switchback') IS NOT NULL";
    if client.query_one(sql, &[]).await.map_err(failed)?.get(0) {
        return Err(Error::new(
            Reason::TargetInUse,
            "PostgreSQL has a schema named switchback that Switchback did not make",
        )
        .hint("rename it, or use another PostgreSQL database"));
    }
    Ok(())
}

async fn controls(client: &impl GenericClient) -> Result<Vec<Control>> {
    let sql = "SELECT database, migration, format, phase, decision, active, epoch, attempt, \
                 plan, created_at FROM switchback.control ORDER BY database";
    Ok(client.query(sql, &[]).await.map_err(failed)?.iter().map(control).collect())
}

fn control(row: &Row) -> Control {
    Control {
        database: row.get(0),
        migration: row.get(1),
        format: row.get(2),
        phase: row.get(3),
        decision: row.get(4),
        active: row.get(5),
        epoch: row.get(6),
        attempt: row.get(7),
        plan: row.get(8),
        created_at: row.get(9),
    }
}
