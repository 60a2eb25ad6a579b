//! `Restore`: to a new place by default, in place by request, and into the other engine.

mod database;
mod decode;
mod in_place;
mod into_postgres;
mod into_sqlite;
mod new_file;
mod one_table;
mod overwrite;
mod rows;

use std::{path::PathBuf, time::Instant};

use serde::{Deserialize, Serialize};
use switchback_proto::{
    v1::{Engine, Finding, Phase, ProgressEvent, RestoreReport, RestoreRequest, Severity},
    words::Word,
};
use tokio_util::sync::CancellationToken;

use super::{Backups, Creation, manifest::Manifest, new_id};
use crate::{
    db::Database,
    dialect::finding::{self, Place},
    error::{Error, Reason, Result},
    operations::{EventLog, Run},
};

/// What the journal holds while something is replaced.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Replacing {
    /// Backup of what is replaced.
    safety: String,
    /// Once everything is ready: the number of its schema that a SQLite file has afterwards, and
    /// had not before.
    #[serde(default)]
    cookie: Option<u32>,
}

impl Replacing {
    fn to_json(&self) -> Result<String> {
        serde_json::to_string(self).map_err(|error| {
            Error::new(Reason::Internal, "the resume record has no JSON form").caused_by(error)
        })
    }
}

/// A restoration that was asked for.
struct Restoration<'a> {
    backups: &'a Backups,
    database: &'a Database,
    request: &'a RestoreRequest,
    manifest: Manifest,
    run: &'a Run,
    halt: &'a CancellationToken,
    /// For what is in the middle of it.
    scratch: Scratch,
}

/// A directory that goes with its operation, also with a later run of it.
struct Scratch(PathBuf);

impl Scratch {
    fn new(path: PathBuf) -> Result<Self> {
        let scratch = Self(path);
        scratch.remove();
        std::fs::create_dir_all(&scratch.0)
            .map_err(|error| new_file::unusable(&scratch.0, &error))?;
        Ok(scratch)
    }

    fn remove(&self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(path = %self.0.display(), %error, "a temporary directory is left");
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        self.remove();
    }
}

impl Backups {
    /// `Restore`, as an operation.
    pub(super) async fn restore(
        &self,
        database: &Database,
        request: &RestoreRequest,
        (run, halt): (&Run, &CancellationToken),
    ) -> Result<RestoreReport> {
        let began = Instant::now();
        let name = &database.config.name;
        let manifest = self.repository.manifest(name, &request.backup_id).await?;
        for missing in &manifest.findings {
            run.log.finding(super::finding_of(missing));
        }
        let scratch = Scratch::new(database.scratch.join(unfinished("restore", run)))?;
        let restoration =
            Restoration { backups: self, database, request, manifest, run, halt, scratch };
        let report = restoration.restore().await?;
        for finding in &report.findings {
            run.log.finding(finding.clone());
        }
        Ok(RestoreReport { seconds: began.elapsed().as_secs_f64(), ..report })
    }
}

impl Restoration<'_> {
    async fn restore(&self) -> Result<RestoreReport> {
        let of = engine_of(&self.manifest)?;
        let into = match self.request.into_engine() {
            Engine::Unspecified => of,
            asked => asked,
        };
        let in_place = self.request.restore_as.is_empty();
        if in_place && (into != of || !self.request.table.is_empty()) {
            return Err(Error::new(
                Reason::InvalidRequest,
                "only a whole backup can be restored in place, and only into its own engine",
            )
            .hint("restore to a new place with `--as NAME`"));
        }
        match (of, into) {
            (Engine::Sqlite, Engine::Sqlite) if in_place => self.replace_file().await,
            (Engine::Sqlite, Engine::Sqlite) => self.make_file().await,
            (Engine::Postgres, Engine::Postgres) if in_place => self.replace_database().await,
            (Engine::Postgres, Engine::Postgres) => self.make_database().await,
            (Engine::Sqlite, _) => self.rows_into_postgres().await,
            _ => self.rows_into_sqlite().await,
        }
    }

    /// Tells bytes of the whole.
    fn tell(&self, done: u64, of: u64) {
        tell(&self.run.log, "", 0, (done, of));
    }

    /// Makes a backup of what is to be replaced, under an id that a restart goes on with.
    async fn back_up_first(&self, engine: Engine, known: Option<&str>) -> Result<String> {
        let id = match known {
            Some(known) if !self.is_finished(known).await? => known.to_owned(),
            // One that was finished stays: there may have been writes since.
            _ => new_id(),
        };
        let journal = Replacing { safety: id.clone(), cookie: None };
        self.record(&journal.to_json()?).await?;
        let creation =
            Creation { database: self.database, engine, id, log: &self.run.log, halt: self.halt };
        Ok(Box::pin(self.backups.create(creation)).await?.backup_id)
    }

    /// Whether a backup came to its end in an earlier run.
    async fn is_finished(&self, id: &str) -> Result<bool> {
        match self.backups.check(&self.database.config.name, id).await {
            Err(error) if error.reason() == Reason::UnknownBackup => Ok(false),
            checked => {
                checked?;
                self.backups.repository.unmark(id).await?;
                Ok(true)
            }
        }
    }

    /// What an earlier run had settled of replacing something.
    fn replacing(&self) -> Option<Replacing> {
        serde_json::from_str(&self.run.journal).ok()
    }

    async fn record(&self, journal: &str) -> Result<()> {
        self.backups.store.checkpoint(&self.run.id, Phase::Idle, journal).await
    }

    /// Refuses while anything of a migration depends on what is there now.
    async fn refuse_migration(&self) -> Result<()> {
        let name = &self.database.config.name;
        let record = self.backups.store.database(name).await?;
        if matches!(record.phase, Phase::Idle | Phase::Finalized) {
            return Ok(());
        }
        let message = format!("{name} is in a migration ({})", record.phase.word());
        Err(Error::new(Reason::RestoreRefused, message).hint(
            "end it first (`switchback abort`, `switchback finalize`), or restore to a new place \
             with `--as NAME`",
        ))
    }
}

fn tell(log: &EventLog, table: &str, rows: u64, (bytes, bytes_total): (u64, u64)) {
    log.progress(ProgressEvent {
        table: table.to_owned(),
        rows,
        bytes,
        bytes_total,
        ..ProgressEvent::default()
    });
}

fn engine_of(manifest: &Manifest) -> Result<Engine> {
    let engine = Engine::from_word(&manifest.engine);
    let is_whole = match engine {
        Some(Engine::Sqlite) => manifest.sqlite.is_some(),
        Some(Engine::Postgres) => manifest.postgres.is_some(),
        _ => false,
    };
    engine.filter(|_| is_whole).ok_or_else(|| {
        Error::new(Reason::BackupDamaged, "the manifest does not say what the backup holds")
            .hint("it was written by a newer version, or changed by hand")
    })
}

fn no_content() -> Error {
    Error::new(Reason::BackupDamaged, "the manifest names no tables of PostgreSQL")
}

/// A file or a database that is being made, named after its operation.
fn unfinished(name: &str, run: &Run) -> String {
    format!("{name}_restoring_{}", digits(run))
}

/// The end of an operation's id, which is its random part.
fn digits(run: &Run) -> &str {
    run.id.rsplit('-').next().unwrap_or_default()
}

fn note(code: &'static str, message: String, hint: &'static str) -> Finding {
    finding::finding(Severity::Note, code, Place::database(), message, hint)
}

/// Beside a file: `.NAME.restoring`.
fn beside(path: &std::path::Path, name: &str) -> PathBuf {
    path.with_file_name(format!(".{name}"))
}
