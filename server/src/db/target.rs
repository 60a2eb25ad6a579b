//! Switchback's own schema in PostgreSQL: what it knows about each database, and what it made.

mod existing;
mod facts;
mod finalize;
mod follow;
mod kept;
mod lease;
mod positions;
mod returned;
mod reverse;
mod set_aside;
mod steps;
mod switch;
mod triggers;

use std::time::SystemTime;

use tokio_postgres::{GenericClient, Row, types::ToSql};

use super::postgres::{Postgres, failed};
use crate::error::{Error, Newer, Reason, Result};

pub use facts::TargetFacts;
pub(crate) use facts::default_schema;
pub(crate) use follow::{FollowPosition, SwitchRecord, advance, position_in};
pub(crate) use kept::{
    KeptKey, KeptRows, kept_count, kept_keys, kept_rows, leave_all_behind, left_rows,
};
pub(crate) use lease::held;
pub use lease::{Holder, Tenure};
pub(crate) use positions::write_rejects;
pub use positions::{CopyPosition, Reject};
pub(crate) use returned::{Returned, advance_returned, begin_returning, returned};
pub(crate) use reverse::{TAKE, given_values, log_all, reshaped, shapes, uncaptured, waiting};
pub(crate) use set_aside::{AsideOf, comment_again, empty, has_rows, take_off};
pub use steps::{Made, Step};
pub(crate) use switch::{Attempt, fence, gone};
pub(crate) use triggers::enable_triggers;

/// Versions of the control schema, oldest first; a version is never changed, only followed.
const VERSIONS: &[&str] = &[
    include_str!("../../../migrations/target/0001_control.sql"),
    include_str!("../../../migrations/target/0002_fence.sql"),
    include_str!("../../../migrations/target/0003_capture.sql"),
    include_str!("../../../migrations/target/0004_reverse.sql"),
    include_str!("../../../migrations/target/0005_kept_aside.sql"),
    include_str!("../../../migrations/target/0006_set_aside.sql"),
];

/// Version of what is recorded about a database.
pub(crate) const FORMAT: i32 = 1;

/// Key of the advisory lock under which the control schema is installed and removed: "switchbk"
/// in ASCII, which nobody else will have chosen.
const INSTALL_LOCK: i64 = 0x7377_6974_6368_626b;

/// A PostgreSQL database as the target of migrations.
#[derive(Debug, Clone)]
pub struct Target {
    postgres: Postgres,
    holder: Holder,
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
    /// The source's schema as JSON; empty in a record of an earlier version.
    pub source_schema: String,
    /// The request as JSON.
    pub request: String,
    /// Id of the server that coordinates.
    pub holder: String,
    /// Where it runs.
    pub holder_name: String,
    /// Its lease has run out.
    pub abandoned: bool,
    /// When the migration began.
    pub created_at: SystemTime,
}

impl Control {
    fn refuse_newer(&self) -> Result<()> {
        let (found, known) = (self.format.into(), FORMAT.into());
        let newer = Newer { what: "the migration recorded in PostgreSQL", found, known };
        newer.check().map_err(|newer| newer.into_error(Reason::TargetInUse))
    }
}

impl Target {
    /// The target behind a pool, and who this server is.
    pub fn new(postgres: Postgres, holder: Holder) -> Self {
        Self { postgres, holder }
    }

    /// The same server's view of another database.
    pub(crate) fn with(&self, postgres: Postgres) -> Self {
        Self { postgres, holder: self.holder.clone() }
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
        for (index, sql) in VERSIONS.iter().enumerate().skip(applied) {
            transaction.batch_execute(sql).await.map_err(failed)?;
            let number = i32::try_from(index + 1).unwrap_or(i32::MAX);
            let record = "INSERT INTO switchback.schema_migrations (version) VALUES ($1)";
            transaction.execute(record, &[&number]).await.map_err(failed)?;
        }
        transaction.commit().await.map_err(failed)
    }

    /// Brings the schema `switchback` up to this version, where there is one; whether there is.
    pub async fn upgrade(&self) -> Result<bool> {
        let client = self.postgres.get().await?;
        let version = installed_version(&*client).await?;
        let newest = i32::try_from(VERSIONS.len()).unwrap_or(i32::MAX);
        if version.is_some_and(|version| version < newest) {
            drop(client);
            self.install().await?;
        }
        Ok(version.is_some())
    }

    /// What is recorded about a database; `None` where nothing is, or where Switchback was never
    /// installed.
    pub async fn read_control(&self, database: &str) -> Result<Option<Control>> {
        if !self.upgrade().await? {
            return Ok(None);
        }
        let client = self.postgres.get().await?;
        let rows = controls(&*client).await?;
        let found = rows.into_iter().find(|control| control.database == database);
        if let Some(control) = &found {
            control.refuse_newer()?;
        }
        Ok(found)
    }

    /// Records the state of a database, with this server as its coordinator; `created_at` is set
    /// by the first record. False where another migration or another server is recorded, or this
    /// migration has begun to switch: then nothing is changed.
    pub async fn write_control(&self, control: &Control) -> Result<bool> {
        let client = self.postgres.get().await?;
        let sql = "INSERT INTO switchback.control AS known (database, migration, format, phase, \
                     decision, active, epoch, attempt, plan, source_schema, request, holder, \
                     holder_name, lease_until) \
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, \
                     now() + $14::text::interval) \
                   ON CONFLICT (database) DO UPDATE SET (phase, plan, lease_until) \
                     = (excluded.phase, excluded.plan, excluded.lease_until) \
                   WHERE known.migration = excluded.migration AND known.decision = 'none' \
                     AND known.holder = excluded.holder";
        let values: [&(dyn ToSql + Sync); 14] = [
            &control.database,
            &control.migration,
            &control.format,
            &control.phase,
            &control.decision,
            &control.active,
            &control.epoch,
            &control.attempt,
            &control.plan,
            &control.source_schema,
            &control.request,
            &self.holder.id,
            &self.holder.name,
            &self.holder.lease(),
        ];
        let written = client.execute(sql, &values).await.map_err(failed)?;
        Ok(written > 0)
    }
}

async fn lock(client: &impl GenericClient) -> Result<()> {
    let sql = "SELECT pg_advisory_xact_lock($1)";
    client.execute(sql, &[&INSTALL_LOCK]).await.map_err(failed)?;
    Ok(())
}

/// Version of the control schema; `None` where there is none. One of a later version is an error:
/// nothing is read or changed in it.
async fn installed_version(client: &impl GenericClient) -> Result<Option<i32>> {
    let version = found_version(client).await?;
    let found = version.unwrap_or_default().into();
    let known = i64::try_from(VERSIONS.len()).unwrap_or(i64::MAX);
    let newer = Newer { what: "the schema switchback in PostgreSQL", found, known };
    newer.check().map_err(|newer| newer.into_error(Reason::TargetInUse))?;
    Ok(version)
}

/// Version of the control schema, whatever it is; `None` where there is none.
async fn found_version(client: &impl GenericClient) -> Result<Option<i32>> {
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
                 plan, created_at, source_schema, request, holder, holder_name, \
                 lease_until < now() FROM switchback.control ORDER BY database";
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
        source_schema: row.get(10),
        request: row.get(11),
        holder: row.get(12),
        holder_name: row.get(13),
        abandoned: row.get(14),
    }
}
