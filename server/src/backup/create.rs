//! `Backup`: stores what the active engine holds.

use std::time::Instant;

use switchback_proto::{
    v1::{BackupReport, Engine, Phase, ProgressEvent},
    words::Word,
};
use tokio_util::sync::CancellationToken;

use super::{
    Backups, finding_of,
    manifest::{FORMAT, Manifest, Missing, PostgresContent, SqliteContent, Version},
    new_id,
    postgres::{self, create::Job, programs::Programs},
    sqlite,
    writer::Writer,
};
use crate::{
    clock,
    db::{Database, control::DatabaseRecord},
    error::Result,
    failpoint,
    operations::{EventLog, Run},
    telemetry::metrics,
};

/// A backup that is to be made.
pub(crate) struct Creation<'a> {
    pub(crate) database: &'a Database,
    pub(crate) engine: Engine,
    /// Its id.
    pub(crate) id: String,
    pub(crate) log: &'a EventLog,
    pub(crate) halt: &'a CancellationToken,
}

/// What was read of an engine.
struct Content {
    sqlite: Option<SqliteContent>,
    postgres: Option<PostgresContent>,
    bytes: u64,
    /// In milliseconds since 1970.
    taken_at: i64,
    held_ms: f64,
    missing: Vec<Missing>,
}

impl Backups {
    /// `Backup`, as an operation; a restart goes on with the same backup.
    pub(super) async fn back_up(
        &self,
        database: &Database,
        run: &Run,
        halt: &CancellationToken,
    ) -> Result<BackupReport> {
        let id = match run.journal.as_str() {
            "" => new_id(),
            known => known.to_owned(),
        };
        self.store.checkpoint(&run.id, Phase::Idle, &id).await?;
        let engine = self.store.database(&database.config.name).await?.active;
        self.create(Creation { database, engine, id, log: &run.log, halt }).await
    }

    /// Makes a backup of one engine, whichever is active.
    pub(crate) async fn create(&self, creation: Creation<'_>) -> Result<BackupReport> {
        let name = &creation.database.config.name;
        let began = Instant::now();
        let record = self.store.database(name).await?;
        self.repository.open().await?;
        let writer = self.repository.begin(name, &creation.id, creation.halt).await?;
        let made = self.write(&creation, &writer, record).await;
        let (manifest, held_ms) = match made {
            Ok(made) => made,
            Err(error) => {
                writer.abandon().await;
                metrics::record_backup(name, creation.engine, None);
                return Err(error);
            }
        };
        let counts = writer.counts();
        let taken_at = clock::from_rfc3339(&manifest.created_at).unwrap_or_default();
        let report = BackupReport {
            backup_id: creation.id.clone(),
            engine: creation.engine.into(),
            bytes_read: manifest.bytes,
            bytes_uploaded: counts.bytes_uploaded,
            bytes_deduplicated: counts.bytes_deduplicated,
            chunks: manifest.chunks,
            seconds: 0.0,
            held_ms,
            findings: manifest.findings.iter().map(finding_of).collect(),
        };
        failpoint::hit("backup.before");
        writer.finish(&manifest).await?;
        failpoint::hit("backup.after");
        for finding in &report.findings {
            creation.log.finding(finding.clone());
        }
        self.store.set_backed_up(name, taken_at).await?;
        creation.database.standing.set_backed_up(taken_at);
        metrics::record_backup(name, creation.engine, Some(counts.bytes_uploaded));
        Ok(BackupReport { seconds: began.elapsed().as_secs_f64(), ..report })
    }

    async fn write(
        &self,
        creation: &Creation<'_>,
        writer: &Writer,
        record: DatabaseRecord,
    ) -> Result<(Manifest, f64)> {
        let database = creation.database;
        let name = &database.config.name;
        let told = |table: &str, rows: u64, bytes: u64, total: u64| {
            let counts = writer.counts();
            creation.log.progress(ProgressEvent {
                table: table.to_owned(),
                rows,
                rows_total: 0,
                bytes,
                bytes_total: total,
                bytes_uploaded: counts.bytes_uploaded,
                bytes_deduplicated: counts.bytes_deduplicated,
            });
        };
        let content = read(creation, writer, &told).await?;
        let state = self.set.state(name).await?;
        let of_engine =
            state.schema_versions.iter().filter(|version| version.engine() == creation.engine);
        let versions = of_engine.map(|version| Version {
            engine: version.engine().word(),
            tool: version.tool.clone(),
            version: version.version.clone(),
        });
        let manifest = Manifest {
            format: FORMAT,
            backup_id: creation.id.clone(),
            database: name.clone(),
            engine: creation.engine.word(),
            epoch: record.epoch,
            phase: record.phase.word(),
            created_at: clock::rfc3339(content.taken_at),
            server_version: env!("CARGO_PKG_VERSION").into(),
            schema_versions: versions.collect(),
            bytes: content.bytes,
            chunks: writer.counts().chunks,
            sqlite: content.sqlite,
            postgres: content.postgres,
            findings: content.missing,
        };
        Ok((manifest, content.held_ms))
    }
}

/// Told of a table, its rows and its bytes, and of all bytes there are.
type Told<'a> = &'a (dyn Fn(&str, u64, u64, u64) + Send + Sync);

/// Reads the engine through the writer.
async fn read(creation: &Creation<'_>, writer: &Writer, told: Told<'_>) -> Result<Content> {
    let database = creation.database;
    match creation.engine {
        Engine::Postgres => {
            let programs = Programs::installed();
            let tell = |progress: postgres::Progress<'_>| {
                told(&name_of(progress), progress.rows, progress.bytes, 0);
            };
            let taken_at = clock::now_millis();
            let job = Job {
                postgres: &database.postgres,
                programs: &programs,
                progress: &tell,
                cancel: creation.halt,
            };
            let read = Box::pin(postgres::create::read(&job, writer)).await?;
            Ok(Content {
                sqlite: None,
                postgres: Some(read.content),
                bytes: read.bytes,
                taken_at,
                held_ms: 0.0,
                missing: read.missing,
            })
        }
        _ => {
            let pages = |done, of| told("", 0, done, of);
            let read =
                sqlite::read(&database.source, writer, &database.scratch, (&pages, creation.halt));
            let read = read.await?;
            Ok(Content {
                sqlite: Some(read.content),
                postgres: None,
                bytes: read.bytes,
                taken_at: read.taken_at,
                held_ms: read.held.as_secs_f64() * 1000.0,
                missing: Vec::new(),
            })
        }
    }
}

/// Tables of the usual schema go by their name alone.
pub(super) fn name_of(progress: postgres::Progress<'_>) -> String {
    match progress.schema {
        "public" => progress.table.to_owned(),
        schema => format!("{schema}.{}", progress.table),
    }
}
